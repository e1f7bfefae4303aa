"""WordNet's own noun file (data.noun, WordNet 3.0), read whole in under a second.

Format (wndb(5WN)): `offset lex_filenum n w_cnt word lex_id … p_cnt pointer … | gloss`, where the
offset is the line's byte position and w_cnt is hexadecimal. A wnid is "n" + that offset, so
another version of WordNet has other ids. `@` points to a kind's parent, `@i` to an individual's.
"""

from __future__ import annotations

import re

from pictus.errors import UserError, bad_rows
from pictus.records import Concept
from pictus.taxonomy.lexicon import Lexicon

VERSION = "WordNet 3.0"
FROM_WORDNET = "wordnet-3.0"

_PARENT = re.compile(r"@(i?) (\d{8}) n")
_LICENCE_END = 2_000  # the licence at the file's top is 1,740 bytes long: the first offset


def parse_nouns(data: bytes, where: str) -> Lexicon:
    """Every noun of a data.noun file. `where` names the file in messages."""
    if VERSION.encode() not in data[:_LICENCE_END]:
        found = re.search(rb"(?i)wordnet \d[\d.]*", data[:_LICENCE_END])
        raise UserError(
            f"{where} is not the noun file of {VERSION}"
            + (f": it says {found[0].decode()}." if found else " (its licence text is missing)."),
            fix="apt install wordnet-base, then --wordnet /usr/share/wordnet",
        )
    concepts: dict[str, Concept] = {}
    individuals: list[str] = []
    bad: list[str] = []
    position = 0
    for number, line in enumerate(data.decode("latin-1").split("\n"), start=1):
        if line and line[0] != " ":
            try:
                concept, is_individual = _concept(line, position)
            except (ValueError, IndexError):
                bad.append(f"line {number}: not a noun at byte {position:,}: {line[:40]!r}")
            else:
                concepts[concept.concept_id] = concept
                if is_individual:
                    individuals.append(concept.concept_id)
        position += len(line) + 1
    if bad:
        raise bad_rows(where, bad, fix="the file was changed (line ends? an editor?): take WordNet's own copy")
    return Lexicon(FROM_WORDNET, concepts, frozenset(individuals))


def _concept(line: str, position: int) -> tuple[Concept, bool]:
    head, bar, gloss = line.partition(" | ")
    offset, _, kind, n_words, rest = head.split(" ", 4)
    if not bar or kind != "n" or int(offset) != position:
        raise ValueError(line)
    n_fields = 2 * int(n_words, 16)
    fields = rest.split(" ", n_fields)
    found = _PARENT.findall(fields[n_fields])
    parents = tuple(["n" + target for individual, target in found if not individual])
    is_individual = not parents and bool(found)
    if is_individual:
        parents = tuple(["n" + target for _, target in found])
    names = tuple([word.replace("_", " ") for word in fields[:n_fields:2]])
    return Concept("n" + offset, names, gloss.rstrip(), parents, False, FROM_WORDNET), is_individual
