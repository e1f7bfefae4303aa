from __future__ import annotations

import math

import pytest

from pictus.web import run_charts
from pictus.web.run_charts import Line, lines


def test_a_curve_reaches_as_far_as_training_has_come() -> None:
    drawn = lines([Line("val", "val", [(1, 2.0), (2, 1.0)])], end=4, foot=("start", "epoch 4"), words="loss")
    # 0..4 over 320 px from 48 on; 0..2 over 120 px.
    assert 'points="128.0,0.0 208.0,60.0"' in drawn
    assert ">val 1<" in drawn


def test_shares_are_drawn_from_0_to_100_percent_and_names_do_not_lie_on_each_other() -> None:
    found = [Line("one", "val", [(1, 0.5)]), Line("two", "train", [(1, 0.5)])]
    drawn = lines(found, end=1, foot=("", ""), words="scores", is_share=True)
    assert drawn.count('cy="60.0"') == 2
    assert 'y="64.0">one 50.0%' in drawn
    assert 'y="77.0">two 50.0%' in drawn


def test_words_of_a_file_are_words() -> None:
    evil = "<script>alert(1)</script>"
    drawn = lines([Line(evil, "more", [(1, 0.5)])], end=1, foot=(evil, evil), words=f'"{evil}')
    assert "<script>" not in drawn
    assert 'aria-label="&#34;&lt;script&gt;' in drawn


def test_nothing_is_drawn_of_nothing() -> None:
    assert not lines([Line("val", "val", [(1, math.nan)])], end=1, foot=("", ""), words="")


def test_many_points_become_means_and_the_end_stays() -> None:
    found = run_charts.thinned([(x, float(x % 2)) for x in range(1000)])
    assert len(found) == run_charts.MOST_POINTS
    last, mean = found[-1]
    assert (last, round(mean, 6)) == (999, 0.6)  # 995 to 999: three odd ones
    assert all(0.4 <= y <= 0.6 for _, y in found)


@pytest.mark.parametrize(("most", "end"), [(0, 1), (0.0021, 0.003), (2.66, 3), (100, 100), (1234, 1500)])
def test_axes_end_at_round_numbers(most: float, end: float) -> None:
    assert run_charts.nice(most) == pytest.approx(end)
