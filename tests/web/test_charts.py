from __future__ import annotations

import math
import re

from pictus.web.charts import curve


def test_a_curve_runs_from_zero_to_one_hundred_percent() -> None:
    svg = curve([0.0, 1.0], [0.5, 0.5], best=2)
    # left 42, 320 wide, 120 tall: 0 % lies at the foot, 100 % at the top
    assert '<polyline class="val" points="42.0,120.0 362.0,0.0"/>' in svg
    assert '<polyline class="train" points="42.0,60.0 362.0,60.0"/>' in svg
    assert '<circle class="val" cx="362.0" cy="0.0" r="4"><title>epoch 2: kept</title></circle>' in svg


def test_one_epoch_is_a_dot_and_none_is_nothing() -> None:
    assert 'class="train" cx="362.0" cy="60.0"' in curve([0.25], [0.5], best=1)
    assert curve([], [], best=0) == ""


def test_labels_of_lines_that_end_together_do_not_lie_on_each_other() -> None:
    svg = curve([0.2, 0.5], [0.2, 0.501], best=2)
    heights = [float(found) for found in re.findall(r'<text class="(?:val|train)"[^>]* y="([\d.]+)"', svg)]
    assert len(heights) == 2
    assert abs(heights[0] - heights[1]) >= 12


def test_a_diverged_epoch_leaves_a_gap_not_a_broken_page() -> None:
    svg = curve([0.5, math.nan], [math.nan, math.nan], best=1)
    assert "nan" not in svg
    assert 'class="val" cx="42.0" cy="60.0"' in svg
