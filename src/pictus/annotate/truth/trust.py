"""What in somebody's answers looks like not looking: each sign with the numbers that say so. Pure.

    too-fast      seconds a picture far below everybody's, or below what eyes need
    constant      nearly always the same answer, where others' answers say that the pictures differ
    copied        two people differ far less often than their skill and the pictures explain
    ring          people who came by one link answer as one (`rings`)
    position      answers follow the place on the page instead of the picture
    alternating   answers change from picture to picture far more often than the pictures do
    known         few of the known answers right
    unlike        other answers than one's own where a picture came back

Nobody is accused: a sign says what it looks like, and a person decides. Every sign asks for an effect of a size that
matters and for one that chance does not make: among 50 honest people less than one in 20 crowds has any sign
(`tests/annotate/truth/test_trust.py` counts). Places that labels come from (folders, lists) are no persons and have
none.

Copying is judged on unlike answers. Expected of a pair on n common items is n (1 - a_u a_v - (1 - a_u)(1 - a_v) / (K -
1)), where a_u is read from how often u's answers equal those of all others but v: what was settled would not do, since
two who answer as one carry the vote. Hard pictures make all honest pairs agree, so the expected number is scaled by the
median over pairs, and its spread is at least that over pairs.

Legend: V votes, I items, W annotators, A answers on pages, P candidates, G groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist, median
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.truth.consensus import Consensus, Floats, Ints, Votes
from pictus.errors import counted
from pictus.stats import clopper_pearson, wilson

RARE = 1e-6
"""How rarely chance alone may make a sign of one annotator (or pair, divided by the number of pairs)."""

LEAST_ANSWERS = 30
"""With fewer answers, or fewer known ones than a third of it, no sign is looked for."""

QUICKEST_S = 0.15
"""Seconds a picture below which nobody sees and decides: at ten pictures a second people still detect a target, but too
late to answer one by one (Krishna et al. 2016, "Embracing error to enable rapid crowdsourcing")."""

LEAST_COMPARED = 5
"""Of fewer people, what is usual between two rests on one or two others: too few to tell who copies."""

LIKELY_ERROR = 0.1
"""How often an honest person's answer is taken to differ from what the picture would make it."""

LOW_SHARE = 0.6
"""Known answers and one's own answers given again: the upper end of the 95 % interval must reach this."""

MOST_CELLS = 50_000_000
"""So many products at most for comparing everybody with everybody; beyond, items with the most votes are left out."""


@dataclass(frozen=True, slots=True)
class Sign:
    """One thing that looks odd in one annotator's answers. `strength`: as standard errors, to sort by."""

    annotator: str
    sign: str
    says: str
    n: int  # answers, pages or common items it rests on
    observed: float
    expected: float
    strength: float
    other: str = ""  # whose answers they look like


class Pages(NamedTuple):
    """Answers on pages, ordered by annotator, page and position.

    annotator_A, page_A, position_A i64; is_yes_A bool; expected_A f64: P(yes) of what was settled.
    """

    annotator_A: Ints
    page_A: Ints
    position_A: Ints
    is_yes_A: NDArray[np.bool_]
    expected_A: Floats


def quick(pace_s: Mapping[str, float], pages: Mapping[str, int], *, least_pages: int = 3) -> list[Sign]:
    """Who is far faster than the others. pace_s: median seconds a picture; pages: on how many pages."""
    paces = {name: pace for name, pace in pace_s.items() if pages.get(name, 0) >= least_pages and pace >= 0}
    if not paces:
        return []
    logs = {name: math.log(max(pace, 1e-3)) for name, pace in paces.items()}
    middle = median(logs.values())
    spread = max(0.3, 1.4826 * median(abs(one - middle) for one in logs.values()))  # people differ by a third at least
    usual, found = math.exp(middle), []
    for name, pace in paces.items():
        strength = (middle - logs[name]) / spread
        is_odd = len(paces) > 4 and strength > 4 and pace < usual / 3  # noqa: PLR2004  4 standard deviations of 5 people
        if pace < QUICKEST_S or is_odd:
            on = counted(pages[name], "page")
            says = f"looks too fast: {pace:.2f} s a picture on {on}; the middle of all is {usual:.2f} s"
            found.append(Sign(name, "too-fast", says, pages[name], round(pace, 4), round(usual, 4), max(strength, 4.0)))
    return found


def constant(votes: Votes, consensus: Consensus, names: Sequence[str], words: Sequence[str]) -> list[Sign]:
    """Who gives one answer to nearly everything. words: what the classes are called."""
    many, n_classes = votes.n_annotators, votes.n_classes
    key_S, count_S = np.unique(votes.annotator_V * n_classes + votes.answer_V, return_counts=True)
    order = np.lexsort((count_S, key_S // n_classes))
    annotator_S = (key_S // n_classes)[order]
    usual_W, often_W = np.full(many, -1), np.zeros(many, np.int64)
    usual_W[annotator_S], often_W[annotator_S] = (key_S % n_classes)[order], count_S[order]  # the last one stays
    count_W = np.bincount(votes.annotator_V, minlength=many)
    right_V = _probability(consensus, votes, usual_W[votes.annotator_V])
    others_W = np.bincount(votes.annotator_V, 1 - right_V, many) / 2  # half of the rest: also a poor annotator sees it
    left_W = count_W - often_W
    odd_W = (count_W >= LEAST_ANSWERS) & (left_W <= 0.02 * count_W) & ~votes.is_source_W
    found = []
    for who in np.flatnonzero(odd_W).tolist():
        expected, left = float(others_W[who]), int(left_W[who])
        if left < expected and poisson(left, expected) < RARE:
            says = (
                f"looks as if always saying {words[usual_W[who]]}: {int(often_W[who]):,} of "
                f"{counted(int(count_W[who]), 'answer')}; by others' answers {2 * expected:,.0f} were something else"
            )
            strength = (expected - left) / math.sqrt(expected)
            found.append(Sign(names[who], "constant", says, int(count_W[who]), left, round(expected, 2), strength))
    return found


def copied(
    votes: Votes, consensus: Consensus, names: Sequence[str], *, aside: Sequence[str] = ()
) -> list[Sign]:  # fmt: skip
    """Whose answers are another's. `aside`: who has another sign that makes answers alike; they are not compared."""
    out = set(aside)
    may_W = np.array([name not in out for name in names], np.bool_) & ~votes.is_source_W
    pairs = _compared(votes, may_W)
    first_G, second_G, n_G, unlike_G = pairs.first_G, pairs.second_G, pairs.common_G, pairs.common_G - pairs.same_G
    if np.unique([first_G, second_G]).size < LEAST_COMPARED:
        return []
    right_G, other_G = (_skill_without(pairs, who_G, votes.n_classes) for who_G in (first_G, second_G))
    alike_G = right_G * other_G + (1 - right_G) * (1 - other_G) / (votes.n_classes - 1)
    expected_G = np.maximum(n_G * np.minimum(1 - alike_G, _unlike_by_habit(votes, first_G, second_G)), 1e-9)
    ratio_G = unlike_G / expected_G
    told = expected_G >= 5  # noqa: PLR2004  of few expected, a ratio says nothing
    scale = float(np.median(ratio_G[told])) if told.sum() > 2 else 1.0  # noqa: PLR2004  with one pair there is no middle
    expected_G = expected_G * min(2.0, max(scale, 0.1))
    error_G = np.sqrt(expected_G * np.maximum(1 - expected_G / n_G, 0.1))
    score_G = (expected_G - unlike_G) / error_G
    spread = 1.4826 * float(np.median(np.abs(score_G[told]))) if told.sum() > 2 else 1.0  # noqa: PLR2004
    score_G = score_G / max(1.0, spread)
    enough = NormalDist().inv_cdf(1 - 1e-3 / max(1, first_G.size))
    found = []
    for pair in np.flatnonzero((score_G > enough) & (unlike_G < 0.4 * expected_G)).tolist():
        pair_names = names[first_G[pair]], names[second_G[pair]]
        both, shared = _errors(votes, consensus, int(first_G[pair]), int(second_G[pair]))
        for name, other in (pair_names, pair_names[::-1]):
            says = (
                f"looks like {other}'s answers: {int(unlike_G[pair])} unlike on "
                f"{counted(int(n_G[pair]), 'common picture')}, where {expected_G[pair]:.0f} would be usual; of "
                f"{counted(both, 'picture')} on which either differs from what was settled, {shared} are answered alike"
            )
            numbers = (int(n_G[pair]), float(unlike_G[pair]), round(float(expected_G[pair]), 2), float(score_G[pair]))
            found.append(Sign(name, "copied", says, *numbers, other))
    return found


def _unlike_by_habit(votes: Votes, first_G: Ints, second_G: Ints) -> Floats:
    """How often two would differ who both answer as often so as they do, without looking: f64[G]. Two who nearly always
    say yes differ hardly ever, and copy nobody.
    """
    key_V = votes.annotator_V * votes.n_classes + votes.answer_V
    count_WK = np.bincount(key_V, minlength=votes.n_annotators * votes.n_classes).reshape(-1, votes.n_classes)
    share_WK = count_WK / np.maximum(1, count_WK.sum(axis=1, keepdims=True))
    alike_G, step = np.zeros(first_G.size), max(1, 10_000_000 // votes.n_classes)
    for start in range(0, first_G.size, step):
        part = slice(start, start + step)
        alike_G[part] = np.einsum("gk,gk->g", share_WK[first_G[part]], share_WK[second_G[part]])
    return 1 - alike_G


def by_place(pages: Pages, names: Sequence[str]) -> list[Sign]:
    """Whose answers the place on the page tells, beyond what the pictures there would make them."""
    found = []
    for name, part in _each(pages, names):
        n_pages = np.unique(pages.page_A[part]).size
        if part.stop - part.start < LEAST_ANSWERS or n_pages < 4:  # noqa: PLR2004  a place must come back
            continue
        position = np.unique(pages.position_A[part], return_inverse=True)[1]
        told = _explained(pages.is_yes_A[part].astype(np.float64), position)
        usual = _explained(pages.expected_A[part], position)
        if told - max(usual, 0.0) < 0.4:  # noqa: PLR2004  six times what four pages of 48 give by chance
            continue
        share = np.bincount(position, pages.is_yes_A[part]) / np.bincount(position)
        first = np.flatnonzero(share > 0.9)[:8]  # noqa: PLR2004  always but for a slip
        places = np.unique(pages.position_A[part])[first].tolist()
        says = (
            f"looks as if answers followed the place on the page: it tells {100 * told:.0f} % of yes and no on "
            f"{counted(n_pages, 'page')}, and {100 * max(usual, 0):.0f} % of what the pictures there are"
            + (f"; yes at places {', '.join(str(place + 1) for place in places)}" if places else "")
        )
        strength = 10 * (told - max(usual, 0.0)) * math.sqrt(n_pages)
        found.append(Sign(name, "position", says, n_pages, round(told, 4), round(usual, 4), strength))
    return found


def alternating(pages: Pages, names: Sequence[str]) -> list[Sign]:
    """Whose answers change from one picture to the next far more often than the pictures do."""
    found = []
    for name, part in _each(pages, names):
        follows = np.diff(pages.page_A[part]) == 0
        if follows.sum() < LEAST_ANSWERS:
            continue
        switches = int((np.diff(pages.is_yes_A[part].astype(np.int8)) != 0)[follows].sum())
        yes = LIKELY_ERROR + (1 - 2 * LIKELY_ERROR) * pages.expected_A[part]
        chance = (yes[1:] * (1 - yes[:-1]) + yes[:-1] * (1 - yes[1:]))[follows]
        expected, spread = float(chance.sum()), math.sqrt(float((chance * (1 - chance)).sum()))
        strength = (switches - expected) / max(spread, 1e-9)
        if switches >= 0.85 * follows.sum() and strength > 6:  # noqa: PLR2004  rarer than RARE, neighbours being dependent
            says = (
                f"looks as if yes and no took turns: {switches:,} changes between {int(follows.sum()):,} neighbours, "
                f"where the pictures make {expected:,.0f}"
            )
            found.append(
                Sign(name, "alternating", says, int(follows.sum()), switches, round(expected, 2), min(strength, 99.0))
            )
    return found


def low_share(shares: Mapping[str, tuple[int, int]], sign: str) -> list[Sign]:
    """Whose share is surely low. shares: how many of how many; sign: `known` or `unlike`."""
    what = "known answers right" if sign == "known" else "pictures that came back answered as before"
    found = []
    for name, (right, n) in shares.items():
        if n * 3 >= LEAST_ANSWERS and (sure := wilson(right, n)).high < LOW_SHARE:
            exact = clopper_pearson(right, n)
            says = f"looks unsure of itself: {right} of {n} {what} (95 % interval {exact.low:.2f} to {exact.high:.2f})"
            strength = (LOW_SHARE - right / n) / math.sqrt(LOW_SHARE * (1 - LOW_SHARE) / n)
            found.append(Sign(name, sign, says, n, round(sure.estimate, 4), LOW_SHARE, strength))
    return found


def worst_first(signs: Sequence[Sign]) -> list[Sign]:
    """By annotator: who has most signs, then the strongest; each annotator's own, strongest first."""
    of: dict[str, list[Sign]] = {}
    for one in signs:
        of.setdefault(one.annotator, []).append(one)
    people = sorted(
        of, key=lambda name: (-len({one.sign for one in of[name]}), -max(one.strength for one in of[name]), name)
    )
    return [one for name in people for one in sorted(of[name], key=lambda one: (-one.strength, one.sign, one.other))]


def _probability(consensus: Consensus, votes: Votes, class_V: Ints) -> Floats:
    """P(the item of each vote is of that class); 0 where it was no candidate."""
    candidates = consensus.candidates
    key_P = candidates.item_P * votes.n_classes + candidates.class_P  # ascending
    key_V = votes.item_V * votes.n_classes + class_V
    place_V = np.minimum(np.searchsorted(key_P, key_V), key_P.size - 1)
    return np.asarray(np.where(key_P[place_V] == key_V, consensus.posterior_P[place_V], 0.0))


class _Pairs(NamedTuple):
    """Who has LEAST_ANSWERS common items or more with whom; and sums over everybody, also those with fewer."""

    first_G: Ints
    second_G: Ints
    common_G: Floats
    same_G: Floats
    common_W: Floats
    same_W: Floats


def _compared(votes: Votes, may_W: NDArray[np.bool_]) -> _Pairs:
    """Common items and equal answers of all pairs of those who may be compared."""
    from scipy.sparse import csr_matrix, triu  # noqa: PLC0415  40 ms that importing pictus does not pay

    in_V = may_W[votes.annotator_V]
    counts_I = np.bincount(votes.item_V[in_V], minlength=votes.n_items)
    order_I = np.argsort(counts_I, kind="stable")
    cost_I = np.cumsum(counts_I[order_I].astype(np.float64) ** 2)
    taken_I = np.zeros(votes.n_items, np.bool_)
    taken_I[order_I[cost_I <= MOST_CELLS]] = True
    in_V &= (taken_I & (counts_I > 1))[votes.item_V]
    many, one_V = votes.n_annotators, np.ones(int(in_V.sum()), np.float32)
    annotator_V, item_V = votes.annotator_V[in_V], votes.item_V[in_V]
    cells, cell_V = np.unique(item_V * votes.n_classes + votes.answer_V[in_V], return_inverse=True)
    common, same = (
        triu(matrix @ matrix.T, 1).tocsr()
        for matrix in (
            csr_matrix((one_V, (annotator_V, item_V)), shape=(many, votes.n_items)),
            csr_matrix((one_V, (annotator_V, cell_V)), shape=(many, cells.size)),
        )
    )
    told = common.tocoo()
    is_enough = told.data >= LEAST_ANSWERS
    first_G, second_G = told.row[is_enough].astype(np.int64), told.col[is_enough].astype(np.int64)
    same_G = np.asarray(same[first_G, second_G], np.float64).reshape(-1) if first_G.size else np.zeros(0)
    common_W, same_W = (
        np.asarray(one.sum(axis=0) + one.sum(axis=1).T, np.float64).reshape(-1) for one in (common, same)
    )
    return _Pairs(first_G, second_G, told.data[is_enough].astype(np.float64), same_G, common_W, same_W)


def _skill_without(pairs: _Pairs, who_G: Ints, n_classes: int) -> Floats:
    """How often one of each pair is right, from how often all others but the other one give the same answer. f64[G]

    All who are right agree, all who err agree by chance: with everybody's mean accuracy m, two agree on a share
    m^2 + (1 - m)^2 / (K - 1), and one of accuracy a with the others on a m + (1 - a)(1 - m) / (K - 1).
    """
    chance = 1 / (n_classes - 1)
    pooled = max(float(pairs.same_W.sum()) / max(float(pairs.common_W.sum()), 1.0), 1 / n_classes)
    root = math.sqrt(max(0.0, chance**2 - (1 + chance) * (chance - pooled)))
    mean = min(0.995, max(1 / n_classes + 0.05, (chance + root) / (1 + chance)))
    n_G = pairs.common_W[who_G] - pairs.common_G
    agreed_G = (pairs.same_W[who_G] - pairs.same_G + pooled) / (n_G + 1)
    right_G = (agreed_G - (1 - mean) * chance) / (mean - (1 - mean) * chance)
    return np.asarray(np.clip(right_G, 1 / n_classes, 0.995))


def _errors(votes: Votes, consensus: Consensus, first: int, second: int) -> tuple[int, int]:
    """Common items on which at least one of two differs from what was settled, and on how many both answer alike."""
    said = np.full((2, votes.n_items), -1)
    for row, who in enumerate((first, second)):
        of_who = votes.annotator_V == who
        said[row, votes.item_V[of_who]] = votes.answer_V[of_who]
    both = np.all(said >= 0, axis=0)
    errs = both & np.any(said != consensus.label_I, axis=0)
    return int(errs.sum()), int((errs & (said[0] == said[1])).sum())


def _each(pages: Pages, names: Sequence[str]) -> list[tuple[str, slice]]:
    """Every annotator's answers."""
    if not pages.annotator_A.size:
        return []
    starts = np.flatnonzero(np.diff(pages.annotator_A, prepend=-1))
    ends = np.append(starts[1:], pages.annotator_A.size)
    return [
        (names[int(pages.annotator_A[start])], slice(int(start), int(end)))
        for start, end in zip(starts, ends, strict=True)
    ]


def _explained(values: Floats, group: Ints) -> float:
    """The share of the variance that lies between groups, corrected for their number (epsilon squared); 0 for none."""
    n, many = values.size, int(group.max()) + 1
    total = float(((values - values.mean()) ** 2).sum())
    if total <= 1e-9 * n or n <= many:
        return 0.0
    mean_G = np.bincount(group, values) / np.bincount(group)
    within = float(((values - mean_G[group]) ** 2).sum())
    return 1 - (within / (n - many)) / (total / (n - 1))


def poisson(count: int, mean: float) -> float:
    """P(at most so many | mean)."""
    from scipy.special import pdtr  # noqa: PLC0415

    return float(pdtr(count, mean))
