"""Taking in other tools' files: `annotate import` hands them over to here.

A file is read twice: once for the pictures that it names, once for its rows, which wait in a temporary file until all
of them are known to be good. So a COCO file of a million shapes needs the memory of its pictures' names.
"""

from __future__ import annotations

import json
import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import sqlalchemy as sa

from pictus.annotate.desk.sizes_steps import Sizes
from pictus.annotate.exchange import version_steps
from pictus.annotate.exchange.entries import VOTE_COLUMNS
from pictus.annotate.exchange.formats.contents import FORMATS, Asked, Drawn, Format, Known, Said
from pictus.annotate.exchange.formats.documents import Bundle, bundle_of
from pictus.annotate.exchange.formats.known import broken, readable, recognised
from pictus.annotate.exchange.intake import Fitting, People, Question, Row, Wishes, World
from pictus.annotate.exchange.reference_steps import pictures_named
from pictus.annotate.exchange.references import Resolved
from pictus.annotate.exchange.vote_steps import from_source, store_votes
from pictus.annotate.queues import queue_rows
from pictus.concepts import Taxonomy
from pictus.errors import UserError, bad_rows, counted
from pictus.journal import latest_votes
from pictus.project import Project
from pictus.records import Vote
from pictus.registry import Outcome

_KEPT = 1000
_KEY = "pseudonyms.key"
_ASKED = "a file of tasks asks it"
_TABLES = (".parquet", ".pq")
_NO_TABLES = (".json", ".xml", ".tfrecord")
_PACKED = (*_NO_TABLES, ".zip", ".xz", ".gz")


class Taken(NamedTuple):
    """What one bundle gave."""

    fitting: Fitting
    votes: int
    marks: int
    marks_there: int
    withdrawn: int
    known: int
    asked: int


def other_tools(files: Sequence[Path], name: str) -> list[tuple[Bundle, Format]]:
    """The files as bundles where all are of another tool's format; nothing where they are plain tables of votes.

    name: the format; "" to recognise each by its content, "csv" for plain tables.
    """
    if name == "csv" or not files:
        return []
    if name:
        chosen = FORMATS.get(name)
        if chosen.read is None:
            raise UserError(f"The format {name!r} is written only.", fix=f"one of: {readable()}")
        return [(bundle_of(path), chosen) for path in files]
    found: list[tuple[Bundle, Format]] = []
    plain: list[Path] = []
    for path in files:
        bundle = bundle_of(path) if path.exists() and path.suffix.lower() not in _TABLES else None
        known = recognised(bundle) if bundle else None
        if bundle and known:
            found.append((bundle, known))
        elif path.is_dir() or path.suffix.lower() in _PACKED or (bundle and bundle.first.ending in _NO_TABLES):
            bundle_of(path)  # says what is not there
            raise UserError(
                " ".join((f"{path.name}: no format is recognised in it.", *broken())),
                fix=f"--format NAME, one of: {readable()}" + ("; or --from-folders" if path.is_dir() else ""),
            )
        else:
            plain.append(path)
    if found and plain:
        raise UserError(
            f"{plain[0].name} is a table of votes, {found[0][0].name} a file of {found[0][1].name}.",
            fix="take them in one after the other",
        )
    return found


def take_in(
    project: Project, taxonomy: Taxonomy, bundles: Sequence[tuple[Bundle, Format]], wishes: Wishes
) -> Outcome[Vote]:
    """Store what the bundles say: answers as votes, shapes as marks, controls as known answers; nothing while a row is
    bad. What a kill leaves half stored goes on when the same is taken in again.
    """
    label = f"reading {', '.join(bundle.name for bundle, _ in bundles)[:100]}"
    with project.lock("annotate"), project.progress.track(label, None):
        people = people_of(project, keeps_names=wishes.keep_names)
        world = World(taxonomy, _pictures(project, bundles), Sizes(project).of, people)
        fittings = [Fitting(*one, world, wishes) for one in bundles]
        with tempfile.TemporaryFile("w+", encoding="utf-8") as spool:
            counts = []
            for (bundle, known), fitting in zip(bundles, fittings, strict=True):
                assert known.read is not None  # `other_tools` gives no others
                counts.append(_spooled(fitting.rows(known.read(bundle)), spool))
            _refuse(bundles, fittings)
            spool.seek(0)
            taken = [
                _stored(project, bundle, fitting, _unspooled(spool, count))
                for (bundle, _), fitting, count in zip(bundles, fittings, counts, strict=True)
            ]
        return _outcome(project, bundles, taken, as_proposals=wishes.as_proposals)


def _pictures(project: Project, bundles: Sequence[tuple[Bundle, Format]]) -> Resolved:
    texts: set[str] = set()
    for bundle, known in bundles:
        assert known.read is not None  # as above
        if known.pictures is not None:
            texts.update(known.pictures(bundle))
        else:
            texts.update(item.picture for item in known.read(bundle) if isinstance(item, (Said, Drawn, Known, Asked)))
    return pictures_named(project, texts)


def people_of(project: Project, *, keeps_names: bool) -> People:
    """How annotators of files are called; e-mail addresses that earlier versions took in stay those people."""
    query = sa.text("SELECT DISTINCT annotator FROM votes WHERE annotator LIKE '%@%'")
    with project.journal.reading() as connection:
        here = frozenset(connection.execute(query).scalars())
    return People(_key(project.root), keeps_names, here)


def _key(root: Path) -> bytes:
    """The project's own key for pseudonyms: without it nobody can try out whether a worker is among them."""
    path = root / _KEY
    with suppress(FileExistsError):  # made by an earlier import
        made = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(made, "w", encoding="ascii") as out:
            out.write(secrets.token_hex(32) + "\n")
    return path.read_bytes().strip()


def _spooled(rows: Iterator[Row], spool: Any) -> int:  # noqa: ANN401  a text file
    count = 0
    for row in rows:
        spool.write(json.dumps(row) + "\n")
        count += 1
    return count


def _unspooled(spool: Any, count: int) -> Iterator[Row]:  # noqa: ANN401  a text file
    for _ in range(count):
        yield Row(*json.loads(spool.readline()))


def _refuse(bundles: Sequence[tuple[Bundle, Format]], fittings: Sequence[Fitting]) -> None:
    where = ", ".join(bundle.name for bundle, _ in bundles)[:300]
    refused = [told for fitting in fittings for told in fitting.findings.refused]
    if refused:
        raise bad_rows(where, refused, fix=ways_on(refused))


def ways_on(refused: Sequence[str]) -> str:
    """What can be done about rows that cannot be used."""
    ways = ["correct the rows"]
    if any(" is no person: " in row for row in refused):
        ways.append("take source: and model: as they are with --keep-names")
    if any("not in the taxonomy" in row for row in refused):
        ways.append("pictus taxonomy add NAME")
    if any("no picture" in row for row in refused):
        ways.append("collect the pictures first")
    if any("may not know that it is turned" in row for row in refused):
        ways.append("pictus clean check, which measures pictures upright")
    only_unknown = all(": no picture '" in row for row in refused)
    ways.append("leave them out with " + ("--skip-unknown" if only_unknown else "--skip-bad"))
    return ", or ".join(ways)


def _stored(project: Project, bundle: Bundle, fitting: Fitting, rows: Iterator[Row]) -> Taken:
    source = f"{bundle.name[:200]}@{bundle.digest}"
    marks, there, withdrawn = version_steps.put(project, bundle.name[:200], bundle.digest, rows)
    votes = _add_votes(project, source, fitting.votes)
    known, asked = _add_questions(project, fitting.questions, bundle.name)
    return Taken(fitting, votes, marks, there, withdrawn, known, asked)


def _add_votes(project: Project, source: str, said: Sequence[tuple[str, str, str, str]]) -> int:
    if not said:
        return 0
    columns = dict(zip(VOTE_COLUMNS[:4], zip(*said, strict=True), strict=True))
    votes = pa.table({name: pa.array(column, pa.string()) for name, column in columns.items()})
    return store_votes(project, from_source(latest_votes(votes), source))[1]


def _add_questions(project: Project, questions: Sequence[Question], name: str) -> tuple[int, int]:
    """Known answers and questions put into the queue of the grid -> how many of each were new. name: of the file."""
    known = {(one.concept_id, one.image_id): one.known for one in questions if one.known}
    asked = list(dict.fromkeys(
        pair for one in questions if (pair := (one.concept_id, one.image_id)) not in known
    ))  # fmt: skip
    new = queue_rows.mark_known(
        project.journal, [(*pair, answer, f"known: {name}") for pair, answer in known.items()]
    ) if known else 0  # fmt: skip
    if not asked:
        return new, 0
    count = len(asked)
    rows = pa.table({
        "concept_id": [concept for concept, _ in asked], "image_id": [image for _, image in asked],
        "mark_id": [0] * count, "priority": [1.0] * count, "reason": [_ASKED] * count, "wanted": [1] * count,
        "posterior": [0.5] * count, "score": [0.0] * count, "fold": [""] * count,
    }, schema=queue_rows.SCHEMA)  # fmt: skip
    stored = queue_rows.put(project.journal, "grid", rows, lambda _count: None)
    queue_rows.sum_up(project.journal, "grid", {concept: _ASKED for concept, _ in asked})
    return new, stored.added


def _outcome(
    project: Project, bundles: Sequence[tuple[Bundle, Format]], taken: Sequence[Taken], *, as_proposals: bool
) -> Outcome[Vote]:  # fmt: skip
    every = [one.fitting for one in taken]
    left_out = [told for fitting in every for told in fitting.findings.left_out]
    votes = [vote for fitting in every for vote in fitting.votes]
    total = Counter[str]()
    for one in taken:
        total.update(
            added=one.votes, marks=one.marks, marks_there=one.marks_there, withdrawn=one.withdrawn, known=one.known,
            asked=one.asked,
        )  # fmt: skip
    summary: dict[str, Any] = {
        "format": ", ".join(sorted({known.name for _, known in bundles})), "votes": len(votes), **total,
        "already_there": len(votes) - total["added"] + total["marks_there"],
        "annotators": len({vote[1] for vote in votes}), "pictures": len({vote[0] for vote in votes}),
        "left_out": len(left_out), "rejected": sum(fitting.findings.rejected for fitting in every),
        "clipped": sum(fitting.n_clipped for fitting in every),
        "rows": sum(fitting.findings.rows for fitting in every), "as_proposals": as_proposals,
    }  # fmt: skip
    rows = {"rows_left_out": left_out[:_KEPT]} if left_out else {}
    subject = ", ".join(bundle.name for bundle, _ in bundles)[:500]
    project.journal.log("annotate", "votes_imported", subject, **summary, **rows)
    problems = list(broken())
    if left_out:
        problems.append(f"{counted(len(left_out), 'row')} left out: {left_out[0]}" + (", …" if left_out[1:] else ""))
    if summary["rejected"]:
        problems.append(f"{counted(summary['rejected'], 'answer')} left out that the file itself rejects")
    if summary["clipped"]:
        problems.append(f"cut at the picture's edge, beyond which they reached: {counted(summary['clipped'], 'shape')}")
    if summary["withdrawn"]:
        told = counted(summary["withdrawn"], "shape")
        problems.append(f"taken back, an earlier file of this name had them and this one has not: {told}")
    return Outcome(
        step="annotate import", summary=summary, headline=_headline(summary), problems=tuple(problems),
        next=("pictus annotate settle",) if not total["asked"] else ("pictus annotate serve",),
        is_vain=not any((votes, total["marks"], total["marks_there"], total["known"], total["asked"]))
        and not any(fitting.questions for fitting in every),
    )  # fmt: skip


def _headline(summary: dict[str, Any]) -> str:
    parts = [
        counted(summary[name], one) + (" as proposals" if name == "marks" and summary["as_proposals"] else "")
        for name, one in (("added", "vote"), ("marks", "shape"), ("known", "known answer"), ("asked", "question"))
        if summary[name]
    ]
    told = f"{summary['format']}: {', '.join(parts) or 'nothing new'}" + (" added" if parts else "")
    return told + (f"; {summary['already_there']:,} were there already" if summary["already_there"] else "")
