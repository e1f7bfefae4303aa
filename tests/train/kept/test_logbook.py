from __future__ import annotations

import errno
import json
import resource
from dataclasses import asdict
from pathlib import Path

import pytest

from pictus.errors import UserError
from pictus.train.kept import logbook
from pictus.train.kept.logbook import Epoch, Logbook

RECORD = Epoch(1, 10, 0.1, 2.5, 0.1, 2.4, 0.2, 0.6, is_best=True)


def test_epochs_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    with Logbook(tmp_path, kept_bytes=0) as book:
        book.step(1, 1, 0.1 + 0.2, 0.05)
        book.epoch(RECORD, pictures_per_s=100)
    assert list(logbook.epochs(tmp_path)) == [RECORD]
    first = json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])
    assert first == {"kind": "step", "step": 1, "epoch": 1, "loss": 0.1 + 0.2, "lr": 0.05}


def test_what_came_after_the_checkpoint_is_cut_off(tmp_path: Path) -> None:
    with Logbook(tmp_path, kept_bytes=0) as book:
        book.step(1, 1, 2.0, 0.1)
        kept = book.sync()
        book.step(2, 1, 1.0, 0.1)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    with Logbook(tmp_path, kept_bytes=kept) as book:
        book.step(2, 1, 1.0, 0.1)
    assert (tmp_path / "metrics.jsonl").read_bytes() == before


def test_a_run_without_epochs_has_none(tmp_path: Path) -> None:
    assert list(logbook.epochs(tmp_path)) == []


def test_a_line_that_is_still_being_written_is_left_for_later(tmp_path: Path) -> None:
    whole = json.dumps({"kind": "epoch", **asdict(RECORD)}) + "\n"
    (tmp_path / logbook.NAME).write_text(whole + whole[:30])
    assert list(logbook.epochs(tmp_path)) == [RECORD]


def test_a_full_disk_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with Logbook(tmp_path, kept_bytes=0) as book:
        book.step(1, 1, 2.0, 0.1)
        monkeypatch.setattr("os.fsync", full)
        with pytest.raises(UserError, match="No space left on device"):
            book.sync()
        monkeypatch.undo()


def test_a_disk_that_stays_full_is_told_as_well_when_the_curve_is_closed(tmp_path: Path) -> None:
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    book = Logbook(tmp_path, kept_bytes=0)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20, before[1]))
    try:
        with pytest.raises(UserError, match=r"metrics\.jsonl could not be written: File too large"), book:
            book.step(1, 1, 2.0, 0.1)  # lies in a buffer until then
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_curve_shorter_than_its_checkpoint_says_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / logbook.NAME).write_bytes(b"{}\n")
    with pytest.raises(UserError, match="has 3 bytes; when the checkpoint was written it had 1,000"):
        Logbook(tmp_path, kept_bytes=1000)
    assert (tmp_path / logbook.NAME).read_bytes() == b"{}\n"
