"""How well pictures fit their concept, from vectors of length 1: outliers, wrong concepts, semantic twins. Pure.

What varies within concepts says little about which concept it is, so the first two are told in a space where it is
evened out: vectors less their mean, whitened by the covariance within concepts (Fisher 1936; for outliers Lee et al.
2018, "A simple unified framework for detecting out-of-distribution samples", §2.1) and scaled to length 1 again.

Outlier. The mean cosine distance to the K nearest pictures of the same concept (Ramaswamy et al. 2000, "Efficient
algorithms for mining outliers"; Kuan & Mueller 2022, "Back to the basics", found it as good as newer scores). Raw
distances mean another thing in every concept, so each is told as a tail: with m and s the median and 1.4826 × the
median absolute deviation of the logarithms of the concept's distances, outlier = Φ((log d - m) / s). 0.99 says that
one in a hundred of a concept whose distances spread log-normally lies as far out. 1 is least typical.

Wrong concept. Two judges give each concept a share, and the shares are averaged. The K nearest of all pictures vote
with weight exp(cosine / 0.1) (Wu et al. 2018, "Unsupervised feature learning via non-parametric instance
discrimination", §3.4). And Fisher's discriminant, exp(-distance² / 4) to each concept's mean times its size, from
which the picture itself is left out. The margin is (other - own) / (other + own) with the best other concept's share
and the own one's, -1..1. Above 0 the other one is the suspect.

Twins. k-means, then cosines within each cluster (Abbas et al. 2023, "SemDeDup", §3): of pictures at least as alike
as the threshold the one farthest from its cluster's centre stays, and is the others' twin.

Everything is computed in blocks: held are the vectors, while neighbours are looked for their even copy, the
neighbours (12 K bytes a picture), the concepts' means (8 D bytes each), and 0.2 GB, whatever their numbers. The same
vectors and seed give the same scores. Legend: N vectors, D features, K neighbours, Q asked at once, B in one block,
C centres.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

NEIGHBOURS = 50
"""30 to 80 do nearly the same (benchmarks/relevance.py), as do 10 to 200 for Wu et al."""
TEMPERATURE = 0.1
EVENED = 0.5
"""How much of the mean variance is added to each direction's, so that one that hardly varies is not blown up."""
SHARPNESS = 0.5
"""Of the discriminant's logarithm: features are not independent, so that all of it would be far too sure."""
TWINS = 0.95
ASKED, BLOCK = 1_024, 8_192
CELLS = 2**21
"""Shares of concepts computed at once, 8 bytes each and six times over: of many concepts fewer pictures are asked."""

"""Vectors compared at once: 32 MB of cosines."""
EXACT_UP_TO = 100_000
"""With more vectors than this the nearest are looked for in the nearest clusters only: exactly, the cost grows with
the square (docs/clean.md)."""
PROBED = 24
"""Clusters looked into for each vector above that; of ROOM pictures on average."""
ROOM = 1_000
ROUNDS = 12
"""Of k-means; later ones move few."""
LEAST = 20
"""Pictures a concept needs for a spread of its own; smaller ones borrow that of all."""


class Neighbours(NamedTuple):
    """The nearest of each vector, best first: rows i64[N, K], -1 where there are fewer, and cosines f32[N, K]."""

    rows: Rows
    cosines: Floats


class Space(NamedTuple):
    """How to get there: subtract `centre` f32[D], multiply by `turned` f32[D, D]; each concept's mean there and size.

    f64[C, D], i64[C].
    """

    turned: Floats
    centre: Floats
    means: Doubles
    sizes: Rows


class Suspects(NamedTuple):
    """For each of N pictures: the best other concept's number, -1 where no neighbour has one, and its margin."""

    concepts: Rows
    margins: Doubles


class Twins(NamedTuple):
    """For each of N pictures: the row that stays in its place, -1 where it stays itself, and the cosine to it."""

    rows: Rows
    cosines: Floats


def nearest(vectors: Floats, count: int, *, seed: int = 0, exact_up_to: int = EXACT_UP_TO) -> Neighbours:
    """The `count` nearest others of every vector, f32[N, D] of length 1: exact up to `exact_up_to` vectors."""
    everything = np.arange(len(vectors))
    if len(vectors) <= exact_up_to:
        return _nearest_among(vectors, everything, everything, count)
    centres, cluster_of = clusters(vectors, -(-len(vectors) // ROOM), seed)
    members = _members(cluster_of, len(centres))
    found = Neighbours(np.full((len(vectors), count), -1, np.int64), np.zeros((len(vectors), count), np.float32))
    likeness_CC = centres @ centres.T
    for cluster, asked in enumerate(members):
        near = np.argsort(-likeness_CC[cluster], kind="stable")[:PROBED]
        among = np.sort(np.concatenate([members[one] for one in near]))
        part = _nearest_among(vectors, asked, among, count)
        found.rows[asked], found.cosines[asked] = part
    return found


def outliers(vectors: Floats, concepts: Rows, count: int = NEIGHBOURS) -> Doubles:
    """Outlier score of every picture within its concept (a number per picture), f64[N] in 0..1; 0 for one alone.

    `vectors`: as `whitened` gives them.
    """
    distances = np.full(len(vectors), np.nan)
    groups = _members(concepts, int(concepts.max(initial=-1)) + 1)
    for members in groups:
        if len(members) > 1:
            found = _nearest_among(vectors, members, members, min(count, len(members) - 1))
            distances[members] = np.maximum(1 - found.cosines.astype(np.float64).mean(axis=1), 0)
    logs = np.log(np.maximum(distances, 1e-6))  # cosines of equal vectors are 1 to seven digits
    everywhere = _spread(logs[~np.isnan(logs)])
    scores = np.zeros(len(vectors))
    for members in groups:
        if len(members) > 1:
            middle, spread = _spread(logs[members])
            spread = spread if len(members) >= LEAST else max(spread, everywhere[1])
            scores[members] = _tail((logs[members] - middle) / max(spread, 1e-3))
    return scores


def space(vectors: Floats, concepts: Rows) -> Space:
    """Where all directions vary alike within concepts."""
    n_concepts = int(concepts.max(initial=-1)) + 1
    means, covariance = np.zeros((n_concepts, vectors.shape[1])), np.zeros((vectors.shape[1],) * 2)
    sizes = np.bincount(concepts, minlength=n_concepts)
    for number, members in enumerate(_members(concepts, n_concepts)):
        if len(members):
            means[number] = vectors[members].mean(axis=0, dtype=np.float64)
    for start in range(0, len(vectors), BLOCK):
        rest = vectors[start : start + BLOCK] - means[concepts[start : start + BLOCK]]
        covariance += rest.T @ rest / len(vectors)
    values, directions = np.linalg.eigh(covariance)
    values = np.maximum(values, 0)
    turned = directions / np.sqrt(values + EVENED * values.mean() + 1e-9)
    centre = sizes @ means / max(len(vectors), 1)
    return Space(turned.astype(np.float32), centre.astype(np.float32), (means - centre) @ turned, sizes)


def whitened(vectors: Floats, there: Space) -> Floats:
    """The vectors in that space, f32[N, D], of length 1 again."""
    made = np.empty_like(vectors)
    for start in range(0, len(vectors), BLOCK):
        block = (vectors[start : start + BLOCK] - there.centre) @ there.turned
        lengths = np.linalg.norm(block, axis=1, keepdims=True)
        made[start : start + BLOCK] = block / np.where(lengths > 0, lengths, 1)
    return made


def suspects(found: Neighbours, vectors: Floats, concepts: Rows, there: Space) -> Suspects:
    """Which other concept the neighbours and the discriminant speak for, and by how much more than for the own one."""
    n_concepts = len(there.sizes)
    best, margins = np.full(len(concepts), -1, np.int64), np.full(len(concepts), -1.0)
    if n_concepts < 2:  # noqa: PLR2004  no other
        return Suspects(best, margins)
    asked = max(1, min(ASKED, CELLS // n_concepts))
    for start in range(0, len(concepts), asked):
        here = slice(start, start + asked)
        own_Q = concepts[here]
        rows = np.arange(len(own_Q))
        given = ((vectors[here] - there.centre) @ there.turned).astype(np.float64)
        shares = (_discriminant(given, own_Q, there) + _votes(found, concepts, here, n_concepts)) / 2
        own = shares[rows, own_Q].copy()
        shares[rows, own_Q] = -1
        other = shares.argmax(axis=1)
        most = shares[rows, other]
        best[here] = other
        margins[here] = (most - own) / np.maximum(most + own, 1e-12)
    return Suspects(best, margins)


def twins(vectors: Floats, threshold: float = TWINS, *, seed: int = 0) -> Twins:
    """Pictures that are one another's semantic twin, found within clusters; those on two sides of a border are not."""
    stays, cosines = np.full(len(vectors), -1, np.int64), np.zeros(len(vectors), np.float32)
    if len(vectors) < 2:  # noqa: PLR2004  no pair
        return Twins(stays, cosines)
    centres, cluster_of = clusters(vectors, max(1, len(vectors) // ROOM), seed)
    for centre, members in zip(centres, _members(cluster_of, len(centres)), strict=True):
        order = members[np.argsort(vectors[members] @ centre, kind="stable")]  # farthest from the centre first
        for first in range(0, len(order), ASKED):
            asked = order[first : first + ASKED]
            _settle(vectors, order[:first][stays[order[:first]] < 0], asked, threshold, Twins(stays, cosines))
    return Twins(stays, cosines)


def clusters(vectors: Floats, count: int, seed: int) -> tuple[Floats, Rows]:
    """Spherical k-means: centres f32[C, D] of length 1 and each vector's centre i64[N]. The seed draws the first."""
    generator = np.random.default_rng(seed)
    centres = vectors[np.sort(generator.choice(len(vectors), count, replace=False))].copy()
    cluster_of = np.zeros(len(vectors), np.int64)
    for _ in range(ROUNDS if count > 1 else 1):
        sums = np.zeros(centres.shape, np.float64)
        for start in range(0, len(vectors), BLOCK):
            block = vectors[start : start + BLOCK]
            cluster_of[start : start + BLOCK] = (block @ centres.T).argmax(axis=1)
            here = cluster_of[start : start + BLOCK]
            order = np.argsort(here, kind="stable")
            firsts = np.flatnonzero(np.diff(here[order], prepend=-1))
            sums[here[order][firsts]] += np.add.reduceat(block[order].astype(np.float64), firsts, axis=0)
        lengths = np.linalg.norm(sums, axis=1)
        alive = lengths > 0
        centres[alive] = (sums[alive] / lengths[alive, None]).astype(np.float32)
    return centres, cluster_of


def _discriminant(given: Doubles, own_Q: Rows, there: Space) -> Doubles:
    """The share of each concept, f64[Q, C], by a picture's distance to its mean, from which the picture is left out."""
    rows = np.arange(len(own_Q))
    logs = given @ there.means.T - (there.means**2).sum(axis=1) / 2
    sizes = there.sizes[own_Q][:, None].astype(np.float64)
    left = (sizes * there.means[own_Q] - given) / np.maximum(sizes - 1, 1)
    logs[rows, own_Q] = (given * left).sum(axis=1) - (left**2).sum(axis=1) / 2
    logs = SHARPNESS * (logs + np.log(np.maximum(there.sizes, 1)))
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    shares: Doubles = raised / raised.sum(axis=1, keepdims=True)
    return shares


def _votes(found: Neighbours, concepts: Rows, here: slice, n_concepts: int) -> Doubles:
    """The share of each concept in the votes of the neighbours, f64[Q, C]; zeros where there are none."""
    rows_QK = found.rows[here]
    cosines_QK = found.cosines[here].astype(np.float64)
    below_QK = cosines_QK - cosines_QK.max(axis=1, keepdims=True)
    weights_QK = np.where(rows_QK >= 0, np.exp(below_QK / TEMPERATURE), 0)
    weights_QK /= np.maximum(weights_QK.sum(axis=1, keepdims=True), 1e-12)
    cells = np.arange(len(rows_QK))[:, None] * n_concepts + concepts[rows_QK]
    counted = np.bincount(cells.ravel(), weights_QK.ravel(), len(rows_QK) * n_concepts)
    votes: Doubles = counted.reshape(len(rows_QK), n_concepts).astype(np.float64)
    return votes


def _settle(vectors: Floats, kept: Rows, asked: Rows, threshold: float, found: Twins) -> None:
    """Who of `asked`, in order, has a twin among those that stay: the nearest of `kept` and of the earlier asked."""
    for start in range(0, len(kept), BLOCK):
        cosines_QB = vectors[asked] @ vectors[kept[start : start + BLOCK]].T
        best = cosines_QB.argmax(axis=1)
        values = cosines_QB[np.arange(len(asked)), best]
        is_better = (values >= threshold) & (values > found.cosines[asked])
        found.rows[asked[is_better]] = kept[start + best[is_better]]
        found.cosines[asked[is_better]] = values[is_better]
    inside = vectors[asked] @ vectors[asked].T
    for place in np.flatnonzero((np.tril(inside, -1) >= threshold).any(axis=1)):
        earlier = np.flatnonzero((found.rows[asked[:place]] < 0) & (inside[place, :place] >= threshold))
        if len(earlier):
            best_one = earlier[inside[place, earlier].argmax()]
            if inside[place, best_one] > found.cosines[asked[place]]:
                found.rows[asked[place]], found.cosines[asked[place]] = asked[best_one], inside[place, best_one]


def _nearest_among(vectors: Floats, asked: Rows, among: Rows, count: int) -> Neighbours:
    """The `count` nearest of `among`, itself left out, for every row of `asked`; `among` is sorted."""
    rows = np.full((len(asked), count), -1, np.int64)
    cosines = np.full((len(asked), count), -2, np.float32)
    is_all = len(among) == len(vectors)
    for first in range(0, len(asked), ASKED):
        asked_Q = asked[first : first + ASKED]
        query = vectors[asked_Q]
        best_rows, best = rows[first : first + ASKED], cosines[first : first + ASKED]
        for start in range(0, len(among), BLOCK):
            block = among[start : start + BLOCK]
            cosines_QB = query @ (vectors[start : start + BLOCK] if is_all else vectors[block]).T
            at = np.searchsorted(block, asked_Q)
            inside = np.flatnonzero((at < len(block)) & (block[np.minimum(at, len(block) - 1)] == asked_Q))
            cosines_QB[inside, at[inside]] = -2  # itself
            _merge(best_rows, best, block, cosines_QB)
    missing = cosines < -1.5  # noqa: PLR2004  no cosine
    rows[missing], cosines[missing] = -1, 0
    return Neighbours(rows, cosines)


def _merge(best_rows: Rows, best: Floats, block: Rows, cosines_QB: Floats) -> None:
    """Let what a block has into the best so far, best_rows i64[Q, K] and best f32[Q, K]."""
    count = best.shape[1]
    if cosines_QB.shape[1] > count and best[0, -1] < -1.5:  # noqa: PLR2004  the first block: nearly all are better
        columns = np.argpartition(-cosines_QB, count - 1, axis=1)[:, :count].ravel()
        at = np.repeat(np.arange(len(best)), count)
    else:
        at, columns = np.nonzero(cosines_QB > best[:, -1:])
    asked = np.concatenate([np.repeat(np.arange(len(best)), count), at])
    scores = np.concatenate([best.ravel(), cosines_QB[at, columns]])
    rows = np.concatenate([best_rows.ravel(), block[columns]])
    order = np.lexsort((rows, -scores, asked))
    starts = np.searchsorted(asked[order], np.arange(len(best)))
    chosen = order[starts[:, None] + np.arange(count)]
    best[:], best_rows[:] = scores[chosen], rows[chosen]


def _members(numbers: Rows, count: int) -> list[Rows]:
    """The rows that have each number 0..count-1, ascending."""
    order = np.argsort(numbers, kind="stable")
    borders = np.searchsorted(numbers[order], np.arange(count + 1))
    return [order[borders[one] : borders[one + 1]] for one in range(count)]


def _spread(values: Doubles) -> tuple[float, float]:
    """Median and 1.4826 × median absolute deviation: of normal values their mean and standard deviation."""
    if not len(values):
        return 0.0, 0.0
    middle = float(np.median(values))
    return middle, 1.4826 * float(np.median(np.abs(values - middle)))


def _tail(z: Doubles) -> Doubles:
    from scipy.special import ndtr  # noqa: PLC0415  0.1 s that --help does not pay

    scores: Doubles = ndtr(z)
    return scores
