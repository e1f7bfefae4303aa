"""Outlines: by hand, and back to the same pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays

from pictus.annotate.shapes import outlines, rle


def test_a_square_has_four_corners_clockwise() -> None:
    mask = np.zeros((6, 8), np.bool_)
    mask[1:4, 2:6] = True
    assert outlines.polygons(mask) == [[2, 1, 6, 1, 6, 4, 2, 4]]


def test_a_ring_has_two_outlines_and_pixels_that_touch_at_a_corner_are_two_things() -> None:
    ring = np.ones((5, 5), np.bool_)
    ring[2, 2] = False
    assert [one.tolist() for one in outlines.rings(ring)] == [
        [[0, 0], [5, 0], [5, 5], [0, 5]], [[2, 3], [3, 3], [3, 2], [2, 2]]
    ]  # fmt: skip
    assert len(outlines.rings(np.eye(2, dtype=np.bool_))) == 2


@settings(max_examples=80, deadline=None)
@given(arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14)))
def test_outlines_hold_exactly_the_pixels(mask: np.ndarray) -> None:
    rings = outlines.rings(mask)
    # The signed areas of all rings, holes negative, sum to the pixels.
    area = sum(
        float(np.sum(ring[:, 0] * np.roll(ring[:, 1], -1) - np.roll(ring[:, 0], -1) * ring[:, 1])) / 2 for ring in rings
    )
    assert area == mask.sum()
    if rings:
        inside = np.zeros(mask.shape, np.bool_)
        for ring in rings:  # even-odd over all rings
            inside ^= rle.decode(rle.from_polygons([ring.ravel().tolist()], *mask.shape))
        assert np.array_equal(inside, mask)


def test_fewer_corners_stay_within_the_tolerance() -> None:
    y, x = np.mgrid[:200, :200]
    disc = (x - 100) ** 2 + (y - 90) ** 2 < 70**2
    (ring,) = outlines.rings(disc)
    (few,) = outlines.polygons(disc, 1.5)
    assert len(few) // 2 < len(ring) / 5
    again = rle.decode(rle.from_polygons([few], 200, 200))
    assert (again & disc).sum() / (again | disc).sum() > 0.97


def test_a_mask_of_noise_has_no_outline_worth_drawing() -> None:
    noise = np.random.default_rng(0).random((600, 600)) < 0.5
    assert outlines.polygons(noise) == []
    assert outlines.polygons(np.zeros((4, 4), np.bool_)) == []


def test_one_pixel_is_a_polygon() -> None:
    mask = np.zeros((3, 3), np.bool_)
    mask[1, 1] = True
    assert outlines.polygons(mask) == [pytest.approx([1, 1, 2, 1, 2, 2, 1, 2])]
