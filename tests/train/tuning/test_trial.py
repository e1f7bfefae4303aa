"""Trials in processes of their own: killed by kill -9, stopped by a person, and what the study makes of each."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import pictus
from pictus import models, train
from pictus.project import bare
from pictus.train.tuning import trial
from pictus.train.tuning.trial import Asked

pytest.importorskip("optuna")

SMALL = ("epochs=1", "size=32", "batch_size=12", "parts=1", "threads=1")
STUDY = """
import sys
from pictus import train
from pictus.project import open_project
train.tune(open_project(sys.argv[1]), trials=2, workers=2, over="lr", set_=sys.argv[2:])
"""


def until_there(path: Path, running: "subprocess.Popen[bytes] | None" = None) -> None:
    while not (path.is_file() and (path.stat().st_size or path.suffix == ".err")):
        assert running is None or running.poll() is None
        time.sleep(0.01)


def test_a_study_goes_on_after_kill_9_of_it_and_then_of_one_of_its_workers(stripes: pictus.Project) -> None:
    folder = stripes.models_dir / "tune-small-cnn-1.0.0"
    running = subprocess.Popen([sys.executable, "-c", STUDY, str(stripes.root), *SMALL])
    for number in range(2):
        until_there(folder / f"trial-{number:03d}.err", running)  # both workers are at work
    running.kill()
    running.wait()
    while any(str(folder) in line for line in _processes()):  # its workers notice by themselves
        time.sleep(0.05)
    for lock in folder.glob("trial-*/locks/*"):
        lock.unlink()

    def kill_one() -> None:
        lock = folder / "trial-001" / "locks" / "train.lock"
        until_there(lock)
        os.kill(json.loads(lock.read_text())["pid"], signal.SIGKILL)

    killer = threading.Thread(target=kill_one)
    killer.start()
    outcome = train.tune(stripes, trials=2, workers=2, over="lr", set_=SMALL)
    killer.join()
    first, second = outcome
    assert (first.state, second.state) == ("whole", "failed")
    assert second.cause == "killed by signal 9, as a machine does whose memory ran out"
    assert outcome.summary["best"] == 0
    assert models.open_run(folder / "trial-000").is_finished
    assert not [line for line in _processes() if str(folder) in line]


def test_a_trial_waits_until_the_one_of_a_killed_study_is_gone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = bare(tmp_path)
    trial.await_predecessor(run)  # nobody has been here
    with run.lock("train"):
        waiting = threading.Thread(target=trial.await_predecessor, args=(run,))
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive()
    waiting.join()
    monkeypatch.setattr(trial, "PATIENCE_S", 0.0)
    with run.lock("train"):
        trial.await_predecessor(run)  # somebody else's: training says whose


def test_a_trial_that_somebody_stopped_is_neither_whole_nor_failed(stripes: pictus.Project) -> None:
    asked = Asked(str(stripes.models_dir), "r", "small-cnn", "a", ())
    train.run(stripes, name="a", epochs=1, set_=(*SMALL, "probe=false"))

    def watch(_epoch: int, _score: float) -> bool:
        return False

    end = trial.ended(asked, 0, "", watch)
    assert end is not None
    assert end.score == pytest.approx(models.find_run(stripes, "a").card["results"]["val_top1"])
    card = stripes.models_dir / "a" / "run.json"
    card.write_text(json.dumps(json.loads(card.read_text()) | {"status": "running"}))
    assert trial.ended(asked, 0, "", watch) is None
    for number in (signal.SIGINT, signal.SIGTERM):
        assert trial.ended(asked, -number, "", watch) is None


def test_a_trial_is_worth_the_epoch_that_it_keeps(stripes: pictus.Project) -> None:
    asked = Asked(str(stripes.models_dir), "r", "small-cnn", "a", ())
    train.run(stripes, name="a", set_=(*SMALL[1:], "epochs=2", "probe=false"))
    curve = stripes.models_dir / "a" / "metrics.jsonl"
    first, last = (one for one in map(json.loads, curve.read_text().splitlines()) if one["kind"] == "epoch")
    for is_kept, score in ((True, 0.5), (False, 0.9)):  # kept=last keeps it whether it is better or not
        told = (first | {"val_top1": 0.9, "is_best": True}, last | {"val_top1": 0.5, "is_best": is_kept})
        curve.write_text("".join(json.dumps(one) + "\n" for one in told))
        end = trial.ended(asked, 0, "", lambda *_: False)
        assert end is not None
        assert end.score == score


def _processes() -> list[str]:
    """Command lines of all processes, where the system tells them."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has just ended
    return found
