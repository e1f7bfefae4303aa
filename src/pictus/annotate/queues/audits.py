"""How good the labels are, by a random sample that independent experts look at. Pure.

Two accuracies, which differ by several per cent: does the picture contain it (ImageNet's 99.7 %), and is it the one
best label (at least 6 % of ImageNet's validation labels are not: Northcutt et al. 2021). An expert says of each pair

    best     it shows the concept, and no other describes the picture better
    present  it shows it, but another concept describes the picture better
    no       it does not show it
    unsure   cannot be told

    presence precision = (best + present) / (best + present + no)
    best-label accuracy = best / (best + present + no)

Sample. Without `each` it is systematic: pictures sorted by concept and shuffled within it, a random start, equal
steps. Every label has the same chance n / N, and every concept gets its share to within one (Madow & Madow 1944).
With `each` every concept gets at least so many and the rest by size; a label stands for N_h / n_h of its concept.

Estimate: sum(w right) / sum(w). Intervals: Wilson 1927 and Clopper & Pearson 1934 at n_eff = sum(w)^2 / sum(w^2)
(Kish 1965), which is n where all weights are equal. That leaves out what stratifying gains, so the intervals are
rather too wide than too narrow. `unsure` is left out, and the share is told that would hold if all of it were wrong.

Legend: N labels, n drawn, C concepts, A answers.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from pictus.annotate.tasks import KINDS, Kind
from pictus.stats import clopper_pearson, wilson

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

AUDIT = "audit"
BEST, PRESENT, NO, UNSURE = ANSWERS = ("best", "present", "no", "unsure")

HELP = (
    "Say of every picture how well the label fits. Best: the picture shows it, and no other concept describes the"
    " picture better. Present: it is there, but another concept describes the picture better. No: it is not there."
    " Unsure: it cannot be told from the picture."
)

KINDS.register(AUDIT)(
    Kind(
        AUDIT, ANSWERS, per_page=12, lease_s=1800, role="reviewer", is_blind_to_voters=True, accepts=BEST, mixes=True,
        help=HELP,
    )
)  # fmt: skip


class Sample(NamedTuple):
    """The labels drawn, in the order they are asked: rows i64[n] of the N, and how many of them each stands for."""

    row_A: Ints
    weight_A: Floats


class Judged(NamedTuple):
    """What the experts say of one label. None: unsure, or as many for as against."""

    is_present: bool | None
    is_best: bool | None
    experts: int
    is_disputed: bool  # they did not all say the same of its presence


class Precision(NamedTuple):
    """A share with both intervals, each in 0..1; nan, 0, 1 where nothing was answered."""

    estimate: float
    low: float  # Wilson
    high: float
    exact_low: float  # Clopper-Pearson
    exact_high: float
    n: int
    wrong: int
    n_effective: float

    def words(self) -> str:
        """For example "99.7 %, 95 % CI 99.2-99.9, n = 1,500"."""
        if not self.n:
            return "nothing answered yet"
        low, high = 100 * self.low, 100 * self.high
        return f"{100 * self.estimate:.1f} %, 95 % CI {low:.1f}-{high:.1f}, n = {self.n:,}"


def draw(concept_N: ArrayLike, many: int, seed: int, each: int = 0) -> Sample:
    """Draw `many` labels, all where there are no more. concept_N: i64[N] in [0, C), the stratum of each."""
    concepts = np.asarray(concept_N, np.int64)
    generator = np.random.default_rng(seed)
    shuffled = generator.permutation(concepts.size)
    order = shuffled[np.argsort(concepts[shuffled], kind="stable")]
    many = min(many, concepts.size)
    if not many:
        return Sample(np.zeros(0, np.int64), np.zeros(0))
    if not each:
        step = concepts.size / many
        at = np.floor(generator.random() * step + step * np.arange(many)).astype(np.int64)
        row_A = order[np.minimum(at, concepts.size - 1)]
        weight_A = np.full(many, step)
    else:
        size_C = np.bincount(concepts)
        drawn_C = _shares(size_C, many, each)
        start_C = np.cumsum(size_C) - size_C
        row_A = np.concatenate([order[start : start + n] for start, n in zip(start_C, drawn_C, strict=True)])
        weight_A = np.repeat(size_C / np.maximum(1, drawn_C), drawn_C)
    mixed = generator.permutation(row_A.size)
    return Sample(row_A[mixed].astype(np.int64), weight_A[mixed])


def _shares(size_C: Ints, many: int, each: int) -> Ints:
    """How many of each concept: `each` (or all it has), the rest by size; more than `many` where `each` needs it."""
    least_C = np.minimum(size_C, each)
    wanted_C = np.maximum(least_C, size_C * (many / max(1, size_C.sum())))
    low, high = 0.0, 1.0
    for _ in range(60):  # the share of their size that concepts above the least get, so that it comes out at `many`
        middle = (low + high) / 2
        wanted_C = np.maximum(least_C, size_C * middle)
        low, high = (middle, high) if wanted_C.sum() < many else (low, middle)
    whole_C = np.floor(wanted_C).astype(np.int64)
    left = max(0, many - int(whole_C.sum()))
    rest_C = np.where(whole_C < size_C, wanted_C - whole_C, -1.0)
    whole_C[np.argsort(-rest_C, kind="stable")[:left]] += 1
    shares: Ints = np.minimum(whole_C, size_C)
    return shares


def judged(answers: Iterable[str]) -> Judged:
    """The majority of several experts, on presence and on best separately."""
    said = Counter(answers)
    yes, no = said[BEST] + said[PRESENT], said[NO]
    others = said[PRESENT] + no
    return Judged(
        None if yes == no else yes > no, None if said[BEST] == others else said[BEST] > others, sum(said.values()),
        is_disputed=bool(yes and no),
    )


def precision(right: Sequence[bool], weights: Sequence[float]) -> Precision:
    """The weighted share that is right, with its intervals."""
    right_A, weight_A = np.asarray(right, np.float64), np.asarray(weights, np.float64)
    n = int(right_A.size)
    if not n:
        return Precision(math.nan, 0.0, 1.0, 0.0, 1.0, 0, 0, 0.0)
    share = float(right_A @ weight_A / weight_A.sum())
    share = 1.0 if right_A.all() else share  # not 1 - 1e-16
    effective = float(weight_A.sum() ** 2 / (weight_A**2).sum())
    effective = float(n) if abs(effective - n) < 1e-6 * n else effective  # equal weights, rounded
    near = wilson(share * effective, effective)
    # for whole counts: the lower bound from counts rounded down, the upper from counts rounded up
    size = max(1, math.floor(effective + 1e-9))
    fewest = min(size, math.floor(share * effective + 1e-9))
    most = min(size, math.ceil(share * effective - 1e-9))
    low, high = clopper_pearson(fewest, size).low, clopper_pearson(most, size).high
    wrong = int(n - right_A.sum())
    return Precision(share, near.low, near.high, min(low, share), max(high, share), n, wrong, effective)


def summed(
    outcomes: Mapping[int, Judged], weights: Mapping[int, float], *, of_best: bool, unsure_is_wrong: bool = False
) -> Precision:
    """Presence precision, or best-label accuracy, over the positions that were answered."""
    right: list[bool] = []
    at: list[float] = []
    for position, outcome in outcomes.items():
        value = outcome.is_best if of_best else outcome.is_present
        if value is not None or unsure_is_wrong:
            right.append(bool(value))
            at.append(weights[position])
    return precision(right, at)
