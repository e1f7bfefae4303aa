"""`annotate suspects`: labels that a model doubts, from what it says of pictures that it did not learn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pictus import models
from pictus.annotate.queues import confidence, model_scores
from pictus.annotate.queues.dropped_steps import standing
from pictus.concepts import Taxonomy, concept_of, load_taxonomy
from pictus.errors import UserError, counted
from pictus.journey import train_command
from pictus.project import Project
from pictus.records import Suspect
from pictus.registry import Outcome, step
from pictus.tables import SCHEMAS

SHOWN = 5
_WAYS = f"{train_command()} && pictus evaluate run --split val    or    pictus search index && pictus clean relevance"


@step("annotate suspects", changes=True)
def suspects(project: Project, *, run: str = "", most: int = 0) -> Outcome[Suspect]:
    """Find labels that are probably wrong, worst first, by confident learning on a model's predictions.

    Read are a run's evaluations on val and test, which it did not learn from; without any, the neighbours of
    every picture (table `relevance`). Nothing is changed: `annotate plan` asks people about them, `annotate serve`
    lists them for review.

    run: whose evaluations; the newest finished run that has some when left out
    most: keep so many, the worst; 0 for all

    Examples:
        pictus annotate suspects
        pictus annotate suspects --run first --most 500
    """
    if most < 0:
        raise UserError(f"--most {most} is less than none.", fix="pictus annotate suspects --most 500")
    taxonomy = load_taxonomy(project)
    with project.lock("annotate-suspects"), project.progress.track("suspects", None):
        model, paths = _evaluations(project, run)
        looked, table = _of_run(project, taxonomy, model, paths) if paths else _of_neighbours(project, taxonomy)
        if not paths:
            model = str(table.schema.metadata[b"model"].decode()) if table.schema.metadata else "neighbours"
        found = _standing(project, table.replace_schema_metadata(None))
        found = found.sort_by([("quality", "ascending"), ("image_id", "ascending")])
        found = found.slice(0, most) if most else found
        project.tables.replace("suspects", found)
        given, other = (found.column(name).to_pylist() for name in ("given_id", "suggested_id"))
        pairs = Counter(zip(given, other, strict=True))
        summary: dict[str, Any] = {
            "model": model, "looked_at": looked, "suspects": found.num_rows,
            "method": "confident learning" if paths else "nearest neighbours",
            "pairs": [{"given": given, "suggested": other, "n": n} for (given, other), n in pairs.most_common(20)],
        }  # fmt: skip
        project.journal.log("annotate", "labels_suspected", model, **summary)
    return Outcome(
        "annotate suspects", summary, _headline(taxonomy, summary, found), (),
        ("pictus annotate plan", "pictus annotate suspects --jsonl") if found.num_rows else (),
        lambda: project.tables.records("suspects", Suspect),
    )  # fmt: skip


def _evaluations(project: Project, run: str) -> tuple[str, list[Path]]:
    """The run to ask and its predictions; none where no run has any."""
    chosen = models.find_run(project, run) if run else None
    finished = reversed(models.by_finish(models.runs(project, skip_broken=True)))
    for one in [chosen] if chosen else finished:
        if paths := model_scores.evaluations_of(one):
            return one.name, paths
    if chosen:
        raise UserError(
            f"Run {chosen.name!r} was not evaluated on pictures that it did not learn from.",
            fix=f"pictus evaluate run --run {run} --split val",
        )
    return "", []


def _of_run(project: Project, taxonomy: Taxonomy, model: str, paths: Sequence[Path]) -> tuple[int, pa.Table]:
    """Pictures looked at, and the suspects among them."""
    rows = pa.concat_tables([model_scores.predicted(project, path) for path in paths])
    rows = rows.filter(pc.equal(rows.column("cause"), ""))
    if not rows.num_rows:
        return 0, SCHEMAS["suspects"].empty_table()
    classes = sorted({
        *rows.column("concept_id").to_pylist(), *pc.list_flatten(rows.column("guesses")).to_pylist()
    })  # fmt: skip
    known = pa.array(classes, pa.string())
    class_NG = _padded(pc.index_in(pc.list_flatten(rows.column("guesses")), value_set=known), rows, confidence.NONE)
    share_NG = _padded(pc.list_flatten(rows.column("probabilities")), rows, 0.0)
    label_N = pc.index_in(rows.column("concept_id"), value_set=known).to_numpy().astype(np.int64)
    own_N = rows.column("true_probability").to_numpy().astype(np.float64)
    predictions = confidence.Predictions(label_N, class_NG.astype(np.int64), share_NG, own_N, len(classes))
    found = confidence.find(predictions)
    given, other = label_N[found.row_S], found.other_S
    share = np.where(class_NG[found.row_S] == other[:, None], share_NG[found.row_S], 0).max(axis=1, initial=0)
    names = [taxonomy.called(one) for one in classes]
    reasons = [
        f"{model} says {names[two]} {100 * high:.0f} %, {names[one]} {100 * low:.0f} %"
        for one, two, high, low in zip(given.tolist(), other.tolist(), share.tolist(), own_N[found.row_S].tolist(),
                                       strict=True)
    ]  # fmt: skip
    columns = {
        "image_id": rows.column("image_id").take(pa.array(found.row_S)), "given_id": known.take(pa.array(given)),
        "suggested_id": known.take(pa.array(other)), "quality": found.quality_S, "model": [model] * len(reasons),
        "reason": reasons,
    }  # fmt: skip
    return rows.num_rows, pa.table(columns, schema=SCHEMAS["suspects"])


def _of_neighbours(project: Project, taxonomy: Taxonomy) -> tuple[int, pa.Table]:
    columns = ["image_id", "concept_id", "suspect_id", "margin", "model"]
    looked = project.tables.count("relevance")
    if not looked:
        raise UserError("There is no model to ask: no run was evaluated, and no vectors were compared.", fix=_WAYS)
    rows = project.tables.read("relevance", columns, where="margin > 0 AND suspect_id != ''")
    margin = rows.column("margin").to_numpy()
    model = rows.column("model").to_pylist()[0] if rows.num_rows else "neighbours"
    reasons = [
        f"its neighbours by {model} speak for {taxonomy.called(other)} (margin {one:.2f})"
        for other, one in zip(rows.column("suspect_id").to_pylist(), margin.tolist(), strict=True)
    ]
    found = pa.table({
        "image_id": rows.column("image_id"), "given_id": rows.column("concept_id"),
        "suggested_id": rows.column("suspect_id"), "quality": (1 - margin) / 2, "model": rows.column("model"),
        "reason": reasons,
    }, schema=SCHEMAS["suspects"])  # fmt: skip
    return looked, found.replace_schema_metadata({"model": model})


def _standing(project: Project, found: pa.Table) -> pa.Table:
    """Those whose label is still the given one and whose picture was not dropped; each picture once."""
    own = concept_of(project)
    at = pc.index_in(found.column("image_id"), value_set=own.column("image_id").combine_chunks())
    now = own.column("concept_id").take(at.combine_chunks() if isinstance(at, pa.ChunkedArray) else at)
    keep = pc.fill_null(pc.equal(now, found.column("given_id")), fill_value=False)
    found = standing(project, found.filter(keep)).sort_by([("quality", "ascending")])
    ids = found.column("image_id").to_pylist()
    first = {image_id: row for row, image_id in reversed(list(enumerate(ids)))}
    return found.take(pa.array(sorted(first.values()), pa.int64()))


def _padded(values: pa.Array | pa.ChunkedArray, rows: pa.Table, missing: float) -> np.ndarray[Any, Any]:
    """A list column's flat values as a matrix, rows filled up with `missing`."""
    many = pc.fill_null(pc.list_value_length(rows.column("guesses")), 0).to_numpy()
    flat = (values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values).to_numpy(zero_copy_only=False)
    matrix = np.full((rows.num_rows, int(many.max(initial=0)) or 1), missing, np.float64)
    row = np.repeat(np.arange(rows.num_rows), many)
    matrix[row, np.arange(row.size) - np.repeat(np.cumsum(many) - many, many)] = flat
    return matrix



def _headline(taxonomy: Taxonomy, summary: dict[str, Any], found: pa.Table) -> str:
    share = f" ({100 * summary['suspects'] / summary['looked_at']:.1f} %)" if summary["looked_at"] else ""
    doubted = f"{counted(summary['suspects'], 'label')} of {summary['looked_at']:,}{share}"
    lines = [f"{doubted} doubted by {summary['model']} ({summary['method']})"]
    for row in found.slice(0, SHOWN).to_pylist():
        given, other = taxonomy.called(row["given_id"]), taxonomy.called(row["suggested_id"])
        lines.append(f"  {row['image_id'][:12]}  {given}, looks like {other}: quality {row['quality']:.3f}")
    return "\n".join(lines)
