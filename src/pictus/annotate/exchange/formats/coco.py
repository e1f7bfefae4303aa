"""COCO: one JSON with images, categories and annotations.

Boxes are [x, y, width, height] from the upper left corner of the picture, in px between pixels; masks are polygons or
run lengths; keypoints x, y, v. A polygon that is just its box is a box. Of an annotation with a mask and a box the mask
is kept, with the box in it; keypoints are a shape of their own. What COCO has no field for, we write as `annotator` and
`pictus`, which other tools pass over.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pictus.annotate.exchange.formats.contents import Bad, Drawn, Export, Mark, Read, Shape
from pictus.annotate.exchange.formats.documents import HEAD_BYTES, Bundle, Document
from pictus.annotate.exchange.formats.figures import (
    WrongFigureError,
    as_rectangle,
    bounds,
    box_at,
    keypoints,
    polygons,
    size_of,
    worded,
)
from pictus.annotate.exchange.formats.json_streams import elements
from pictus.annotate.exchange.formats.outputs import JsonList, json_text, text_file
from pictus.annotate.exchange.formats.run_lengths import area_of, box_of, checked
from pictus.errors import clipped

_KEY = re.compile(rb'"(images|annotations)"\s*:\s*\[')
_KEPT = ("iscrowd", "score", "ignore", "attributes")
_POINTS, _UNNAMED, _MASK, _WITH_BOX = "points", "points without names", "mask", "mask with its box"
"""What our own annotations are: COCO wants a box beside everything, and names for points."""


class _Picture(NamedTuple):
    name: str
    size: tuple[int, int]


class _Category(NamedTuple):
    name: str
    skeleton: str
    points: tuple[str, ...]


def recognises(bundle: Bundle) -> bool:
    """One JSON object with one of COCO's arrays near its beginning. (Categories alone lie beside YOLO's labels.)"""
    return any(is_coco(document) for document in bundle.ending(".json"))


def is_coco(document: Document) -> bool:
    """LVIS begins with more categories than are looked at here."""
    head = document.head
    has_more = len(head) == HEAD_BYTES and b'"categories"' in head
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and (has_more or bool(_KEY.search(head)))


def read(bundle: Bundle) -> Iterator[Read]:
    """Shapes in the file's order; two passes, because categories may stand behind the annotations."""
    for document in bundle.ending(".json"):
        if is_coco(document):
            yield from _read(document)


def pictures(bundle: Bundle) -> Iterator[str]:
    """The names of its pictures; those that cannot be read are told by `read`."""
    for document in bundle.ending(".json"):
        if is_coco(document):
            for key, _, value in elements(document):
                if key == "images" and isinstance(value, dict) and (name := _name(value)):
                    yield name


def _read(document: Document) -> Iterator[Read]:
    pictures: dict[object, _Picture] = {}
    categories: dict[object, _Category] = {}
    for key, index, value in elements(document):
        place = f"{document.name} {key}[{index}]"
        try:
            if key == "images":
                number = _id(value, "id")  # first: it says whether it is an object at all
                pictures[number] = _picture(value)
            elif key == "categories":
                number = _id(value, "id")
                categories[number] = _category(value)
        except WrongFigureError as error:
            yield Bad(place, str(error))
    for key, index, value in elements(document):
        if key != "annotations":
            continue
        place = f"{document.name} annotations[{index}]"
        try:
            yield from _annotation(place, value, pictures, categories)
        except WrongFigureError as error:
            yield Bad(place, str(error))


def _id(value: object, key: str) -> object:
    found = value.get(key) if isinstance(value, dict) else None
    if not isinstance(found, (int, str)):
        raise WrongFigureError(f"no {key!r}")
    return found


def _picture(value: dict[str, Any]) -> _Picture:
    name = _name(value)
    if not name:
        raise WrongFigureError("a picture without 'file_name'")
    return _Picture(name, size_of(value.get("width"), value.get("height")))


def _name(value: dict[str, Any]) -> str:
    name = value.get("file_name") or str(value.get("coco_url") or "").rpartition("/")[2]
    return name if isinstance(name, str) else ""


def _category(value: dict[str, Any]) -> _Category:
    name = value.get("name")
    if not isinstance(name, str) or not name:
        raise WrongFigureError("a category without a name")
    points = value.get("keypoints")
    names = tuple(str(point)[:200] for point in points[:1000]) if isinstance(points, list) else ()
    return _Category(name, str(value.get("skeleton_name") or name)[:200], names)


def _annotation(
    place: str, value: Any, pictures: dict[object, _Picture], categories: dict[object, _Category]  # noqa: ANN401  JSON
) -> Iterator[Read]:
    picture = pictures.get(_id(value, "image_id"))
    if picture is None:
        raise WrongFigureError(f"no picture has the id {clipped(value['image_id'])}")
    category = categories.get(_id(value, "category_id"))
    if category is None:
        raise WrongFigureError(f"no category has the id {clipped(value['category_id'])}")
    words = {key: value.get(key) for key in _KEPT if value.get(key)}
    attributes = words.pop("attributes", None)
    words |= {name: said for name, said in attributes.items() if said} if isinstance(attributes, dict) else {}
    annotator, only = str(value.get("annotator") or "")[:200], value.get("pictus")
    shapes: list[tuple[str, Shape]] = []
    points = value.get("keypoints")
    if points and (not isinstance(points, list) or any(points)):
        shapes.append(("points", _points(points, category, has_names=only != _UNNAMED)))
    if only not in (_POINTS, _UNNAMED) and (found := _area(value, picture.size)):
        shapes.append(found)
    if not shapes:
        raise WrongFigureError("neither a box nor a mask nor keypoints")
    for kind, shape in shapes:
        yield Drawn(place, picture.name, annotator, category.name, kind, worded(shape, words), picture.size)


def _points(values: object, category: _Category, *, has_names: bool) -> Shape:
    if not isinstance(values, list) or len(values) % 3:
        raise WrongFigureError("keypoints that are not x, y, v, x, y, v, …")
    points = [values[at : at + 3] for at in range(0, len(values), 3)]
    names = category.points if has_names and len(category.points) == len(points) else ()
    return keypoints(category.skeleton, points, names)


def _area(value: dict[str, Any], size: tuple[int, int]) -> tuple[str, Shape] | None:
    corners = value.get("bbox")
    box = box_at(*corners) if isinstance(corners, list) and len(corners) == 4 else None  # noqa: PLR2004
    mask = value.get("segmentation")
    if isinstance(mask, list) and mask:
        shape = polygons(mask)
        rectangle = as_rectangle(shape["polygons"][0]) if len(mask) == 1 else None
        if rectangle and value.get("pictus") not in (_MASK, _WITH_BOX):
            return "box", box or rectangle
    elif isinstance(mask, dict):
        shape = checked(mask, *size)
    else:
        return ("box", box) if box else None
    return "mask", {**shape, **box} if box and value.get("pictus") != _MASK else shape


def write(export: Export, path: Path) -> int:
    """Every shape as an annotation; categories, one for each class and skeleton, stand last as in COCO's own files."""
    numbers: dict[str, int] = {}
    categories: dict[tuple[str, str, tuple[str, ...]], int] = {}
    with text_file(path) as out:
        out.write(f'{{"info":{json_text({"description": export.project})},\n"images":[')
        images = JsonList(out)
        for sheet in export.sheets():
            numbers[sheet.image_id] = images.count + 1
            size = {"width": sheet.width, "height": sheet.height}
            images.add({"id": images.count + 1, "file_name": sheet.name, **size})
        out.write('\n],\n"annotations":[')
        annotations = JsonList(out)
        for mark in export.marks():
            key = (mark.concept, str(mark.shape.get("skeleton", "")), _names(mark))
            category = categories.setdefault(key, len(categories) + 1)
            ids = {"id": annotations.count + 1, "image_id": numbers[mark.sheet.image_id], "category_id": category}
            annotations.add({**ids, **_written(mark)})
        out.write('\n],\n"categories":')
        out.write(json_text([_named(number, *key) for key, number in categories.items()]) + "}\n")
    return annotations.count


def _names(mark: Mark) -> tuple[str, ...]:
    if mark.kind != "points":
        return ()
    return tuple(mark.shape.get("names") or (str(number) for number in range(1, len(mark.shape["points"]) + 1)))


def _named(number: int, concept: str, skeleton: str, points: tuple[str, ...]) -> dict[str, object]:
    bare: dict[str, object] = {"id": number, "name": concept, "supercategory": ""}
    return {**bare, "skeleton_name": skeleton, "keypoints": points, "skeleton": []} if points else bare


def _written(mark: Mark) -> dict[str, object]:
    words = dict(mark.shape.get("words", {}))
    x1, y1, x2, y2 = bounds(mark.shape) if "size" not in mark.shape or "box" in mark.shape else box_of(mark.shape)
    found: dict[str, object] = {
        "iscrowd": int(words.pop("iscrowd", "0") == "1"), "annotator": mark.annotator,
        "bbox": [x1, y1, round(x2 - x1, 3), round(y2 - y1, 3)],
    }  # fmt: skip
    if "score" in words:
        found["score"] = float(words.pop("score"))
    if mark.kind == "box":
        found |= {"segmentation": [], "area": round((x2 - x1) * (y2 - y1), 3)}
    elif mark.kind == "points":
        flat = [value for point in mark.shape["points"] for value in point]
        found |= {"keypoints": flat, "num_keypoints": sum(bool(point[2]) for point in mark.shape["points"])}
        found |= {"segmentation": [], "area": round((x2 - x1) * (y2 - y1), 3), "pictus": _POINTS}
        found |= {} if mark.shape.get("names") else {"pictus": _UNNAMED}
    else:
        mask = mark.shape.get("polygons") or {"size": mark.shape["size"], "counts": mark.shape["counts"]}
        found |= {"segmentation": mask, "area": area_of(mark.shape)}
        found["pictus"] = _WITH_BOX if "box" in mark.shape else _MASK
    return {**found, "attributes": words} if words else found
