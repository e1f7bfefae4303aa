"""The learning-rate finder trains, tells, writes one page and leaves nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import pictus
from pictus import train
from pictus.errors import UserError


def test_a_sweep_tells_a_rate_and_writes_one_page(stripes: pictus.Project) -> None:
    asked = ("size=32", "batch_size=12", "parts=1", "threads=1")
    outcome = train.find_lr(stripes, release="1.0.0", steps=24, low=1e-4, high=1.0, set_=asked)
    rows = list(outcome)
    assert len(rows) == outcome.summary["steps"]
    assert 1e-4 <= outcome.summary["lr"] <= 1.0
    assert outcome.next[0].startswith("pictus train run --recipe small-cnn --release 1.0.0 --set size=32 ")
    assert outcome.next[0].endswith(f"--set lr={outcome.summary['lr']:.2g}")
    written = [path for path in stripes.models_dir.rglob("*") if path.is_file()]
    assert written == [Path(outcome.summary["path"])]
    assert "<polyline" in written[0].read_text()


def test_a_sweep_begins_where_the_run_would(stripes: pictus.Project) -> None:
    asked = ("size=32", "batch_size=12", "parts=1", "threads=1")
    train.run(stripes, name="first", epochs=1, set_=asked)
    outcome = train.find_lr(stripes, steps=20, high=0.1, set_=(*asked, "from_run=first"))
    assert outcome.summary["steps"] == 20


def test_a_range_that_is_none_is_told(stripes: pictus.Project) -> None:
    with pytest.raises(UserError, match="higher rate"):
        train.find_lr(stripes, low=1.0, high=0.1)
