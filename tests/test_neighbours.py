"""The join finds every pair, in whatever parts and wherever it is computed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus import neighbours
from pictus.hashes import Hashes, words_of
from pictus.neighbours import Nearness, linked, near_pairs, nearest_between, plan


def hamming(first: Hashes, second: Hashes) -> np.ndarray:
    distance: np.ndarray = np.bitwise_count(first ^ second).sum(axis=-1, dtype=np.int32)
    return distance


def random_hashes(count: int, words: int, seed: int) -> Hashes:
    """Hashes in families: a few seeds and copies with up to 20 changed bits, so that every radius has pairs."""
    generator = np.random.default_rng(seed)
    seeds = generator.integers(0, 2**63, (max(1, count // 8), words), dtype=np.uint64)
    hashes: Hashes = seeds[generator.integers(0, len(seeds), count)].copy()
    changed = generator.integers(0, 64 * words, (count, 20))
    changes = generator.integers(0, 20, count)
    for place in range(20):
        rows = np.flatnonzero(changes > place)
        bit = changed[rows, place]
        hashes[rows, bit // 64] ^= np.uint64(1) << (bit % 64).astype(np.uint64)
    return hashes


def all_near(hashes: Hashes, nearness: Nearness) -> list[tuple[int, int, int]]:
    found = []
    for first in range(len(hashes)):
        different = np.bitwise_count(hashes[first + 1 :] ^ hashes[first]).astype(int)
        distance = different.sum(axis=1)
        is_near = distance <= nearness.radius
        if nearness.keys:
            is_near &= different[:, : nearness.keys].min(axis=1) <= nearness.key_radius
        found += [(first, first + 1 + other, int(distance[other])) for other in np.flatnonzero(is_near).tolist()]
    return found


def rows_of(pairs: neighbours.Pairs) -> list[tuple[int, ...]]:
    return list(zip(*(column.tolist() for column in pairs), strict=True))


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 90), st.sampled_from([1, 4]), st.integers(0, 40), st.integers(0, 1000))
def test_the_join_finds_exactly_the_near_pairs(count: int, words: int, radius: int, seed: int) -> None:
    hashes = random_hashes(count, words, seed)
    assert rows_of(near_pairs(hashes, radius)) == all_near(hashes, Nearness(radius))
    found = near_pairs(hashes, radius, key_radius=6)
    assert rows_of(found) == all_near(hashes, Nearness(radius, min(6, radius), 1))
    found = near_pairs(hashes, radius, key_radius=6, keys=2)
    assert rows_of(found) == all_near(hashes, Nearness(radius, min(6, radius), 2))


SHAPES = [(1, 0, 0), (1, 3, 0), (1, 7, 0), (1, 10, 0), (4, 31, 0), (6, 76, 2)]


def nearness_of(radius: int, keys: int) -> Nearness:
    return Nearness(radius, 10, keys) if keys else Nearness(radius)


@pytest.mark.parametrize("crowded", [1, 32])  # buckets looked at one by one, and all at once
@pytest.mark.parametrize("shape", SHAPES)
def test_the_bands_find_what_comparing_everything_finds(
    shape: tuple[int, int, int], crowded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, radius, keys = shape
    monkeypatch.setattr(neighbours, "_CROWDED", crowded)
    monkeypatch.setattr(neighbours, "_PAIR_S", 1e-6)  # as if there were so many that bands pay
    hashes = random_hashes(1500, words, seed=radius)
    nearness = nearness_of(radius, keys)
    assert all(band.bits for band in plan(hashes, nearness)), "bands are used"
    expected = all_near(hashes, nearness)
    assert len(expected) > 0
    assert rows_of(near_pairs(hashes, radius, key_radius=10 if keys else None, keys=keys)) == expected


@pytest.mark.parametrize("crowded", [1, 32])
@pytest.mark.parametrize("shape", SHAPES)
def test_the_nearest_of_another_list_is_found_for_every_row(
    shape: tuple[int, int, int], crowded: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, radius, keys = shape
    monkeypatch.setattr(neighbours, "_CROWDED", crowded)
    monkeypatch.setattr(neighbours, "_PAIR_S", 1e-6)
    hashes = random_hashes(1500, words, seed=radius)
    found = nearest_between(hashes[:1200], hashes[1200:], radius, key_radius=10 if keys else None, keys=keys)
    best: dict[int, tuple[int, int]] = {}
    for first, second, far in all_near(hashes, nearness_of(radius, keys)):
        if first < 1200 <= second:
            best[first] = min(best.get(first, (far, second - 1200)), (far, second - 1200))
    assert rows_of(found) == [(first, second, far) for first, (far, second) in sorted(best.items())]
    assert len(best) > 0
    none = nearest_between(hashes, hashes[:0], radius)
    assert (len(none.first), len(nearest_between(hashes[:0], hashes, radius).first)) == (0, 0)


def test_the_nearest_between_crowds_takes_little_memory() -> None:
    import tracemalloc

    hashes = np.zeros((1000, 1), dtype=np.uint64)
    tracemalloc.start()
    found = nearest_between(hashes, hashes, 3)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (found.second == 0).all()
    assert len(found.first) == 1000
    assert peak < 60e6, "every pair, of which there are a million, is not held"


def test_many_equal_hashes_are_all_paired() -> None:
    hashes = np.zeros((2500, 1), dtype=np.uint64)
    found = near_pairs(hashes, 0)
    assert len(found.first) == 2500 * 2499 // 2
    assert found.distance.max() == 0


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 2_000_000), st.sampled_from([1, 4]), st.integers(0, 31))
def test_bands_are_disjoint_and_keep_the_pigeonhole(count: int, words: int, radius: int) -> None:
    """If a pair missed every band it would differ in radius_i + 1 bits of each, and in limit_i + 1 of each word."""
    sample = random_hashes(100, words, 0)
    hashes = np.broadcast_to(sample[:1], (count, words)) if count > 100 else sample[:count]
    bands = plan(hashes, Nearness(radius))
    by_word: dict[int, list[neighbours.Band]] = {}
    for band in bands:
        by_word.setdefault(band.word, []).append(band)
    assert sum(some[0].limit + 1 for some in by_word.values()) > radius
    for some in by_word.values():
        assert sum(band.radius + 1 for band in some) > some[0].limit or not some[0].bits
        bits = [bit for band in some for bit in band.bits]
        assert len(bits) == len(set(bits))


def test_bits_that_agree_are_dealt_to_different_bands() -> None:
    """Bits 2 k and 2 k + 1 are always equal: a band that held both would have one bit less to tell by."""
    halves = np.random.default_rng(0).integers(0, 2, (4000, 32), dtype=np.uint8)
    hashes = np.packbits(np.repeat(halves, 2, axis=1), axis=1).view(np.uint64)
    for band in plan(np.repeat(hashes, 50, axis=0), Nearness(7)):
        assert len({bit // 2 for bit in band.bits}) == len(band.bits)


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


def related(count: int) -> Hashes:
    """Every second one a few bits off some earlier one, so that chains join many."""
    random = np.random.default_rng(count)
    hashes: Hashes = random.integers(0, 2**63, (count, 2), dtype=np.uint64)
    for row in range(1, count, 2):
        hashes[row] = hashes[random.integers(row)] ^ np.uint64(1 << int(random.integers(60)) | 1)
    return hashes


def chained(pairs: neighbours.Pairs, count: int) -> np.ndarray:
    """The first row of each row's chain, by walking until nothing changes."""
    root = np.arange(count)
    for _ in range(count):
        before = root.copy()
        np.minimum.at(root, pairs.first, root[pairs.second])
        np.minimum.at(root, pairs.second, root[pairs.first])
        if (before == root).all():
            break
    return root


@pytest.mark.parametrize("count", [1, 200, 4000])  # compared one by one, and looked up by bands
@pytest.mark.parametrize("key_radius", [None, 4])
def test_rows_that_near_pairs_join_have_the_label_of_the_first(count: int, key_radius: int | None) -> None:
    hashes = related(count)
    label = linked(hashes, 6, key_radius=key_radius)
    assert label.tolist() == chained(near_pairs(hashes, 6, key_radius=key_radius), count).tolist()
    assert linked(hashes, 6, before=label).tolist() == label.tolist()


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 300), st.lists(st.integers(0, 300), max_size=4), st.sampled_from([1, 32]))
def test_labels_of_later_rows_do_not_depend_on_when_they_came(count: int, cuts: list[int], crowded: int) -> None:
    hashes = related(count)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(neighbours, "_CROWDED", crowded)
        patch.setattr(neighbours, "_PAIR_S", 1e-6)
        label = None
        for end in sorted({min(cut, count) for cut in cuts} | {count}):
            label = linked(hashes[:end], 6, before=label)
        assert label is not None
        assert label.tolist() == linked(hashes, 6).tolist()


def test_parts_computed_from_a_file_in_any_order_give_the_same_labels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hashes = related(3000)
    monkeypatch.setattr(neighbours, "PART_S", 1e-4)
    np.save(tmp_path / "hashes.npy", hashes)
    seen = []

    def elsewhere(compute: neighbours.Compute, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        assert isinstance(compute, partial)
        assert compute.args[0] == tmp_path / "hashes.npy", "no worker is sent the hashes"
        waiting = list(batches)
        seen.extend(waiting)
        yield from reversed([compute(batch) for batch in waiting])

    found = linked(hashes, 6, spread=elsewhere, path=tmp_path / "hashes.npy")
    assert len(seen) > 8
    assert found.tolist() == linked(hashes, 6).tolist()


def test_look_alikes_are_joined_without_holding_their_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "_WAITING", 2**12)
    hashes = np.zeros((3000, 1), dtype=np.uint64)
    hashes[:, 0] = np.uint64(1) << (np.arange(3000) % 64).astype(np.uint64)
    nearness = Nearness(2)
    part = neighbours.parts_of(hashes, plan(hashes, nearness))[0]
    edges = neighbours.edges_of(hashes, nearness, neighbours._batch(part))
    assert edges.num_rows < 3 * len(hashes), "4,500,000 pairs"
    assert set(linked(hashes, 2).tolist()) == {0}
