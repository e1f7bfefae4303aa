from __future__ import annotations

import math

import pytest

from pictus import reports
from pictus.reports import Axis, Line, around, chart, curves, upward


def test_a_curve_reaches_as_far_as_training_has_come() -> None:
    drawn = curves([Line("val", "val", [(1, 2.0), (2, 1.0)])], end=4, foot=("start", "epoch 4"), words="loss")
    # 0..4 over 320 px from 48 on; 0..2 over 120 px.
    assert 'points="128.0,0.0 208.0,60.0"' in drawn
    assert ">val 1<" in drawn


def test_a_loss_below_0_has_room_below_0() -> None:
    drawn = curves([Line("train", "train", [(1, 4.0), (2, -2.0)])], end=2, foot=("", ""), words="loss")
    assert 'points="208.0,0.0 368.0,120.0"' in drawn  # -2..4 over 120 px
    assert [words for _, words in upward([4.0, -2.0]).ticks] == ["-2", "1", "4"]


def test_shares_are_drawn_from_0_to_100_percent_and_names_do_not_lie_on_each_other() -> None:
    found = [Line("one", "val", [(1, 0.5)]), Line("two", "train", [(1, 0.5)])]
    drawn = curves(found, end=1, foot=("", ""), words="scores", is_share=True)
    assert drawn.count('cy="60.0"') == 2
    assert 'y="64.0">one 50.0%' in drawn
    assert 'y="77.0">two 50.0%' in drawn


def test_long_words_beside_a_chart_are_within_it() -> None:
    assert 'viewBox="0 -8' in curves([Line("", "val", [(0, 1.0)])], end=1, foot=("", ""), words="")
    small = curves([Line("", "val", [(0, 0.0125)])], end=1, foot=("", ""), words="")
    assert 'viewBox="-6 -8' in small, "0.0075 on its axis, with letters of a phone's size"


def test_words_of_a_file_are_words() -> None:
    evil = "<script>alert(1)</script>"
    drawn = curves([Line(evil, "more", [(1, 0.5)])], end=1, foot=(evil, evil), words=f'"{evil}')
    assert "<script>" not in drawn
    assert 'aria-label="&#34;&lt;script&gt;' in drawn


def test_nothing_is_drawn_of_nothing() -> None:
    assert not curves([Line("val", "val", [(1, math.nan)])], end=1, foot=("", ""), words="")


def test_many_points_become_means_and_the_end_stays() -> None:
    found = reports.thinned([(x, float(x % 2)) for x in range(1000)])
    assert len(found) == reports.MOST_POINTS
    assert list(found[-1]) == [999, 1], "what is told beside the curve"
    assert all(0.4 <= y <= 0.6 for _, y in found[:-1])


@pytest.mark.parametrize(("most", "end"), [(0, 1), (0.0021, 0.003), (2.66, 3), (100, 100), (1234, 1500)])
def test_axes_end_at_round_numbers(most: float, end: float) -> None:
    assert reports.nice(most) == pytest.approx(end)


def test_names_of_lines_of_equal_rank_have_their_colour_beside_them() -> None:
    drawn = curves([Line("a", "one", [(1, 0.5)]), Line("b", "two dashed", [(1, 0.2)])], end=1, foot=("", ""), words="")
    assert drawn.count('class="two dashed"') == 3, "the point, the colour, the name"


def test_a_point_stands_on_its_interval_and_what_is_no_number_on_none() -> None:
    line = Line("top-1", "val", [(1, 0.2), (10, 0.5), (100, math.nan)], ranges=[(0.1, 0.3), (0.4, 0.6), (0, 1)])
    drawn = chart([line], Axis(1, 100, is_log=True), upward([], is_share=True), "")
    # 1 to 100 by factors over 320 px from 48 on: 10 lies in the middle; 0..1 over 120 px, 1 at the top
    assert '<line class="val" x1="208.0" x2="208.0" y1="72.0" y2="48.0"/>' in drawn
    assert 'points="48.0,96.0 208.0,60.0"' in drawn
    assert "nan" not in drawn


def test_each_power_of_ten_is_a_tick_where_factors_take_equal_room() -> None:
    assert [words for _, words in around([1e-3, 2.0], is_log=True).ticks] == ["0.001", "0.01", "0.1", "1"]
    assert [words for _, words in around([0.25, 0.5], is_share=True).ticks] == ["25.0%", "50.0%"]
    assert around([]).low == around([]).high == 1
    assert around([0.0, 5.0, 50.0], is_log=True).low == 5, "0 has no place there"


def test_a_page_runs_nothing_and_a_table_folds_into_cards() -> None:
    evil = "<script>alert(1)</script>"
    body = reports.table(("run", evil), [(evil, "1")], numbers=(1,)) + reports.wall([(b"x", evil)])
    page = reports.page(evil, body + reports.figures([(evil, curves([], end=1, foot=("", ""), words=evil))]), evil)
    assert "<script" not in page
    assert '<td class="n" data-head="&lt;script&gt;alert(1)&lt;/script&gt;"><span>1</span></td>' in page
    assert "http" not in page
