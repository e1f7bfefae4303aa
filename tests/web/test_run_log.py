from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pictus import run_files
from pictus.errors import UserError
from pictus.reports import thinned
from pictus.web import run_log
from pictus.web.run_log import read_log


def step(number: int, loss: float, **told: Any) -> str:
    return json.dumps({"kind": "step", "step": number, "epoch": 1, "loss": loss, "lr": 0.1} | told) + "\n"


def append(path: Path, text: str) -> None:
    with path.open("a") as opened:
        opened.write(text)


def test_only_what_is_new_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(step(number, 1.0) for number in range(1, 100)))
    assert len(read_log(path).steps) == 99
    seen: list[bytes] = []

    def noted(text: bytes) -> object:
        seen.append(text)
        return run_files.parsed(text)

    monkeypatch.setattr("pictus.web.run_log.parsed", noted)
    append(path, step(100, 0.5) + '{"kind": "step", "st')
    assert read_log(path).steps[-1].tolist() == [100, 0.5, 0.1]
    append(path, 'ep": 101, "loss": 0.25, "lr": 0.1}\n')
    assert read_log(path).steps[-1].tolist() == [101, 0.25, 0.1]
    assert len(seen) == 2, "neither the 99 lines before, nor what was still being written"


def test_of_a_step_that_was_written_twice_the_later_counts(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(step(1, 3.0) + step(2, 2.0) + step(3, 1.0))
    read_log(path)
    append(path, step(2, 0.5))
    assert read_log(path).steps[:, :2].tolist() == [[1, 3], [2, 0.5], [3, 1]]


def test_a_log_that_was_cut_off_or_exchanged_is_read_anew(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(step(1, 3.0) + step(2, 2.0))
    read_log(path)
    path.write_text(step(1, 3.0))
    assert len(read_log(path).steps) == 1
    path.write_text(step(7, 1.0) + step(8, 1.0) + step(9, 1.0))
    assert read_log(path).steps[:, 0].tolist() == [7, 8, 9]


def test_a_line_that_is_put_right_is_read(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    path.write_text(step(1, 3.0) + step(2, 1.0, step="x"))
    with pytest.raises(UserError, match="step is 'x', not a number"):
        read_log(path)
    path.write_text(step(1, 3.0) + step(2, 1.0))
    assert len(read_log(path).steps) == 2


def test_points_are_means_of_as_many_as_charts_draw(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    losses = np.random.default_rng(1).random(1234).round(4).tolist()
    path.write_text("".join(step(number, loss) for number, loss in enumerate(losses, 1)) + step(1235, float("nan")))
    whole = [(number / 10, loss) for number, loss in enumerate(losses, 1)]
    points = read_log(path).points("loss", 10)
    np.testing.assert_allclose(points[:-1], thinned(whole)[:-1])
    np.testing.assert_allclose(points[-1], (123.4, np.mean(losses[176 * 7 :])))
    assert read_log(tmp_path / "none").points("loss", 10) == []


def test_few_logs_are_kept(tmp_path: Path) -> None:
    for number in range(run_log.MOST_LOGS + 5):
        path = tmp_path / f"{number}.jsonl"
        path.write_text(step(1, 1.0))
        read_log(path)
    assert len(run_log._READERS) <= run_log.MOST_LOGS
