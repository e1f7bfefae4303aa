"""What later steps left beside a run, in words."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pictus.train.fitting.measured import FittedRow
from pictus.train.transfer.compare_steps import RobustnessRow
from pictus.train.watching import beside


def test_an_attack_and_a_smaller_network_are_told_with_their_intervals(tmp_path: Path) -> None:
    assert list(beside.facts(tmp_path)) == []
    beside.keep(tmp_path, beside.ROBUSTNESS, "test", [
        RobustnessRow("clean", 0.0, 0, 500, 0.75, 0.7, 0.8), RobustnessRow("attacked", 4.0, 20, 500, 0.25, 0.2, 0.3),
    ])  # fmt: skip
    beside.keep(tmp_path, beside.FITTED, "val", [
        FittedRow("before", "wide", 100, 400, 2.0, 2.0, 2.0, 12, 0.5, 0.25, 0.75),
        FittedRow("narrow", "wide", 50, 200, 1.0, 1.0, 1.0, 12, 0.1, 0.0, 0.2),
        FittedRow("after", "slim", 50, 200, 1.0, 1.0, 1.0, 12, 0.625, 0.5, 0.75),
    ])  # fmt: skip
    assert {fact.about: fact.words for fact in beside.facts(tmp_path)} == {
        "made smaller": "50% of the bytes and 50% of the processor time of wide; top-1 on val 62.5% (50.0% to 75.0%),"
                        " before 50.0% (25.0% to 75.0%)",
        "attacked": "top-1 on 500 pictures of test: 75.0% (70.0% to 80.0%) as they are, 25.0% (20.0% to 30.0%) changed"
                    " for the worst within 4 of 255 (20 steps)",
    }  # fmt: skip


@pytest.mark.parametrize(
    "rows", [[], {}, 7, [1, 2], [{}, {}], [{"pictures": "x", "top1": "0.5", "bytes": 0}] * 2, [None, None]]
)
def test_what_somebody_else_wrote_is_left_out(tmp_path: Path, rows: object) -> None:
    for what in (beside.ROBUSTNESS, beside.FITTED):
        (tmp_path / f"{what}.json").write_text(json.dumps({"split": "val", "rows": rows}))
    assert list(beside.facts(tmp_path)) == []
