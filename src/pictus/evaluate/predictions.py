"""What the model says of each picture: five best classes with probabilities, or why there is none.

Columns of predictions.parquet: image_id; concept_id (the true class) and its label in the model's
order; guesses (concept ids, best first), guess_labels, probabilities; true_probability (of the
true class); cause ("" or why the picture could not be read); logits on request.

Legend: N pictures, K classes, S side in px.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pictus import metrics, models
from pictus.engine import cpu_count
from pictus.errors import PictureError, UserError
from pictus.journey import train_command
from pictus.releases import Release
from pictus.tasks import TASKS

if TYPE_CHECKING:
    from torch import nn

TOP = 5
BLOCK = 512
"""Pictures per commit: 77 MB of pixels at 224 px, and what a kill can cost."""

KEY = b"pictus.key"

SCHEMA = pa.schema([
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("concept_id", pa.string(), nullable=False),
    pa.field("label", pa.int32(), nullable=False),
    pa.field("guesses", pa.list_(pa.string()), nullable=False),
    pa.field("guess_labels", pa.list_(pa.int32()), nullable=False),
    pa.field("probabilities", pa.list_(pa.float32()), nullable=False),
    pa.field("true_probability", pa.float32(), nullable=False),
    pa.field("cause", pa.string(), nullable=False),
])  # fmt: skip

Read = Callable[[str, int, int], bytes]
"""(shard, offset, size) -> picture bytes."""


def key_of(weights_sha256: str, release_digest: str, split: str, *, logits: bool) -> str:
    """What the predictions depend on: the same key, the same predictions."""
    text = "\n".join(("3", weights_sha256, release_digest, split, str(BLOCK), str(logits)))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def label_rows(rows: pa.Table, run: models.Run, version: str) -> NDArray[np.int32]:
    """The true label of every row in the model's order -> i32[N]; a UserError for classes the model cannot know."""
    of = {concept_id: label for label, concept_id in enumerate(run.classes)}
    unknown = sorted(set(rows.column("concept_id").to_pylist()) - of.keys())
    if unknown:
        listed = ", ".join(unknown[:10]) + (", …" if len(unknown) > 10 else "")  # noqa: PLR2004  a line's worth
        raise UserError(
            f"Run {run.name!r} does not know {len(unknown):,} of the classes in release {version}: {listed}.",
            fix=f"{train_command(version)}    or evaluate on the release it was trained on",
        )
    return np.array([of[concept_id] for concept_id in rows.column("concept_id").to_pylist()], np.int32)


def predict_block(
    rows: pa.Table, labels_N: NDArray[np.int32], read: Read, model: "nn.Module", run: models.Run
) -> tuple[pa.Table, NDArray[np.float32]]:
    """The model's word on every picture of `rows`, in order -> SCHEMA, and logits f32[M, K] of the M that could
    be decoded. One that cannot is a row with a cause.
    """
    causes = [""] * rows.num_rows
    places = list(zip(*(rows.column(name).to_pylist() for name in ("shard", "offset", "size")), strict=True))

    def prepared(place: tuple[str, int, int]) -> models.Pixels | PictureError:
        try:
            return models.prepare(read(*place), run.preprocessing)
        except PictureError as error:
            return error

    def good(pool: ThreadPoolExecutor) -> Iterator[models.Pixels]:
        for row, found in enumerate(pool.map(prepared, places)):
            if isinstance(found, PictureError):
                causes[row] = found.cause
            else:
                yield found

    with ThreadPoolExecutor(cpu_count()) as pool:
        logits_MK = models.predict_pixels(model, run, good(pool))
    name = task_of(run)
    probabilities_MK = softmax(logits_MK) if name == "classification" else TASKS.get(name).decode(logits_MK)
    guesses_MG = metrics.top_guesses(logits_MK, TOP)
    was_read = np.array([cause == "" for cause in causes], np.bool_)
    true_N = np.zeros(rows.num_rows, np.float32)
    true_N[was_read] = probabilities_MK[np.arange(len(guesses_MG)), labels_N[was_read]]
    labels = iter(guesses_MG.tolist())
    shares = iter(np.take_along_axis(probabilities_MK, guesses_MG, axis=1).tolist())
    guessed = [next(labels) if cause == "" else [] for cause in causes]
    columns = {
        "image_id": rows.column("image_id"),
        "concept_id": rows.column("concept_id"),
        "label": labels_N,
        "guesses": [[run.classes[label] for label in found] for found in guessed],
        "guess_labels": guessed,
        "probabilities": [next(shares) if cause == "" else [] for cause in causes],
        "true_probability": true_N,
        "cause": causes,
    }
    return pa.table(columns, schema=SCHEMA), logits_MK


def task_of(run: models.Run) -> str:
    """What the run was taught; cards of before have classification alone."""
    return str(run.card.get("recipe", {}).get("task", "classification"))


def shown_rows(release: Release, split: str, classes: Sequence[str]) -> NDArray[np.float32]:
    """Which of the model's classes each picture shows: f32[N, K], 1 shown, 0 not shown, NaN not known."""
    targets = np.asarray(TASKS.get("multilabel").targets(release, split), np.float32)
    shown_NK = np.full((len(targets), len(classes)), np.nan, np.float32)
    place = {concept_id: label for label, concept_id in enumerate(classes)}
    for column, concept_id in enumerate(release.classes):
        if concept_id in place:
            shown_NK[:, place[concept_id]] = targets[:, column]
    return shown_NK


def judged(predictions: pa.Table, shown_NK: NDArray[np.float32], classes: Sequence[str]) -> pa.Table:
    """The predictions of pictures with several labels, each by one of them: the first of its guesses that is shown,
    else its best label. So a first guess is right where it is any of the labels.
    """
    guesses_NG, own_N = guesses_of(predictions), predictions.column("label").to_numpy()
    rows = np.arange(len(own_N))[:, None]
    is_shown_NG = (guesses_NG >= 0) & (shown_NK[rows, np.maximum(guesses_NG, 0)] == 1)
    found_N = guesses_NG[rows[:, 0], is_shown_NG.argmax(axis=1)]
    label_N = np.where(is_shown_NG.any(axis=1), found_N, own_N)
    ids = pa.array([classes[label] for label in label_N], pa.string())
    for name, values in (("label", pa.array(label_N, pa.int32())), ("concept_id", ids)):
        predictions = predictions.set_column(SCHEMA.get_field_index(name), SCHEMA.field(name), values)
    return predictions


def logits_of(predictions: pa.Table) -> NDArray[np.float32]:
    """f32[N, K]; minus infinity for a picture that was not read."""
    rows = predictions.column("logits").to_pylist()
    width = max((len(row) for row in rows if row is not None), default=0)
    return np.array([row if row is not None else [-np.inf] * width for row in rows], np.float32)


def with_logits(table: pa.Table, logits_MK: NDArray[np.float32]) -> pa.Table:
    """The same rows with a column of logits f32[K], null for a picture not read."""
    found = iter(logits_MK)
    rows = [next(found) if cause == "" else None for cause in table.column("cause").to_pylist()]
    return table.append_column("logits", pa.array(rows, pa.list_(pa.float32(), logits_MK.shape[1])))


def softmax(logits_NK: NDArray[np.float32]) -> NDArray[np.float32]:
    """f32[N, K] -> probabilities f32[N, K]; rows sum to 1."""
    shifted = np.exp(logits_NK.astype(np.float64) - logits_NK.max(axis=1, keepdims=True, initial=-np.inf))
    shares: NDArray[np.float32] = (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def guesses_of(predictions: pa.Table) -> NDArray[np.int32]:
    """The guesses of every picture -> i32[N, G], filled with NO_GUESS."""
    rows = predictions.column("guess_labels").to_pylist()
    guesses_NG = np.full((len(rows), max((len(row) for row in rows), default=0) or 1), metrics.NO_GUESS, np.int32)
    for number, row in enumerate(rows):
        guesses_NG[number, : len(row)] = row
    return guesses_NG


def confidence_of(predictions: pa.Table) -> NDArray[np.float32]:
    """The probability of the first guess -> f32[N]; 0 where there is none."""
    rows = predictions.column("probabilities").to_pylist()
    return np.array([row[0] if row else 0 for row in rows], np.float32)
