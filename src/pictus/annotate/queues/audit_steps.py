"""`annotate audit` draws a sample for independent experts and reports precision; `annotate audited` takes one in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import sqlalchemy as sa

from pictus.annotate.exchange.reference_steps import pictures_named
from pictus.annotate.exchange.vote_files import read_answers
from pictus.annotate.queues import audits, queue_rows
from pictus.annotate.queues.audit_report_steps import Audited, report
from pictus.annotate.queues.audits import AUDIT
from pictus.annotate.queues.dropped_steps import standing
from pictus.clock import now
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import NotThereError, UserError, bad_rows, clipped, counted
from pictus.journey import first_command
from pictus.project import Project
from pictus.registry import Outcome, step
from pictus.releases import find_release

LABELS = "labels"
PRIORITY = 20.0
"""Above all that a plan gives: somebody has asked for an audit, and only experts are asked."""

_DRAW = "pictus annotate audit draw --many 1500"


@step("annotate audit", changes=True, shows_records=True)
def audit(
    project: Project, do: Literal["draw", "report"], *, many: int = 1500, of: str = LABELS, each: int = 0,
    experts: int = 1, seed: int = 0,
) -> Outcome[Audited]:  # fmt: skip
    """How good are the labels: draw a random sample for independent experts, or report what they say, with intervals.

    Experts are signed in as reviewers; whoever answered anything about a picture and its concept is never its
    auditor. The report is also kept as audits/AUDIT.json.

    do: `draw` a new sample, or `report` the latest
    many: how many labels to draw
    of: `labels`, or a release's version or folder
    each: at least so many of every concept, for an interval for each; 0 draws every label with the same chance
    experts: how many look at each picture
    seed: another seed draws another sample

    Examples:
        pictus annotate audit draw --many 1500
        pictus annotate audit draw --of 1.0.0 --each 20 --experts 3
        pictus annotate audit report
    """
    if do == "report":
        return report(project, _latest(project))
    if many < 1 or each < 0 or experts < 1 or seed < 0:
        raise UserError(
            f"--many {many}, --each {each}, --experts {experts}, --seed {seed}: the first and third are 1 or more, the"
            " others 0 or more.", fix=_DRAW,
        )
    with project.lock("annotate-audit"):
        image_ids, concept_ids = _population(project, of)
        codes = concept_ids.dictionary_encode()
        drawn = audits.draw(codes.indices.to_numpy(), many, seed, each)
        audit_id = _next_id(project, of if of == LABELS else Path(of).name)
        design = {
            "of": of, "many": int(drawn.row_A.size), "each": each, "experts": experts, "seed": seed,
            "population": len(image_ids), "concepts": len(codes.dictionary),
        }  # fmt: skip
        rows = pa.array(drawn.row_A)
        pairs = list(zip(image_ids.take(rows).to_pylist(), concept_ids.take(rows).to_pylist(), strict=True))
        _store(project, audit_id, design, pairs, drawn.weight_A.tolist())
        _ask(project, audit_id, pairs, experts)
        project.journal.log("annotate", "audit_drawn", audit_id, **design)
    people = "" if experts == 1 else f", {experts} experts each"
    return Outcome(
        "annotate audit", {"audit_id": audit_id, **design},
        f"{counted(len(pairs), 'label')} of {len(image_ids):,} drawn with seed {seed} for {audit_id}"
        f" ({counted(len({concept_id for _, concept_id in pairs}), 'concept')}{people})",
        next=("pictus annotate serve    (experts sign in as reviewers)", "pictus annotate audit report"),
    )  # fmt: skip


@step("annotate audited", changes=True, shows_records=True)
def audited(project: Project, files: tuple[Path, ...], *, expert: str = "") -> Outcome[Audited]:
    """Take in an audit done elsewhere: image, concept, and an answer best, present, no or unsure; then report.

    Where no drawn audit contains the pairs, the file itself becomes an audit, as a simple random sample.

    files: CSV, TSV or Parquet with the columns image,concept,answer and, where there is one, expert
    expert: who answered, where no column says so

    Examples:
        pictus annotate audited expert.csv --expert "Dr Finch"
    """
    if not files:
        raise UserError("Say which file to take in.", fix='pictus annotate audited expert.csv --expert "Dr Finch"')
    taxonomy = load_taxonomy(project)
    with project.lock("annotate-audit"):
        given = [(path, *_read(project, taxonomy, path, expert)) for path in files]
        pairs = {row[1:3] for _, rows, _ in given for row in rows}
        found, held = _holding(project, pairs)
        if not found:
            found, held, ordered = _next_id(project, "file"), pairs, sorted(pairs)
            design = {
                "of": ", ".join(path.name for path in files)[:200], "many": len(ordered), "each": 0, "experts": 1,
                "seed": 0, "population": 0, "concepts": len({concept_id for _, concept_id in ordered}),
            }  # fmt: skip
            _store(project, found, design, ordered, [1.0] * len(ordered))
        added = sum(_add_answers(project, rows, f"file:{digest}") for _, rows, digest in given)
        project.journal.log("annotate", "audit_imported", found, answers=added, files=[path.name for path in files])
    outcome = report(project, found)
    headline = f"{counted(added, 'answer')} taken in\n{outcome.headline}"
    problems = outcome.problems
    if beside := len(pairs - held):
        problems = (f"{counted(beside, 'label')} of the file not in {found}, and so not counted", *problems)
    return Outcome("annotate audited", {**outcome.summary, "added": added, "beside": beside}, headline, problems,
                   outcome.next, outcome.source)  # fmt: skip


def _population(project: Project, of: str) -> tuple[pa.Array, pa.Array]:
    """image_id and concept_id of every label there is, of the project or of a release."""
    if of == LABELS:
        rows = project.tables.read("labels", ["image_id", "concept_id"], where="status = 'accepted'")
        rows = standing(project, rows)
        if not rows.num_rows:
            raise UserError("There are no accepted labels to draw from.", fix=first_command(project, "labels"))
    else:
        rows = find_release(project, of).pictures
        images = project.tables.ids("images")
        origin = rows.column("origin_id").to_pylist()
        keep = pa.array([one in images for one in origin], pa.bool_())
        rows = pa.table({"image_id": rows.column("origin_id"), "concept_id": rows.column("concept_id")}).filter(keep)
        if not rows.num_rows:
            raise UserError(
                f"No picture of release {of} is in this project, so that nobody can be shown one.",
                fix="draw in the project that it was cut from",
            )
    rows = rows.sort_by([("image_id", "ascending"), ("concept_id", "ascending")])  # whatever the table's order
    return rows.column("image_id").combine_chunks(), rows.column("concept_id").combine_chunks()


_Pair = tuple[str, str]  # image_id, concept_id


def _store(
    project: Project, audit_id: str, design: Mapping[str, Any], pairs: Sequence[_Pair], weights: Sequence[float]
) -> None:
    """Keep an audit and what was drawn for it, in the order drawn."""
    items = [
        {"audit_id": audit_id, "position": position, "image_id": image_id, "concept_id": concept_id,
         "stratum": concept_id, "weight": weight}
        for position, ((image_id, concept_id), weight) in enumerate(zip(pairs, weights, strict=True))
    ]  # fmt: skip
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text("INSERT INTO audits VALUES (:audit_id, :subject, :seed, :design, :at)"),
            {"audit_id": audit_id, "subject": design["of"], "seed": design["seed"], "design": json.dumps(design),
             "at": now()},
        )  # fmt: skip
        connection.execute(
            sa.text("INSERT INTO audit_items VALUES (:audit_id, :position, :image_id, :concept_id, :stratum, :weight)"),
            items,
        )


def _ask(project: Project, audit_id: str, pairs: Sequence[_Pair], experts: int) -> None:
    """One question for each label drawn; what an earlier audit asked already keeps its answers."""
    n, reason = len(pairs), f"audit {audit_id}: a random sample"
    concepts = sorted({concept_id for _, concept_id in pairs})
    rows = pa.table({
        "concept_id": [concept_id for _, concept_id in pairs], "image_id": [image_id for image_id, _ in pairs],
        "mark_id": np.zeros(n, np.int64), "priority": np.full(n, PRIORITY), "reason": [reason] * n,
        "wanted": np.full(n, experts, np.int32), "posterior": np.full(n, 0.5), "score": np.zeros(n), "fold": [""] * n,
    }, schema=queue_rows.SCHEMA).sort_by([("concept_id", "ascending"), ("image_id", "ascending")])  # fmt: skip
    queue_rows.put_back(project.journal, AUDIT, concepts)
    queue_rows.put(project.journal, AUDIT, rows, lambda _: None)
    again = sa.text(
        "UPDATE questions SET wanted = :experts, state = CASE WHEN votes < :experts THEN 'open' ELSE state END"
        " WHERE kind = :kind AND concept_id = :concept_id AND image_id = :image_id AND mark_id = 0"
        " AND wanted < :experts"
    )
    with project.journal.transaction() as connection:
        connection.execute(again, [
            {"experts": experts, "kind": AUDIT, "concept_id": concept_id, "image_id": image_id}
            for concept_id, image_id in sorted((concept_id, image_id) for image_id, concept_id in pairs)
        ])  # fmt: skip
    queue_rows.sum_up(project.journal, AUDIT, dict.fromkeys(concepts, reason))


def _next_id(project: Project, of: str) -> str:
    """Numbered, so that the latest is the highest: "0003-labels"."""
    with project.journal.reading() as connection:
        drawn = int(connection.execute(sa.text("SELECT count(*) FROM audits")).scalar_one())
    return f"{drawn + 1:04d}-{of}"


def _latest(project: Project) -> str:
    with project.journal.reading() as connection:
        query = sa.text("SELECT audit_id FROM audits ORDER BY audit_id DESC LIMIT 1")
        found = connection.execute(query).scalar()
    if found is None:
        raise NotThereError("No audit has been drawn yet.", fix=_DRAW)
    return str(found)


_Row = tuple[int, str, str, str, str]  # place in the file, image_id, concept_id, expert, answer


def _read(project: Project, taxonomy: Taxonomy, path: Path, expert: str) -> tuple[list[_Row], str]:
    """A file's rows, or one UserError for all that cannot be used; and a short digest of the file."""
    answers = read_answers(path)
    pictures = pictures_named(project, answers.image.to_pylist())
    rows: list[_Row] = []
    bad = [f"{answers.place(number)}: {why}" for number, why in sorted(answers.torn.items())]
    columns = (answers.row, answers.image, answers.question, answers.annotator, answers.answer)
    for number, image, asked, who, text in zip(*(column.to_pylist() for column in columns), strict=True):
        concept, answer = taxonomy.find(asked) if asked else (), text.casefold()
        wrong = []
        if image not in pictures.image_ids:
            wrong.append(pictures.problems.get(image, "no picture"))
        if len(concept) != 1:
            wrong.append(f"{clipped(asked)} is {'no concept' if not concept else 'more than one concept'}")
        if answer not in audits.ANSWERS:
            wrong.append(f"{clipped(text)} is none of {', '.join(audits.ANSWERS)}")
        if not (who or expert):
            wrong.append("nobody is named")
        if wrong:
            bad.append(f"{answers.place(int(number))}: {'; '.join(wrong)}")
        else:
            rows.append((len(rows), pictures.image_ids[image], concept[0], who or expert, answer))
    if bad:
        raise bad_rows(path.name, bad, fix="the columns are image,concept,answer,expert; or say --expert NAME")
    with path.open("rb") as file:
        return rows, hashlib.file_digest(file, "sha256").hexdigest()[:16]


def _holding(project: Project, pairs: set[_Pair]) -> tuple[str, set[_Pair]]:
    """The latest audit that any of the pairs was drawn for, and those that were; "" where there is none."""
    query = sa.text("SELECT audit_id, image_id, concept_id FROM audit_items ORDER BY audit_id DESC")
    found, held = "", set[_Pair]()
    with project.journal.reading() as connection:
        for audit_id, image_id, concept_id in connection.execute(query):
            if found not in ("", audit_id):
                break
            if (image_id, concept_id) in pairs:
                found = audit_id
                held.add((image_id, concept_id))
    return found, held


def _add_answers(project: Project, rows: Sequence[_Row], page_id: str) -> int:
    """As answers of a page that is a file: the same file again adds nothing."""
    statement = sa.text(
        "INSERT INTO answers (page_id, revision, position, question_id, kind, concept_id, image_id, mark_id, role,"
        " known, annotator, answer, data, seconds, answered_at) VALUES (:page_id, 1, :position, 0, :kind, :concept_id,"
        " :image_id, 0, 'ask', '', :annotator, :answer, '{}', 0, :at) ON CONFLICT DO NOTHING"
    )
    added, at = 0, now()
    with project.journal.transaction() as connection:
        for position, image_id, concept_id, who, answer in rows:
            values = {"page_id": page_id, "position": position, "concept_id": concept_id, "image_id": image_id}
            added += connection.execute(
                statement, {**values, "kind": AUDIT, "annotator": who, "answer": answer, "at": at}
            ).rowcount
    return added
