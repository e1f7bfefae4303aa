"""The classical descriptor: known parts, what it must tell apart, what it must not notice."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus import pixels
from pictus.errors import PictureError
from pictus.search import descriptor
from pictus.search.descriptor import BINS, COARSE, DIRECTIONS, SIDE, SIZE, describe, describe_pixels

Pixels = npt.NDArray[np.uint8]
MakeJpeg = Callable[..., bytes]

EDGES = slice(0, COARSE * COARSE * DIRECTIONS)
LAYOUT = slice(EDGES.stop, EDGES.stop + 96)
HISTOGRAM = slice(LAYOUT.stop, SIZE)


def plain(*colour: int) -> Pixels:
    return np.full((SIDE, SIDE, 3), colour, np.uint8)


def stripes(degrees: float) -> Pixels:
    """Grey waves of 16 px whose gradient points at this angle (0: brightness changes from left to right)."""
    y, x = np.mgrid[:SIDE, :SIDE]
    turn = np.deg2rad(degrees)
    wave = 127.5 + 100 * np.sin((x * np.cos(turn) + y * np.sin(turn)) * 2 * np.pi / 16)
    return np.repeat(wave.astype(np.uint8)[..., None], 3, axis=2)


def likeness(a: Pixels, b: Pixels) -> float:
    return float(describe_pixels(a) @ describe_pixels(b))


def test_a_plain_picture_has_no_edges_and_one_colour() -> None:
    vector = describe_pixels(plain(200, 40, 90))
    assert not vector[EDGES].any()
    # 200, 40, 90 of 255 in bins of a quarter: 3, 0, 1 -> (3 · 4 + 0) · 4 + 1 = 49
    assert np.flatnonzero(vector[HISTOGRAM]).tolist() == [49]


def test_the_layout_of_a_plain_picture_is_its_opponent_colours() -> None:
    # red: mean (1 + 0 + 0) / 3 - 0.5 = -1/6, red - green = 1, (red + green) / 2 - blue = 0.5; no spread.
    layout = describe_pixels(plain(255, 0, 0))[LAYOUT].reshape(2, 16, 3)
    assert layout[0] / layout[0, 0, 1] == pytest.approx(np.tile([-1 / 6, 1, 0.5], (16, 1)), abs=1e-6)
    assert layout[1] == pytest.approx(np.zeros((16, 3)), abs=1e-6)


@pytest.mark.parametrize("direction", range(DIRECTIONS))
def test_stripes_vote_for_their_own_direction(direction: int) -> None:
    edges = describe_pixels(stripes(direction * 180 / DIRECTIONS))[EDGES].reshape(-1, DIRECTIONS)
    assert (edges.argmax(1) == direction).all()


def test_each_cell_sums_to_nothing_over_the_directions() -> None:
    edges = describe_pixels(stripes(30))[EDGES].reshape(-1, DIRECTIONS)
    assert edges.sum(1) == pytest.approx(np.zeros(COARSE * COARSE), abs=1e-6)


def test_noise_of_one_grey_level_does_not_count_as_edges() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (SIDE, SIDE, 3))
    wall = np.clip(128 + noise, 0, 255).round().astype(np.uint8)
    assert float(np.linalg.norm(describe_pixels(wall)[EDGES])) < 0.5 * float(
        np.linalg.norm(describe_pixels(stripes(0))[EDGES])
    )
    assert likeness(wall, plain(128, 128, 128)) > likeness(wall, stripes(0))


def test_brightness_direction_place_and_colour_are_told_apart() -> None:
    left, right = plain(0, 0, 0), plain(0, 0, 0)
    left[:, : SIDE // 2] = right[:, SIDE // 2 :] = (250, 200, 0)
    assert likeness(stripes(0), stripes(10)) > likeness(stripes(0), stripes(90))
    assert likeness(left, left[:, ::-1]) < likeness(left, np.roll(left, 3, axis=1))
    assert likeness(plain(200, 0, 0), plain(180, 10, 10)) > likeness(plain(200, 0, 0), plain(0, 0, 200))


def test_another_size_and_quality_of_a_picture_is_nearer_than_any_other_picture(make_jpeg: MakeJpeg) -> None:
    asked = describe(make_jpeg(400, 300, seed=0, quality=95))
    smaller = pixels.resize(pixels.decode(make_jpeg(400, 300, seed=0, quality=95)), 160, 120)
    again = describe(pixels.encode_jpeg(smaller, 40))
    others = [describe(make_jpeg(400, 300, seed=seed)) for seed in range(1, 20)]
    assert asked @ again > max(float(asked @ other) for other in others)


def test_what_is_not_a_picture_says_why(make_jpeg: MakeJpeg) -> None:
    for image_bytes, cause in ((b"", "empty"), (b"hello, world", "not-an-image")):
        with pytest.raises(PictureError) as caught:
            describe(image_bytes)
        assert caught.value.cause == cause
    with pytest.raises(PictureError):
        describe(make_jpeg()[:400])


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 130), st.integers(1, 130), st.integers(0, 2**32 - 1), st.sampled_from([0, 1, 40, 255]))
def test_any_picture_gives_a_vector_of_length_one(width: int, height: int, seed: int, top: int) -> None:
    picture = np.random.default_rng(seed).integers(0, top + 1, (height, width, 3), dtype=np.uint8)
    vector = describe_pixels(picture)
    assert vector.shape == (SIZE,)
    assert vector.dtype == np.float32
    assert float(np.linalg.norm(vector)) == pytest.approx(1, abs=1e-6)


def test_the_version_changes_with_the_numbers() -> None:
    # Sums of the three parts of one fixed picture. If this fails on purpose, change VERSION too:
    # indexes made by the earlier descriptor must be made anew.
    vector = describe_pixels(stripes(20) // 2 + plain(90, 20, 0) // 2)
    sums = [float(np.abs(vector[part]).sum()) for part in (EDGES, LAYOUT, HISTOGRAM)]
    assert (descriptor.VERSION, len(vector[HISTOGRAM])) == ("descriptor 1", BINS**3)
    assert sums == pytest.approx([4.714, 4.985, 0.949], abs=0.01)
