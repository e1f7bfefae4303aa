"""Boxes of several people: clusters by hand, and against mean and majority on simulated people."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.annotate.shapes.box_consensus import (
    BoxConsensus,
    Drawn,
    Floats,
    clusters_of,
    drawn_of,
    overlaps,
    weigh_boxes,
)


class Scene(NamedTuple):
    drawn: Drawn
    truth: Floats
    item: np.ndarray


def scene(seed: int, names: list[int] | None = None) -> Scene:
    """60 pictures of 1 to 4 things; five people, two careful, one fair, two sloppy; all looked at everything."""
    rng = np.random.default_rng(seed)
    spread, miss, false = (0.01, 0.02, 0.03, 0.1, 0.15), (0.05, 0.05, 0.1, 0.3, 0.3), (0.02, 0.02, 0.05, 0.3, 0.6)
    items, people, boxes, truth, item_T = [], [], [], [], []
    names = names or list(range(5))

    def somewhere() -> np.ndarray:
        size = rng.uniform(30, 120, 2)
        corner = rng.uniform(0, 1, 2) * (np.array([640, 480]) - size)
        return np.concatenate([corner, corner + size])

    for item in range(60):
        for _ in range(rng.integers(1, 5)):
            thing = somewhere()
            truth.append(thing)
            item_T.append(item)
            size = np.tile(thing[2:] - thing[:2], 2)
            for who in range(5):
                if rng.random() > miss[who]:
                    items.append(item)
                    people.append(names[who])
                    boxes.append(thing + rng.normal(0, spread[who], 4) * size)
        for who in range(5):
            if rng.random() < false[who]:
                items.append(item)
                people.append(names[who])
                boxes.append(somewhere())
    looked = [(item, who) for item in range(60) for who in range(5)]
    return Scene(drawn_of(items, people, np.array(boxes), looked), np.array(truth), np.array(item_T))


def means(drawn: Drawn, found: BoxConsensus) -> Floats:
    count = np.bincount(found.cluster_B)
    return np.stack([np.bincount(found.cluster_B, weights=drawn.box_B4[:, side]) / count for side in range(4)], axis=1)


def test_overlap_by_hand() -> None:
    # 10 × 10 moved by 5: 50 in common of 150.
    found = overlaps(np.array([[0, 0, 10, 10.0]]), np.array([[5, 0, 15, 10.0], [0, 0, 10, 10], [20, 20, 30, 30]]))
    assert found.tolist() == [[pytest.approx(1 / 3), 1.0, 0.0]]


def test_clusters_by_hand() -> None:
    # 0 and 1 are most alike; 2 joins them at the mean 0.55 of 0.6 and 0.5; 3 is of the same person as 0.
    like = np.array([[1, 0.9, 0.6, 0.8], [0.9, 1, 0.5, 0.2], [0.6, 0.5, 1, 0.1], [0.8, 0.2, 0.1, 1]])
    assert clusters_of(like, [0, 1, 2, 0], 0.5) == [[0, 1, 2], [3]]
    assert clusters_of(like, [0, 1, 2, 0], 0.56) == [[0, 1], [2], [3]]
    assert clusters_of(np.zeros((0, 0)), [], 0.5) == []


def test_two_boxes_of_one_person_never_become_one() -> None:
    found = weigh_boxes(drawn_of([0, 0], [0, 0], np.array([[0, 0, 10, 10], [0, 0, 10, 10.5]])))
    assert found.item_C.size == 2


def test_a_thing_that_two_of_two_drew_is_there_by_hand() -> None:
    # Prior odds 1; both draw with 1 - 0.1 against 0.05: 18² = 324 -> 0.997 in the first round, rising with the prior.
    found = weigh_boxes(drawn_of([0, 0], [0, 1], [[0, 0, 10, 10], [0, 0, 10, 11]]))
    assert found.probability_C[0] > 324 / 325
    assert found.box_C4[0] == pytest.approx([0, 0, 10, 10.5])
    alone = weigh_boxes(drawn_of([0], [0], [[0, 0, 10, 10]], looked=[(0, 0), (0, 1), (0, 2)]))
    # One drew, two looked and did not: 18 × (0.1 / 0.95)² = 0.2.
    assert alone.probability_C[0] < 0.2
    assert (alone.n_drew_C[0], alone.n_looked_C[0]) == (1, 3)


@pytest.mark.parametrize("seed", range(3))
def test_weighing_by_skill_beats_the_mean_box_and_the_majority(seed: int) -> None:
    drawn, truth_T4, item_T = scene(seed)
    found = weigh_boxes(drawn)
    plain_C4 = means(drawn, found)
    low_C4, high_C4 = found.interval()
    ours, theirs, held, is_real = [], [], [], np.zeros(found.item_C.size, np.bool_)
    for cluster in range(found.item_C.size):
        things = truth_T4[item_T == found.item_C[cluster]]
        like = overlaps(plain_C4[cluster : cluster + 1], things)[0]
        is_real[cluster] = like.max() >= 0.5
        if is_real[cluster] and found.n_drew_C[cluster] > 1:
            thing = things[like.argmax()]
            ours.append(overlaps(found.box_C4[cluster : cluster + 1], thing[None])[0, 0])
            theirs.append(overlaps(plain_C4[cluster : cluster + 1], thing[None])[0, 0])
            held.append((low_C4[cluster] <= thing) & (thing <= high_C4[cluster]))
    assert np.mean(ours) > np.mean(theirs) + 0.04
    assert 0.88 < np.mean(held) < 0.99
    wrong = np.mean((found.probability_C > 0.5) != is_real)
    by_majority = np.mean((found.n_drew_C * 2 > found.n_looked_C) != is_real)
    assert wrong <= by_majority
    assert wrong < 0.06
    assert found.spread_W[:3].max() < 0.05 < found.spread_W[3:].min()
    assert found.miss_W[:3].max() < found.miss_W[3:].min()


@settings(max_examples=15, deadline=None)
@given(st.permutations(range(5)))
def test_renaming_people_changes_nothing(names: list[int]) -> None:
    first, second = weigh_boxes(scene(0).drawn), weigh_boxes(scene(0, names).drawn)
    assert np.array_equal(first.cluster_B, second.cluster_B)
    assert np.allclose(first.box_C4, second.box_C4, rtol=1e-12)
    assert np.allclose(first.probability_C, second.probability_C, rtol=1e-9)


def test_columns_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one length"):
        drawn_of([0], [0, 1], [[0, 0, 1, 1]])
    with pytest.raises(ValueError, match="x1 < x2"):
        drawn_of([0], [0], [[1, 0, 1, 1]])


def test_nothing_drawn_is_nothing() -> None:
    assert weigh_boxes(drawn_of([], [], np.zeros((0, 4)), looked=[(0, 0)])).item_C.size == 0
