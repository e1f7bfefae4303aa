"""Charts are well-formed SVG whose marks lie where the numbers say."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from pictus.demo.charts import Bar, Point, Spread, bars, curves, histogram, scatter, spreads


def _marks(svg: str, tag: str) -> list[dict[str, str]]:
    return [element.attrib for element in ET.fromstring(svg).iter() if element.tag == tag]


def test_bars_start_at_zero_and_keep_their_ratio() -> None:
    found = _marks(bars([Bar("a", 10, "10"), Bar("b", 5, "5", True)], "t"), "rect")
    assert float(found[0]["width"]) == pytest.approx(2 * float(found[1]["width"]))
    assert found[0]["x"] == found[1]["x"]
    assert [one["class"] for one in found] == ["ink", "bad"]


def test_an_interval_spans_its_estimate() -> None:
    svg = spreads([Spread("a", 0.5, 0.25, 1.0)], "t")
    dot = float(_marks(svg, "circle")[0]["cx"])
    span = next(one for one in _marks(svg, "line") if one["class"].startswith("span"))
    low, high = float(span["x1"]), float(span["x2"])
    assert (dot - low) / (high - low) == pytest.approx(1 / 3, abs=0.01)  # .5 lies a third of the way from .25 to 1


def test_names_in_a_chart_are_escaped() -> None:
    svg = bars([Bar("<b>&", 1, "1")], 'a "title"')
    assert "<b>" not in svg
    assert next(iter(ET.fromstring(svg).itertext())) == "<b>&"


def test_labels_of_curves_that_end_together_do_not_touch() -> None:
    svg = curves([("a", [0.1, 0.9], "ink"), ("b", [0.1, 0.9], "mute"), ("c", [0.1, 0.899], "faint")], "t")
    places = sorted(float(one["y"]) for one in _marks(svg, "text") if one.get("class", "").startswith("name"))
    assert min(b - a for a, b in pairwise(places)) >= 15.9


def test_a_scatter_names_only_what_is_marked() -> None:
    svg = scatter([Point("ada", 0.9, 0.9), Point("eve", 0.1, 0.1, True)], "x", "y", "t", low=0.0)
    shown = [element.text for element in ET.fromstring(svg).iter() if element.tag == "text"]
    assert "eve" in shown
    assert "ada" not in shown
    assert len(_marks(svg, "circle")) == 2


def test_a_histogram_marks_what_lies_beyond_the_line() -> None:
    under = _marks(histogram([0, 1, 2, 3], [4, 0, 9], 1.5, "t"), "rect")
    assert [one["class"] for one in under] == ["bad", "mute"]
    over = _marks(histogram([0, 1, 2, 3], [4, 0, 9], 1.5, "t", is_upper=True), "rect")
    assert [one["class"] for one in over] == ["mute", "bad"]
