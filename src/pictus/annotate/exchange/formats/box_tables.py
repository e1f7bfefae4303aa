"""Tables of boxes: a row with the picture, the class and four sides, as Open Images and many spreadsheets have them.

The columns may have any order. Sides of Open Images (`ImageID`, `XMin` …) and those between 0 and 1 of other tables
whose header says `normalized` are shares of the picture; all else is px. `words`, as Pictus writes it: what else is
said of a box, as JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from pictus.annotate.exchange.formats.cells import header, lines
from pictus.annotate.exchange.formats.contents import Bad, Drawn, Read
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import WrongFigureError, box, refuse, worded
from pictus.annotate.exchange.vote_files import COLUMNS
from pictus.errors import clipped

_SIDES = ("xmin", "ymin", "xmax", "ymax")
_CLASS = ("labelname", "class", "label", "category", "name", "cell_type", "concept", "class_name", "wnid")
_KEPT = ("IsOccluded", "IsTruncated", "IsGroupOf", "IsDepiction", "IsInside", "Confidence")


def recognises(bundle: Bundle) -> bool:
    return any(is_boxes(document) for document in bundle.ending(".csv", ".tsv")[:20])


def is_boxes(document: Document) -> bool:
    return set(_SIDES) <= {name.strip().lower() for name in header(document)}


def read(bundle: Bundle) -> Iterator[Read]:
    for document in bundle.ending(".csv", ".tsv"):
        if not is_boxes(document):
            continue
        plain = {name.strip().lower(): name for name in header(document)}
        image = next((plain[name] for name in ("imageid", *COLUMNS["image"]) if name in plain), "")
        label = next((plain[name] for name in _CLASS if name in plain), "")
        annotator = next((plain[name] for name in COLUMNS["annotator"] if name in plain), "")
        is_share = "imageid" in plain
        for number, cells, wrong in lines(document):
            place = f"{document.name} line {number:,}"
            try:
                if wrong or not image or not label:
                    refuse(wrong or "no column with the picture, or none with the class")
                words = _words(cells.get("words", "")) | {
                    key: said for key in _KEPT if (said := cells.get(key)) not in ("", "0", None)
                }
                shape = worded(box(*(cells[plain[side]] for side in _SIDES)), words)
                who = cells[annotator] if annotator else ""
                yield Drawn(place, cells[image], who, cells[label], "box", shape, is_share=is_share)
            except WrongFigureError as error:
                yield Bad(place, str(error))


def _words(text: str) -> dict[str, object]:
    """{"truncated": "1"}, as spreadsheets.py writes it; nothing where the column means something else."""
    if not text.startswith("{"):
        return {}
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        raise WrongFigureError(f"its words {clipped(text)} are no JSON") from None
    if not isinstance(found, dict) or not all(isinstance(said, str) for said in found.values()):
        raise WrongFigureError(f"its words {clipped(text)} are no names and texts")
    return found
