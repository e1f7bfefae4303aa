"""A run in processes that torchrun started: real ones, two on processors, over loopback."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pictus
from pictus import models, train
from pictus.errors import UserError
from pictus.train import recipes
from pictus.train.devices import launch, meeting
from pictus.train.devices.meeting import Brief

TINY = ("size=32", "batch_size=8", "threads=1", "parts=1", "precision=fp32", "lr=0.01", "log=none")

DYING = """
import os, signal
from pictus.cli import main
from pictus.train.devices import group

step = group.Spread.begun

def killing(self, n_seen, counters):
    if self._rank == 1 and counters.step == 8:  # the third of six steps of epoch 2
        os.kill(os.getpid(), signal.SIGKILL)
    return step(self, n_seen, counters)

group.Spread.begun = killing
main()
"""


def test_torchrun_loses_a_process_and_the_run_ends_with_the_bits_of_one_nobody_disturbed(
    stripes: pictus.Project, tmp_path: Path
) -> None:
    (tmp_path / "dying.py").write_text(DYING)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    settings = [word for setting in TINY for word in ("--set", setting)]
    done = subprocess.run(
        [*torchrun, str(tmp_path / "dying.py"), "-C", str(stripes.root), "train", "run", "--name", "lost",
         "--epochs", "2", *settings],
        capture_output=True, text=True, timeout=300, check=False, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert done.stderr.count("error:") == 1, done.stderr
    assert "Another of 2 processes is gone" in done.stderr
    assert "at step 8. The last checkpoint is whole." in done.stderr
    assert "fix: pictus train resume lost" in done.stderr
    card = models.open_run(stripes.models_dir / "lost").card
    assert card["status"] != "finished"
    assert card["recipe"]["processes"] == 2
    train.resume(stripes, "lost")
    train.run(stripes, name="whole", epochs=2, set_=(*TINY, "processes=2"))
    for name in ("metrics.jsonl", "model.safetensors", "last.safetensors"):
        lost, whole = ((stripes.models_dir / run / name).read_bytes() for run in ("lost", "whole"))
        assert lost == whole, name


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if torchrun had started this process as the first of two."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "29500"}.items():
        monkeypatch.setenv(name, value)


def test_torchrun_says_how_many_processes_there_are(started: None) -> None:
    recipe = recipes.find("small-cnn")
    assert launch.settled(recipe).processes == 2
    with pytest.raises(UserError, match="torchrun started 2 processes, and processes=3 asks for others"):
        launch.settled(recipes.changed(recipe, ("processes=3",)))
    with pytest.raises(UserError, match="--processes 4 asks for others"):
        launch.moved(recipe, 4)
    assert launch.moved(recipe, 0)[0].processes == 2


def test_a_run_goes_on_by_as_many_processes_as_are_wanted_and_it_is_said() -> None:
    recipe = recipes.changed(recipes.find("small-cnn"), ("processes=2",))
    assert launch.settled(recipe) == recipe
    assert launch.moved(recipe, 0) == (recipe, ())
    moved, notes = launch.moved(recipe, 3)
    assert moved.processes == 3
    assert notes[0].startswith("processes were 2 until here and are 3 now")
    (note,) = launch.moved(recipes.changed(recipe, ("shard=true",)), 1)[1]
    assert note.endswith("with all weights in the one process")


def test_who_waits_for_rank_0_is_given_its_brief_or_let_go(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = (meeting.in_folder(str(tmp_path / name), 1) for name in "ab")
    meeting.call(first, Brief("run", "release"))
    assert meeting.called(first) == Brief("run", "release")
    with pytest.raises(UserError, match="have served one run"):
        meeting.call(first, Brief("another", "release"))
    second.set(meeting.OVER, "1")
    assert meeting.called(second) is None
