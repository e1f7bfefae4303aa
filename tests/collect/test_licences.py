"""Licences in one spelling, whoever wrote them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.collect.licences import licence_of


@pytest.mark.parametrize(
    ("said", "licence"),
    [
        ("cc-by-sa-4.0", "CC-BY-SA-4.0"),
        ("CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("CC BY-SA 3.0 de", "CC-BY-SA-3.0-DE"),
        ("cc-by-2.0", "CC-BY-2.0"),
        ("by-nc-nd 2.0", "CC-BY-NC-ND-2.0"),
        ("Attribution 2.0", "Attribution 2.0"),
        ("https://creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("http://creativecommons.org/licenses/by-sa/2.5/deed.en", "CC-BY-SA-2.5"),
        ("https://creativecommons.org/licenses/by/3.0/us/", "CC-BY-3.0-US"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "PDM"),
        ("CC0", "CC0-1.0"),
        ("cc0 1.0", "CC0-1.0"),
        ("cc-zero", "CC0-1.0"),
        ("Public domain", "PDM"),
        ("pd", "PDM"),
        ("pdm 1.0", "PDM"),
        ("www.creativecommons.org/licenses/by-nc-nd/3.0/igo/legalcode?ref=chooser-v1", "CC-BY-NC-ND-3.0-IGO"),
        ("//creativecommons.org/publicdomain/zero/1.0/deed.de", "CC0-1.0"),
        ("GFDL", "GFDL"),
        ("PD-US-expired", "PD-US-expired"),
        ("PD-USGov", "PD-USGov"),
        ("https://creativecommons.org/licenses/GPL/2.0/", "https://creativecommons.org/licenses/GPL/2.0/"),
        ("", ""),
        ("all   rights\nreserved", "all rights reserved"),
    ],
)
def test_one_spelling(said: str, licence: str) -> None:
    assert licence_of(said) == licence


def test_the_first_text_that_is_known_counts_before_the_first_that_speaks() -> None:
    assert licence_of("", "see page", "https://creativecommons.org/licenses/by/4.0/") == "CC-BY-4.0"
    assert licence_of("", "see page", "ask me") == "see page"


@pytest.mark.parametrize(
    "said",
    [
        "no copyright: not CC-BY https://creativecommons.org/licenses/by/4.0/",
        "https://creativecommons.org/licenses/by/4.0/ or https://creativecommons.org/licenses/by-sa/4.0/",
        "all but the frame: http://creativecommons.org/publicdomain/mark/1.0/",
    ],
)
def test_a_text_that_says_more_than_a_licence_is_not_one(said: str) -> None:
    assert licence_of(said) == said


def test_a_text_cut_short_does_not_become_a_licence() -> None:
    found = licence_of("https://creativecommons.org/licenses/by/4.0/?" + 90 * "x" + " is not what holds here")
    assert len(found) == 100
    assert licence_of(found) == found


@given(st.text(max_size=300))
def test_any_text_gives_a_short_line(text: str) -> None:
    found = licence_of(text)
    assert len(found) <= 100
    assert licence_of(found) == found  # what is written once is read as the same
