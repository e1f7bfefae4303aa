"""Neighbours found block by block are those found at once, in a memory that does not grow with the pictures."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from pictus.train.transfer import nearest


def test_neighbours_of_blocks_are_those_of_all_at_once_and_of_equal_ones_the_earlier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = np.random.default_rng(0)
    known = generator.normal(size=(97, 5)).astype(np.float32)
    known[60:70] = known[3:13]  # equal ones, blocks apart
    asked = generator.normal(size=(23, 5)).astype(np.float32)
    cosine = nearest.unit(asked) @ nearest.unit(known).T
    monkeypatch.setattr(nearest, "ASKED", 7)
    monkeypatch.setattr(nearest, "KNOWN", 10)
    for k in (1, 15, 97, 200):
        found, rows = nearest.neighbours(known, asked, k)
        assert found.shape == rows.shape == (23, min(k, 97))
        assert found == pytest.approx(np.take_along_axis(cosine, rows, axis=1), abs=1e-6)
        assert np.all(np.diff(found) <= 0)
        assert found == pytest.approx(-np.sort(-cosine, axis=1)[:, :k], abs=1e-6)
        is_tied = np.diff(found) == 0
        assert np.all(np.diff(rows)[is_tied] > 0)


def test_memory_does_not_grow_with_the_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nearest, "ASKED", 32)
    monkeypatch.setattr(nearest, "KNOWN", 256)
    asked, peaks = np.ones((64, 8), np.float32), []
    for many in (2_000, 20_000):
        known = np.arange(many * 8, dtype=np.float32).reshape(many, 8)
        tracemalloc.start()
        nearest.neighbours(known, asked, 10)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    most = 32 * (256 + 10) * (4 + 4 + 8 + 8)  # similarities, their negatives, places and rows
    assert max(peaks) < most + 4 * 4 * 8 * (256 + 32) + 64 * 10 * 12 + 100_000
    assert peaks[1] < 1.1 * peaks[0]
