"""A user's own taxonomy: rows of CSV or YAML, and names, become concepts with ids that stay.

A row has a name (or several, separated by `|` or `;`), and may have an id, parents (by id or by
name), a gloss, a page to read on, and whether it is a class; by default a row that no other names as its parent is.
A row without id gets one of ours: `x` and eight digits made from its name.
"""

from __future__ import annotations

import csv
import hashlib
import io
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import urlsplit

from pictus.concepts import Taxonomy, plain
from pictus.errors import UserError, bad_rows, clipped
from pictus.records import Concept

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_OWN_ID = re.compile(r"x\d{8}")
_COLUMNS = {
    "id": ("id", "concept_id", "wnid", "synset", "class_id"),
    "name": ("name", "names", "label", "class", "class_name", "concept"),
    "parent": ("parent", "parents", "parent_id", "parent_name", "is_a"),
    "gloss": ("gloss", "definition", "description"),
    "is_class": ("is_class",),
    "url": ("url",),
}
_LONGEST_URL = 2_000
"""Characters: what browsers and servers take."""
_YES, _NO = {"yes", "true", "1", "y"}, {"no", "false", "0", "n"}


@dataclass(frozen=True, slots=True)
class Row:
    """One row as written, and where. `is_class`: "" when not said. `columns`: what the file speaks of, by our names."""

    position: str
    names: tuple[str, ...]
    concept_id: str = ""
    parents: tuple[str, ...] = ()
    gloss: str = ""
    is_class: str = ""
    url: str = ""
    columns: frozenset[str] = field(default=frozenset(), compare=False)


def parse_csv(text: str, where: str) -> list[Row]:
    """Rows of a CSV (comma, semicolon or tab) whose first line names the columns, in any order and case."""
    first = text.lstrip("\ufeff").split("\n", 1)[0]
    separator = max(",;\t", key=first.count)
    reader = csv.reader(io.StringIO(text.lstrip("\ufeff"), newline=""), delimiter=separator, strict=True)
    rows: list[Row] = []
    try:
        header = [name.strip().lower().replace(" ", "_") for name in next(reader, [])]
        column = {key: header.index(one) for key, known in _COLUMNS.items() for one in known if one in header}
        if "name" not in column and "id" not in column:
            raise UserError(
                f"{where} has no column 'name'; its first line is {first.strip()[:80]!r}.",
                fix="let the first line name the columns: id,name,parent,gloss (only name is needed)",
            )
        for cells in reader:
            if any(cell.strip() for cell in cells):
                found = {key: cells[at].strip() if at < len(cells) else "" for key, at in column.items()}
                rows.append(_row(f"line {reader.line_num}", found))
    except csv.Error as error:
        raise UserError(f"{where} line {reader.line_num}: {error}.", fix="mend the quotes in that line") from error
    return rows


def concepts_of(rows: Iterable[Row], existing: Taxonomy, source: str, where: str) -> list[Concept]:
    """Rows -> concepts. Parents are looked for among the rows first, then in `existing`; all bad rows are told.

    What the file has no column for stays as it is in `existing`, and so do synonyms of a name it repeats.
    """
    rows = list(rows)
    if not rows:
        raise UserError(f"{where} has no concept.", fix="one row per concept: name,parent,gloss")
    bad = [*_bad_cells(rows), *_bad_twins(rows)]
    if bad:
        raise bad_rows(where, bad, fix="correct these rows and run the same command again; nothing was changed")
    own = own_ids((row.names[0] for row in rows if not row.concept_id), existing, {row.concept_id for row in rows})
    ids = [row.concept_id or own[plain(row.names[0])] for row in rows]
    known = Taxonomy.of(
        Concept(concept_id, row.names) for concept_id, row in zip(ids, rows, strict=True)
    )  # fmt: skip
    parents_of: list[tuple[str, ...]] = []
    for row in rows:
        parents = []
        for text in row.parents:
            found = known.find(text) or existing.find(text)
            if len(found) == 1:
                parents.append(found[0])
            else:
                means = f"means {len(found)} concepts: {', '.join(found[:5])}" if found else "is no row and no concept"
                bad.append(f"{row.position}: the parent {text!r} {means}")
        parents_of.append(tuple(dict.fromkeys(parents)))
    if bad:
        raise bad_rows(where, bad, fix="add a row for each missing parent; name an ambiguous one by its id")
    groups = {parent for parents in parents_of for parent in parents}
    concepts = []
    for concept_id, row, above in zip(ids, rows, parents_of, strict=True):
        concept = Concept(concept_id, row.names, row.gloss, above, _is_class(row, concept_id in groups), source)
        concepts.append(_over(existing.concepts.get(concept_id), concept, row))
    return concepts


def _over(old: Concept | None, concept: Concept, row: Row) -> Concept:
    """The concept with what its row does not speak of as it was."""
    if old is None:
        return concept
    named = {plain(name) for name in concept.names} if "name" in row.columns else set()
    keeps_names = named <= {plain(name) for name in old.names}
    first = concept.names if named else ()
    others = tuple(name for name in old.names if plain(name) not in named)
    return replace(
        concept,
        names=(*first, *others) if keeps_names else concept.names,
        parents=concept.parents if "parent" in row.columns else old.parents,
        is_class=concept.is_class and (old.is_class or bool(row.columns & {"parent", "is_class"})),
    )


def own_ids(names: Iterable[str], existing: Taxonomy, reserved: Iterable[str] = ()) -> dict[str, str]:
    """plain(name) -> `x` and eight digits of the name's sha256; another digest where two names meet.

    A name that has such an id in `existing` keeps it. The order of `names` does not matter.
    """
    taken: dict[str, str] = {concept_id: "" for concept_id in reserved if concept_id}
    found: dict[str, str] = {}
    for name in sorted({plain(name) for name in names}):
        attempt = 0
        while name not in found:
            digest = hashlib.sha256(f"{name}\0{attempt}".encode()).digest()
            candidate = f"x{int.from_bytes(digest[:8], 'big') % 10**8:08d}"
            held = existing.concepts.get(candidate)
            is_its_own = held is None or name in {plain(one) for one in held.names}
            if is_its_own and candidate not in taken:
                found[name] = taken[candidate] = candidate
            attempt += 1
    return found


def is_own_id(concept_id: str) -> bool:
    """Whether Pictus made this id from a name."""
    return _OWN_ID.fullmatch(concept_id) is not None


def row_of(position: str, cells: Mapping[str, str | tuple[str, ...]]) -> Row:
    """One row from its cells by column name; lists may stand for names and parents."""
    texts = {key: value if isinstance(value, str) else "|".join(value) for key, value in cells.items()}
    found = {key: texts[one].strip() for key, known in _COLUMNS.items() for one in known if one in texts}
    return _row(position, found)


def columns() -> frozenset[str]:
    """Every column name that is understood."""
    return frozenset(name for known in _COLUMNS.values() for name in known)


def _row(position: str, found: Mapping[str, str]) -> Row:
    concept_id = found.get("id", "")
    names = tuple(name.replace("_", " ") for name in _several(found.get("name", ""))) or _several(concept_id)
    gloss = " ".join(found.get("gloss", "").split())
    parents, is_class = _several(found.get("parent", "")), found.get("is_class", "").lower()
    said = frozenset(key for key in found if key != "name" or found[key])  # without a name the id stands in
    return Row(position, names, concept_id, parents, gloss, is_class, found.get("url", ""), said)


def _several(cell: str) -> tuple[str, ...]:
    parts = (" ".join(part.split()) for part in re.split(r"[|;]", cell))
    return tuple(dict.fromkeys(part for part in parts if part))


def _bad_cells(rows: list[Row]) -> Iterator[str]:
    for row in rows:
        if not row.names:
            yield f"{row.position}: no name"
        if row.concept_id and not _ID.fullmatch(row.concept_id):
            yield f"{row.position}: the id {row.concept_id[:70]!r} must be 1 to 64 letters, digits, '.', '_' or '-'"
        if row.is_class not in {"", *_YES, *_NO}:
            yield f"{row.position}: is_class is {row.is_class!r}, not yes or no"
        if row.url and not _is_address(row.url):
            yield f"{row.position}: the url {clipped(row.url)} is no web address (https://… or http://…)"


def _is_address(text: str) -> bool:
    """Whether a link may lead there: a web address with a host, that holds no password and nothing unseen."""
    if len(text) > _LONGEST_URL or not text.isprintable() or " " in text:
        return False
    try:
        parts = urlsplit(text)
        is_web = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is none, half an IPv6 address
        return False
    return is_web and parts.username is None and parts.password is None


def _bad_twins(rows: list[Row]) -> Iterator[str]:
    by_id: dict[str, Row] = {}
    by_name: dict[str, list[Row]] = {}
    for row in rows:
        if row.concept_id in by_id:
            yield f"{row.position}: the id {row.concept_id!r} stands at {by_id[row.concept_id].position} already"
        if row.concept_id:
            by_id.setdefault(row.concept_id, row)
        if row.names:
            by_name.setdefault(plain(row.names[0]), []).append(row)
    for same in by_name.values():
        for row in same[1:]:
            if not (row.concept_id and same[0].concept_id):
                yield f"{row.position}: {row.names[0]!r} stands at {same[0].position} already; two of one name need ids"


def _is_class(row: Row, is_parent: bool) -> bool:
    return row.is_class in _YES if row.is_class else not is_parent
