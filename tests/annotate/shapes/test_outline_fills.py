"""Many masks at once are the same as one by one."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.annotate.shapes import outline_fills, rle

side = st.floats(0, 40, allow_nan=False, width=32)
polygon = st.lists(side, min_size=6, max_size=16).filter(lambda sides: len(sides) % 2 == 0)
picture = st.tuples(st.integers(1, 40), st.integers(1, 40))


def filled(drawn: list[list[float]], sizes: list[tuple[int, int]]) -> outline_fills.Masks:
    corners = np.array([value for one in drawn for value in one]).reshape(-1, 2)
    return outline_fills.filled(corners, np.array([len(one) // 2 for one in drawn]), np.array(sizes))


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(polygon, picture), min_size=1, max_size=6))
def test_filled_together_or_one_by_one_is_the_same(given_: list[tuple[list[float], tuple[int, int]]]) -> None:
    drawn = [[min(value, size[at % 2]) for at, value in enumerate(one)] for one, size in given_]
    sizes = [size for _, size in given_]
    masks = filled(drawn, sizes)
    alone = [rle.from_polygons([one], height, width) for one, (width, height) in zip(drawn, sizes, strict=True)]
    assert outline_fills.texts(masks) == [rle.to_text(one) for one in alone]
    assert outline_fills.areas(masks).tolist() == [rle.area(one) for one in alone]
    assert [tuple(box) for box in outline_fills.boxes(masks).tolist()] == [rle.box(one) for one in alone]
    for at, one in enumerate(alone):
        assert np.array_equal(outline_fills.one(masks, at).counts, one.counts)
    again = outline_fills.masks_of(alone)
    both = outline_fills.together([again, masks])
    assert np.array_equal(both.place_E, np.concatenate([masks.place_E] * 2))
    assert outline_fills.texts(again) == outline_fills.texts(masks)


@settings(max_examples=60, deadline=None)
@given(st.lists(polygon, min_size=2, max_size=5))
def test_overlaps_together_or_pair_by_pair_are_the_same(drawn: list[list[float]]) -> None:
    masks = filled(drawn, [(40, 30)] * len(drawn))
    first, second = np.triu_indices(len(drawn), 1)
    alone = [outline_fills.one(masks, at) for at in range(len(drawn))]
    expected = [rle.iou(alone[a], alone[b]) for a, b in zip(first, second, strict=True)]
    assert outline_fills.overlaps(masks, first, second).tolist() == expected


def test_none_at_all() -> None:
    masks = outline_fills.masks_of([])
    assert outline_fills.texts(masks) == []
    assert outline_fills.boxes(masks).shape == (0, 4)
