"""Which classes nothing is searched for: persons, individuals, and what a list says is unsafe or cannot be pictured.

Of ImageNet's 2,832 kinds of person 1,593 were found unsafe, and of the safe ones 158 imageable (Yang et
al. 2020, "Towards Fairer Datasets"), so persons are off until somebody says otherwise.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

from pictus.concepts import Taxonomy
from pictus.errors import UserError, bad_rows, clipped
from pictus.records import LeftOut
from pictus.taxonomy.lexicon import PERSON

IMAGEABLE_FROM = 4.0
"""Of imageability from 1 to 5 (Yang et al. 2020, section 4): a concept below it is left out."""

_CONCEPT = ("wnid", "concept", "concept_id", "id", "synset", "name")
_SCORE = ("score", "imageability")
_LONGEST = 200


class Listed(NamedTuple):
    """What a list says of one concept."""

    concept_id: str
    reason: str


def parse_exclusions(text: str, resolve: Callable[[str], str], where: str) -> tuple[list[Listed], int]:
    """A CSV of concepts to leave out -> (rows that count, rows of concepts that are not here).

    Columns: wnid or concept, and `reason`, `score` or both. With a score (imageability, 1 to 5) the row
    counts below IMAGEABLE_FROM. A published list has rows for concepts of all the world: a wnid that the
    taxonomy does not have is no mistake; a name is.
    """
    first = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=max(",;\t", key=first.count), strict=True)
    found: list[Listed] = []
    bad: list[str] = []
    elsewhere = 0
    try:
        header = [name.strip().lower() for name in next(reader, [])]
        places = [next((header.index(one) for one in known if one in header), -1) for known in (_CONCEPT, _SCORE)]
        if places[0] < 0:
            raise UserError(
                f"{where} has no column 'wnid' or 'concept'; its first line is {clipped(first)}.",
                fix="let the first line name the columns: concept,reason    or    wnid,score",
            )
        at_reason = header.index("reason") if "reason" in header else -1
        if places[1] < 0 and at_reason < 0:
            raise UserError(
                f"{where} has no column 'reason' or 'score', so it is no list of what to leave out; its first line is"
                f" {clipped(first)}.",
                fix="a list of your concepts: pictus taxonomy import --file; else let the first line be concept,reason",
            )
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            concept, score, reason = (cells[at].strip() if 0 <= at < len(cells) else "" for at in (*places, at_reason))
            try:
                row = _row(concept, score, reason, resolve)
            except LookupError:  # counted, and told as one number
                elsewhere += 1
            except ValueError as error:
                bad.append(f"line {reader.line_num}: {error}")
            else:
                found += [row] if row else []
    except csv.Error as error:
        raise UserError(f"{where} line {reader.line_num}: {error}.", fix="mend the quotes in that line") from error
    if bad:
        raise bad_rows(where, bad, fix="correct these rows and run the same command again; nothing was changed")
    return found, elsewhere


def reasons(taxonomy: Taxonomy, notes: Iterable[LeftOut]) -> dict[str, LeftOut]:
    """Class -> why it is left out.

    `notes` are what people and imports said: listed, individual, included. Nearer words win: a class that is
    itself included is in; one that a list names, or whose group a list names, is out; one below an included
    concept is in; persons and individuals are out.
    """
    said = {kind: {note.concept_id: note for note in notes_of} for kind, notes_of in _by_source(notes).items()}
    included, listed = said.get("included", {}), said.get("list", {})
    people = people_of(taxonomy)
    found: dict[str, LeftOut] = {}
    for concept_id in taxonomy.classes:
        if concept_id in included:
            continue
        above = taxonomy.ancestors(concept_id)
        if own := listed.get(concept_id):
            found[concept_id] = own
        elif groups := sorted(above & listed.keys()):
            reason = f"{listed[groups[0]].reason} (said of {taxonomy.name(groups[0])})"
            found[concept_id] = LeftOut(concept_id, reason, "above")
        elif above & included.keys():
            continue
        elif concept_id in people or concept_id in said.get("wordnet", {}):
            found[concept_id] = LeftOut(concept_id, "a person", "person")
        elif concept_id in said.get("individual", {}):
            found[concept_id] = LeftOut(concept_id, "a named individual, no kind", "individual")
    return found


def people_of(taxonomy: Taxonomy) -> frozenset[str]:
    """The kinds of person: WordNet's person, what is called "person" in a taxonomy of one's own, and all below."""
    tops = {*taxonomy.find("person"), *({PERSON} & taxonomy.concepts.keys())}
    return frozenset().union(*(taxonomy.descendants(top) | {top} for top in tops))


def kept_notes(
    before: Iterable[LeftOut], listed: Iterable[Listed] | None, included: Iterable[str],
    taken_back: Collection[str] = (),
) -> dict[tuple[str, str], LeftOut]:  # fmt: skip
    """What people and imports said, after this run.

    A list, an empty one too, replaces the earlier one; an inclusion adds, until it is taken back.
    """
    notes = {
        (note.concept_id, note.source): note for note in before
        if note.source in {"individual", "wordnet"} or (note.source == "list" and listed is None)
        or (note.source == "included" and note.concept_id not in taken_back)
    }  # fmt: skip
    for row in listed or ():
        notes[row.concept_id, "list"] = LeftOut(row.concept_id, row.reason, "list")
    for concept_id in included:
        notes[concept_id, "included"] = LeftOut(concept_id, "asked for by name", "included")
    return notes


def _row(concept: str, score: str, reason: str, resolve: Callable[[str], str]) -> Listed | None:
    """LookupError for a wnid that is not here, ValueError for what is wrong, None for a concept that is fine."""
    if not concept or len(concept) > _LONGEST or len(reason) > _LONGEST:
        message = f"a concept wanted, and a reason of at most {_LONGEST} signs; found {clipped(concept or reason)}"
        raise ValueError(message)
    value = _score(score)
    if value is not None and value >= IMAGEABLE_FROM:
        return None
    try:
        concept_id = resolve(concept)
    except UserError as error:
        if concept[1:].isdigit() and concept[:1] == "n":
            raise LookupError(concept) from error
        raise ValueError(" ".join(error.what.split())) from error
    scored = "" if value is None else f"imageability {value:g}, below {IMAGEABLE_FROM:g}"
    return Listed(concept_id, "; ".join(part for part in (reason, scored) if part) or "listed")


def _score(text: str) -> float | None:
    if not text:
        return None
    try:
        value = float(text)
    except ValueError:  # told below, like a number out of range
        value = math.nan
    if not 0 <= value <= 5:  # noqa: PLR2004  nan is neither
        message = f"the score is imageability from 1 to 5; found {clipped(text)}"
        raise ValueError(message)
    return value


def _by_source(notes: Iterable[LeftOut]) -> Mapping[str, list[LeftOut]]:
    found: dict[str, list[LeftOut]] = {}
    for note in notes:
        found.setdefault(note.source, []).append(note)
    return found
