"""Where the lines lie: by the pool, between guards, or by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.clean.rules import RULES, Cut, Line, as_json, as_line, draw, of_all, one_rule, read_lines
from pictus.errors import UserError

MEASURES = {rule.measure for rule in RULES.values()}


def measures(**given_values: np.ndarray) -> dict[str, np.ndarray]:
    """A plain pool of 1000 photographs' measures, with some replaced."""
    generator = np.random.default_rng(0)
    plain = {
        "short side": generator.integers(300, 500, 1000).astype(float),
        "contrast": generator.normal(55, 12, 1000).clip(15),
        "brightness": generator.normal(118, 25, 1000).clip(30, 225),
        "sharpness": np.exp(generator.normal(math.log(1500), 0.8, 1000)).clip(60),
        "aspect": np.exp(np.abs(generator.normal(0.3, 0.1, 1000))),
        "entropy": generator.normal(7.2, 0.4, 1000).clip(5, 8),
        "text_frac": np.abs(generator.normal(0, 0.03, 1000)).clip(0, 0.15),
        "overlay": np.abs(generator.normal(0.07, 0.03, 1000)).clip(0, 0.19),
        "border_frac": np.zeros(1000),
        "jpeg_quality": generator.integers(56, 100, 1000).astype(float),
        "is_animated": np.zeros(1000),
        "grey_frac": generator.uniform(0, 0.9, 1000),
    }
    return {**plain, **{name.replace("~", " "): values for name, values in given_values.items()}}


def cuts(lines: dict[str, float | None] | None = None, /, **values: np.ndarray) -> dict[str, Cut]:
    return {cut.rule.name: cut for cut in draw(measures(**values), lines or {})}


def test_a_clean_pool_loses_nothing() -> None:
    pool = measures()
    for name, cut in cuts().items():
        assert not cut.is_beyond(pool[cut.rule.measure]).any(), name


def test_what_is_plainly_bad_is_beyond_the_line_in_any_pool() -> None:
    bad = {"tiny": 12, "blank": 0.5, "dark": 3, "bright": 254, "low-contrast": 4.5, "blurred": 4, "odd-aspect": 9,
           "low-entropy": 0.5, "text-heavy": 0.5, "overlay": 0.4, "borders": 0.3, "compressed": 10, "animated": 1,
           "grey": 1}  # fmt: skip
    for share in (0.01, 0.4, 0.9):
        for name, value in bad.items():
            measure = RULES[name].measure
            values = measures()[measure]
            values[: int(len(values) * share)] = value
            cut = cuts(**{measure.replace(" ", "~"): values})[name]
            assert cut.is_beyond(np.array([float(value)]))[0], (name, share)


def test_the_fence_is_four_robust_deviations_on_a_log_scale() -> None:
    # ln sharpness: 3, 4, 5 in equal parts: median 4, MAD 1, fence 4 - 4 × 1.4826 = -1.93: the lower guard holds.
    wide = np.exp(np.array([3.0, 4.0, 5.0] * 100))
    assert (cuts(sharpness=wide)["blurred"].line, cuts(sharpness=wide)["blurred"].origin) == (10.0, "guard")
    # ln sharpness 4 ± 0.2: the fence is exp(4 - 4 × 1.4826 × 0.2) = exp(2.81392) = 16.675: between 10 and 30.
    narrow = np.exp(np.array([3.8, 4.0, 4.2] * 100))
    cut = cuts(sharpness=narrow)["blurred"]
    assert cut.line == pytest.approx(math.exp(4 - 4 * 1.4826 * 0.2))
    assert cut.origin == "pool"


def test_tiny_is_a_quarter_of_the_pools_median() -> None:
    assert cuts(**{"short side": np.full(50, 32.0)})["tiny"].line == 16.0  # CIFAR: 8 would be below the guard
    assert cuts(**{"short side": np.full(50, 120.0)})["tiny"].line == 30.0
    assert cuts(**{"short side": np.full(50, 4000.0)})["tiny"].line == 48.0
    assert not cuts(**{"short side": np.full(50, 32.0)})["tiny"].is_beyond(np.full(3, 32.0)).any()


@settings(deadline=None)
@given(st.lists(st.floats(0, 1e5), min_size=1, max_size=60), st.sampled_from(sorted(RULES)))
def test_the_line_stays_between_its_guards_whatever_the_pool(values: list[float], name: str) -> None:
    rule = RULES[name]
    cut = cuts(**{rule.measure.replace(" ", "~"): np.array(values)})[name]
    assert rule.low_guard <= cut.line <= rule.high_guard
    assert sum(cut.counts) == len(values)
    assert cut.edges[0] <= cut.line <= cut.edges[-1] * (1 + 1e-12)
    assert len(cut.edges) == len(cut.counts) + 1


def test_an_empty_pool_has_lines_too() -> None:
    empty = {measure: np.zeros(0) for measure in MEASURES}
    for cut in draw(empty, {}):
        assert cut.origin == "guard"
        assert not cut.is_beyond(np.zeros(0)).any()
        assert as_line(cut, 0)


def test_a_line_can_be_set_or_switched_off() -> None:
    lines = read_lines(("blurred=400", "dark=off", "odd-aspect=1.5"))
    assert of_all(lines) == {"blurred": 400.0, "dark": None, "odd-aspect": 1.5}
    found = cuts(of_all(lines))
    assert (found["blurred"].line, found["blurred"].origin) == (400.0, "option")
    assert found["blurred"].is_beyond(np.array([399.0, 400.0])).tolist() == [True, False]
    assert not found["dark"].is_beyond(np.array([0.0])).any()
    assert "off" in as_line(found["dark"], 0)


def test_a_line_may_be_of_one_concept() -> None:
    lines = read_lines(("whippet:blurred=15", "blurred=40", "odd name: x:dark=off", "leak=off"))
    assert lines == [
        Line("blurred", 15.0, "whippet"), Line("blurred", 40.0), Line("dark", None, "odd name: x"), Line("leak", None)
    ]  # fmt: skip
    assert of_all(lines) == {"blurred": 40.0, "leak": None}
    assert [line.text for line in lines] == ["whippet:blurred=15", "blurred=40", "odd name: x:dark=off", "leak=off"]
    with pytest.raises(UserError, match="can only be leak=off"):
        read_lines(("leak=3",))


def test_a_line_without_a_number_under_0_or_given_twice_is_told_as_such() -> None:
    with pytest.raises(UserError) as told:
        read_lines(("blurred", "dark=-5", "tiny=4", "tiny=5", "owl:tiny=5"))
    assert "blurred wants =NUMBER, =off or =pool" in told.value.what
    assert "no measure is under 0" in told.value.what
    assert "tiny is given twice" in told.value.what
    assert "owl" not in told.value.what
    assert "did you mean blurred" not in told.value.what
    assert [line.is_pool for line in read_lines(("tiny=pool", "leak=pool", "owl:dark=off"))] == [True, True, False]


def test_every_wrong_line_is_reported_at_once() -> None:
    with pytest.raises(UserError) as caught:
        read_lines(("blured=4", "dark=much", "bright=nan", "tiny", "blank=1"))
    assert "4 bad rows" in caught.value.what
    for word in ("blured", "much", "nan", "tiny"):
        assert word in caught.value.what
    assert "RULE=NUMBER" in caught.value.fix


def test_an_unknown_rule_gets_the_nearest_names() -> None:
    assert one_rule("duplicate", ("duplicate",)) == "duplicate"
    with pytest.raises(UserError, match="blurry") as caught:
        one_rule("blurry", ("duplicate",))
    assert "blurred" in caught.value.fix


def test_the_terminal_line_shows_the_distribution_and_the_cut() -> None:
    text = as_line(cuts()["blurred"], 12)
    assert text.startswith("blurred")
    assert "12 dropped" in text
    assert text.count("│") == 1
    assert "█" in text
    assert text.index("│") < text.index("█")  # cut on the left for a rule that drops what is under its line
    right = as_line(cuts()["bright"], 0)
    assert right.index("│") > right.index("█")


def test_the_page_gets_everything_it_draws() -> None:
    own = read_lines(("owl:dark=3", "owl:bright=250"))
    found = as_json(cuts()["dark"], 3, own)
    assert (found["is_flag"], found["low_guard"], found["high_guard"], found["own"]) == (False, 8, 14, ["owl:dark=3"])
    assert (found["rule"], found["measure"], found["dropped"], found["is_upper"]) == ("dark", "brightness", 3, False)
    assert len(found["edges"]) == len(found["counts"]) + 1
