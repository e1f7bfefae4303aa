"""LabelMe: one JSON per picture, shapes as lists of points in px."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pictus.annotate.exchange.formats.contents import Bad, Drawn, Read, Shape
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import (
    WrongFigureError,
    box,
    keypoints,
    pairs,
    polygons,
    refuse,
    size_of,
    worded,
)
from pictus.annotate.exchange.formats.json_streams import whole
from pictus.errors import UserError, clipped

_MARK = re.compile(rb'"(imagePath|shapes)"\s*:')


def recognises(bundle: Bundle) -> bool:
    return any(is_labelme(document) for document in bundle.ending(".json")[:20])


def is_labelme(document: Document) -> bool:
    return document.head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and bool(_MARK.search(document.head))


def read(bundle: Bundle) -> Iterator[Read]:
    for document in bundle.ending(".json"):
        try:
            value = whole(document)
            if not isinstance(value, dict) or not isinstance(value.get("shapes"), list):
                refuse("no list 'shapes'")
            name = str(value.get("imagePath") or document.stem).replace("\\", "/").rpartition("/")[2]
            size = size_of(value.get("imageWidth"), value.get("imageHeight"))
        except (UserError, WrongFigureError) as error:
            yield Bad(document.name, str(error).partition("\n")[0])
            continue
        for index, shape in enumerate(value["shapes"]):
            place = f"{document.name} shapes[{index}]"
            try:
                yield _drawn(place, name, shape, size)
            except WrongFigureError as error:
                yield Bad(place, str(error))


def _drawn(place: str, name: str, value: Any, size: tuple[int, int]) -> Drawn:  # noqa: ANN401  JSON
    if not isinstance(value, dict) or not isinstance(value.get("points"), list):
        raise WrongFigureError("no list 'points'")
    points, kind = pairs(value["points"]), value.get("shape_type") or "polygon"
    shape: Shape
    if kind == "rectangle" and len(points) == 4:  # noqa: PLR2004  two corners
        shape, found = box(*points), "box"
    elif kind == "polygon":
        shape, found = polygons([points]), "mask"
    elif kind in ("point", "points"):
        shape = keypoints("point", [[points[at], points[at + 1], 2] for at in range(0, len(points), 2)])
        found = "points"
    else:
        raise WrongFigureError(f"a shape of the type {clipped(kind)}, which has no place here")
    words = {**(value["flags"] if isinstance(value.get("flags"), dict) else {}), "group_id": value.get("group_id")}
    return Drawn(place, name, "", str(value.get("label") or "")[:1000], found, worded(shape, words), size)
