"""Tab files of the Open Multilingual Wordnet, and files that only look like one."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.errors import UserError
from pictus.taxonomy.languages import MOST_WORDS, parse_words

DOG, OWL = "n02084071", "n01621127"
HEAD = "# Wordnet Libre du Francais\tfra\thttp://example.org\tCeCILL-C"


def words(*lines: str, where: str = "words.tab") -> dict[tuple[str, str], list[str]]:
    return parse_words(lines, {DOG, OWL}, where).words


def test_both_ways_to_name_the_language_are_read() -> None:
    lines = ("02084071-n\tlemma\tchien", "02084071-n\tdeu:lemma\tHund", "01621127-n\tfra:lemma\tchouette\t0.9")
    found = words(HEAD, *lines)
    assert found == {(DOG, "fra"): ["chien"], (DOG, "deu"): ["Hund"], (OWL, "fra"): ["chouette"]}


def test_a_file_without_a_head_has_its_language_in_its_name() -> None:
    assert words("02084071-n\tlemma\tperro", where="data/wn-data-spa.tab") == {(DOG, "spa"): ["perro"]}
    assert words("02084071-n\tlemma\tperro", where="wn-cldr-spa.tab.gz") == {(DOG, "spa"): ["perro"]}


def test_other_kinds_other_parts_of_speech_and_gaps_are_passed_over() -> None:
    found = words(
        HEAD, "", "02084071-n\tfra:def\t0\tun animal", "02084071-n\tlemma:root\tchn", "01835496-v\tlemma\taller",
        "02084071-n\tlemma\tGAP!", "02084071-n\tlemma\tchien_de garde\r\n",
    )  # fmt: skip
    assert found == {(DOG, "fra"): ["chien de garde"]}


def test_a_word_comes_once_and_a_concept_has_few_of_them() -> None:
    lines = [f"02084071-n\tlemma\tchien {number % 40}" for number in range(200)]
    assert words(HEAD, *lines, "02084071-n\tlemma\tCHIEN 0")[DOG, "fra"] == [f"chien {n}" for n in range(MOST_WORDS)]


def test_all_bad_lines_are_told_with_their_numbers() -> None:
    with pytest.raises(UserError) as caught:
        words("02084071-n lemma chien", "2084071-n\tlemma\tchien", "02084071-n\tlemma\tchien",
              f"02084071-n\tfra:lemma\t{'x' * 500}")  # fmt: skip
    said = caught.value.what
    assert "4 bad rows" in said
    assert "line 1: synset, kind and word wanted, with tabs between; found '02084071-n lemma chien'" in said
    assert "line 2: a synset is eight digits and -n; found '2084071-n'" in said
    assert "line 3: the language is not said" in said
    assert "line 4: the word must have 1 to 100 signs" in said


def test_a_file_of_bad_lines_only_is_not_read_to_its_end() -> None:
    def lines() -> object:
        for number in range(5_000):
            assert number < 2_000
            yield "no tab"

    with pytest.raises(UserError, match="1,000 bad rows"):
        parse_words(lines(), set(), "words.tab")  # type: ignore[arg-type]


def test_a_file_without_words_is_not_taken_for_an_empty_one() -> None:
    with pytest.raises(UserError, match="no word of a noun"):
        words(HEAD)
    assert parse_words([HEAD, "02084071-n\tlemma\tchien"], set(), "x").n_elsewhere == 1


@given(st.lists(st.text(max_size=60), max_size=30))
def test_whatever_a_file_holds_it_is_read_or_refused(lines: list[str]) -> None:
    try:
        found = words(*lines)
    except UserError:
        return
    assert all(word.isprintable() and word for many in found.values() for word in many)
