"""The numbers of one evaluation, each with its interval. Pure: from predictions and a taxonomy.

Shares carry Wilson's 95 % interval (and, for the two headline numbers, the percentile bootstrap
of 20,000 rounds); means carry Student's. Legend: N pictures, G guesses, K classes, B bins.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pictus import metrics, stats
from pictus.concepts import Taxonomy
from pictus.evaluate.predictions import confidence_of, guesses_of
from pictus.stats import Interval
from pictus.tasks.multilabel import Ranking, ranking

MAX_CONFUSIONS = 200

BEST_OF = 5
"""The guesses that top-5 and the hierarchical error take the best of."""


@dataclass(frozen=True, slots=True)
class ClassScore:
    """One class: of its `n` pictures `right` were found (recall); of what was taken for it, precision are it.

    precision and f1 are None where nothing was taken for the class, recall where it has no picture.
    """

    concept_id: str
    name: str
    n: int
    right: int
    recall: float | None
    recall_low: float
    recall_high: float
    precision: float | None
    precision_low: float
    precision_high: float
    f1: float | None
    top5: float | None
    taken_for: str  # the class it is most often mistaken for, by name
    taken_n: int
    average_precision: float | None = None  # where pictures have several labels: of its ranking of known pictures
    shown: int = 0  # so many of `known` pictures show it
    known: int = 0


@dataclass(frozen=True, slots=True)
class Confusion:
    """`n` of the `of` pictures of one class were taken for another; `height` of their lowest common ancestor."""

    true_id: str
    predicted_id: str
    true_name: str
    predicted_name: str
    n: int
    of: int
    share: Interval
    height: float


@dataclass(frozen=True, slots=True)
class Bin:
    """Pictures with confidence in (low, high]: mean confidence and accuracy."""

    low: float
    high: float
    n: int
    confidence: float
    accuracy: Interval


@dataclass(frozen=True, slots=True)
class Results:
    """One evaluation. `hierarchical_error`: ILSVRC 2010-11's, best of 5 guesses; `severity`: mean height of
    the lowest common ancestor over top-1 mistakes, of at most `greatest_height`.
    """

    n: int
    n_failed: int
    top1: Interval
    top5: Interval
    top1_bootstrap: Interval
    top5_bootstrap: Interval
    hierarchical_error: Interval
    hierarchical_error_top1: Interval
    mistake_severity: float
    greatest_height: int
    macro_precision: float
    macro_recall: float
    macro_f1: float
    ece: float
    bins: tuple[Bin, ...]
    classes: tuple[ClassScore, ...]
    confusions: tuple[Confusion, ...]
    causes: Mapping[str, int]
    confusion: metrics.ConfusionCells
    ranking: Ranking | None = None  # where pictures have several labels

    @property
    def has_top5(self) -> bool:
        """Whether five guesses can miss: of five classes or fewer they name every one."""
        return len(self.classes) > BEST_OF

    @property
    def has_hierarchy(self) -> bool:
        """Whether the hierarchical error says more than top-5: mistakes differ in height, and five can miss."""
        return metrics.tells_more_than_flat(len(self.classes), self.greatest_height, BEST_OF)


def measure(
    predictions: pa.Table, classes: Sequence[str], names: Sequence[str], taxonomy: Taxonomy, seed: int = 0
) -> Results:
    """Every number of the report. classes, names: in the model's label order."""
    labels_N = predictions.column("label").to_numpy().astype(np.int32)
    guesses_NG, truth = guesses_of(predictions), metrics.truth_of(labels_N)
    right1_N, right5_N = (metrics.is_right(guesses_NG, truth, k) for k in (1, 5))
    n, n1, n5 = len(labels_N), int(right1_N.sum()), int(right5_N.sum())
    heights_KK, greatest = heights_of(taxonomy, classes)
    cells = metrics.confusion(labels_N, guesses_NG[:, 0], len(classes))
    per_class = metrics.class_metrics(cells, np.bincount(labels_N, minlength=len(classes)).astype(np.int64))
    was_read = guesses_NG[:, 0] >= 0
    calibration = metrics.calibration(np.minimum(confidence_of(predictions)[was_read], 1), right1_N[was_read])
    causes = [cause for cause in predictions.column("cause").to_pylist() if cause]
    top5_K = _mean_by_class(right5_N, labels_N, len(classes))
    return Results(
        n, len(causes), stats.wilson(n1, n), stats.wilson(n5, n),
        stats.bootstrap_mean01(n1, n, seed=seed), stats.bootstrap_mean01(n5, n, seed=seed),
        _mean(metrics.hierarchical_errors(guesses_NG, truth, heights_KK, greatest)),
        _mean(metrics.hierarchical_errors(guesses_NG, truth, heights_KK, greatest, k=1)),
        metrics.mistake_severity(guesses_NG, truth, heights_KK), int(greatest),
        _present_mean(_precision_of_all(per_class)), _present_mean(per_class.recall_K), _present_mean(per_class.f1_K),
        calibration.ece, tuple(_bins(calibration)), tuple(_classes(per_class, cells, top5_K, classes, names)),
        tuple(_confusions(cells, per_class.n_true_K, heights_KK, classes, names)),
        {cause: causes.count(cause) for cause in sorted(set(causes))}, cells,
    )  # fmt: skip


def ranked(results: Results, logits_NK: NDArray[np.float32], shown_NK: NDArray[np.float32], seed: int) -> Results:
    """The results with how well each class ranks the pictures known to show it or not; logits in rows of `measure`."""
    found = ranking(logits_NK, shown_NK, logits_NK, seed)
    classes = tuple(
        replace(one, average_precision=_finite(float(precision)), shown=int(shown), known=int(known))
        for one, precision, shown, known in zip(
            results.classes, found.precision_K, found.n_shown_K, found.n_known_K, strict=True
        )
    )
    return replace(results, classes=classes, ranking=found)


def heights_of(taxonomy: Taxonomy, classes: Sequence[str]) -> tuple[NDArray[np.float32], float]:
    """lca_height of every pair f32[K, K] and the greatest; a class the taxonomy lacks is as far as can be."""
    greatest = float(taxonomy.greatest_height)
    known = [label for label, concept_id in enumerate(classes) if concept_id in taxonomy]
    heights_KK = np.full((len(classes), len(classes)), greatest, np.float32)
    np.fill_diagonal(heights_KK, 0)
    heights_KK[np.ix_(known, known)] = taxonomy.lca_height_matrix([classes[label] for label in known])
    return heights_KK, greatest


def in_tree_order(taxonomy: Taxonomy, classes: Sequence[str]) -> list[int]:
    """Labels in the order a walk through the tree meets them, so that kin stand side by side."""
    seen: dict[str, None] = {}
    waiting = list(reversed(taxonomy.roots))
    while waiting:
        concept_id = waiting.pop()
        if concept_id not in seen:
            seen[concept_id] = None
            waiting.extend(reversed(taxonomy.children(concept_id)))
    place = {concept_id: number for number, concept_id in enumerate(seen)}
    return sorted(range(len(classes)), key=lambda label: (place.get(classes[label], len(place)), classes[label]))


def as_json(value: Any) -> Any:  # noqa: ANN401  any of the above, to plain JSON
    """Records and intervals as objects, arrays as lists, nan and infinities as null."""
    if isinstance(value, (Interval, metrics.ConfusionCells, Ranking)):
        return as_json(value._asdict())
    if is_dataclass(value) and not isinstance(value, type):
        return as_json({entry.name: getattr(value, entry.name) for entry in fields(value)})
    if isinstance(value, Mapping):
        return {key: as_json(part) for key, part in value.items()}
    if isinstance(value, (list, tuple, np.ndarray)):
        return [as_json(part) for part in (value.tolist() if isinstance(value, np.ndarray) else value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _classes(
    found: metrics.ClassMetrics, cells: metrics.ConfusionCells, top5_K: NDArray[np.float64], classes: Sequence[str],
    names: Sequence[str],
) -> list[ClassScore]:  # fmt: skip
    worst_K, taken_K = _worst_mistakes(cells)
    scores = []
    for label, concept_id in enumerate(classes):
        right, n, predicted = (int(values[label]) for values in found[3:])
        recall, precision = stats.wilson(right, n), stats.wilson(right, predicted)
        taken_n = int(taken_K[label])
        scores.append(
            ClassScore(
                concept_id, names[label], n, right, _finite(recall.estimate), recall.low, recall.high,
                _finite(precision.estimate), precision.low, precision.high, _finite(float(found.f1_K[label])),
                _finite(float(top5_K[label])), names[worst_K[label]] if taken_n else "", taken_n,
            )
        )  # fmt: skip
    return scores


def _worst_mistakes(cells: metrics.ConfusionCells) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What each class is most often mistaken for (of equals the first) and how often, 0 where it never is. i64[K]."""
    is_wrong_X = cells.true_X != cells.predicted_X
    true_X, predicted_X, count_X = (values[is_wrong_X] for values in cells[:3])
    order = np.lexsort((predicted_X, -count_X, true_X))
    mistaken, first = np.unique(true_X[order], return_index=True)
    worst_K, taken_K = np.zeros(cells.n_classes, np.int64), np.zeros(cells.n_classes, np.int64)
    worst_K[mistaken], taken_K[mistaken] = predicted_X[order][first], count_X[order][first]
    return worst_K, taken_K


def _confusions(
    cells: metrics.ConfusionCells, n_true_K: NDArray[np.int64], heights_KK: NDArray[np.float32],
    classes: Sequence[str], names: Sequence[str],
) -> list[Confusion]:  # fmt: skip
    """Worst first: by the lower bound of the share, so that 9 of 50 comes before 1 of 2."""
    found = [
        Confusion(
            classes[a], classes[b], names[a], names[b], n, int(n_true_K[a]), stats.wilson(n, int(n_true_K[a])),
            float(heights_KK[a, b]),
        )
        for a, b, n in zip(*(values.tolist() for values in cells[:3]), strict=True)
        if a != b
    ]  # fmt: skip
    found.sort(key=lambda one: (-one.share.low, -one.n, one.true_id, one.predicted_id))
    return found[:MAX_CONFUSIONS]


def _bins(found: metrics.Calibration) -> list[Bin]:
    return [
        Bin(
            float(found.edges[b]), float(found.edges[b + 1]), int(found.n_B[b]), float(found.confidence_B[b]),
            stats.wilson(int(found.n_right_B[b]), int(found.n_B[b])),
        )
        for b in range(len(found.n_B))
    ]  # fmt: skip


def _mean(values_N: NDArray[np.float64]) -> Interval:
    return stats.mean01_interval(values_N)


def _mean_by_class(right_N: NDArray[np.bool_], labels_N: NDArray[np.int32], n_classes: int) -> NDArray[np.float64]:
    n_K = np.bincount(labels_N, minlength=n_classes)
    out = np.full(n_classes, np.nan)
    np.divide(np.bincount(labels_N, weights=right_N, minlength=n_classes), n_K, out=out, where=n_K > 0)
    return out


def _precision_of_all(found: metrics.ClassMetrics) -> NDArray[np.float64]:
    """Precision with 0 for a class that has pictures and was never guessed: a model that knows one class of ten
    must not have a macro precision of 1.
    """
    is_ignored_K = (found.n_predicted_K == 0) & (found.n_true_K > 0)
    return np.where(is_ignored_K, 0.0, found.precision_K)


def _present_mean(values_K: NDArray[np.float64]) -> float:
    present = values_K[~np.isnan(values_K)]
    return float(present.mean()) if present.size else math.nan


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
