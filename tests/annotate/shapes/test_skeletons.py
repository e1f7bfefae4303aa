"""Skeletons: every line joins two points there are."""

from __future__ import annotations

import pytest

from pictus.annotate.shapes.skeletons import SKELETONS, skeleton_of
from pictus.errors import UserError


@pytest.mark.parametrize("name", ["animal-17", "coco-person", "face-5", "hand-21", "point"])
def test_a_skeleton_has_names_of_its_own_and_lines_between_them(name: str) -> None:
    skeleton = SKELETONS.get(name)
    assert len(set(skeleton.points)) == len(skeleton.points)
    assert all(0 <= end < len(skeleton.points) for line in skeleton.lines for end in line)
    assert len({frozenset(line) for line in skeleton.lines}) == len(skeleton.lines)


def test_a_hand_is_one_tree() -> None:
    hand = SKELETONS.get("hand-21")
    assert len(hand.points) == 21
    assert sorted(end for _, end in hand.lines) == list(range(1, 21)), "each but the wrist hangs on one other"
    assert [start for start, _ in hand.lines].count(0) == 5


def test_one_can_be_made_up_on_the_spot() -> None:
    assert skeleton_of("beak, left eye ,tail").points == ("beak", "left eye", "tail")
    for wrong in ("beak,beak", "a,", "a,<b>", ",", "a," + "x" * 60, ",".join(f"p{number}" for number in range(300))):
        with pytest.raises(UserError, match="is no skeleton"):
            skeleton_of(wrong)
