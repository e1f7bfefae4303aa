"""A map found from points is the map that was applied; windows tell copies from look-alikes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.clean.alignment import (
    LEAST_AGREEING,
    chained,
    compare,
    fit,
    inverse,
    turn_map,
    turned,
    whole_map,
)  # fmt: skip
from pictus.hashes import TURNS, Luma

pytest.importorskip("cv2", reason="the extra 'vision' is not installed")


def texture(seed: int, height: int = 192, width: int = 256) -> Luma:
    import cv2

    noise = np.random.default_rng(seed).integers(0, 256, (height, width)).astype(np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 2.5)
    grey: Luma = np.clip((soft - soft.mean()) * 6 + 128, 0, 255).astype(np.uint8)
    return grey


def points_and_codes(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    return chance.uniform(20, 236, (count, 2)), chance.integers(0, 256, (count, 32), dtype=np.uint8)


@settings(max_examples=30, deadline=None)
@given(st.floats(-180, 180), st.floats(0.4, 2.4), st.floats(-80, 80), st.integers(0, 1000))
def test_the_applied_map_is_found_among_wrong_pairs(angle: float, scale: float, shift: float, seed: int) -> None:
    points, codes = points_and_codes(seed, 60)
    turn = scale * np.exp(1j * np.radians(angle))
    applied = np.array([[turn.real, -turn.imag, shift], [turn.imag, turn.real, -shift]])
    moved = points @ applied[:, :2].T + applied[:, 2]
    moved[40:] = points_and_codes(seed + 1, 20)[0]  # a third of the pairs lies anywhere
    found = fit(points, codes, moved, codes)
    assert found is not None
    assert found.agreeing >= 40
    assert np.abs(found.map @ [128, 96, 1] - applied @ [128, 96, 1]).max() < 1.5 * max(1.0, scale)


def test_unrelated_codes_and_few_points_have_no_map() -> None:
    points, codes = points_and_codes(1, 60)
    others, other_codes = points_and_codes(2, 60)
    assert fit(points, codes, others, other_codes) is None
    assert fit(points[:5], codes[:5], points[:5], codes[:5]) is None
    assert fit(points[:0], codes[:0], points, codes) is None
    heap = np.full((60, 2), 100.0)
    assert fit(heap, codes, heap, codes) is None, "points in one place say nothing about a map"


def test_a_mirror_image_is_no_map_of_the_picture_itself() -> None:
    points, codes = points_and_codes(1, 60)
    assert fit(points, codes, points * (-1, 1) + (256, 0), codes) is None


@pytest.mark.parametrize("place", range(8))
def test_a_turned_view_lies_on_itself_under_the_map_of_its_turn(place: int) -> None:
    view = texture(1)
    there = turn_map(place, view.shape[1], view.shape[0])
    x, y = there @ [30, 50, 1]
    assert turned(view, place)[int(y), int(x)] == view[50, 30]
    assert turned(view, place).shape == (view.shape if place < 4 else view.shape[::-1])
    assert np.allclose(chained(there, inverse(there)), np.eye(2, 3))
    assert len(TURNS) == 8


def test_a_copy_agrees_in_every_window_and_noise_in_none() -> None:
    view = texture(1)
    same = compare(view, view, whole_map(view, view))[1]
    assert same.agreeing == 1.0
    assert same.correlation > 0.999
    assert (same.of_first, same.of_second) == (1.0, 1.0)
    other = compare(view, texture(2), whole_map(view, view))[1]
    assert other.agreeing < 0.02


def test_a_crop_is_compared_where_it_lies() -> None:
    import cv2

    view = texture(1)
    crop = cv2.resize(view[24:168, 32:224], (256, 192), interpolation=cv2.INTER_CUBIC)
    applied = np.array([[0.75, 0, 32 - 0.125], [0, 0.75, 24 - 0.125]])
    for first, second, found in ((crop, view, applied), (view, crop, inverse(applied))):
        settled, proof = compare(first, second, found + np.array([[0.004, 0, 0.8], [0, 0.004, -0.8]]))
        assert proof.agreeing > 0.9
        assert max(proof.of_first, proof.of_second) > 0.97
        assert min(proof.of_first, proof.of_second) == pytest.approx(0.5625, abs=0.03)
        assert np.abs(settled @ [128, 96, 1] - found @ [128, 96, 1]).max() < 2.5


def test_what_is_drawn_over_a_copy_spoils_the_windows_it_covers() -> None:
    view = texture(1)
    marked = view.copy()
    marked[:48] = texture(5)[:48]
    proof = compare(marked, view, whole_map(view, view))[1]
    assert 0.65 < proof.agreeing < 0.8
    assert proof.agreeing > LEAST_AGREEING


def test_another_picture_before_the_same_wall_is_not_the_same() -> None:
    view = texture(1)
    other = view.copy()
    other[:, 80:230] = texture(5)[:, 80:230]
    assert compare(other, view, whole_map(view, view))[1].agreeing < LEAST_AGREEING


def test_shade_that_two_photographs_share_is_not_counted() -> None:
    y, x = np.mgrid[:192, :256]
    wall = 60 + 0.5 * x + 0.2 * y
    grain = np.random.default_rng(0).normal(0, 6, (2, 192, 256))
    first, second = (np.clip(wall + noise, 0, 255).astype(np.uint8) for noise in grain)
    assert compare(first, second, whole_map(first, second))[1].agreeing < 0.05


def test_flat_views_and_views_apart_have_no_windows() -> None:
    flat = np.full((192, 256), 90, dtype=np.uint8)
    assert compare(flat, flat, whole_map(flat, flat))[1].windows == 0
    view = texture(1)
    apart = compare(view, view, np.array([[1.0, 0, 900], [0, 1.0, 0]]))[1]
    assert (apart.windows, apart.of_first, apart.of_second) == (0, 0.0, 0.0)


def test_a_copy_burnt_out_by_brightening_is_compared_where_it_is_not() -> None:
    view = texture(1)
    bright = np.clip(view.astype(int) * 2, 0, 255).astype(np.uint8)
    proof = compare(bright, view, whole_map(view, view))[1]
    assert proof.windows >= 12
    assert proof.agreeing > 0.8
