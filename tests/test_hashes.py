"""Hashes after their published definitions; the join finds every pair."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pictus.hashes import Hashes, decimate, dhash64, linked, near_pairs, pdq256, phash64, plan, words_of
from pictus.pixels import decode


def hamming(first: Hashes, second: Hashes) -> np.ndarray:
    distance: np.ndarray = np.bitwise_count(first ^ second).sum(axis=-1, dtype=np.int32)
    return distance


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


def random_hashes(count: int, words: int, seed: int) -> Hashes:
    """Hashes in families: a few seeds and copies with up to 20 changed bits, so that every radius has pairs."""
    generator = np.random.default_rng(seed)
    seeds = generator.integers(0, 2**63, (max(1, count // 8), words), dtype=np.uint64)
    hashes: Hashes = seeds[generator.integers(0, len(seeds), count)].copy()
    for row in range(count):
        for bit in generator.integers(0, 64 * words, generator.integers(0, 20)).tolist():
            hashes[row, bit // 64] ^= np.uint64(1 << (bit % 64))
    return hashes


def all_near(hashes: Hashes, radius: int, key_radius: int | None) -> list[tuple[int, int, int]]:
    found = []
    for first in range(len(hashes)):
        for second in range(first + 1, len(hashes)):
            distance = sum((int(a) ^ int(b)).bit_count() for a, b in zip(hashes[first], hashes[second], strict=True))
            key = (int(hashes[first, 0]) ^ int(hashes[second, 0])).bit_count()
            if distance <= radius and (key_radius is None or key <= key_radius):
                found.append((first, second, distance))
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 90), st.sampled_from([1, 4]), st.integers(0, 40), st.integers(0, 1000))
def test_the_join_finds_exactly_the_near_pairs(count: int, words: int, radius: int, seed: int) -> None:
    hashes = random_hashes(count, words, seed)
    for key_radius in (None, 6):
        found = near_pairs(hashes, radius, key_radius=key_radius)
        rows = list(zip(*(column.tolist() for column in found), strict=True))
        assert rows == all_near(hashes, radius, key_radius)


@pytest.mark.parametrize(("words", "radius"), [(1, 0), (1, 3), (1, 7), (1, 10), (4, 31)])
def test_the_bands_find_what_comparing_everything_finds(words: int, radius: int) -> None:
    hashes = random_hashes(6000, words, seed=radius)
    assert plan(6000, 64 * words, radius), "large enough that bands are used"
    found = near_pairs(hashes, radius)
    expected = []
    for row in range(len(hashes)):
        distance = hamming(hashes[row + 1 :], hashes[row])
        close = np.flatnonzero(distance <= radius).tolist()
        expected += [(row, row + 1 + other, int(distance[other])) for other in close]
    assert list(zip(*(column.tolist() for column in found), strict=True)) == expected
    assert len(expected) > 0


def test_many_equal_hashes_are_all_paired() -> None:
    hashes = np.zeros((2500, 1), dtype=np.uint64)
    found = near_pairs(hashes, 0)
    assert len(found.first) == 2500 * 2499 // 2
    assert found.distance.max() == 0


@settings(deadline=None)
@given(st.integers(1, 2_000_000), st.sampled_from([64, 256]), st.integers(0, 31))
def test_bands_are_disjoint_and_keep_the_pigeonhole(count: int, width: int, radius: int) -> None:
    bands = plan(count, width, radius)
    if bands:
        # If a pair missed every band it would differ in radius_i + 1 bits of each: more than `radius`.
        assert sum(band.radius + 1 for band in bands) > radius
        assert all(first.start + first.width <= second.start for first, second in pairwise(bands))


@pytest.mark.real_data
def test_metas_needles_are_found_in_the_haystack(real_data: Callable[[str], Path]) -> None:
    folder = real_data("near_duplicates") / "pdq"
    needles = [line.split(",")[0] for line in (folder / "needles.txt").read_text().split()]
    haystack = [line.split(",")[0] for line in (folder / "haystack.txt").read_text().split()]
    hashes = words_of([bytes.fromhex(text) for text in needles + haystack])
    found = near_pairs(hashes, 31)
    pairs = set(zip(found.first.tolist(), found.second.tolist(), strict=True))
    expected = {
        (first, second)
        for first in range(len(hashes))
        for second in (np.flatnonzero(hamming(hashes[first + 1 :], hashes[first]) <= 31) + first + 1).tolist()
    }
    assert pairs == expected
    assert any(first < len(needles) <= second for first, second in pairs)


@pytest.mark.parametrize("count", [1, 200, 4000])  # compared one by one, and looked up by bands
@pytest.mark.parametrize("key_radius", [None, 4])
def test_rows_that_near_pairs_join_have_one_label(count: int, key_radius: int | None) -> None:
    random = np.random.default_rng(count)
    hashes = random.integers(0, 2**63, (count, 2), dtype=np.uint64)
    for row in range(1, count, 2):  # every second one a few bits off some other
        hashes[row] = hashes[random.integers(row)] ^ np.uint64(1 << int(random.integers(60)) | 1)
    label = linked(hashes, 6, key_radius=key_radius)
    pairs = near_pairs(hashes, 6, key_radius=key_radius)
    root = np.arange(count)
    for _ in range(count):
        before = root.copy()
        np.minimum.at(root, pairs.first, root[pairs.second])
        np.minimum.at(root, pairs.second, root[pairs.first])
        if (before == root).all():
            break
    assert len(np.unique(label)) == len(np.unique(root)) == len({*zip(label.tolist(), root.tolist(), strict=True)})
    assert (linked(hashes, 0, before=label) == label).all()
