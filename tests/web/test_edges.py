from __future__ import annotations

import numpy as np

from pictus.web.edges import beside

VALUES = np.array([1.0, 9.0, 4.0, 5.0, 6.0, np.nan, 20.0])


def test_the_nearest_on_both_sides_of_a_line_are_found() -> None:
    out, kept = beside(VALUES, 5.0, is_upper=False, shown=2)  # under 5 is out: 1 and 4; within: 5, 6, 9, 20
    assert sorted(out.tolist()) == [0, 2]
    assert sorted(kept.tolist()) == [3, 4]


def test_where_the_line_is_an_upper_one_the_sides_change() -> None:
    out, kept = beside(VALUES, 5.0, is_upper=True, shown=2)  # over 5 is out: 6, 9, 20
    assert sorted(out.tolist()) == [1, 4]
    assert sorted(kept.tolist()) == [2, 3]


def test_a_side_with_nothing_on_it_is_empty() -> None:
    out, kept = beside(VALUES, 0.5, is_upper=False, shown=3)
    assert out.tolist() == []
    assert sorted(kept.tolist()) == [0, 2, 3]
