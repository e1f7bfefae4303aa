from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from pictus import tasks
from pictus.train.watching import mistakes
from pictus.train.watching.mistakes import Mistakes


def _found(monkeypatch: pytest.MonkeyPatch, root: Path, task: str = "classification") -> Mistakes:
    monkeypatch.setattr(mistakes, "class_names", lambda _: ("owl", "cup", "pear"))
    val = SimpleNamespace(
        image_ids=[f"{number:064x}" for number in range(100)], release=SimpleNamespace(classes=("a", "b", "c")),
        split="val",
    )  # fmt: skip
    job: Any = SimpleNamespace(root=root, val=val, task=tasks.TASKS.get(task))
    return Mistakes(job)


def test_the_surest_mistakes_are_kept_surest_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = _found(monkeypatch, tmp_path)
    # Softmax of (x, 0, 0): the guess is class 0, surer with x; every second picture is of it.
    logits = np.array([[number / 10, 0.0, 0.0] for number in range(1, 101)], np.float32)
    found.add(logits, np.arange(100) % 2, np.arange(100))
    rows = found.rows()
    assert (found.seen, found.count, len(rows)) == (100, 50, mistakes.MOST)
    assert [int(row["image_id"], 16) for row in rows] == list(range(99, 51, -2))
    best = rows[0]
    assert (best["guess_name"], best["truth_names"], best["guess"], best["truth"]) == ("owl", ["cup"], "a", ["b"])
    share = np.exp(10) / (np.exp(10) + 2)
    assert best["probability"] == pytest.approx(share, abs=1e-6)
    assert best["truth_probability"] == pytest.approx((1 - share) / 2, abs=1e-6)


def test_of_equally_sure_ones_the_first_pictures_are_kept_whatever_the_batches(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    logits = np.tile(np.array([[2.0, 0.0, 0.0]], np.float32), (60, 1))
    whole, halves = _found(monkeypatch, tmp_path), _found(monkeypatch, tmp_path)
    whole.add(logits, np.ones(60, np.int64), np.arange(60))
    for half in (slice(30, 60), slice(0, 30)):
        halves.add(logits[half], np.ones(30, np.int64), np.arange(60)[half])
    assert whole.rows() == halves.rows()
    assert [int(row["image_id"], 16) for row in whole.rows()] == list(range(24))


def test_of_several_labels_only_what_is_known_not_to_be_shown_is_a_mistake(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    found = _found(monkeypatch, tmp_path, "multilabel")
    logits = np.array([[5.0, 1.0, -9.0], [5.0, -1.0, -9.0], [1.0, 4.0, -9.0]], np.float32)
    # shown: a; not: b | shown: a; b's guess is below 1/2 | a unknown, b shown
    targets = np.array([[1, 0, 0], [1, 0, 0], [np.nan, 1, 0]], np.float32)
    found.add(logits, targets, np.arange(3))
    (row,) = found.rows()
    assert (row["image_id"], row["guess"], row["truth"]) == (f"{0:064x}", "b", ["a"])
    assert row["probability"] == pytest.approx(1 / (1 + np.exp(-1)), abs=1e-6)


def test_the_file_tells_epoch_and_counts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    found = _found(monkeypatch, tmp_path)
    found.add(np.array([[0.0, 3.0, 0.0]], np.float32), np.array([1]), np.array([7]))
    found.write(3)
    told = json.loads((tmp_path / mistakes.NAME).read_text())
    assert told == {"format": 1, "epoch": 3, "split": "val", "pictures": 1, "mistakes": 0, "surest": []}
