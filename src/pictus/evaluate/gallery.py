"""Which pictures the report shows: a fair sample, the worst confusions, the boldest mistakes."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from pictus.evaluate.predictions import confidence_of, guesses_of
from pictus.evaluate.results import Confusion, Results

SAMPLE, PAIRS, PER_PAIR, EXAMPLES, BOLDEST = 36, 10, 7, 2, 18


@dataclass(frozen=True, slots=True)
class Shot:
    """One picture in the report: what it is, what the model says and how surely. `row`: in the predictions."""

    row: int
    image_id: str
    true_name: str
    guess_name: str
    confidence: float
    is_right: bool


@dataclass(frozen=True, slots=True)
class Pair:
    """One confusion: pictures of one class taken for another, and how that other class looks when found."""

    confusion: Confusion
    taken: tuple[Shot, ...]
    examples: tuple[Shot, ...]


@dataclass(frozen=True, slots=True)
class Gallery:
    sample: tuple[Shot, ...]
    pairs: tuple[Pair, ...]
    boldest: tuple[Shot, ...]

    @property
    def rows(self) -> list[int]:
        """Every row that is shown, once."""
        shots = [*self.sample, *self.boldest, *(shot for pair in self.pairs for shot in (*pair.taken, *pair.examples))]
        return sorted({shot.row for shot in shots})


def only(gallery: Gallery, shown: Collection[int]) -> Gallery:
    """The gallery without the pictures that have no thumbnail."""

    def kept(shots: tuple[Shot, ...]) -> tuple[Shot, ...]:
        return tuple(shot for shot in shots if shot.row in shown)

    pairs = tuple(Pair(pair.confusion, kept(pair.taken), kept(pair.examples)) for pair in gallery.pairs)
    return Gallery(kept(gallery.sample), pairs, kept(gallery.boldest))


def choose(predictions: pa.Table, results: Results, names: Sequence[str], seed: int = 0) -> Gallery:
    """Pick the pictures. The sample is drawn at random, so its share of mistakes is the model's."""
    labels_N = predictions.column("label").to_numpy()
    guess_N = guesses_of(predictions)[:, 0]
    confidence_N = confidence_of(predictions)
    ids = predictions.column("image_id").to_pylist()
    by_confidence = np.argsort(-confidence_N, kind="stable")

    def shot(row: int) -> Shot:
        guess, label = int(guess_N[row]), int(labels_N[row])
        return Shot(row, ids[row], names[label], names[guess], float(confidence_N[row]), guess == label)

    read = np.flatnonzero(guess_N >= 0)
    drawn = np.random.default_rng(seed).permutation(read)[:SAMPLE]
    mistakes = [int(row) for row in by_confidence if guess_N[row] >= 0 and guess_N[row] != labels_N[row]]
    of_pair: dict[tuple[int, int], list[int]] = {}
    for row in mistakes:
        of_pair.setdefault((int(labels_N[row]), int(guess_N[row])), []).append(row)
    found: dict[int, list[int]] = {}
    for row in by_confidence:
        if guess_N[row] == labels_N[row] and len(found.setdefault(int(labels_N[row]), [])) < EXAMPLES:
            found[int(labels_N[row])].append(int(row))
    label_of = {one.concept_id: label for label, one in enumerate(results.classes)}
    pairs = []
    for one in results.confusions[:PAIRS]:
        true, predicted = label_of[one.true_id], label_of[one.predicted_id]
        taken = tuple(shot(row) for row in of_pair[true, predicted][:PER_PAIR])
        pairs.append(Pair(one, taken, tuple(shot(row) for row in found.get(predicted, ()))))
    return Gallery(
        tuple(shot(int(row)) for row in drawn), tuple(pairs), tuple(shot(row) for row in mistakes[:BOLDEST])
    )
