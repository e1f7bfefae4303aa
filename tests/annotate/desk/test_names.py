"""Which names people may have, and which look the same. Signs that look alike are written by their numbers."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.annotate.desk.names import alike, clean_name
from pictus.errors import UserError

SAME = [
    "ADA", "ada\u034f", "ada\ufe0f", "ada\u17b5", "ada\U000e0100", "ada\u3164",
    "\uff41\uff44\uff41", "\u0430\u0501\u0430", "ad\u0430", "ada\u2800", " ada ", "ad\u00ada",
]  # fmt: skip


@pytest.mark.parametrize("name", SAME, ids=ascii)
def test_what_looks_the_same_is_compared_as_the_same(name: str) -> None:
    assert alike(name) == alike("ada")


@pytest.mark.parametrize(
    ("one", "other"),
    [("\u00c4nne", "\u00e4NNE"), ("stra\u00dfe", "STRASSE"), ("\u039f\u03a3", "\u03bf\u03c2"),
     ("Zo\u00eb", "zoe\u0308"),
     ("\u0421\u0410\u041e", "cao"), ("\u03bf\u03bf\u03bf", "ooo"), ("a  b", "a\u00a0b"), ("\ufb01n", "fin")],
    ids=ascii,
)  # fmt: skip
def test_case_form_and_script_make_no_other_name(one: str, other: str) -> None:
    assert alike(one) == alike(other)


@pytest.mark.parametrize(
    ("one", "other"), [("ada", "\u00e1da"), ("ada", "ada2"), ("a b", "ab"), ("\u5229", "\u529b"), ("ann", "anne")]
)
def test_what_can_be_told_apart_stays_apart(one: str, other: str) -> None:
    assert alike(one) != alike(other)


@pytest.mark.parametrize(
    "name",
    ["\u0430da", "p\u03bfl", "\u3164", "\u2800", "\u034f\u034f", "!!!", "\U0001f989", "--resume", "-rf", "\uff0drf",
     "SOURCE\uff1ax",
     "\uff33\uff2f\uff35\uff32\uff23\uff25:x", "source\uff1ax", "model\u2236x", "model\ua789x", "source\ufe55x",
     "so\u034furce:x", "\u017fource:x", "source :x", "a\u200bb", "a\u202eb", "", "x" * 41],
    ids=ascii,
)  # fmt: skip
def test_a_name_that_hides_pretends_or_shows_nothing_is_refused(name: str) -> None:
    with pytest.raises(UserError):
        clean_name(name)


@pytest.mark.parametrize(
    "name",
    ["ada", "Zo\u00eb \u6728\u6751 \U0001f989", "\u0410\u043d\u043d\u0430", "\u0395\u03bb\u03ad\u03bd\u03b7",
     "\u0645\u0631\u064a\u0645", "7", "a-b", "o'neil", "source",
     "sources: me", "Anna \u0412\u0435\u0440\u0430", "\u0905\u0928\u0940\u0924\u093e"],
    ids=ascii,
)  # fmt: skip
def test_names_of_the_world_are_names(name: str) -> None:
    assert clean_name(name) == name


def test_what_cannot_be_seen_is_left_out_and_not_counted() -> None:
    assert clean_name("Ada \u2764\ufe0f") == "Ada \u2764"
    assert clean_name("x" * 40 + "\ufe0f") == "x" * 40


@given(st.text(max_size=60))
def test_a_name_is_kept_as_it_was_cleaned_and_compared_steadily(text: str) -> None:
    try:
        name = clean_name(text)
    except UserError:
        return
    assert clean_name(name) == name
    assert alike(name) == alike(alike(name)) == alike(text)
    assert alike(name) == alike(unicodedata.normalize("NFD", name))
