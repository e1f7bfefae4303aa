"""The verbs about people: skills, trust."""

from __future__ import annotations

import math
import shlex
from collections.abc import Sequence
from dataclasses import asdict, replace
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.annotate.desk.session_steps import crowds
from pictus.annotate.truth.agreement import Agreement, agreement
from pictus.annotate.truth.annotators import LISTED, YES, Skill, plain, rounded, suspects
from pictus.annotate.truth.consensus import METHODS, Consensus, Ints, probability_of
from pictus.annotate.truth.links import link_numbers
from pictus.annotate.truth.questions import SAID, SOURCE_PREFIX, UNSURE, Ballots, YesNo, all_skills
from pictus.annotate.truth.signs import Answered, Work, signs_of
from pictus.annotate.truth.trust import Pages, Sign, worst_first
from pictus.annotate.truth.truth_steps import KNOWN_KIND, Weighed, evidence_of, weighed
from pictus.clock import now
from pictus.errors import counted
from pictus.journey import first_command
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.stats import Interval, clopper_pearson

_KEPT = 1000
_CONCEPTS = 20
_CONCEPT_ROUNDS = 300
_LEAST_ITEMS = 10
"""With fewer pictures that several people looked at, a concept's agreement is not told."""


@step("annotate skills", changes=False)
def skills(project: Project, *, method: str = "dawid-skene") -> Outcome[Skill]:
    """How good each annotator is, with a 95 % interval, the least skilled first.

    Beside it stands what was seen at the desk: known answers given right with an exact interval, pictures that came
    back answered as before, seconds a picture, and what looks like not looking (`pictus annotate trust` says why).

    method: how votes are weighed: `dawid-skene`, `one-coin`, `glad`, `mace`, `gold` or `majority`

    Examples:
        pictus annotate skills
        pictus annotate skills --jsonl
    """
    METHODS.get(method)
    evidence = evidence_of(project, with_paused=True)
    results = weighed(project, evidence, method)
    work = _work(project, evidence.ballots, results.asked[0])
    signs: dict[str, list[str]] = {}
    for one in _signs(project, evidence.ballots, results, work):
        if one.sign not in signs.setdefault(one.annotator, []):
            signs[one.annotator].append(one.sign)
    found = [_with_work(one, work, signs) for one in all_skills(evidence.ballots, *results)]
    suspected = [one.annotator for one in found if one.is_suspected]
    known = [one.accuracy for one in found if one.accuracy is not None]
    mean = float(np.mean(known)) if known else math.nan
    on_average = f"right {100 * mean:.1f} % of the time on average" if known else "no two answered the same question"
    people = len({one.annotator for one in found})
    odd = (f"{counted(len(signs), 'annotator')} with odd patterns: pictus annotate trust",) if signs else ()
    return Outcome(
        step="annotate skills",
        summary={"annotators": people, "suspected": suspected, "method": method,
                 "mean_accuracy": rounded(mean), "looks": signs, "skills": [plain(one) for one in found[:_KEPT]]},
        headline=f"{counted(people, 'annotator')}, {len(suspected)} suspected of not looking; {on_average}",
        problems=(*suspects(found), *odd),
        next=_after_skills(project),
        source=lambda: iter(found),
    )  # fmt: skip


@step("annotate trust", changes=False)
def trust(project: Project, *, method: str = "dawid-skene") -> Outcome[Sign]:
    """Whose answers look as if nobody looked, with the numbers that say so, the worst first; and how far people agree.

    Looked for: far too fast; nearly always the same answer; answers like another's, errors too; people of one link who
    answer as one; answers that follow the place on the page, or take turns; known answers missed; pictures that came
    back answered otherwise. A sign is no proof, and nothing is done by itself: `pictus annotate pause NAME` leaves
    somebody's votes out, and can be undone.

    method: how votes are weighed: `dawid-skene`, `one-coin`, `glad`, `mace`, `gold` or `majority`

    Examples:
        pictus annotate trust
        pictus annotate trust --jsonl
    """
    METHODS.get(method)
    evidence = evidence_of(project, with_paused=True)
    results = weighed(project, evidence, method)
    work = _work(project, evidence.ballots, results.asked[0])
    found = worst_first(_signs(project, evidence.ballots, results, work))
    people = list(dict.fromkeys(one.annotator for one in found))
    questions = {"yes/no": results.asked[0].votes, "which": results.free[0].votes}
    kinds = {kind: agreement(votes.item_V, votes.answer_V) for kind, votes in questions.items()}
    persons = sum(not name.startswith(SOURCE_PREFIX) for name in evidence.ballots.annotators)
    return Outcome(
        step="annotate trust",
        summary={
            "annotators": persons, "with_signs": people, "signs": [_rounded(one) for one in found[:_KEPT]],
            "method": method, "agreement": {kind: _told(one) for kind, one in kinds.items()},
            "concepts": _by_concept(evidence.ballots, results.asked[0])[:_CONCEPTS],
        },
        headline=f"{counted(len(people), 'annotator')} of {persons:,} with a sign of not looking{_agreeing(kinds)}",
        problems=tuple(f"{one.annotator}: {one.says}" for one in found[:LISTED]),
        next=_pauses(project, people),
        source=lambda: iter(found),
    )  # fmt: skip


def _after_skills(project: Project) -> tuple[str, ...]:
    is_split = project.tables.count("labels") and project.tables.count("splits")
    return () if is_split else (first_command(project, "split" if project.tables.count("labels") else "labels"),)


def _with_work(one: Skill, work: Work, signs: dict[str, list[str]]) -> Skill:
    right, n_known = work.known.get(one.annotator, (0, 0))
    same, n_repeats = work.repeats.get(one.annotator, (0, 0))
    share = clopper_pearson(right, n_known) if n_known else None
    return replace(
        one, n_known=n_known, known_accuracy=share and share.estimate, known_low=share and share.low,
        known_high=share and share.high, n_repeats=n_repeats, consistency=same / n_repeats if n_repeats else None,
        pace_s=work.pace_s.get(one.annotator), looks=tuple(signs.get(one.annotator, ())),
    )  # fmt: skip


def _signs(project: Project, ballots: Ballots, results: Weighed, work: Work) -> list[Sign]:
    (asked, said), (free, named) = results
    kinds = [Answered(asked.votes, said, SAID), Answered(free.votes, named, [*ballots.concepts, ""])]
    pages = _pages(project, ballots, results.asked)
    return signs_of(ballots.annotators, pages, kinds, work, _links(project, ballots))


def _links(project: Project, ballots: Ballots) -> Ints:
    with project.journal.reading() as connection:
        return link_numbers(ballots, crowds(connection, now()).link_of)[0]


def _work(project: Project, ballots: Ballots, asked: YesNo) -> Work:
    votes = asked.votes
    truth_V = votes.known_I[votes.item_V] if votes.n_items else votes.item_V
    is_known_V = (truth_V >= 0) & (votes.answer_V != UNSURE)  # which is no wrong answer
    many = len(ballots.annotators)
    asked_W = np.bincount(votes.annotator_V[is_known_V], minlength=many)
    right_W = np.bincount(votes.annotator_V[is_known_V & (truth_V == votes.answer_V)], minlength=many)
    known = {
        name: (int(right_W[who]), int(asked_W[who]))
        for who, name in enumerate(ballots.annotators)
        if asked_W[who] and not name.startswith(SOURCE_PREFIX)
    }
    with project.journal.reading() as connection:
        rows = connection.execute(
            sa.text("SELECT annotator, seconds, items, repeats, sames FROM pages WHERE revision > 0 AND kind = :kind"),
            {"kind": KNOWN_KIND},
        ).all()
    paces: dict[str, list[float]] = {}
    repeats: dict[str, tuple[int, int]] = {}
    for name, seconds, items, repeated, same in rows:
        if items:
            paces.setdefault(name, []).append(seconds / items)
        before = repeats.get(name, (0, 0))
        repeats[name] = (before[0] + same, before[1] + repeated)
    return Work(
        known, {name: share for name, share in repeats.items() if share[1]},
        {name: median(found) for name, found in paces.items()}, {name: len(found) for name, found in paces.items()},
    )  # fmt: skip


_ANSWERS = (
    "SELECT a.annotator, a.page_id, a.position, a.answer, a.image_id, a.concept_id FROM answers a"
    " JOIN pages p ON p.page_id = a.page_id AND p.revision = a.revision"
    " WHERE a.kind = :kind ORDER BY a.answer_id"
)


def _pages(project: Project, ballots: Ballots, asked: tuple[YesNo, Consensus]) -> Pages:
    """Every page's last answers, with what was settled on the same pictures."""
    with project.journal.reading() as connection:
        rows = connection.execute(sa.text(_ANSWERS), {"kind": KNOWN_KIND}).all()
    columns = list(zip(*rows, strict=True)) or [()] * 6
    who, page, answer, image, concept = (pa.array(columns[number], pa.string()) for number in (0, 1, 3, 4, 5))
    who_A, image_A, concept_A = (
        _among(column, names)
        for column, names in ((who, ballots.annotators), (image, ballots.images), (concept, ballots.concepts))
    )
    page_A = np.asarray(page.dictionary_encode().indices.to_numpy(zero_copy_only=False), np.int64)
    position_A = np.array(columns[2], np.int64)
    kind, consensus = asked
    width = max(1, len(ballots.concepts))
    key_U, key_A = kind.image_U * width + kind.concept_U, image_A * width + concept_A
    place_A = np.minimum(np.searchsorted(key_U, key_A), max(0, key_U.size - 1))
    is_asked_A = (key_U[place_A] == key_A) if key_U.size else np.zeros(key_A.size, np.bool_)
    is_asked_A &= (who_A >= 0) & (image_A >= 0) & (concept_A >= 0)
    expected_A = np.full(key_A.size, 0.5)
    expected_A[is_asked_A] = probability_of(consensus, YES)[place_A[is_asked_A]]
    is_yes_A = np.asarray(pc.equal(answer, SAID[YES]).to_numpy(zero_copy_only=False), np.bool_)
    order = np.lexsort((position_A, page_A, who_A))
    order = order[who_A[order] >= 0]
    return Pages(who_A[order], page_A[order], position_A[order], is_yes_A[order], expected_A[order])


def _among(texts: pa.Array, names: Sequence[str]) -> Ints:
    found = pc.fill_null(pc.index_in(texts, pa.array(names, pa.string())), -1)
    return np.asarray(found.to_numpy(zero_copy_only=False), np.int64)


def _by_concept(ballots: Ballots, asked: YesNo) -> list[dict[str, Any]]:
    """Agreement on each concept that was asked about, the lowest first."""
    votes = asked.votes
    if not votes.n_items:
        return []
    concept_V = asked.concept_U[votes.item_V]
    order = np.argsort(concept_V, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(concept_V[order])) + 1, order.size)
    found, start = [], 0
    for end in ends.tolist():
        of = order[start:end]
        one = agreement(votes.item_V[of], votes.answer_V[of], rounds=_CONCEPT_ROUNDS)
        if one.n_items >= _LEAST_ITEMS and not math.isnan(one.alpha.estimate):
            found.append({"concept_id": ballots.concepts[int(concept_V[of[0]])], **_told(one)})
        start = end
    return sorted(found, key=lambda row: (row["alpha"][0], row["concept_id"]))


def _told(one: Agreement) -> dict[str, Any]:
    """Estimate, low and high of both; None where nothing can be compared."""
    return {"alpha": _bounds(one.alpha), "kappa": _bounds(one.kappa), "pictures": one.n_items, "votes": one.n_votes}


def _bounds(interval: Interval) -> list[float | None]:
    return [rounded(value) for value in interval]


def _agreeing(kinds: dict[str, Agreement]) -> str:
    told = [
        f"{kind} {one.alpha.estimate:.2f} ({one.alpha.low:.2f} to {one.alpha.high:.2f})"
        for kind, one in kinds.items() if not math.isnan(one.alpha.estimate)
    ]  # fmt: skip
    return f"; agreement (Krippendorff's alpha) {', '.join(told)}" if told else "; no two answered the same question"


def _rounded(one: Sign) -> dict[str, Any]:
    return {**asdict(one), "strength": round(one.strength, 2)}


def _pauses(project: Project, people: Sequence[str]) -> tuple[str, ...]:
    """What can be done about those who can be paused: who came by a link, not by a file."""
    with project.journal.reading() as connection:
        active = frozenset(connection.execute(sa.text("SELECT name FROM annotators WHERE state = 'active'")).scalars())
    return tuple(f"pictus annotate pause {shlex.quote(name)} --reason WHY" for name in people if name in active)[:3]
