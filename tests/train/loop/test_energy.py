from __future__ import annotations

from pathlib import Path

import pytest

from pictus.train.loop import energy


def _package(root: Path, name: str, used: int, most: int = 1_000_000_000) -> None:
    folder = root / name
    folder.mkdir(exist_ok=True)
    (folder / "energy_uj").write_text(f"{used}\n")
    (folder / "max_energy_range_uj").write_text(f"{most}\n")


def test_processors_tell_what_they_used_and_their_parts_are_not_counted_again(tmp_path: Path) -> None:
    _package(tmp_path, "intel-rapl:0", 5_000_000)
    _package(tmp_path, "intel-rapl:1", 999_000_000)
    _package(tmp_path, "intel-rapl:0:0", 1)  # the cores of the first processor
    counter = energy.Counter(2, tmp_path)
    assert "RAPL" in counter.source
    _package(tmp_path, "intel-rapl:0", 7_500_000)
    _package(tmp_path, "intel-rapl:1", 2_000_000)  # it began again at 0
    _package(tmp_path, "intel-rapl:0:0", 9_000_000)
    assert counter.since(60) == pytest.approx(2.5 + 3.0)
    assert counter.since(60) == 0.0


def test_without_a_counter_cores_and_seconds_are_told_as_an_estimate(tmp_path: Path) -> None:
    counter = energy.Counter(2, tmp_path)
    assert counter.source.startswith("estimate: 2 cores x 12 W")
    assert counter.since(10) == 240.0
    assert energy.told(3.6e6, 2)["kwh"] == 1.0


def test_time_that_was_estimated_is_not_counted_again(tmp_path: Path) -> None:
    _package(tmp_path, "intel-rapl:0", 1_000_000)
    counter = energy.Counter(1, tmp_path)
    (tmp_path / "intel-rapl:0" / "energy_uj").write_text("gone\n")
    assert counter.since(1) == 12.0
    _package(tmp_path, "intel-rapl:0", 9_000_000)
    assert counter.since(1) == 12.0, "where this second began nobody knows"
    _package(tmp_path, "intel-rapl:0", 9_500_000)
    assert counter.since(1) == 0.5


def test_a_counter_that_may_not_be_read_is_none(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl:0").mkdir()
    assert energy.Counter(1, tmp_path).since(1) == 12.0
