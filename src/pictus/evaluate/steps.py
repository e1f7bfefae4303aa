"""`pictus evaluate run`: a run's predictions on one split of a release, the numbers, and a report to look at.

    models/<run>/evaluations/<version>-<split>/
      predictions.parquet   one row per picture
      results.json          every number
      report.html           the page
      .parts-<key>/         finished blocks of an evaluation that was stopped
"""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Literal

import pyarrow as pa

from pictus import models, pixels, stores
from pictus.clock import now
from pictus.concepts import Taxonomy
from pictus.errors import PictureError, UserError, counted
from pictus.evaluate.gallery import Gallery, choose, only
from pictus.evaluate.predictions import (
    BLOCK,
    KEY,
    judged,
    key_of,
    label_rows,
    logits_of,
    predict_block,
    shown_rows,
    task_of,
    with_logits,
)
from pictus.evaluate.report import THUMBNAIL_PX, Subject, page
from pictus.evaluate.results import ClassScore, Results, as_json, measure, ranked
from pictus.project import Project, bare, write_bytes, write_text
from pictus.registry import Outcome, step
from pictus.releases import Release, split_rows

FORMAT = 2
"""Of results.json. 2: the confusion matrix by its cells that are not 0; 1 had it whole."""


@step("evaluate run", changes=True, needs_project=False)
def run(
    project: Project, *, run: str = "", release: str = "", split: Literal["train", "val", "test", "all"] = "test",
    logits: bool = False, seed: int = 0,
) -> Outcome[ClassScore]:  # fmt: skip
    """How good is a model: top-1, top-5, hierarchical error, per class, calibration, with intervals.

    run: Name or folder of the training run; the newest finished one when empty.
    release: Version, folder or address of the release; the newest when empty, or where none is here, the run's own.
    split: Which pictures.
    logits: Keep the model's raw scores of all classes in predictions.parquet.
    seed: Of the bootstrap and of the random sample in the report.

    Examples:
        pictus evaluate run
        pictus evaluate run --run first --release 1.0.0 --split val
    """
    model_run = models.find_run(project, run)
    found = stores.asked(project, release, model_run.card)
    folder = model_run.root / "evaluations" / f"{found.version}-{split}"
    with bare(model_run.root).lock("evaluate"):
        is_several = task_of(model_run) == "multilabel"
        shown_NK = shown_rows(found, split, model_run.classes) if is_several else None
        predictions = _predictions(project, model_run, found, split, folder, logits=logits or is_several)
        taxonomy = Taxonomy.of(found.concepts)
        if shown_NK is not None:
            predictions = judged(predictions, shown_NK, model_run.classes)
        results = measure(predictions, model_run.classes, model_run.class_names, taxonomy, seed)
        if shown_NK is not None:
            results = ranked(results, logits_of(predictions), shown_NK, seed)
        subject = Subject(model_run.name, model_run.model_name, found.name, found.version, split, now())
        gallery = choose(predictions, results, model_run.class_names, seed)
        thumbnails = _thumbnails(found, split, gallery)
        html = page(subject, results, only(gallery, thumbnails), thumbnails, taxonomy)
        write_text(folder / "report.html", html)
        write_text(folder / "results.json", json.dumps(_json(subject, found, results, seed), indent=1, allow_nan=False))
    seen = _trained_on(project, model_run, found, split)
    summary = _summary(subject, results, folder)
    if project.exists:
        project.journal.log("evaluate", "run_evaluated", subject=model_run.name, **summary)
    return Outcome(
        "evaluate run", summary, _headline(models.called(model_run), subject, results),
        problems=(*models.unfinished(model_run), *seen, *_unread(results)),
        next=_next(model_run, folder),
        source=lambda: (one for one in results.classes if one.n),
    )  # fmt: skip


def _predictions(
    project: Project, run: models.Run, release: Release, split: str, folder: Path, *, logits: bool
) -> pa.Table:
    """Those on disk when they are of this model and release; else the missing blocks are computed."""
    rows = split_rows(release, split)
    labels_N = label_rows(rows, run, release.version)
    key = key_of(models.weights_sha256(run), release.digest, split, logits=logits)
    whole = folder / "predictions.parquet"
    found = _read_part(whole, key)
    if found is not None:
        return found
    model = None
    parts = []
    reader = stores.reader_of(release, run.card)
    with project.progress.track(f"evaluate {split}", rows.num_rows) as meter:
        for start in range(0, rows.num_rows, BLOCK):
            path = folder / f".parts-{key}" / f"{start:09d}.parquet"
            part = _read_part(path, key)
            if part is None:
                model = model or models.load_run(run)
                block = rows.slice(start, BLOCK)
                labels = labels_N[start : start + BLOCK]
                part, logits_MK = predict_block(block, labels, reader.read, model, run)
                part = with_logits(part, logits_MK) if logits else part
                _write_part(path, part, key)
            parts.append(part)
            meter.advance(part.num_rows)
    predictions = pa.concat_tables(parts)
    _write_part(whole, predictions, key)
    for left in folder.glob(".parts-*"):
        shutil.rmtree(left, ignore_errors=True)
    return predictions


def _read_part(path: Path, key: str) -> pa.Table | None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException):  # not there, or not whole: computed again
        return None
    return table if (table.schema.metadata or {}).get(KEY) == key.encode() else None


def _write_part(path: Path, table: pa.Table, key: str) -> None:
    import pyarrow.parquet as pq  # noqa: PLC0415

    buffer = io.BytesIO()
    pq.write_table(table.replace_schema_metadata({KEY: key.encode()}), buffer)
    write_bytes(path, buffer.getvalue())


def _unread(results: Results) -> Iterator[str]:
    for cause, n in results.causes.items():
        yield f"{counted(n, 'picture')} could not be read ({cause}); counted as wrong"


def _trained_on(project: Project, run: models.Run, release: Release, split: str) -> tuple[str, ...]:
    """A warning where the model has seen these pictures, or where that cannot be told."""
    card = run.card.get("release", {})
    if not card or (card["digest"] == release.digest and split in ("val", "test")):
        return ()
    place = card["path"] if stores.is_place(card["path"]) else str(project.root / card["path"])
    theirs = None
    with suppress(UserError):  # gone, or no longer to be read: told below
        theirs = stores.found(project, place)
    if theirs is None or theirs.digest != card["digest"]:
        where = f"release {card['version']}, not found here"
        return (f"{run.name} may have seen these pictures: it was trained on {where}",)
    # by what they were found as: the same picture without its GPS has another image_id
    known = set(split_rows(theirs, "train").column("origin_id").to_pylist())
    ids = split_rows(release, split).column("origin_id").to_pylist()
    n = sum(origin_id in known for origin_id in ids)
    of_all = f"{n:,} of the {counted(len(ids), 'picture')}"
    return (f"{run.name} was trained on {of_all} here: the numbers flatter it",) if n else ()


def _thumbnails(release: Release, split: str, gallery: Gallery) -> dict[int, bytes]:
    rows = split_rows(release, split)
    found = {}
    reader = stores.picker_of(release)
    for row in gallery.rows:
        place = (rows.column(name)[row].as_py() for name in ("shard", "offset", "size"))
        try:
            found[row] = pixels.thumbnail(reader.read(*place), THUMBNAIL_PX)
        except PictureError:
            continue  # readable at the model's size, not at ours: the page does without it
    return found


def _json(subject: Subject, release: Release, results: Results, seed: int) -> dict[str, object]:
    about = {**asdict(subject), "release_digest": release.digest, "seed": seed}
    return {"format": FORMAT, **about, **as_json(results)}


def _summary(subject: Subject, results: Results, folder: Path) -> dict[str, object]:
    found = results.ranking
    several = {} if found is None else {"map": as_json(found.mean), "f1": found.f1}
    return {
        "run": subject.run, "release": subject.version, "split": subject.split, "n": results.n, **several,
        "n_failed": results.n_failed, "top1": as_json(results.top1), "top5": as_json(results.top5),
        "hierarchical_error": as_json(results.hierarchical_error),
        "mistake_severity": as_json(results.mistake_severity), "greatest_height": results.greatest_height,
        "macro_f1": as_json(results.macro_f1), "ece": as_json(results.ece), "report": str(folder / "report.html"),
    }  # fmt: skip


def _next(run: models.Run, folder: Path) -> tuple[str, ...]:
    resume = () if run.is_finished else (f"pictus train resume {run.root.name}",)
    return (*resume, f"look at {folder / 'report.html'}", f"pictus serve start --run {run.name}")


def _headline(called: str, subject: Subject, results: Results) -> str:
    top1 = results.top1
    parts = []
    if results.ranking is not None:
        mean = results.ranking.mean
        parts.append(f"mAP {mean.estimate * 100:.1f} % ({mean.low * 100:.1f}-{mean.high * 100:.1f})")
        parts.append(f"F1 {results.ranking.f1 * 100:.1f} %")
    parts += [f"top-1 {top1.estimate * 100:.1f} % ({top1.low * 100:.1f}-{top1.high * 100:.1f})"]
    if results.has_top5:
        parts.append(f"top-5 {results.top5.estimate * 100:.1f} %")
    if results.has_hierarchy:
        parts.append(f"hierarchical error {results.hierarchical_error.estimate:.3f}")
    parts.append(f"ECE {results.ece * 100:.1f} %")
    if not results.has_top5:
        parts.append(f"no top-5 and no hierarchical error: {len(results.classes)} classes, five guesses name them all")
    elif not results.has_hierarchy:
        parts.append("no hierarchical error: the tree has no levels")
    return f"{called} on {subject.version} {subject.split}: {', '.join(parts)}"
