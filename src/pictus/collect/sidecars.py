"""Small files and columns that speak of a picture: x.json, x.cls and x.txt beside x.jpg, as WebDataset and
img2dataset write them, and the same names as columns of a table.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from pictus.collect.found import Said

ENDINGS = frozenset({"json", "cls", "txt"})

COLUMNS: dict[str, tuple[str, ...]] = {
    "concept": ("concept_id", "concept", "wnid", "class_name", "class", "label", "labels", "fine_label"),
    "query": ("query", "caption", "text", "alt"),
    "licence": ("licence", "license"),
    "author": ("author", "creator", "artist", "photographer"),
    "url": ("url", "image_url"),
}
"""What is said -> the names it goes by, the first that says something counts."""

NAMES = frozenset(name for names in COLUMNS.values() for name in names)

CLASS_NAMES = ("classes.txt", "classnames.txt")
"""Beside an archive or table: one class in a line, the first is number 0 (CLIP benchmark's WebDatasets have it)."""

MAX_SIGNS = 2_000
"""Of one text: a caption is a sentence or some."""

_DOWNLOADED = frozenset({"", "success", "ok"})


class Spoken(NamedTuple):
    """What the files beside a picture say. `remark`: what is odd about them; `failure`: why there is no picture."""

    said: Said = Said()
    remark: str = ""
    failure: str = ""


def spoken(files: Mapping[str, bytes], class_names: Sequence[str] = ()) -> Spoken:
    """What `files` (ending -> bytes) say; .json goes before .cls (an index of `class_names`, or a name) and .txt."""
    facts: Mapping[str, Any] = {}
    remark = ""
    if "json" in files:
        try:
            loaded = json.loads(files["json"])
        except (ValueError, RecursionError):
            remark = "a .json beside a picture is not JSON: it is taken without what that says"
        else:
            facts = loaded if isinstance(loaded, dict) else {}
    said = said_in(facts, class_names)
    if "cls" in files and (not said.concept or said.concept.isdecimal()):
        said = said._replace(concept=_class(_decoded(files["cls"]), class_names) or said.concept)
    if "txt" in files and not said.query:
        said = said._replace(query=plain_text(_decoded(files["txt"])))
    status = plain_text(facts.get("status"))
    failure = "" if status.lower() in _DOWNLOADED else plain_text(facts.get("error_message")) or status
    return Spoken(said, remark, failure)


def said_in(facts: Mapping[str, Any], class_names: Sequence[str] = ()) -> Said:
    """What a mapping of names (in any case) to values says; numbers of classes become their names."""
    lowered = {name.lower(): value for name, value in facts.items() if isinstance(name, str)}
    found = {
        key: next(filter(None, (plain_text(lowered.get(name)) for name in names)), "") for key, names in COLUMNS.items()
    }
    return Said(**found | {"concept": _class(found["concept"], class_names)})


def plain_text(value: object) -> str:
    """A value as one line of text that can be stored, at most MAX_SIGNS long; "" for what is no text or number."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    text = str(value)[: 2 * MAX_SIGNS].encode("utf-8", "replace").decode().replace("\0", "")
    return " ".join(text.split())[:MAX_SIGNS]


def names_in(text: str) -> tuple[str, ...]:
    """The lines of a file of class names, blank ones at its end left out."""
    return tuple(plain_text(line) for line in text.rstrip().splitlines())


def _class(text: str, class_names: Sequence[str]) -> str:
    if text.isascii() and text.isdecimal() and len(text) <= 9 and int(text) < len(class_names):  # noqa: PLR2004  a class has a small number
        return class_names[int(text)]
    return text


def _decoded(data: bytes) -> str:
    return plain_text(data.decode("utf-8", "replace"))
