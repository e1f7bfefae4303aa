"""Processes that rank 0 starts: one that cannot begin, and one that is gone, are told with their last words."""

from __future__ import annotations

import io
import os
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train.devices import meeting, processes
from pictus.train.devices.processes import Helpers

TINY = ("size=32", "batch_size=8", "threads=1", "precision=fp32", "lr=0.01")


def test_a_process_that_cannot_begin_is_told_and_the_run_can_go_on_with_one(
    stripes: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", "/bin/false")
        with pytest.raises(UserError, match=r"Process 2 of 2 ended with 1\. Nothing was trained") as told:
            train.run(stripes, name="a", epochs=1, set_=(*TINY, "processes=2"))
    assert told.value.fix.endswith("pictus train resume --processes 1")
    assert [run.is_finished for run in models.runs(stripes)] == [False]
    for many in (-1, 5):
        with pytest.raises(UserError, match="A batch of 8 pictures cannot be shared by"):
            train.resume(stripes, "a", processes=many)
    assert models.find_run(stripes, "a").card["recipe"]["processes"] == 2
    outcome = train.resume(stripes, "a", processes=1)
    assert any("processes were 2 until here and are 1 now" in problem for problem in outcome.problems)
    assert models.find_run(stripes, "a").card["recipe"]["processes"] == 1


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    left, young, link, other = (tmp_path / f"{processes.PREFIX}{name}" for name in ("left", "young", "link", "file"))
    for folder in left, young:
        folder.mkdir()
        (folder / "store").write_text("x")
    link.symlink_to(young)
    other.write_text("no folder")
    with processes._place() as living:
        for path in (left, link, other, living):
            os.utime(path, (0, 0), follow_symlinks=False)
        with processes._place() as own:
            assert not left.exists()
            assert all(path.exists() for path in (young / "store", link, other, Path(living), Path(own)))
    assert sorted(tmp_path.iterdir()) == sorted([young, link, other])


def test_a_process_whose_end_is_known_a_little_later_is_told_all_the_same(tmp_path: Path) -> None:
    polls = iter([None] * 5)
    gone: Any = SimpleNamespace(
        process=SimpleNamespace(poll=lambda: next(polls, -9), returncode=-9), errors=io.BytesIO(b"first\nkilled.\n")
    )
    there: Any = SimpleNamespace(process=SimpleNamespace(poll=lambda: None))
    helpers = Helpers(meeting.in_folder(str(tmp_path), 3), [there, gone])
    assert helpers.gone() == ""
    assert helpers.gone(processes.REAP_S) == "Process 3 of 3 ended with -9: killed"


def test_the_words_a_process_leaves_are_told_before_how_it_ended(tmp_path: Path) -> None:
    there: Any = SimpleNamespace(process=SimpleNamespace(poll=lambda: 1))
    helpers = Helpers(meeting.in_folder(str(tmp_path), 2), [there])
    meeting.fail(helpers.store, 1, UserError("There is no release.\nIt was moved.", fix="look"))
    assert helpers.gone() == "Process 2 of 2 failed: There is no release"
