"""Keep or drop: the first broken rule is the reason; nobody's decision is lost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pictus.clean.rules import draw
from pictus.clean.verdicts import Earlier, Grouped, Judged, Measured, Own, judge, restored, taken

FINE = {
    "contrast": 60.0, "brightness": 120.0, "sharpness": 1500.0, "aspect": 1.3, "short side": 400.0, "entropy": 7.0,
    "text_frac": 0.0, "overlay": 0.05, "border_frac": 0.0, "jpeg_quality": 90.0, "is_animated": 0.0,
}  # fmt: skip
NO_GROUPS = Grouped([], [], [], [], [], [], [])


def pool(*pictures: dict[str, Any]) -> Measured:
    """Pictures a, b, c … with fine values except those given; `cause` makes one broken."""
    names = [chr(ord("a") + number) for number in range(len(pictures))]
    values = {
        name: np.array([float(picture.get(name, FINE.get(name, 0.0))) for picture in pictures])
        for name in (*FINE, "grey_frac")
    }
    sizes = np.array([picture.get("size", 1000) for picture in pictures])
    return Measured(names, [picture.get("cause", "") for picture in pictures], sizes, values)


def verdicts(measured: Measured, grouped: Grouped = NO_GROUPS, earlier: dict[str, Earlier] | None = None,
             at: str = "now", judged: Judged | None = None) -> dict[str, dict[str, Any]]:  # fmt: skip
    cuts = draw(measured.values, {})
    table = judge(measured, cuts, grouped, earlier or {}, radius=90, at=at, judged=judged)
    return {row["image_id"]: row for row in table.to_pylist()}


def groups(*rows: tuple[str, str, int], relation: str = "near") -> Grouped:
    """(image, keeper, distance) rows; the keeper is everyone's evidence."""
    return Grouped(
        [row[0] for row in rows], [row[1] for row in rows], [row[0] == row[1] for row in rows],
        [row[2] for row in rows], [f"like {row[1]}" for row in rows], [relation] * len(rows), [row[1] for row in rows],
    )  # fmt: skip


def test_a_fine_picture_is_kept_without_a_rule() -> None:
    assert verdicts(pool({}))["a"] == {
        "image_id": "a", "verdict": "keep", "rule": "", "reason": "passed every rule", "value": 0.0, "threshold": 0.0,
        "decided_at": "now",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "measure", "value", "line", "words"),
    [
        ("tiny", "short side", 9, 48, "too few pixels: short side 9 is under 48"),
        ("blank", "contrast", 1, 3, "nothing to see: contrast 1 is under 3"),
        ("dark", "brightness", 2.5, 14, "almost black: brightness 2.5 is under 14"),
        ("bright", "brightness", 254, 245, "almost white: brightness 254 is over 245"),
        ("low-contrast", "contrast", 4, 8, "hardly any difference in light: contrast 4 is under 8"),
        ("blurred", "sharpness", 3.14, 30, "no sharp edge: sharpness 3.1 is under 30"),
        ("low-entropy", "entropy", 0.25, 2, "few levels of light: entropy 0.25 is under 2"),
        ("odd-aspect", "aspect", 7, 3, "a strip: aspect 7 is over 3"),
    ],
)
def test_each_rule_drops_with_its_value_its_line_and_words(
    rule: str, measure: str, value: float, line: float, words: str
) -> None:
    found = verdicts(pool(*[{}] * 9, {measure: value}))
    assert [row["verdict"] for row in found.values()] == ["keep"] * 9 + ["drop"]
    bad = found["j"]
    assert (bad["rule"], bad["value"], bad["threshold"], bad["reason"]) == (rule, value, line, words)


def test_the_first_broken_rule_is_the_reason() -> None:
    black = {"contrast": 0.0, "brightness": 0.0, "sharpness": 0.0}
    assert verdicts(pool({}, {}, black))["c"]["rule"] == "dark"
    assert verdicts(pool({}, {}, {**black, "brightness": 99.0}))["c"]["rule"] == "blank"
    found = verdicts(pool({}, {}, {"cause": "truncated", **black}))["c"]
    assert (found["rule"], found["reason"]) == ("broken", "broken: truncated")


def test_grey_is_a_flag_on_a_kept_picture() -> None:
    found = verdicts(pool({"grey_frac": 1.0}, {"grey_frac": 0.98}))
    assert (found["a"]["verdict"], found["a"]["rule"]) == ("keep", "grey")
    assert found["b"]["rule"] == ""


@pytest.mark.parametrize(
    ("rule", "measure", "value", "words"),
    [
        ("text-heavy", "text_frac", 0.4, "a page or a screenshot: text_frac 0.4 is over 0.2"),
        ("overlay", "overlay", 0.25, "writing laid over it: overlay 0.25 is over 0.2"),
        ("borders", "border_frac", 0.24, "plain bars or a frame: border_frac 0.24 is over 0.1"),
        ("compressed", "jpeg_quality", 12, "compressed hard: jpeg_quality 12 is under 25"),
        ("animated", "is_animated", 1, "it moves, its first frame is judged: is_animated 1 is over 0.5"),
        ("grey", "grey_frac", 1, "no colour: grey_frac 1 is over 0.99"),
    ],
)
def test_what_is_uncertain_or_may_be_wanted_is_flagged_and_kept(
    rule: str, measure: str, value: float, words: str
) -> None:
    found = verdicts(pool(*[{}] * 9, {measure: value}))["j"]
    assert (found["verdict"], found["rule"], found["value"]) == ("keep", rule, value)
    assert found["reason"] == f"kept, flagged as {rule}: {words}"


def test_a_picture_has_one_flag_and_names_the_others_and_none_when_it_is_dropped() -> None:
    both = {"border_frac": 0.3, "grey_frac": 1.0}
    found = verdicts(pool({}, both, {**both, "sharpness": 1.0}, {}))
    assert found["b"]["rule"] == "borders"
    assert found["b"]["reason"].endswith("; also grey")
    assert (found["c"]["verdict"], found["c"]["rule"]) == ("drop", "blurred")


def test_who_opted_out_and_what_leaks_is_dropped_before_any_line() -> None:
    judged = Judged(opted_out={"a": "robots at its address", "b": "x"}, leaked={"b": "y", "c": "in a test set"})
    found = verdicts(pool({"sharpness": 1.0}, {}, {}, {}), judged=judged)
    assert [found[name]["rule"] for name in "abcd"] == ["opt-out", "opt-out", "leak", ""]
    assert (found["a"]["reason"], found["c"]["reason"]) == ("robots at its address", "in a test set")


def test_a_concept_has_a_line_of_its_own_and_the_narrower_one_holds() -> None:
    soft = {"sharpness": 25.0}
    own = [Own("blurred", 20.0, "dog", np.array([0, 1, 2])), Own("blurred", 28.0, "whippet", np.array([1])),
           Own("blurred", None, "pug", np.array([2]))]  # fmt: skip
    found = verdicts(pool(soft, soft, {"sharpness": 1.0}, soft, {}, {}, {}, {}, {}), judged=Judged(own=own))
    assert [found[name]["verdict"] for name in "abcd"] == ["keep", "drop", "keep", "drop"]
    assert found["b"]["reason"] == "no sharp edge: sharpness 25 is under 28 (the line of whippet)"
    assert found["d"]["reason"] == "no sharp edge: sharpness 25 is under 30"
    assert (found["b"]["threshold"], found["d"]["threshold"]) == (28.0, 30.0)


def test_all_of_a_group_but_its_keeper_are_dropped() -> None:
    found = verdicts(pool({}, {}, {}, {}), groups(("b", "b", 0), ("a", "b", 12), ("c", "b", 0)))
    assert [found[name]["rule"] for name in "abcd"] == ["duplicate", "", "duplicate", ""]
    assert (found["a"]["value"], found["a"]["threshold"], found["a"]["reason"]) == (12.0, 90.0, "like b")


def test_when_the_keeper_is_dropped_the_next_of_its_group_stays_and_the_others_name_it() -> None:
    found = verdicts(
        pool({"sharpness": 1.0}, {}, {}, {"sharpness": 2.0}, {}, {}),
        groups(("a", "a", 0), ("d", "a", 5), ("c", "a", 4), ("b", "a", 3)),
    )
    assert [found[name]["rule"] for name in "abcd"] == ["blurred", "duplicate", "", "blurred"]
    assert found["c"]["reason"] == "kept in place of a, which is dropped"
    assert found["b"]["reason"] == "3 of 384 bits differ from a; c is kept in place of a, which is dropped"


def test_a_collage_never_stands_in_for_what_it_shows() -> None:
    found = verdicts(pool({"sharpness": 1.0}, {}, {}), groups(("a", "a", 0), ("b", "a", 0), relation="collage"))
    assert [found[name]["rule"] for name in "abc"] == ["blurred", "duplicate", ""]


def test_a_leak_and_an_opt_out_are_those_of_the_whole_group() -> None:
    alike = groups(("b", "b", 0), ("a", "b", 0), ("d", "c", 9), ("c", "c", 0))
    judged = Judged(opted_out={"c": "its metadata says so"}, leaked={"a": "the same file as x of val"})
    found = verdicts(pool({}, {"sharpness": 1.0}, {}, {}, {}), alike, judged=judged)
    assert [found[name]["rule"] for name in "abcde"] == ["leak", "leak", "opt-out", "opt-out", ""]
    assert found["b"]["reason"] == "the same picture as a: the same file as x of val"
    assert found["d"]["reason"] == "the same picture as c: its metadata says so"


def test_a_leak_that_a_person_restored_speaks_for_itself_alone() -> None:
    judged, alike = Judged(leaked={"a": "x"}), groups(("b", "b", 0), ("a", "b", 0))
    first = verdicts(pool({}, {}), alike, judged=judged)
    again = verdicts(pool({}, {}), alike, by_hand("a", first), judged=judged)
    assert [again[name]["rule"] for name in "ab"] == ["restored", ""]


def by_hand(image_id: str, found: dict[str, dict[str, Any]]) -> dict[str, Earlier]:
    return {image_id: restored(Earlier(*(found[image_id][name] for name in Earlier._fields)), "tuesday")}


def test_a_restored_keeper_needs_nobody_in_its_place() -> None:
    drawn = pool({"sharpness": 1.0}, {}, {}, {})
    alike = groups(("a", "a", 0), ("b", "a", 3), ("c", "a", 4))
    first = verdicts(drawn, alike)
    assert [first[name]["rule"] for name in "abc"] == ["blurred", "", "duplicate"]
    again = verdicts(drawn, alike, by_hand("a", first))
    assert [again[name]["rule"] for name in "abc"] == ["restored", "duplicate", "duplicate"]


def test_a_restored_member_is_in_the_place_of_a_dropped_keeper() -> None:
    drawn = pool({"sharpness": 1.0}, {}, {}, {})
    alike = groups(("a", "a", 0), ("b", "a", 3), ("c", "a", 4))
    again = verdicts(drawn, alike, by_hand("b", verdicts(drawn, alike)))
    assert [again[name]["rule"] for name in "abc"] == ["blurred", "restored", "duplicate"]
    assert again["c"]["reason"] == "4 of 384 bits differ from a; b is kept in place of a, which is dropped"


def test_a_group_of_pictures_that_are_gone_changes_nothing() -> None:
    found = verdicts(pool({}), groups(("x", "x", 0), ("y", "x", 1)))
    assert found["a"]["verdict"] == "keep"


def test_what_was_restored_stays_as_it_was_written() -> None:
    bad = pool({}, {}, {"sharpness": 1.0})
    first = verdicts(bad, at="monday")["c"]
    old = Earlier(*(first[name] for name in Earlier._fields))
    by_hand = restored(old, "tuesday")
    assert (by_hand.verdict, by_hand.rule, by_hand.decided_at) == ("keep", "restored", "tuesday")
    assert by_hand.reason == "restored by hand; was: no sharp edge: sharpness 1 is under 30"
    again = verdicts(bad, earlier={"c": by_hand}, at="wednesday")["c"]
    assert (again["verdict"], again["rule"], again["decided_at"]) == ("keep", "restored", "tuesday")


def test_a_verdict_that_did_not_change_keeps_its_time() -> None:
    bad = pool({}, {}, {"sharpness": 1.0})
    earlier = {
        name: Earlier(*(row[field] for field in Earlier._fields)) for name, row in verdicts(bad, at="monday").items()
    }
    assert {row["decided_at"] for row in verdicts(bad, earlier=earlier, at="tuesday").values()} == {"monday"}
    mended = verdicts(pool({}, {}, {}), earlier=earlier, at="tuesday")
    assert [row["decided_at"] for row in mended.values()] == ["monday", "monday", "tuesday"]


def test_every_line_counts_what_it_takes_and_every_flag_counts() -> None:
    poor = {"border_frac": 0.3, "grey_frac": 1.0, "jpeg_quality": 10}
    measured = pool({}, poor, poor, {**poor, "sharpness": 1.0}, {"sharpness": 1.0}, *[{}] * 9)
    own = [Own("blurred", 40.0, "dog", np.array([3]), "dog:blurred=40"),
           Own("grey", None, "owl", np.array([2]), "owl:grey=off")]  # fmt: skip
    cuts = draw(measured.values, {})
    table = judge(measured, cuts, NO_GROUPS, {}, radius=76, at="now", judged=Judged(own=own))
    assert taken(table, measured, cuts, own) == {
        ("blurred", ""): 1, ("blurred", "dog:blurred=40"): 1, ("borders", ""): 2, ("compressed", ""): 2, ("grey", ""): 1
    }
