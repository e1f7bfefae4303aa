"""ImageNet-V2's labelling pages (HITs): JSON, each with a synset, its pictures in order, and which are controls.

    [{"wnid": …, "images_all": [48 names], "images_to_label": […], "images_pos_control": […], "images_neg_control": […],
      "uuid": …, "time": …, "submitted": …}, …]

Recht et al. 2019, "Do ImageNet classifiers generalize to ImageNet?", §3 and appendix B.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pictus.annotate.exchange.formats.contents import Asked, Bad, Export, Known, Read
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import WrongFigureError
from pictus.annotate.exchange.formats.json_streams import elements
from pictus.annotate.exchange.formats.outputs import JsonList, text_file
from pictus.annotate.exchange.formats.task_pages import pages_of
from pictus.errors import clipped

MOST_PICTURES = 1000
_MARK = re.compile(rb'"images_(all|to_label|pos_control|neg_control)"\s*:')


class Hit(NamedTuple):
    """One page. known: picture -> yes or no, for its controls."""

    uuid: str
    wnid: str
    pictures: tuple[str, ...]
    known: dict[str, str]


def recognises(bundle: Bundle) -> bool:
    return any(is_hits(document) for document in bundle.ending(".json")[:20])


def is_hits(document: Document) -> bool:
    return bool(_MARK.search(document.head))


def read(bundle: Bundle) -> Iterator[Read]:
    """A control is a known answer, any other picture a question."""
    for place, hit in hits(bundle):
        if isinstance(hit, Bad):
            yield hit
            continue
        for number, picture in enumerate(hit.pictures, start=1):
            here = f"{place} picture {number}"
            if picture in hit.known:
                yield Known(here, picture, hit.wnid, hit.known[picture])
            else:
                yield Asked(here, picture, hit.wnid, hit.uuid)


def hits(bundle: Bundle) -> Iterator[tuple[str, Hit | Bad]]:
    """Each page with its place."""
    for document in bundle.ending(".json"):
        if not is_hits(document):
            continue
        for _, index, value in elements(document):
            place = f"{document.name} HIT {index + 1}"
            try:
                yield place, _hit(value)
            except WrongFigureError as error:
                yield place, Bad(place, str(error))


def _hit(value: Any) -> Hit:  # noqa: ANN401  JSON
    if not isinstance(value, dict) or not isinstance(value.get("wnid"), str):
        raise WrongFigureError("no 'wnid'")
    every, asked, positive, negative = (
        _names(value, f"images_{name}") for name in ("all", "to_label", "pos_control", "neg_control")
    )
    every = every or (*asked, *positive, *negative)
    if not every:
        raise WrongFigureError("no pictures")
    known = {**dict.fromkeys(positive, "yes"), **dict.fromkeys(negative, "no")}
    both = set(positive) & set(negative)
    missing = set(known) - set(every)
    if both or missing:
        why = "both a positive and a negative control" if both else "a control that is not among its pictures"
        raise WrongFigureError(f"{clipped(min(both or missing))} is {why}")
    return Hit(str(value.get("uuid") or "")[:100], value["wnid"], every, known)


def _names(value: dict[str, Any], key: str) -> tuple[str, ...]:
    found = value.get(key) or []
    if not isinstance(found, list) or len(found) > MOST_PICTURES or not all(isinstance(name, str) for name in found):
        raise WrongFigureError(f"{key!r} is no list of up to {MOST_PICTURES:,} names")
    return tuple(name[:1000] for name in found)


def write(export: Export, path: Path) -> int:
    """The queue as such pages; pictures by their names."""
    with text_file(path) as out:
        out.write("[")
        pages = JsonList(out)
        count = 0
        for page in pages_of(export.tasks(), export.seed):
            names: dict[str, list[str]] = {"": [], "yes": [], "no": []}
            for task in page.tasks:
                names[task.known].append(task.sheet.name)
            pages.add({
                "wnid": page.concept_id, "images_to_label": names[""], "images_pos_control": names["yes"],
                "images_neg_control": names["no"], "images_all": [task.sheet.name for task in page.tasks],
                "uuid": page.uuid, "submitted": False,
            })  # fmt: skip
            count += len(page.tasks)
        out.write("\n]\n")
    return count
