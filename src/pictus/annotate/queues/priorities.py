"""What to ask next, as a sum of stated parts, and the same in words. Pure.

    priority = sum of WEIGHTS[part] * part, every part in 0..1

    starving   1 - accepted / enough: how much the concept lacks
    unchecked  1 while no person has answered
    uncertain  entropy of P(yes) in bits: of the votes where there are any, else the model's
    disputed   4 yes no / (yes + no)^2: 1 where as many persons say yes as no
    novel      how unlike the others its picture is: by k-centre greedy, the first pick 1, the last above 0
    suspect    1 - quality of the label (annotate suspects)
    drift      1 for a case that production found hard
    telling    expected information of the question per second, the most telling concept 1 (hierarchy.py; only where
               many labels are asked)

The k centres are the core-set of Sener & Savarese 2018 ("Active learning for convolutional neural networks: a
core-set approach", §5.1): each next one is the picture farthest from those chosen and from those already accepted.
It is done concept by concept in blocks, so that the cost grows with N and never with N squared.

Legend: R rows (concept, picture), C concepts, N vectors, M covered already, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.errors import counted

Floats = NDArray[np.float64]
Vectors = NDArray[np.float32]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

WEIGHTS = {
    "drift": 3.0, "suspect": 3.0, "starving": 2.0, "uncertain": 2.0, "disputed": 2.0, "telling": 2.0,
    "unchecked": 1.0, "novel": 1.0
}  # fmt: skip
"""What was found wrong goes first, then what is lacking or open; that nobody has looked and that a picture is unlike
the others order the rest."""

CENTRES = 48
"""Of each block: one page."""
BLOCK = 2_048
"""Pictures of one concept among which centres are chosen: 48 × 2,048 distances of 64 features, 12 ms."""
COVERED = 256
"""Accepted pictures of a concept, at most, that new ones should be unlike."""
FEATURES = 64
"""Longer vectors are projected to so many: distances stay within 20 % or so (Johnson & Lindenstrauss 1984)."""

_UNSURE_FROM = 0.5
"""Bits of entropy from which a probability is worth a word: P between 0.11 and 0.89."""


@dataclass(frozen=True)
class Evidence:
    """What is known of every candidate question. f64 in 0..1 with nan for "not known" where no other range is said.

    concept_R    i64[R] in [0, C)
    accepted_C   i64[C] accepted pictures
    yes_R, no_R  i64[R] persons who said so
    posterior_R  f64[R] P(yes) as settled from votes
    score_R      f64[R] P(yes) of a model
    novel_R      f64[R] from `novelty`; 0 for none
    suspect_R    f64[R] quality of the label where it is a suspect
    other_R      i64[R] the concept that is suspected instead, -1 for none
    is_drift_R   bool[R]
    telling_C    f64[C]; empty where each question is about one label
    below_C      i64[C] classes below a concept that is none itself; empty likewise
    is_group_C   bool[C] no class itself: no picture is ever labelled so, and it lacks none; empty for all classes
    """

    concept_R: Ints
    accepted_C: Ints
    yes_R: Ints
    no_R: Ints
    posterior_R: Floats
    score_R: Floats
    novel_R: Floats
    suspect_R: Floats
    other_R: Ints
    is_drift_R: Bools
    telling_C: Floats = field(default_factory=lambda: np.zeros(0))
    below_C: Ints = field(default_factory=lambda: np.zeros(0, np.int64))
    is_group_C: Bools = field(default_factory=lambda: np.zeros(0, np.bool_))


class Priorities(NamedTuple):
    """priority_R f64[R]; reason i64[R] into `reasons`, the words."""

    priority_R: Floats
    reason_R: Ints
    reasons: list[str]


def parts(evidence: Evidence, enough: int) -> dict[str, Floats]:
    """Every part of the priority, f64[R] in 0..1."""
    votes_R = evidence.yes_R + evidence.no_R
    known_R = np.where(np.isnan(evidence.posterior_R) | (votes_R == 0), evidence.score_R, evidence.posterior_R)
    lacking_C = np.clip(1 - evidence.accepted_C / max(1, enough), 0, 1)
    return {
        "starving": lacking_C[evidence.concept_R],
        "unchecked": (votes_R == 0).astype(np.float64),
        "uncertain": entropy(known_R),
        "disputed": 4 * evidence.yes_R * evidence.no_R / np.maximum(1, votes_R) ** 2,
        "novel": evidence.novel_R,
        "suspect": np.where(np.isnan(evidence.suspect_R), 0.0, 1 - np.nan_to_num(evidence.suspect_R, nan=1.0)),
        "drift": evidence.is_drift_R.astype(np.float64),
        "telling": evidence.telling_C[evidence.concept_R] if evidence.telling_C.size else np.zeros(votes_R.size),
    }


def priorities(evidence: Evidence, names: Sequence[str], enough: int, lacks: str = "") -> Priorities:
    """The sum and its words. `names`: of the C concepts; `lacks`: what is said after the number that a starving
    concept has, "of 500 accepted" when left out.
    """
    found = parts(evidence, enough)
    total_R = np.zeros(evidence.concept_R.size)
    for part, weight in WEIGHTS.items():
        total_R += weight * found[part]
    reason_R, reasons = _reasons(evidence, found, names, lacks or f"of {enough:,} accepted")
    return Priorities(np.round(total_R, 6), reason_R, reasons)


def entropy(probability: Floats) -> Floats:
    """Of yes or no, in bits: f64 in 0..1; 0 where the probability is nan."""
    share = np.clip(np.nan_to_num(probability, nan=0.0), 1e-12, 1 - 1e-12)
    bits: Floats = -(share * np.log2(share) + (1 - share) * np.log2(1 - share))
    return np.where(np.isnan(probability) | (bits < 1e-9), 0.0, bits)  # noqa: PLR2004  rounding


def _reasons(
    evidence: Evidence, found: dict[str, Floats], names: Sequence[str], lacks: str
) -> tuple[Ints, list[str]]:
    """Rows of equal words are worded once: a million rows need a few thousand sentences."""
    is_open = found["uncertain"] >= _UNSURE_FROM
    voted = evidence.yes_R + evidence.no_R > 0
    share = np.where(np.isnan(evidence.posterior_R) | ~voted, evidence.score_R, evidence.posterior_R)
    below_R = evidence.below_C[evidence.concept_R] if evidence.below_C.size else np.zeros(voted.size, np.int64)
    is_group_R = evidence.is_group_C[evidence.concept_R] if evidence.is_group_C.size else np.zeros(voted.size, np.bool_)
    columns = np.stack([
        np.where((found["starving"] > 0) & ~is_group_R, evidence.concept_R, -1), np.minimum(evidence.yes_R, 99),
        np.minimum(evidence.no_R, 99), np.where(is_open, np.round(100 * np.nan_to_num(share)), -1).astype(np.int64),
        (found["suspect"] > 0).astype(np.int64), evidence.other_R, evidence.is_drift_R.astype(np.int64),
        (found["novel"] > 0).astype(np.int64), (is_open & (np.isnan(evidence.posterior_R) | ~voted)).astype(np.int64),
        below_R,
    ])  # fmt: skip
    key_R = np.zeros(evidence.concept_R.size, np.int64)
    for column in columns:
        low, width = int(column.min(initial=0)), int(column.max(initial=0)) - int(column.min(initial=0)) + 1
        key_R = key_R * width + (column - low)
    _, first, reason_R = np.unique(key_R, return_index=True, return_inverse=True)
    sentences = []
    for row in first.tolist():
        starving, yes, no, percent, suspected, other, drift, novel, by_model, below = columns[:, row].tolist()
        said = [f"a no answers {counted(below, 'class', 'classes')}"] if below else []
        if drift:
            said.append("production: the model was unsure of it")
        if suspected:
            said.append("suspect: " + (f"looks like {names[other]}" if other >= 0 else "the model doubts the label"))
        if starving >= 0:
            said.append(f"starving: {evidence.accepted_C[starving]:,} {lacks}")
        if yes and no:
            said.append(f"disputed: {yes} yes, {no} no")
        elif yes or no:
            said.append(f"asked {counted(yes + no, 'person', 'persons')} so far")
        else:
            said.append("nobody has looked")
        if percent >= 0:
            said.append(f"{'the model is' if by_model else 'the votes are'} unsure: {percent / 100:.2f}")
        if novel:
            said.append("unlike the others")
        sentences.append("; ".join(said))
    return reason_R.astype(np.int64), sentences


def novelty(vectors_ND: Vectors, covered_MD: Vectors) -> Floats:
    """How unlike the others each picture of one concept is: f64[N]; the k-th of K centres 1 - k / K, the rest 0."""
    novel = np.zeros(len(vectors_ND))
    for start in range(0, len(vectors_ND), BLOCK):
        block = vectors_ND[start : start + BLOCK]
        chosen = centres(block, covered_MD, min(CENTRES, max(1, len(block) // 4)))
        novel[start + chosen] = 1 - np.arange(chosen.size) / chosen.size
    return novel


def centres(vectors_ND: Vectors, covered_MD: Vectors, many: int) -> Ints:
    """k-centre greedy -> rows i64[<= many], the farthest first. Pictures equal to one chosen are never chosen."""
    if not len(vectors_ND):
        return np.zeros(0, np.int64)
    norm_N = np.einsum("nd,nd->n", vectors_ND, vectors_ND)

    def away(one_D: Vectors) -> Vectors:
        squared_N: Vectors = np.maximum(norm_N - 2 * (vectors_ND @ one_D) + one_D @ one_D, 0)
        return squared_N

    if len(covered_MD):
        nearest_N = np.full(len(vectors_ND), np.inf, np.float32)
        for one in covered_MD:
            np.minimum(nearest_N, away(one), out=nearest_N)
    else:
        nearest_N = away(vectors_ND.mean(axis=0))  # nothing is covered: begin with the least typical
    chosen: list[int] = []
    alike = 1e-6 * float(norm_N.max(initial=0))
    while len(chosen) < many:
        row = int(np.argmax(nearest_N))
        if chosen and nearest_N[row] <= alike:
            break
        chosen.append(row)
        if len(chosen) == 1 and not len(covered_MD):
            nearest_N = away(vectors_ND[row])
        else:
            np.minimum(nearest_N, away(vectors_ND[row]), out=nearest_N)
    return np.array(chosen, np.int64)


def bits_of(hashes_N: NDArray[np.uint64]) -> Vectors:
    """64-bit hashes as vectors of 0 and 1, so that squared distances are Hamming distances. -> f32[N, 64]."""
    octets = np.ascontiguousarray(hashes_N.astype(">u8")).view(np.uint8).reshape(-1, 8)
    return np.unpackbits(octets, axis=1).astype(np.float32)


def projection(features: int) -> Vectors:
    """A fixed random matrix f32[features, FEATURES] that keeps distances about; of short vectors the identity."""
    if features <= FEATURES:
        return np.eye(features, dtype=np.float32)
    drawn = np.random.default_rng(features).standard_normal((features, FEATURES))
    scaled: Vectors = (drawn / np.sqrt(FEATURES)).astype(np.float32)
    return scaled


def heap_reason(evidence: Evidence, rows: Ints, enough: int, lacks: str = "") -> str:
    """Why one concept's heap is as high as it is, in words. `rows`: its rows; `lacks` as in `priorities`."""
    if not rows.size:
        return ""
    concept = int(evidence.concept_R[rows[0]])
    accepted, is_group = int(evidence.accepted_C[concept]), evidence.is_group_C.size and evidence.is_group_C[concept]
    yes, no = evidence.yes_R[rows], evidence.no_R[rows]
    counts = (
        (int(evidence.is_drift_R[rows].sum()), "case from production", "cases from production"),
        (int((~np.isnan(evidence.suspect_R[rows])).sum()), "suspect", ""),
        (int(((yes > 0) & (no > 0)).sum()), "disputed", "disputed"),
        (int((yes + no == 0).sum()), "that nobody has looked at", "that nobody has looked at"),
    )
    is_starving = accepted < enough and not is_group
    said = [f"starving: {accepted:,} {lacks or f'of {enough:,} accepted'}"] if is_starving else []
    return "; ".join(said + [counted(count, one, many) for count, one, many in counts if count])
