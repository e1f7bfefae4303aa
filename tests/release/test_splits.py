"""Splits: disjoint, complete, free of order, groups whole, stable."""

from __future__ import annotations

import hashlib
import random
from collections import Counter

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pictus
from pictus.release.splits import Shares, draw, given_split, parse_given, targets
from pictus.releases import split_of_folder


def rows_of(pictures: list[tuple[int, str, int]]) -> pa.Table:
    """(number, class, group number) -> rows with ids as real ones look."""
    return pa.table({
        "image_id": pa.array([image(number) for number, _, _ in pictures], pa.string()),
        "concept_id": pa.array([concept for _, concept, _ in pictures], pa.string()),
        "group_id": pa.array([image(group) for _, _, group in pictures], pa.string()),
    })  # fmt: skip


def image(number: int) -> str:
    return hashlib.sha256(str(number).encode()).hexdigest()


def singles(count: int, concept: str = "n1", first: int = 0) -> list[tuple[int, str, int]]:
    return [(number, concept, number) for number in range(first, first + count)]


def drawn_by_id(pictures: list[tuple[int, str, int]], **options: object) -> dict[str, str]:
    rows = rows_of(pictures)
    shares = options.pop("shares", Shares())
    found = draw(rows, shares, seed=options.pop("seed", 0), **options)  # type: ignore[arg-type]
    return dict(zip(rows.column("image_id").to_pylist(), found.splits, strict=True))


pictures_of_any_kind = st.lists(
    st.tuples(st.sampled_from(["n1", "n2", "n3"]), st.integers(0, 12)), min_size=1, max_size=60
).map(lambda found: [(number, concept, 1000 + group) for number, (concept, group) in enumerate(found)])


@settings(deadline=None)
@given(pictures_of_any_kind, st.integers(0, 5), st.randoms())
def test_every_picture_gets_one_split_groups_stay_whole_and_order_is_nothing(
    pictures: list[tuple[int, str, int]], seed: int, shuffler: random.Random
) -> None:
    splits = drawn_by_id(pictures, seed=seed)
    assert len(splits) == len(pictures)
    assert set(splits.values()) <= {"train", "val", "test"}
    by_group: dict[int, set[str]] = {}
    for number, _, group in pictures:
        by_group.setdefault(group, set()).add(splits[image(number)])
    assert all(len(found) == 1 for found in by_group.values())
    shuffled = shuffler.sample(pictures, len(pictures))
    assert drawn_by_id(shuffled, seed=seed) == splits


@settings(deadline=None)
@given(pictures_of_any_kind, st.integers(1, 59))
def test_pictures_split_before_keep_their_split_when_new_ones_come(
    pictures: list[tuple[int, str, int]], cut: int
) -> None:
    alone = [(number, concept, number) for number, concept, _ in pictures]  # no groups: none can be brought together
    before = drawn_by_id(alone[:cut])
    after = drawn_by_id(alone, before=before)
    assert {image_id: after[image_id] for image_id in before} == before
    assert drawn_by_id(alone, before=after) == after


@settings(deadline=None)
@given(st.integers(1, 300), st.sampled_from([Shares(), Shares(0.9, 0.1, 0), Shares(1, 0, 0), Shares(0.5, 0.25, 0.25)]))
def test_targets_add_up_stay_within_one_and_leave_no_asked_split_empty(count: int, shares: Shares) -> None:
    found = targets(count, shares)
    assert sum(found.values()) == count
    assert found["train"] >= 1
    for name, value in found.items():
        share = getattr(shares, name)
        assert (value == 0) if share == 0 else abs(value - count * share) < 2
        if count >= 3 and share > 0:
            assert value >= 1


def test_shares_are_exact_per_class() -> None:
    # 50 of n1 and 30 of n2 at .8/.1/.1: 40 + 24, 5 + 3, 5 + 3.
    splits = drawn_by_id([*singles(50), *singles(30, "n2", first=100)])
    assert Counter(splits.values()) == {"train": 64, "val": 8, "test": 8}
    assert Counter(splits[image(number)] for number in range(50)) == {"train": 40, "val": 5, "test": 5}


def test_a_contested_picture_falls_to_val_as_often_as_to_test() -> None:
    # 15 per class leaves 1.5 + 1.5: over 200 classes neither split may always win.
    won = Counter(max(("val", "test"), key=targets(15, Shares(), tie=f"0 n{n}").__getitem__) for n in range(200))
    assert 70 < won["val"] < 130


def test_tiny_classes_are_learnable_first_and_what_they_lack_is_told() -> None:
    rows = rows_of([*singles(1, "one"), *singles(2, "two", 10), *singles(3, "three", 20)])
    found = draw(rows, Shares(), seed=0)
    by_class = {one: Counter[str]() for one in ("one", "two", "three")}
    for concept, split in zip(rows.column("concept_id").to_pylist(), found.splits, strict=True):
        by_class[concept][split] += 1
    assert by_class == {"one": {"train": 1}, "two": {"train": 2}, "three": {"train": 1, "val": 1, "test": 1}}
    assert found.lacking == {"one": ("val", "test"), "two": ("val", "test")}


def test_another_seed_draws_another_split() -> None:
    pictures = singles(100)
    one, other = drawn_by_id(pictures, seed=1), drawn_by_id(pictures, seed=2)
    assert one != other
    assert Counter(one.values()) == Counter(other.values())


def test_new_pictures_fill_what_the_class_lacks() -> None:
    before = drawn_by_id(singles(10), shares=Shares(1, 0, 0))
    after = drawn_by_id(singles(20), before=before)
    # 20 at .8/.1/.1 wants 16/2/2: ten are in train already, so 6/2/2 of the new.
    assert Counter(after[image(number)] for number in range(10, 20)) == {"train": 6, "val": 2, "test": 2}


def test_a_group_found_later_comes_together_held_out() -> None:
    before = {image(0): "train", image(1): "test", image(2): "val"}
    found = draw(rows_of([(0, "n1", 0), (1, "n1", 0), (2, "n1", 2)]), Shares(), seed=0, before=before)
    assert found.splits == ["test", "test", "val"]
    assert found.moved == (image(0),)
    assert found.kept == 2


def test_given_splits_hold_and_a_group_they_tear_is_told() -> None:
    pictures = [*singles(20), (50, "n1", 50), (51, "n1", 50), (60, "n1", 60), (61, "n1", 60)]
    claims = {image(50): "test", image(60): "test", image(61): "train"}
    found = draw(rows_of(pictures), Shares(0.9, 0.1, 0), seed=0, given=claims)
    by_number = dict(zip([number for number, _, _ in pictures], found.splits, strict=True))
    assert by_number[50] == "test"
    assert by_number[51] == "test"  # nobody gave it a split: it goes with its group
    assert (by_number[60], by_number[61]) == ("test", "train")
    assert found.torn == (image(60),)
    # Given pictures are outside the shares: the 20 others are 18 / 2 / 0.
    assert Counter(by_number[number] for number in range(20)) == {"train": 18, "val": 2}


@pytest.mark.parametrize("shares", [(0.5, 0.1, 0.1), (0, 0.5, 0.5), (1.2, -0.1, -0.1), (0.8, 0.1, 0.2)])
def test_shares_that_make_no_whole_are_refused(shares: tuple[float, float, float]) -> None:
    with pytest.raises(pictus.UserError, match="sum to"):
        Shares(*shares)


def test_given_is_read_from_the_folder_nearest_to_the_file() -> None:
    parts = parse_given(("val=test", "train=train"))
    assert given_split(["/data/train/old/val/n01/x.jpg"], parts) == "test"
    assert given_split(["https://host/Training/x.jpg"], parts) == "train"
    assert given_split(["set.tar!validation/n01/x.jpg"], parts) == "test"
    assert given_split(["/data/n01/val"], parts) == ""  # a file called val is no folder
    assert given_split(["/data/interval/x.jpg"], parts) == ""
    assert given_split(["/a/train/x.jpg", "/b/val/x.jpg"], parts) == "test"  # held out wins


def test_all_malformed_given_texts_are_told() -> None:
    with pytest.raises(pictus.UserError, match="'val', '=test', 'x=exam'") as error:
        parse_given(("val", "=test", "x=exam", "ok=val"))
    assert "--given val=test" in error.value.fix


def test_a_folder_name_can_stand_for_a_split() -> None:
    assert [split_of_folder(name) for name in ("Train", "validation", "dev", "n01")] == ["train", "val", "val", ""]
