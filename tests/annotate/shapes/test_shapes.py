"""What may be drawn, and what is refused: hostile JSON never gets further than a message."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.annotate.shapes import rle
from pictus.annotate.shapes.shapes import MOST_SHAPES, check_box, check_mask, check_points, mask_of
from pictus.annotate.tasks import KINDS, Given
from pictus.errors import UserError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(
        st.sampled_from(["box", "clicks", "polygons", "counts", "size", "points", "skeleton", "tool", "shapes", "x"]),
        inner, max_size=5,
    ),
    max_leaves=25,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_whatever_is_sent_is_a_shape_or_a_message(sent: Any) -> None:
    for check in (check_box, check_mask, check_points):
        with suppress(UserError):  # any other error is a bug
            assert check(sent, 64, 48)
    for name in ("box", "mask", "points", "box-quality", "box-coverage"):
        kind = KINDS.get(name)
        for answer in kind.answers:
            with suppress(UserError):
                assert kind.check(Given(0, answer, sent), 64, 48).answer == answer


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-0.5, 64.5), min_size=4, max_size=4))
def test_a_box_that_is_accepted_lies_inside_and_is_accepted_again(sides: list[float]) -> None:
    try:
        found = check_box({"box": sides}, 64, 64)
    except UserError:
        return
    x1, y1, x2, y2 = found["box"]
    assert 0 <= x1 < x2 <= 64
    assert 0 <= y1 < y2 <= 64
    assert check_box(found, 64, 64) == found


def test_half_a_pixel_outside_is_the_edge_and_more_is_refused() -> None:
    assert check_box({"box": [-0.4, 0, 100.5, 50]}, 100, 50) == {"box": [0.0, 0.0, 100.0, 50.0]}
    with pytest.raises(UserError, match=r"x = 101 lies outside the picture, which is 100 px wide"):
        check_box({"box": [0, 0, 101, 50]}, 100, 50)


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ({"box": [1, 2, float("nan"), 4]}, "no finite number"),
        ({"box": [1, 2, 10**5000, 4]}, "something endless is no finite number"),
        ({"box": [True, 0, 9, 9]}, "no finite number"),
        ({"box": ["1", 0, 9, 9]}, "no finite number"),
        ({"box": [5, 5, 5, 9]}, "not before"),
        ({"box": [1, 1, 2.5, 40]}, "2 px are the least side"),
        ({"box": [1, 1, 2]}, "four numbers"),
        ({"box": [1, 1, 9, 9], "tool": "hammer"}, "tool is 'hammer'"),
        ({"box": [1, 1, 9, 9], "clicks": [[1, 1]]}, "clicks are"),
        ({"box": [1, 1, 9, 9], "clicks": [[1, 5], [5, 1], [30, 5], [5, 9]]}, "not at its four clicks"),
    ],
)
def test_what_is_no_box_says_why(shape: Any, what: str) -> None:
    with pytest.raises(UserError, match=what):
        check_box(shape, 100, 50)


def test_four_extreme_clicks_stay_with_the_box() -> None:
    clicks = [[1, 5], [5, 1], [9, 5], [5, 9]]
    found = check_box({"box": [1, 1, 9, 9], "clicks": clicks, "tool": "extreme", "evil": "<script>"}, 100, 50)
    assert found == {"box": [1.0, 1.0, 9.0, 9.0], "clicks": clicks, "tool": "extreme"}


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ({"polygons": [[1, 1, 9, 9]]}, "fewer than three corners"),
        ({"polygons": [[1, 1, 9, 1, 9]]}, "not a list of x, y pairs"),
        ({"polygons": []}, "a list of 1 to 200|polygons are"),
        ({"polygons": [[1, 1, 9, 1, 9, 1.0]]}, "covers"),
        ({"polygons": [[1, 1, 999, 1, 9, 9]]}, "outside the picture"),
        ({"polygons": [[1, 1] * 20_001]}, "more than 20,000 corners"),
        ({"polygons": [[0, 0, 100, 50] * 5_000]}, "to and fro"),
        ({"size": [50, 100], "counts": [5000]}, "covers no pixel"),
        ({"size": [100, 50], "counts": [0, 5000]}, "it is 50 × 100 px, the picture 100 × 50"),
        ({}, "has no polygons or counts"),
    ],
)
def test_what_is_no_mask_says_why(shape: Any, what: str) -> None:
    with pytest.raises(UserError, match=what):
        check_mask(shape, 100, 50)


def test_run_lengths_as_a_list_are_stored_as_text() -> None:
    found = check_mask({"size": [50, 100], "counts": [0, 500, 4500], "tool": "brush"}, 100, 50)
    assert isinstance(found["counts"], str)
    assert rle.area(mask_of(found, 100, 50)) == 500


def test_points_need_a_known_skeleton_and_one_for_each_name() -> None:
    sent = {"skeleton": "beak,tail", "points": [[3, 4, 2], [900, 900, 0]]}
    assert check_points(sent, 100, 50) == {"skeleton": "beak,tail", "points": [[3.0, 4.0, 2], [0.0, 0.0, 0]]}
    for wrong, what in (
        ({"skeleton": "coco-persn", "points": []}, "There is no skeleton 'coco-persn'"),
        ({"skeleton": "point", "points": []}, "has 1 point, here are 0"),
        ({"skeleton": "point", "points": [[3, 4, 3]]}, "point has v"),
        ({"skeleton": "point", "points": [[3, 4, True]]}, "point has v"),
        ({"skeleton": "point", "points": [[3, 4]]}, "not .x, y, v"),
        ({"skeleton": "point", "points": [[3, 4, 0]]}, "none of them is there"),
        ({"skeleton": ["point"], "points": [[3, 4, 1]]}, "no name"),
        ({"skeleton": "a,a", "points": [[3, 4, 1]]}, "is no skeleton"),
    ):
        with pytest.raises(UserError, match=what):
            check_points(wrong, 100, 50)


def test_an_answer_without_its_drawing_is_refused_and_one_with_too_many_too() -> None:
    box, one = KINDS.get("box"), {"box": [1, 1, 9, 9]}
    assert box.check(Given(3, "box", {"shapes": [one]}), 20, 20).data == {"shapes": [{"box": [1.0, 1.0, 9.0, 9.0]}]}
    assert box.check(Given(3, "none", {}), 20, 20) == Given(3, "none", {})
    with pytest.raises(UserError, match="2 shapes are drawn, 1 may be"):
        box.check(Given(3, "box", {"shapes": [one, one]}), 20, 20)
    with pytest.raises(UserError, match="and yet 1 shape"):
        box.check(Given(3, "none", {"shapes": [one]}), 20, 20)
    with pytest.raises(UserError, match=f"{MOST_SHAPES + 1} shapes"):
        KINDS.get("mask").check(Given(0, "mask", {"shapes": [{}] * (MOST_SHAPES + 1)}), 20, 20)
    assert KINDS.get("box-quality").check(Given(0, "good", {"shapes": "x"}), 9, 9) == Given(0, "good", {})


def test_every_kind_says_what_to_do() -> None:
    for name in ("box", "box-quality", "box-coverage", "mask", "points"):
        assert len(KINDS.get(name).help) > 100
    assert "hidden" in KINDS.get("box").help


def test_outlines_that_would_hold_the_desk_up_are_refused_before_anything_is_filled(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    from pictus.annotate.shapes import rle

    def filled(*_: object) -> None:
        message = "filled"
        raise AssertionError(message)

    monkeypatch.setattr(rle, "from_polygons", filled)
    check = KINDS.get("mask").check
    to_and_fro = [float(value) for at in range(340) for value in (4000 * (at % 2), at * 8)]
    with pytest.raises(UserError, match="to and fro"):
        check(Given(0, "mask", {"shapes": [{"polygons": [to_and_fro]}]}), 4000, 3000)
    some = [float(value) for at in range(30) for value in (4000 * (at % 2), at * 8)]
    with pytest.raises(UserError, match="together run to and fro"):
        check(Given(0, "mask", {"shapes": [{"polygons": [some]}] * 4}), 4000, 3000)
