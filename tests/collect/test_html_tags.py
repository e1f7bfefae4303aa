"""Tags of web pages, those made to be slow among them."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect.html_tags import MOST_TAGS, tags_of, unescaped


def shown(page: str) -> list[tuple[str, dict[str, str]]]:
    return [(("/" if tag.is_end else "") + tag.name, tag.attributes) for tag in tags_of(page)]


@pytest.mark.parametrize(
    ("page", "tags"),
    [
        ("<IMG SRC=a.jpg ALT='x y'>", [("img", {"src": "a.jpg", "alt": "x y"})]),
        ('<a href="x?a=1&amp;b=2">t</a>', [("a", {"href": "x?a=1&b=2"}), ("/a", {})]),
        ("<img src = 'a' src='b' hidden/>", [("img", {"src": "a", "hidden": ""})]),
        ("<a\nhref\n=\nb>", [("a", {"href": "b"})]),
        ("<a b= >", [("a", {"b": ""})]),
        ("<a title='1 > 0'><b>", [("a", {"title": "1 > 0"}), ("b", {})]),
        ('<a " x=1 = y>', [("a", {"x": "1", "y": ""})]),
        ("1 < 2 <b> 3 <4>", [("b", {})]),
        ("<!-- <a> --><b><!doctype html><?php <c> ?>", [("b", {})]),
        ("<style><a></style><b>", [("style", {}), ("/style", {}), ("b", {})]),
    ],
)
def test_tags_as_a_browser_sees_them(page: str, tags: list[tuple[str, dict[str, str]]]) -> None:
    assert shown(page) == tags


@pytest.mark.parametrize("page", ["<b><!-- <a>", "<b><a href='x><i>", "<b><a href=x", "<b><a"])
def test_what_never_ends_swallows_the_rest(page: str) -> None:
    assert [name for name, _ in shown(page)] == ["b"]


def test_a_script_is_text_up_to_its_end_tag() -> None:
    first, *_ = tags_of("<script type=x>if (a < b) { '<img src=a>' }</SCRIPT >")
    assert first.text == "if (a < b) { '<img src=a>' }"
    assert [tag.text for tag in tags_of("<script>no end <a>")] == ["no end <a>"]


@pytest.mark.parametrize(
    "piece", ["<", "<a ", "<a b='", "</", "<!--", "<![", "<a b=c ", "&#", "<script>", "<x>", "< a", "<a ="]
)
def test_a_page_made_to_be_slow_is_read_in_time(piece: str) -> None:
    page = piece * ((1 << 20) // len(piece))  # html.parser needs minutes for some of these at 8 MB
    started = time.process_time()
    assert sum(1 for _ in tags_of(page)) <= MOST_TAGS
    assert time.process_time() - started < 5


def test_numbers_of_absurd_length_are_one_sign() -> None:
    assert unescaped("a&#" + "1" * 5_000 + ";b &amp; &#x41;") == "a\N{REPLACEMENT CHARACTER}b & A"


@given(st.text(alphabet="<>/!-=\"'&#;ab \n", max_size=200))
def test_any_text_is_read_to_its_end(page: str) -> None:
    assert all(tag.name for tag in tags_of(page))
