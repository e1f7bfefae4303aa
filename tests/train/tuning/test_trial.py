"""Trials in processes of their own."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from pictus.project import bare
from pictus.train.tuning import trial


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
