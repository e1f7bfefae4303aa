from __future__ import annotations

import math
from typing import Any

import numpy as np

from pictus.web.run_charts import curves, small
from pictus.web.run_log import Log


def epoch(number: int, val: float, train: float = 0.5) -> dict[str, Any]:
    return {"epoch": number, "step": number, "val_top1": val, "train_top1": train, "val_top5": 1.0, "val_loss": 1.0,
            "val_others": {}}  # fmt: skip


def test_the_epoch_that_is_kept_is_a_dot() -> None:
    drawn = small([epoch(1, 0.5), epoch(2, 1.0)], 1, is_classifier=True)
    # left 48, 320 wide, 120 tall: epoch 1 of 2 lies in the middle, 100 % at the top
    assert '<polyline class="val" points="208.0,60.0 368.0,0.0"/>' in drawn
    assert '<circle class="val" cx="208.0" cy="60.0" r="3"/>' in drawn
    assert small([], 0, is_classifier=True) == ""


def test_a_diverged_epoch_leaves_a_gap_not_a_broken_page() -> None:
    drawn = small([epoch(1, 0.5), epoch(2, math.nan, math.nan)], 1, is_classifier=True)
    assert "nan" not in drawn
    assert 'class="val" cx="208.0" cy="60.0"' in drawn


def test_the_votes_of_neighbours_are_called_by_their_name() -> None:
    log = Log([epoch(1, 0.5, train=0.04)], np.zeros((0, 3)))
    for drawn in (small(log.epochs, 1, is_classifier=False),
                  dict(curves(log, {}, is_working=False, is_classifier=False, has_top5=False))["Scores"]):  # fmt: skip
        assert "kNN top-1 50.0%" in drawn
        assert ">train" not in drawn
