"""People who came by one link and answer as one: a sign like those of `trust`. Pure.

By a link that lets several in one person may come under several names. Two things look like it:

    more than others explain   how often each of them is right is read from how often people of other links give the
                               same answer. With all who are right agreeing and those who err agreeing by chance,
                               they should differ among themselves on
                               sum over pairs of 1 - a_u a_v - (1 - a_u)(1 - a_v) / (K - 1)
                               common answers; they differ on less than 0.4 of that, and chance would not do it
    nobody contradicts         where nobody else answered they are nearly always of one mind, more than people who slip
                               once in fifty would be

Known answers are left out of the second: who found out which they are gives them right on purpose.

Legend: V votes, I items, W annotators, G links.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.truth.consensus import Floats, Ints, Votes
from pictus.annotate.truth.trust import LEAST_ANSWERS, RARE, Sign, poisson
from pictus.errors import counted

SLIPS = 0.02
"""Of the answers of a very good person on clear pictures: fingers slip, eyes stray."""

LEAST_SHARE = 0.4
"""Who differ less than this share of what others explain look like one."""

ONE_MIND = 0.1
"""The same where nobody else answered: there nothing but SLIPS tells what is usual."""

NAMED = 3
"""So many of the others are named."""


class _Pairs(NamedTuple):
    """Pairs of answers to one item by two people, and how many of them are equal."""

    common: float
    same: float


def rings(
    votes: Votes, names: Sequence[str], link_W: Ints, *, aside: Sequence[str] = ()
) -> list[Sign]:  # fmt: skip
    """Who looks like one with others of the same link. link_W: i64[W], -1 for who came by none that lets several in.

    aside: who has another sign that makes answers alike; they are not compared.
    """
    out = set(aside)
    is_person_W = ~votes.is_source_W
    may_W = is_person_W & np.array([name not in out for name in names], np.bool_)
    in_W = np.where(may_W, link_W, -1)
    groups = [link for link in np.unique(in_W[in_W >= 0]).tolist() if (in_W == link).sum() > 1]
    if not groups:
        return []
    everybody = _pairs(votes, is_person_W[votes.annotator_V])
    inside = [_pairs(votes, (is_person_W & (link_W == link))[votes.annotator_V]) for link in groups]
    apart = _Pairs(*(total - sum(parts) for total, parts in zip(everybody, zip(*inside, strict=True), strict=True)))
    enough = NormalDist().inv_cdf(1 - 1e-3 / len(groups))
    found = []
    for link in groups:
        of_V = (in_W == link)[votes.annotator_V]
        outside_V = (is_person_W & (link_W != link))[votes.annotator_V]
        found += (
            _unexplained(votes, names, of_V, outside_V, (apart, enough))
            or _unanimous(votes, names, of_V, outside_V)
        )  # fmt: skip
    return found


def _unexplained(
    votes: Votes, names: Sequence[str], of_V: NDArray[np.bool_], outside_V: NDArray[np.bool_],
    usual: tuple[_Pairs, float],
) -> list[Sign]:  # fmt: skip
    """usual: pairs of people of different links; the score that is needed."""
    apart, enough = usual
    right_W, seen = _accuracies(votes, of_V, outside_V, apart)
    told = _pairs(votes, of_V)
    if seen < LEAST_ANSWERS or told.common < LEAST_ANSWERS:
        return []
    item_V, right_V = votes.item_V[of_V], right_W[votes.annotator_V[of_V]]
    alike = _products(item_V, right_V) + _products(item_V, 1 - right_V) / (votes.n_classes - 1)
    expected, unlike = max(told.common - alike, 1e-9), told.common - told.same
    count_I = np.bincount(item_V)
    together = float((count_I[count_I > 1] - 1).mean())  # pairs on one item hang together
    error = math.sqrt(expected * max(1 - expected / told.common, 0.1) * together)
    score = (expected - unlike) / error
    if expected < 5 or unlike >= LEAST_SHARE * expected or score < enough:  # noqa: PLR2004  of few, a share says nothing
        return []
    n = int((count_I > 1).sum())
    says = (
        f"{unlike:,.0f} unlike among {counted(int(told.common), 'pair')} of answers to {counted(n, 'common picture')},"
        f" where what people of other links say of them would make {expected:,.0f}"
    )
    return _signs(votes, names, of_V, says, (n, unlike, expected, score))


def _unanimous(
    votes: Votes, names: Sequence[str], of_V: NDArray[np.bool_], outside_V: NDArray[np.bool_]
) -> list[Sign]:  # fmt: skip
    is_theirs_I = np.bincount(votes.item_V[outside_V], minlength=votes.n_items) == 0
    alone_V = of_V & (is_theirs_I & (votes.known_I < 0))[votes.item_V]
    item_V = votes.item_V[alone_V]
    count_I = np.bincount(item_V, minlength=votes.n_items)
    asked = np.flatnonzero(count_I > 1)
    cells, many = np.unique(item_V * votes.n_classes + votes.answer_V[alone_V], return_counts=True)
    most_I = np.zeros(votes.n_items, np.int64)
    np.maximum.at(most_I, cells // votes.n_classes, many)
    split = int((most_I < count_I)[asked].sum())
    expected = float((1 - (1 - SLIPS) ** count_I[asked]).sum())
    if split >= ONE_MIND * expected or poisson(split, expected) >= RARE:
        return []
    says = (
        f"of one mind on {asked.size - split:,} of {counted(asked.size, 'picture')} that nobody else answered, where"
        f" people who slip once in fifty differ on {expected:,.0f}"
    )
    numbers = (int(asked.size), split, expected, (expected - split) / math.sqrt(expected))
    return _signs(votes, names, alone_V, says, numbers)


def _signs(
    votes: Votes, names: Sequence[str], of_V: NDArray[np.bool_], says: str, numbers: tuple[int, float, float, float]
) -> list[Sign]:  # fmt: skip
    """One for everybody of the link who answered with others of it."""
    shared_I = np.bincount(votes.item_V[of_V], minlength=votes.n_items) > 1
    many_W = np.bincount(votes.annotator_V[of_V & shared_I[votes.item_V]], minlength=votes.n_annotators)
    people = [names[who] for who in np.flatnonzero(many_W >= LEAST_ANSWERS).tolist()]
    n, observed, expected, strength = numbers
    found = []
    for name in people if len(people) > 1 else []:
        others = [one for one in people if one != name]
        some = ", ".join(others[:NAMED]) + (f" and {len(others) - NAMED} more" if len(others) > NAMED else "")
        text = f"looks like one with {some}, who came by the same link: {says}"
        found.append(Sign(name, "ring", text, n, observed, round(expected, 2), strength, some))
    return found


def _pairs(votes: Votes, of_V: NDArray[np.bool_]) -> _Pairs:
    """All pairs of answers of these to one item."""
    item_V = votes.item_V[of_V]
    count_I = np.bincount(item_V).astype(np.float64)
    _, many = np.unique(item_V * votes.n_classes + votes.answer_V[of_V], return_counts=True)
    return _Pairs(float((count_I * (count_I - 1)).sum() / 2), float((many * (many - 1.0)).sum() / 2))


def _products(item_V: Ints, value_V: Floats) -> float:
    """Sum over items of the products of all pairs of values."""
    sum_I, square_I = np.bincount(item_V, value_V), np.bincount(item_V, value_V**2)
    return float((sum_I**2 - square_I).sum() / 2)


def _accuracies(
    votes: Votes, of_V: NDArray[np.bool_], outside_V: NDArray[np.bool_], apart: _Pairs
) -> tuple[Floats, float]:  # fmt: skip
    """How often each is right by how often those outside give the same answer, f64[W]; and how many of their answers
    somebody outside gave too. As `trust` reads it, `apart` standing for everybody.
    """
    many_I = np.bincount(votes.item_V[outside_V], minlength=votes.n_items)
    cells, many = np.unique(votes.item_V[outside_V] * votes.n_classes + votes.answer_V[outside_V], return_counts=True)
    key_V = votes.item_V[of_V] * votes.n_classes + votes.answer_V[of_V]
    place_V = np.minimum(np.searchsorted(cells, key_V), max(0, cells.size - 1))
    equal_V = np.where(cells[place_V] == key_V, many[place_V], 0) if cells.size else np.zeros(key_V.size)
    annotator_V, outside = votes.annotator_V[of_V], many_I[votes.item_V[of_V]]
    common_W = np.bincount(annotator_V, outside, votes.n_annotators)
    same_W = np.bincount(annotator_V, equal_V, votes.n_annotators)
    chance = 1 / (votes.n_classes - 1)
    pooled = max(apart.same / max(apart.common, 1.0), 1 / votes.n_classes)
    root = math.sqrt(max(0.0, chance**2 - (1 + chance) * (chance - pooled)))
    mean = min(0.995, max(1 / votes.n_classes + 0.05, (chance + root) / (1 + chance)))
    own = (float(same_W.sum()) + pooled) / (float(common_W.sum()) + 1)  # of all of them, for who has few
    agreed_W = (same_W + LEAST_ANSWERS * own) / (common_W + LEAST_ANSWERS)
    right_W = (agreed_W - (1 - mean) * chance) / (mean - (1 - mean) * chance)
    return np.asarray(np.clip(right_W, 1 / votes.n_classes, 0.995)), float((outside > 0).sum())
