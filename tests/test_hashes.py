"""Hashes after their published definitions; the join finds every pair."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pictus.hashes import decimate, dhash64, pdq256, phash64
from pictus.pixels import decode


def luma(image_bytes: bytes) -> Image.Image:
    return Image.fromarray(decode(image_bytes)).convert("L")


def pdq(grey: np.ndarray) -> tuple[str, int]:
    found = pdq256(decimate(grey)[None])
    return found.bits[0].tobytes().hex(), int(found.quality[0])


def bits(first: str, second: str) -> int:
    return (int(first, 16) ^ int(second, 16)).bit_count()


def reference_pdq(grey: np.ndarray) -> tuple[str, int]:
    """Meta's C++ (pdq/cpp, commit baefb4e) line by line: running box sums over the whole picture, loops, Torben."""

    def box(values: np.ndarray, window: int) -> np.ndarray:
        half = (window + 2) // 2
        out = np.empty_like(values)
        for at in range(len(values)):
            out[at] = values[max(0, at - (window - half)) : at + half].mean()
        return out

    rows, columns = grey.shape
    image = grey.astype(np.float64)
    for _ in range(2):
        image = np.apply_along_axis(box, 1, image, (columns + 127) // 128)
        image = np.apply_along_axis(box, 0, image, (rows + 127) // 128)
    down = [int((at + 0.5) * rows / 64) for at in range(64)]
    across = [int((at + 0.5) * columns / 64) for at in range(64)]
    small = image[np.ix_(down, across)]
    slopes = np.concatenate([np.diff(small, axis=0).ravel(), np.diff(small, axis=1).ravel()])
    quality = min(100, int(np.abs((slopes * 100 / 255).astype(int)).sum()) // 90)
    line = np.arange(64)
    cosines = np.array([np.cos(np.pi / 128 * (row + 1) * (2 * line + 1)) for row in range(16)]) * np.sqrt(2 / 64)
    low = cosines @ small @ cosines.T
    median = np.sort(low.ravel())[127]
    value = sum(1 << (row * 16 + column) for row in range(16) for column in range(16) if low[row, column] > median)
    return f"{value:064x}", quality


@pytest.mark.parametrize("size", [(64, 64), (200, 133), (97, 300), (384, 256), (40, 30), (5, 5), (129, 128)])
def test_pdq_equals_the_definition_bit_for_bit(size: tuple[int, int], make_jpeg: Callable[..., bytes]) -> None:
    grey = np.asarray(luma(make_jpeg(*size, seed=size[0])))
    assert grey.shape == (size[1], size[0])
    assert pdq(grey) == reference_pdq(grey)


def test_pdq_of_a_blank_picture_is_zero_with_quality_zero() -> None:
    assert pdq(np.full((300, 200), 90, dtype=np.uint8)) == ("0" * 64, 0)
    noise = np.random.default_rng(0).integers(0, 256, (4, 900), dtype=np.uint8)
    assert pdq(noise) == ("0" * 64, 0)  # under 5 px a side


def test_hashes_of_a_batch_are_the_hashes_of_its_pictures() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (7, 64, 64), dtype=np.uint8)
    small = pictures.astype(np.float32)
    together = pdq256(small)
    for number in range(7):
        alone = pdq256(small[number : number + 1])
        assert alone.bits[0].tobytes() == together.bits[number].tobytes()
        assert alone.quality[0] == together.quality[number]
        assert phash64(pictures[number : number + 1, :32, :32])[0] == phash64(pictures[:, :32, :32])[number]
        assert dhash64(pictures[number : number + 1, :8, :9])[0] == dhash64(pictures[:, :8, :9])[number]


def test_dhash_compares_each_pixel_with_its_left_neighbour() -> None:
    rising = np.tile(np.arange(9, dtype=np.uint8), (8, 1))
    first = np.zeros((8, 9), dtype=np.uint8)
    first[0, 1:] = 5  # only the first comparison of the first row rises
    assert dhash64(np.stack([rising, rising[:, ::-1], first])).tolist() == [2**64 - 1, 0, 1 << 63]


def test_phash_of_one_cosine_has_its_coefficient_above_the_median() -> None:
    # A cosine along x of frequency 3 has one coefficient, row 0 column 3; all others are 0 and the
    # median is 0, so every other bit is 1 (>= median) unless rounding of the pixels makes it negative.
    wave = 128 + 100 * np.cos(np.pi / 32 * 3 * (np.arange(32) + 0.5))
    picture = np.tile(np.round(wave).astype(np.uint8), (32, 1))
    bright, negative = (int(found) for found in phash64(np.stack([picture, 255 - picture])))
    assert bright >> 56 & (1 << (7 - 3))
    assert negative >> 56 & (1 << (7 - 3)) == 0  # the negative has it below


@pytest.mark.real_data
def test_pdq_reproduces_metas_published_hashes(real_data: Callable[[str], Path]) -> None:
    """The published files of up to 512 px a side; larger ones Meta's tools first resize by a resampler of their own
    (tests/clean/test_measurements.py holds those to Meta's tolerance).
    """
    folder = real_data("near_duplicates") / "pdq"
    equal = []
    for row in csv.DictReader((folder / "expected_pdq_hashes.csv").read_text().splitlines()):
        grey = np.asarray(luma((folder / row["file"]).read_bytes()))
        if max(grey.shape) <= 512:
            assert pdq(grey) == (row["pdq_hex"], int(row["quality"])), row["file"]
            equal.append(row["file"].partition("/")[2])
    assert equal == ["shrink-a-lot.jpg", "square-128x128.jpg", "square-256x256.jpg", "square-512x512.jpg"]


@pytest.mark.parametrize("factor", [2, 4, 8])
@pytest.mark.parametrize("size", [(640, 480), (1003, 751), (517, 1200)])
def test_pdq_of_an_averaged_picture_samples_where_the_whole_does(
    size: tuple[int, int], factor: int, make_jpeg: Callable[..., bytes]
) -> None:
    whole = luma(make_jpeg(*size))
    small = pdq256(decimate(np.asarray(whole.reduce(factor)), *size, factor)[None]).bits[0].tobytes().hex()
    assert bits(small, pdq(np.asarray(whole))[0]) <= (2 if factor == 2 else 6)


@pytest.mark.real_data
def test_phash_and_dhash_reproduce_imagededups_hashes(real_data: Callable[[str], Path]) -> None:
    """imagededup resizes the colours and then takes the luma; done so, every bit but two is equal (see below)."""
    folder = real_data("near_duplicates") / "imagededup"
    expected = json.loads((folder / "expected_hashes.json").read_text())
    different = {}
    for name, hashes in expected.items():
        picture = Image.open(next(folder.rglob(name))).convert("RGB")
        small = np.asarray(picture.resize((32, 32), Image.Resampling.LANCZOS).convert("L"))
        strip = np.asarray(picture.resize((9, 8), Image.Resampling.LANCZOS).convert("L"))
        different[name] = bits(f"{int(phash64(small[None])[0]):x}", hashes["phash"])
        if "dhash" in hashes:
            assert f"{int(dhash64(strip[None])[0]):016x}" == hashes["dhash"]
    # Published for this file is the hash of the picture it was made from; its own differs in two coefficients.
    assert different.pop("ukbench00120_resize.jpg") == 2
    assert set(different.values()) == {0}
