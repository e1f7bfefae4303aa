"""The list of runs: which one a process is at, which one waits, and what each figure is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import models, train
from pictus.project import bare
from pictus.train.kept import card as cards
from pictus.train.watching.words import facts, paced

SEEN = {"size": 32, "resize": 32, "mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.fixture
def place(tmp_path: Path) -> pictus.Project:
    """A folder of runs that nobody had to train."""
    for name, more in (
        ("done", {"status": "finished", "results": {"best_epoch": 2, "val_top1": 0.5, "val_top5": 0.9, "epochs": 2}}),
        ("stopped", {"results": {"epochs": 1, "epochs_planned": 9, "best_epoch": 1, "val_top1": 0.25}}),
        ("views", {"status": "finished", "is_classifier": False, "results": {"best_epoch": 1, "val_top1": 0.625}}),
        ("working", {}),
    ):
        _made(tmp_path / "models" / name, more)
    return bare(tmp_path)


def _made(root: Path, more: dict[str, Any]) -> None:
    root.mkdir(parents=True)
    card = {
        "format": 1, "status": "running", "model": "small-cnn", "recipe_name": "small-cnn", "classes": ["a", "b"],
        "class_names": ["a", "b"], "preprocessing": SEEN, "results": {}, "started_at": f"2026-01-01 {root.name}",
        "release": {"version": "1.0.0"},
    }  # fmt: skip
    (root / models.CARD_NAME).write_text(json.dumps(card | more))


@pytest.fixture
def working(place: pictus.Project) -> Iterator[pictus.Project]:
    """A process is at the run `working`, and has told how far it is."""
    root = place.models_dir / "working"
    (root / "live.json").write_text(json.dumps({"epochs": 12, "left_s": 93.5}))
    with replace(place, root=root).lock("train"):
        yield place


def test_a_running_run_is_told_from_one_that_was_stopped(working: pictus.Project) -> None:
    outcome = train.list_(working)
    found = {row.name: row for row in outcome}
    assert {name: row.status for name, row in found.items()} == {
        "done": "finished", "stopped": "unfinished", "views": "finished", "working": "running",
    }  # fmt: skip
    assert (found["working"].planned, found["working"].left_s) == (12, 93.5)
    assert (found["stopped"].epochs, found["stopped"].planned, found["stopped"].left_s) == (1, 9, None)
    assert outcome.headline == "4 runs, 1 running, 1 unfinished"
    assert outcome.next == ("pictus train resume stopped",)


def test_a_lock_that_a_killed_process_left_is_nobody_s(working: pictus.Project) -> None:
    root = working.models_dir / "stopped"
    (root / "locks").mkdir()
    (root / "locks" / "train.lock").write_text('{"pid": 1, "since": "long ago"}')
    assert cards.status(models.open_run(root)) == "unfinished"


def test_looking_at_a_lock_does_not_take_it(working: pictus.Project) -> None:
    run = models.open_run(working.models_dir / "working")
    assert [cards.status(run) for _ in range(2)] == ["running"] * 2


def test_neighbours_votes_are_no_top1(place: pictus.Project) -> None:
    found = {row.name: row for row in train.list_(place)}
    assert (found["views"].val_top1, found["views"].val_knn) == (None, 0.625)
    assert (found["done"].val_top1, found["done"].val_knn) == (0.5, None)
    told = {fact.about: fact.words for fact in facts(models.open_run(place.models_dir / "views").card)}
    assert told["result"].startswith("kNN 62.5%")


def test_a_card_names_runs_and_files_and_not_their_folders() -> None:
    recipe = {"from_run": "/home/me/birds/models/first", "teacher": "/home/me/birds/models/big", "size": 32}
    told = {fact.about: fact.words for fact in facts({"model": "small-cnn", "recipe": recipe})}
    assert told["network"] == "small-cnn, sees 32 px, began from first, learned from big"


def test_a_slow_pace_is_told_in_the_right_number() -> None:
    assert [paced(rate) for rate in (0.04, 0.96, 1.2, 2.4, 1234.0)] == [
        "0.04 pictures", "1 picture", "1 picture", "2 pictures", "1,234 pictures",
    ]  # fmt: skip
