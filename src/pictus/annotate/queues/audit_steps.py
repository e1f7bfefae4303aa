"""`annotate audit` draws a sample for independent experts and reports precision; `annotate audited` takes one in."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from pictus.annotate.exchange.references import resolve
from pictus.annotate.exchange.vote_files import read_answers
from pictus.annotate.queues import audits, queue_rows
from pictus.annotate.queues.audits import AUDIT, Precision
from pictus.annotate.queues.audits import Outcome as Judged
from pictus.clock import now
from pictus.concepts import Taxonomy, load_taxonomy
from pictus.errors import NotThereError, UserError, bad_rows, clipped, counted
from pictus.journey import first_command
from pictus.project import Project, write_text
from pictus.registry import Outcome, step
from pictus.releases import find_release
from pictus.stats import krippendorff_alpha

FOLDER = "audits"
"""Of the project: one <audit_id>.json for each audit, the latest report of it."""

LABELS = "labels"
PRIORITY = 20.0
"""Above all that a plan gives: somebody has asked for an audit, and only experts are asked."""
SHOWN = 5
BANDS = (0.0, 0.5, 0.7, 0.9, 1.0)
"""Of the selection frequency, the last one for 1 alone: where ImageNetV2's sets were cut (Recht et al. 2019)."""

_DRAW = "pictus annotate audit draw --many 1500"


@dataclass(frozen=True, slots=True)
class Audited:
    """One concept in the latest audit, with 95 % intervals; the concept_id is "" in the row of all together."""

    concept_id: str
    name: str
    n: int  # labels drawn
    answered: int  # whose presence the experts could tell
    presence: float | None  # share of pictures that show the concept
    presence_low: float  # Wilson
    presence_high: float
    presence_exact_low: float  # Clopper-Pearson
    presence_exact_high: float
    best: float | None  # share for which the concept is the one best label
    best_low: float
    best_high: float
    best_exact_low: float
    best_exact_high: float


class _Item(NamedTuple):
    position: int
    image_id: str
    concept_id: str
    weight: float


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
        return _report(project, _latest(project))
    if many < 1 or each < 0 or experts < 1:
        raise UserError(
            f"--many {many}, --each {each}, --experts {experts}: there must be 1 or more to draw.", fix=_DRAW
        )
    with project.lock("annotate-audit"):
        image_ids, concept_ids = _population(project, of)
        codes = concept_ids.dictionary_encode()
        drawn = audits.draw(codes.indices.to_numpy(), many, seed, each)
        at = now()
        audit_id = _next_id(project, of if of == LABELS else Path(of).name)
        design = {
            "of": of, "many": int(drawn.row_A.size), "each": each, "experts": experts, "seed": seed,
            "population": len(image_ids), "concepts": len(codes.dictionary),
        }  # fmt: skip
        rows = pa.array(drawn.row_A)
        images, concepts = image_ids.take(rows).to_pylist(), concept_ids.take(rows).to_pylist()
        _store(project, (audit_id, of, seed, json.dumps(design), at), images, concepts, drawn.weight_A.tolist())
        _ask(project, images, concepts, experts, audit_id)
        project.journal.log("annotate", "audit_drawn", audit_id, **design)
    people = "" if experts == 1 else f", {experts} experts each"
    return Outcome(
        "annotate audit", {"audit_id": audit_id, **design},
        f"{counted(len(images), 'label')} of {len(image_ids):,} drawn with seed {seed} for {audit_id}"
        f" ({counted(len(set(concepts)), 'concept')}{people})",
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
        pairs = {(image_id, concept_id) for _, rows, _ in given for _, image_id, concept_id, _, _ in rows}
        found = _holding(project, pairs)
        if not found:
            at, of = now(), ", ".join(path.name for path in files)[:200]
            found = _next_id(project, "file")
            ordered = sorted(pairs)
            design = {"of": of, "many": len(ordered), "each": 0, "experts": 1, "seed": 0,
                      "population": 0, "concepts": len({concept_id for _, concept_id in ordered})}  # fmt: skip
            images, concepts = [pair[0] for pair in ordered], [pair[1] for pair in ordered]
            _store(project, (found, of, 0, json.dumps(design), at), images, concepts, [1.0] * len(ordered))
        added = sum(_add_answers(project, rows, f"file:{digest}") for _, rows, digest in given)
        project.journal.log("annotate", "audit_imported", found, answers=added, files=[path.name for path in files])
    outcome = _report(project, found)
    headline = f"{counted(added, 'answer')} taken in\n{outcome.headline}"
    return Outcome("annotate audited", {**outcome.summary, "added": added}, headline, outcome.problems, outcome.next,
                   outcome.source)  # fmt: skip


def _population(project: Project, of: str) -> tuple[pa.Array, pa.Array]:
    """image_id and concept_id of every label there is, of the project or of a release."""
    if of == LABELS:
        rows = project.tables.read("labels", ["image_id", "concept_id"], where="status = 'accepted'")
        dropped = project.tables.read("verdicts", ["image_id"], where="verdict = 'drop'").column("image_id")
        rows = rows.filter(pc.invert(pc.is_in(rows.column("image_id"), value_set=dropped.combine_chunks())))
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


def _store(
    project: Project, head: tuple[str, str, int, str, str], images: Sequence[str], concepts: Sequence[str],
    weights: Sequence[float],
) -> None:  # fmt: skip
    audit_id, subject, seed, design, at = head
    items = [
        {"audit_id": audit_id, "position": position, "image_id": image_id, "concept_id": concept_id,
         "stratum": concept_id, "weight": weight}
        for position, (image_id, concept_id, weight) in enumerate(zip(images, concepts, weights, strict=True))
    ]  # fmt: skip
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text("INSERT INTO audits VALUES (:audit_id, :subject, :seed, :design, :at)"),
            {"audit_id": audit_id, "subject": subject, "seed": seed, "design": design, "at": at},
        )
        connection.execute(
            sa.text("INSERT INTO audit_items VALUES (:audit_id, :position, :image_id, :concept_id, :stratum, :weight)"),
            items,
        )


def _ask(project: Project, images: Sequence[str], concepts: Sequence[str], experts: int, audit_id: str) -> None:
    """One question for each label drawn; what an earlier audit asked already keeps its answers."""
    n = len(images)
    reason = f"audit {audit_id}: a random sample"
    rows = pa.table({
        "concept_id": pa.array(concepts, pa.string()), "image_id": pa.array(images, pa.string()),
        "mark_id": np.zeros(n, np.int64), "priority": np.full(n, PRIORITY), "reason": [reason] * n,
        "wanted": np.full(n, experts, np.int32), "posterior": np.full(n, 0.5), "score": np.zeros(n), "fold": [""] * n,
    }, schema=queue_rows.SCHEMA).sort_by([("concept_id", "ascending"), ("image_id", "ascending")])  # fmt: skip
    queue_rows.put_back(project.journal, AUDIT, sorted(set(concepts)))
    queue_rows.put(project.journal, AUDIT, rows, lambda _: None)
    again = sa.text(
        "UPDATE questions SET wanted = :experts, state = CASE WHEN votes < :experts THEN 'open' ELSE state END"
        " WHERE kind = :kind AND concept_id = :concept_id AND image_id = :image_id AND mark_id = 0"
        " AND wanted < :experts"
    )
    with project.journal.transaction() as connection:
        connection.execute(again, [
            {"experts": experts, "kind": AUDIT, "concept_id": concept_id, "image_id": image_id}
            for concept_id, image_id in sorted(zip(concepts, images, strict=True))
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


def _report(project: Project, audit_id: str) -> Outcome[Audited]:
    taxonomy = load_taxonomy(project)
    items, design, judged, facts = _judged(project, audit_id)
    weights = {item.position: item.weight for item in items}
    overall = {
        name: audits.summed(judged, weights, of_best=name == "best") for name in ("presence", "best")
    }
    worst = audits.summed(judged, weights, of_best=False, unsure_is_wrong=True)
    rows = _by_concept(taxonomy, items, judged, weights)
    selection = _selection(project, items, judged)
    summary: dict[str, Any] = {
        "audit_id": audit_id, "of": design["of"], "drawn": len(items), "answered": len(judged), **facts,
        "presence": _plain(overall["presence"]), "best": _plain(overall["best"]),
        "presence_if_unsure_is_wrong": _plain(worst), "each": design["each"], "seed": design["seed"],
        "population": design["population"], "selection": selection,
        "method": "weighted share; Wilson 1927 and Clopper-Pearson 1934 at Kish's effective sample size",
    }  # fmt: skip
    path = project.root / FOLDER / f"{audit_id}.json"
    kept = {**summary, "concepts": [asdict(row) for row in rows]}
    write_text(path, json.dumps(kept, indent=1))
    project.journal.log("annotate", "labels_audited", design["of"], **summary)
    lines = [
        f"shows it   {overall['presence'].words()}", f"best label {overall['best'].words()}",
        *(f"  {row.name}: {_short(row)}" for row in rows[1 : SHOWN + 1] if row.presence is not None),
    ]
    if more := sum(row.presence is not None for row in rows[SHOWN + 1 :]):
        lines.append(f"  … and {counted(more, 'more concept')}: --jsonl lists them too")
    left = len(items) - len(judged)
    return Outcome(
        "annotate audit", {**summary, "file": str(path)}, "\n".join(lines), _problems(summary, worst),
        ("pictus annotate serve    (experts sign in as reviewers)",) if left else (), lambda: iter(rows),
    )  # fmt: skip


def _judged(
    project: Project, audit_id: str
) -> tuple[list[_Item], dict[str, Any], dict[int, Judged], dict[str, Any]]:
    """The items, the design, what the experts say of each that was answered, and facts about the answering."""
    with project.journal.reading() as connection:
        design = json.loads(str(connection.execute(
            sa.text("SELECT design FROM audits WHERE audit_id = :audit_id"), {"audit_id": audit_id}
        ).scalar_one()))  # fmt: skip
        items = [_Item(*row) for row in connection.execute(
            sa.text("SELECT position, image_id, concept_id, weight FROM audit_items WHERE audit_id = :audit_id"
                    " ORDER BY position"), {"audit_id": audit_id},
        )]  # fmt: skip
        answers = connection.execute(
            sa.text("SELECT image_id, concept_id, annotator, answer FROM answers WHERE kind = :kind"
                    " ORDER BY answer_id"), {"kind": AUDIT},
        ).all()
        voted = {tuple(row) for row in connection.execute(
            sa.text("SELECT DISTINCT a.image_id, a.concept_id, a.annotator FROM audit_items i JOIN answers a ON"
                    " a.image_id = i.image_id AND a.concept_id = i.concept_id WHERE i.audit_id = :audit_id"
                    " AND a.kind <> :kind"), {"audit_id": audit_id, "kind": AUDIT},
        )} | {tuple(row) for row in connection.execute(
            sa.text("SELECT DISTINCT v.image_id, i.concept_id, v.annotator FROM audit_items i JOIN votes v ON"
                    " v.image_id = i.image_id WHERE i.audit_id = :audit_id AND (v.question = i.concept_id OR"
                    " v.question = '')"), {"audit_id": audit_id},
        )}  # fmt: skip
    latest: dict[tuple[str, str], dict[str, str]] = {}
    for row in answers:
        latest.setdefault((row.image_id, row.concept_id), {})[row.annotator] = row.answer
    judged: dict[int, Judged] = {}
    not_independent, said_I, said_A = 0, [], []
    for item in items:
        pair = (item.image_id, item.concept_id)
        theirs = latest.get(pair, {})
        answered = {who: answer for who, answer in theirs.items() if (*pair, who) not in voted}
        not_independent += len(theirs) - len(answered)
        if answered:
            judged[item.position] = audits.outcome_of(answered.values())
            said_I += [item.position] * len(answered)
            said_A += [audits.ANSWERS.index(answer) for answer in answered.values()]
    alpha = krippendorff_alpha(said_I, said_A)
    return items, design, judged, {
        "unsure": sum(one.is_present is None for one in judged.values()),
        "not_independent": not_independent, "several_experts": sum(one.experts > 1 for one in judged.values()),
        "disputed": sum(one.is_disputed for one in judged.values()),
        "agreement": None if np.isnan(alpha) else round(alpha, 4),
    }  # fmt: skip


def _by_concept(
    taxonomy: Taxonomy, items: Sequence[_Item], judged: Mapping[int, Judged], weights: Mapping[int, float]
) -> list[Audited]:
    """All together first, then each concept, the least precise first."""
    groups: dict[str, list[_Item]] = {}
    for item in items:
        groups.setdefault(item.concept_id, []).append(item)

    def row(concept_id: str, members: Sequence[_Item]) -> Audited:
        theirs = {item.position: judged[item.position] for item in members if item.position in judged}
        presence, best = (audits.summed(theirs, weights, of_best=of_best) for of_best in (False, True))
        name = "all" if not concept_id else taxonomy.name(concept_id) if concept_id in taxonomy else concept_id
        return Audited(
            concept_id, name, len(members), presence.n, _share(presence), presence.low, presence.high,
            presence.exact_low, presence.exact_high, _share(best), best.low, best.high, best.exact_low, best.exact_high,
        )  # fmt: skip

    rows = [row(concept_id, members) for concept_id, members in groups.items()]
    rows.sort(key=lambda one: (one.presence if one.presence is not None else 2, one.presence_high, one.concept_id))
    return [row("", items), *rows]


def _selection(project: Project, items: Sequence[_Item], judged: Mapping[int, Judged]) -> dict[str, Any]:
    """How often voters selected the audited pictures (n_yes / n_votes), and the precision by that."""
    if not project.tables.count("presences"):
        return {}
    rows = project.tables.read("presences", ["image_id", "concept_id", "selection"])
    wanted = {(item.image_id, item.concept_id): item for item in items}
    keep = pc.is_in(rows.column("image_id"), value_set=pa.array(sorted({item.image_id for item in items})))
    found = [
        (row["selection"], wanted[pair].position) for row in rows.filter(keep).to_pylist()
        if (pair := (row["image_id"], row["concept_id"])) in wanted
    ]  # fmt: skip
    if not found:
        return {}
    shares = np.array([share for share, _ in found])
    band_A = np.clip(np.searchsorted(BANDS, shares, side="right") - 1, 0, len(BANDS) - 1)
    bands = []
    for number, low in enumerate(BANDS):
        inside = [position for (_, position), band in zip(found, band_A.tolist(), strict=True) if band == number]
        told = {position: judged[position] for position in inside if position in judged}
        precision = audits.summed(told, dict.fromkeys(told, 1.0), of_best=False)
        bands.append({"from": low, "pictures": len(inside), "presence": _plain(precision)})
    deciles = np.quantile(shares, [0.1, 0.5, 0.9]).round(4).tolist()
    return {"pictures": len(found), "mean": round(float(shares.mean()), 4), "p10_p50_p90": deciles, "bands": bands}


def _share(precision: Precision) -> float | None:
    return precision.estimate if precision.n else None


def _plain(precision: Precision) -> dict[str, Any]:
    values = {name: round(value, 6) for name, value in precision._asdict().items() if isinstance(value, float)}
    values["estimate"] = None if not precision.n else values["estimate"]  # type: ignore[assignment]
    return {**values, "n": precision.n, "wrong": precision.wrong, "words": precision.words()}


def _short(row: Audited) -> str:
    return (
        f"{100 * (row.presence or 0.0):.1f} %, 95 % CI {100 * row.presence_low:.1f}-{100 * row.presence_high:.1f},"
        f" n = {row.answered:,}"
    )


def _problems(summary: Mapping[str, Any], worst: Precision) -> tuple[str, ...]:
    lines = []
    if left := summary["drawn"] - summary["answered"]:
        lines.append(f"{left:,} of {counted(summary['drawn'], 'label')} not answered yet, and so not counted")
    if summary["unsure"]:
        lines.append(
            f"{counted(summary['unsure'], 'label')} left out as unsure or split; counted as wrong: {worst.words()}"
        )
    if summary["disputed"]:
        lines.append(
            f"experts disagree on {summary['disputed']:,} of {counted(summary['several_experts'], 'label')} that "
            f"several looked at (Krippendorff's alpha {summary['agreement']})"
        )
    if summary["not_independent"]:
        lines.append(f"{counted(summary['not_independent'], 'answer')} left out: its auditor had voted on the picture")
    return tuple(lines)


_Row = tuple[int, str, str, str, str]  # place in the file, image_id, concept_id, expert, answer


def _read(project: Project, taxonomy: Taxonomy, path: Path, expert: str) -> tuple[list[_Row], str]:
    """A file's rows, or one UserError for all that cannot be used; and a short digest of the file."""
    answers = read_answers(path)
    texts = answers.image.to_pylist()
    sources = project.tables.read("sources", ["address", "image_id"])
    pairs = list(zip(sources.column("address").to_pylist(), sources.column("image_id").to_pylist(), strict=True))
    pictures = resolve(set(texts), frozenset(project.tables.ids("images")), pairs)
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


def _holding(project: Project, pairs: set[tuple[str, str]]) -> str:
    """The latest audit that any of the pairs was drawn for; "" for none."""
    query = sa.text(
        "SELECT i.audit_id, i.image_id, i.concept_id FROM audit_items i JOIN audits a ON a.audit_id = i.audit_id"
        " ORDER BY a.audit_id DESC"
    )
    with project.journal.reading() as connection:
        for row in connection.execute(query):
            if (row.image_id, row.concept_id) in pairs:
                return str(row.audit_id)
    return ""


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
