"""Words of other languages for WordNet's concepts, from the tab files of the Open Multilingual Wordnet.

One line per word (Bond and Paik 2012; Bond and Foster 2013 for the automatic ones):

    # Wordnet Libre du Francais<TAB>fra<TAB>http://…<TAB>CeCILL-C
    02084071-n<TAB>fra:lemma<TAB>chien        (older files: lemma, the language is in the first line)

The number is the concept's place in WordNet 3.0, so that "n" + number is its wnid. Lines of other
kinds (def, exe, lemma:root) and other parts of speech (-v, -a, -r) are passed over.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator
from typing import NamedTuple

from pictus.concepts import plain
from pictus.errors import UserError, bad_rows, clipped

MOST_WORDS = 10
"""Of one language for one concept; the files put the usual ones first."""

LARGEST = 1 << 26
"""Bytes: the largest tab file that is published (Finnish) has 8 MB."""

_MOST_BAD = 1_000
_EXAMPLE = "02084071-n<TAB>lemma<TAB>chien"
_LONGEST_WORD = 100
_SYNSET = re.compile(r"(\d{8})-([nvars])")
_CODE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*")
_KIND = re.compile(rf"(?:({_CODE.pattern}):)?lemma")
_FILE = re.compile(rf"wn-(?:[a-z]+-)+({_CODE.pattern})\.tab")
_GAPS = frozenset({"GAP!", "PSEUDOGAP!"})  # MultiWordNet's marks for "no such word"


class Words(NamedTuple):
    """(wnid, language) -> its words, in the file's order; how many wnids the project does not have."""

    words: dict[tuple[str, str], list[str]]
    n_elsewhere: int


def parse_words(lines: Iterable[str], wanted: Container[str], where: str) -> Words:
    """The nouns of a tab file whose wnid is `wanted`. `where` names the file; all its bad lines are told."""
    words: dict[tuple[str, str], list[str]] = {}
    elsewhere: set[str] = set()
    bad: list[str] = []
    for word in _words(lines, where, bad):
        if word[0] not in wanted:
            elsewhere.add(word[0])
            continue
        known = words.setdefault(word[:2], [])
        if len(known) < MOST_WORDS and plain(word[2]) not in map(plain, known):
            known.append(word[2])
    if bad:
        raise bad_rows(where, bad, fix=f"take the file as the Open Multilingual Wordnet publishes it: {_EXAMPLE}")
    if not words and not elsewhere:
        raise UserError(f"{where} has no word of a noun.", fix=f"--languages FILE, a tab file: {_EXAMPLE}")
    return Words(words, len(elsewhere))


def _words(lines: Iterable[str], where: str, bad: list[str]) -> Iterator[tuple[str, str, str]]:
    """Every (wnid, language, word); the bad lines are put into `bad`, and after many of them reading ends."""
    language = found[1] if (found := _FILE.search(where)) else ""
    for number, line in enumerate(lines, start=1):
        cells = line.rstrip("\r\n").split("\t")
        if line.startswith("#"):
            language = _language_of_head(cells) or language
        elif line.strip():
            try:
                word = _word(cells, language)
            except ValueError as error:
                bad.append(f"line {number}: {error}")
                if len(bad) == _MOST_BAD:
                    return
            else:
                yield from (word,) if word else ()


def _language_of_head(cells: list[str]) -> str:
    return cells[1].strip() if len(cells) > 1 and _CODE.fullmatch(cells[1].strip()) else ""


def _word(cells: list[str], language: str) -> tuple[str, str, str] | None:
    """(wnid, language, word); None for what is no word of a noun."""
    if len(cells) < 3:  # noqa: PLR2004  synset, kind, word
        message = f"synset, kind and word wanted, with tabs between; found {clipped(chr(9).join(cells))}"
        raise ValueError(message)
    synset = _SYNSET.fullmatch(cells[0].strip())
    if not synset:
        message = f"a synset is eight digits and -n; found {clipped(cells[0])}"
        raise ValueError(message)
    kind = _KIND.fullmatch(cells[1].strip())
    if not kind or synset[2] != "n":
        return None
    code = kind[1] or language
    if not code:
        message = "the language is not said: neither in the kind (fra:lemma), the first line (# Name<TAB>fra) nor the"
        raise ValueError(f"{message} file's name (wn-data-fra.tab)")
    word = " ".join(cells[2].replace("_", " ").split())
    if not word or len(word) > _LONGEST_WORD or not word.isprintable():
        message = f"the word must have 1 to {_LONGEST_WORD} signs; found {clipped(cells[2])}"
        raise ValueError(message)
    return None if word in _GAPS else ("n" + synset[1], code, word)
