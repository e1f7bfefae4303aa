"""What truth is settled from: votes, known answers, rulings and who is paused; and what a run keeps for the next.

From KEEP_FROM votes on the cache holds the votes as numbers and the posteriors a run ended with: the next one reads
only votes cast since, and starts where that one ended. Below, and with `fresh`, everything is counted anew.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from pictus.annotate.desk.session_steps import crowds, paused_names
from pictus.annotate.truth.consensus import METHODS, Consensus, candidates_of, settled
from pictus.annotate.truth.kept import before_of, places, posterior_table, vote_table, votes_from
from pictus.annotate.truth.links import Held, Shifts, alone, link_numbers
from pictus.annotate.truth.questions import (
    SAID,
    STATUSES,
    Ballots,
    Coded,
    Facts,
    Which,
    YesNo,
    ballots_from,
    coded,
    continued,
    facts_of,
    statuses,
    which,
    with_answers,
    yes_no,
)
from pictus.clock import now
from pictus.concepts import load_taxonomy
from pictus.errors import UserError
from pictus.journey import first_command
from pictus.project import Project, write_bytes

KEEP_FROM = 50_000
"""Votes from which on a run keeps what it found: with fewer, counting all anew takes a moment."""

KNOWN_KIND = "grid"
"""The kind of question whose known answers are a yes or no to the votes' questions."""


class Evidence(NamedTuple):
    """All that is known when truth is settled."""

    ballots: Ballots
    known: Facts
    rulings: Facts
    paused: tuple[str, ...]  # whose votes were left out
    left_out: int  # so many votes
    votes: Coded
    mark: str  # equal for equal evidence; "" where nothing is kept
    keeps: bool  # whether what is found may be written to the cache
    is_fresh: bool  # nothing of an earlier run is used


class Weighed(NamedTuple):
    """The two kinds of question with what the votes on them say."""

    asked: tuple[YesNo, Consensus]
    free: tuple[Which, Consensus]


def evidence_of(
    project: Project, *, fresh: bool = False, with_paused: bool = False, keeps: bool = False
) -> Evidence:  # fmt: skip
    """Read it. `with_paused`: also the votes of people who are paused; `keeps`: the next run may start from this one,
    for steps that hold the lock.
    """
    votes, reached = _votes(project, fresh=fresh, keeps=keeps)
    known, rulings, paused = _decided(project)
    firsts = _firsts(project, known)
    if not votes.image_V.size and not rulings:
        raise UserError("There are no votes in this project yet.", fix=first_command(project, "votes"))
    classes = load_taxonomy(project).classes
    silenced = () if with_paused else tuple(name for name in votes.annotators if name in paused)
    ballots = ballots_from(
        with_answers(votes, firsts), [*classes, *(concept for _, concept, _ in rulings)], without=silenced,
        images=[image for image, _, _ in rulings],
    )  # fmt: skip
    mark = ""
    if reached:
        told = json.dumps([reached, sorted(known), rulings, silenced, sorted(ballots.concepts), firsts])
        mark = hashlib.sha256(told.encode()).hexdigest()
    return Evidence(
        ballots, facts_of(ballots, known), facts_of(ballots, rulings), silenced,
        votes.image_V.size - ballots.image_V.size, votes, mark, keeps, fresh,
    )  # fmt: skip


def weighed(project: Project, evidence: Evidence, method: str) -> Weighed:
    """Both kinds of question, by `method`; from where the last run ended, where that was kept."""
    weigh = METHODS.get(method)
    if method == "gold" and not evidence.known.image_F.size:
        raise UserError(
            "--method gold weighs people by their answers where the answer is known, and no answer is known yet.",
            fix="pictus annotate gold    (to mark known answers), or --method dawid-skene",
        )
    asked, free = yes_no(evidence.ballots, evidence.known), which(evidence.ballots)
    if not evidence.mark:
        return Weighed((asked, weigh(asked.votes)), (free, weigh(free.votes)))
    found: list[Consensus] = []
    for kind, name in ((asked, "yes-no"), (free, "which")):
        path = _folder(project) / f"{method}.{name}.arrow"
        candidates = candidates_of(kind.votes)
        place = places(evidence.ballots, evidence.votes, kind, candidates)
        kept = None if evidence.is_fresh else _read(path)
        before = None if kept is None else before_of(kept, place, candidates, kind.votes)
        is_same = kept is not None and (kept.schema.metadata or {}).get(b"mark") == evidence.mark.encode()
        if before is not None and is_same and before.key_B.size == candidates.item_P.size:
            found.append(settled(candidates, before.posterior_B))
            continue
        consensus = weigh(replace(kind.votes, before=before))
        found.append(consensus)
        if evidence.keeps and consensus.posterior_P.size == candidates.item_P.size:
            _write(path, posterior_table(place, consensus).replace_schema_metadata({"mark": evidence.mark}))
    return Weighed((asked, found[0]), (free, found[1]))


_PART = 500
"""Pictures of one query: databases bound how many values a statement has."""


def held(project: Project, ballots: Ballots, asked: tuple[YesNo, Consensus], threshold: float) -> Held:
    """Questions that would be decided by people of one link alone while others were at work (`links`)."""
    kind, said = asked
    is_held_U = np.zeros(kind.votes.n_items, np.bool_)
    pages = sa.text(
        "SELECT DISTINCT p.annotator, SUBSTR(p.leased_at, 1, 10) FROM pages p JOIN annotators a ON a.name = p.annotator"
        " WHERE p.state = 'submitted' AND a.state = 'active'"
    )
    with project.journal.reading() as connection:
        link_of = crowds(connection, now()).link_of
        worked = [] if len(set(link_of.values())) < 2 else connection.execute(pages).all()  # noqa: PLR2004  alone
    if not worked:
        return Held(is_held_U, {})
    link_W, links = link_numbers(ballots, link_of)
    link_U = alone(kind, said, link_W)
    doubtful = np.flatnonzero((link_U >= 0) & (statuses(kind, said, threshold) != STATUSES.index("unsettled")))
    pairs = [
        (ballots.images[image], ballots.concepts[concept])
        for image, concept in zip(kind.image_U[doubtful].tolist(), kind.concept_U[doubtful].tolist(), strict=True)
    ]
    days = _last_days(project, [image for image, _ in pairs])
    shifts = Shifts([(name, day) for name, day in worked], link_of)
    found: Counter[str] = Counter()
    for place, link, pair in zip(doubtful.tolist(), link_U[doubtful].tolist(), pairs, strict=True):
        if pair in days and shifts.had_others(links[link], days[pair]):
            is_held_U[place] = True
            found[links[link]] += 1
    return Held(is_held_U, dict(found))


def _last_days(project: Project, images: Sequence[str]) -> dict[tuple[str, str], str]:
    """The day of the latest answer on a page, of each picture and concept."""
    query = sa.text(
        "SELECT image_id, question, SUBSTR(MAX(voted_at), 1, 10) FROM votes WHERE image_id IN :images"
        " AND source LIKE 'page:%' GROUP BY image_id, question"
    ).bindparams(sa.bindparam("images", expanding=True))
    wanted, found = sorted(set(images)), {}
    with project.journal.reading() as connection:
        for start in range(0, len(wanted), _PART):
            for image, question, day in connection.execute(query, {"images": wanted[start : start + _PART]}):
                found[image, question] = day
    return found


def _firsts(project: Project, known: Sequence[tuple[str, str, int]]) -> list[tuple[str, str, str, str]]:
    """Known answers that somebody corrected later, as they gave them first: picture, annotator, concept, answer. Who
    saw what follows from an answer could correct it, so only the first one tells how good they are.
    """
    query = sa.text(
        "SELECT a.image_id, a.annotator, a.concept_id, a.answer FROM pages p JOIN answers a ON a.page_id = p.page_id"
        " AND a.revision = 1 WHERE p.revision > 1 AND p.kind = :kind AND a.role = 'gold' ORDER BY a.answer_id"
    )
    with project.journal.reading() as connection:
        rows = connection.execute(query, {"kind": KNOWN_KIND}).all()
    is_known = {(image, concept) for image, concept, _ in known} if rows else set()
    return [(row[0], row[1], row[2], row[3]) for row in rows if (row[0], row[2]) in is_known]


def _decided(project: Project) -> tuple[list[tuple[str, str, int]], list[tuple[str, str, int]], frozenset[str]]:
    """Known answers and rulings as (image_id, concept_id, value), the latest ruling last; and who is paused."""
    with project.journal.reading() as connection:
        known = connection.execute(
            sa.text("SELECT image_id, concept_id, known FROM questions WHERE kind = :kind AND known <> ''"),
            {"kind": KNOWN_KIND},
        ).all()
        ruled = connection.execute(
            sa.text("SELECT image_id, concept_id, ruling FROM rulings ORDER BY ruling_id")
        ).all()
        paused = paused_names(connection)
    latest: dict[tuple[str, str], int] = {}
    for image_id, concept_id, ruling in ruled:
        latest.pop((image_id, concept_id), None)  # so that the latest stands last
        if ruling in ("is", "is-not"):
            latest[image_id, concept_id] = int(ruling == "is")
    answers = [(image, concept, SAID.index(answer)) for image, concept, answer in known if answer in SAID]
    return answers, [(image, concept, value) for (image, concept), value in latest.items()], paused


def _votes(project: Project, *, fresh: bool, keeps: bool) -> tuple[Coded, Sequence[object]]:
    """Current votes, and up to where they reach: empty where nothing is kept."""
    kept = None if fresh else _read(_folder(project) / "votes.arrow")
    last, count, known = _counts(project, kept)
    if kept is not None and known:
        votes = votes_from(kept)
        more = _since(project, int(known[0]))
        votes = continued(votes, more) if more.num_rows else votes
    else:
        votes = coded(project.journal.votes())
        more = None
    if count < KEEP_FROM:
        return votes, ()
    reached = [last, count]
    if keeps and (more is None or more.num_rows):
        _write(_folder(project) / "votes.arrow", vote_table(votes, {"reached": json.dumps(reached)}))
    return votes, reached


def _counts(project: Project, kept: pa.Table | None) -> tuple[int, int, list[int]]:
    """The last vote and how many there are; and what `kept` says of both where it holds all votes up to its last.

    Votes are never changed, but PostgreSQL may show one with a lower number later: then the count differs.
    """
    known = json.loads((kept.schema.metadata or {}).get(b"reached", b"[]")) if kept is not None else []
    with project.journal.reading() as connection:
        last, count = connection.execute(sa.text("SELECT COALESCE(MAX(vote_id), 0), COUNT(*) FROM votes")).one()
        if known:
            up_to = connection.execute(sa.text("SELECT COUNT(*) FROM votes WHERE vote_id <= :last"), {"last": known[0]})
            known = known if up_to.scalar_one() == known[1] else []
    return int(last), int(count), known


def _since(project: Project, last: int) -> pa.Table:
    """Votes cast after one of them, in the order they were cast."""
    names = ("image_id", "annotator", "question", "answer")
    with project.journal.reading() as connection:
        rows = connection.execute(
            sa.text("SELECT image_id, annotator, question, answer FROM votes WHERE vote_id > :last ORDER BY vote_id"),
            {"last": last},
        ).all()
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    return pa.table({name: pa.array(column, pa.string()) for name, column in zip(names, columns, strict=True)})


def _folder(project: Project) -> Path:
    return project.cache_dir / "settle"


def _read(path: Path) -> pa.Table | None:
    """A kept table; None where there is none, or what is there is none."""
    try:
        with pa.OSFile(str(path), "rb") as file:
            return pa.ipc.open_file(file).read_all()
    except (FileNotFoundError, pa.ArrowInvalid):
        return None  # the cache can always be deleted


def _write(path: Path, table: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, table.schema) as file:
        file.write_table(table)
    write_bytes(path, sink.getvalue().to_pybytes())
