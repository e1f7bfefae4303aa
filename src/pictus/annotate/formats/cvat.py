"""CVAT for images, XML 1.1: boxes, polygons, points, skeletons, masks and tags of each picture."""

from __future__ import annotations

from collections.abc import Iterator

from pictus.annotate.formats.contents import Bad, Drawn, Read, Said, Shape
from pictus.annotate.formats.documents import Bundle, Document
from pictus.annotate.formats.figures import (
    WrongFigureError,
    box,
    keypoints,
    number,
    pairs,
    polygons,
    refuse,
    size_of,
    worded,
)
from pictus.annotate.formats.run_lengths import from_cvat, mask_shape
from pictus.annotate.formats.xml_nodes import Node, nodes
from pictus.errors import clipped

_SHAPES = ("box", "polygon", "points", "mask", "skeleton")
_UNREAD = ("polyline", "ellipse", "cuboid")
_OURS = ("annotator", "answer")


def recognises(bundle: Bundle) -> bool:
    return any(is_cvat(document) for document in bundle.ending(".xml")[:20])


def is_cvat(document: Document) -> bool:
    return b"<annotations>" in document.head or b"<annotations " in document.head


def read(bundle: Bundle) -> Iterator[Read]:
    for document in bundle.ending(".xml"):
        annotator = ""
        for node in nodes(document):
            if node.tag == "meta":
                annotator = next((said for job in node.children if (said := job.said("assignee", "username"))), "")
            elif node.tag == "image":
                yield from _picture(document, node, annotator)
            elif node.tag == "track":
                yield Bad(f"{document.name} line {node.line}", "a track of a video: export it as “CVAT for images”")


def _picture(document: Document, node: Node, annotator: str) -> Iterator[Read]:
    name = node.attributes.get("name", "")
    try:
        size = size_of(node.attributes.get("width"), node.attributes.get("height"))
    except WrongFigureError as error:
        yield Bad(f"{document.name} line {node.line}", str(error))
        return
    tags = list(node.every("tag"))
    for found in node.children:
        place = f"{document.name} line {found.line}"
        label, words = found.attributes.get("label", ""), _words(found)
        who = words.pop("annotator", "") or _author(found, annotator)
        if found.tag == "tag":
            answer = words.get("answer", "yes" if len(tags) > 1 else "")
            yield Said(place, name, who, label if answer else "", answer or label)
            continue
        try:
            if found.tag in _UNREAD:
                refuse(f"a {found.tag}, which has no place here")
            if found.tag in _SHAPES:
                kind, shape = _shape(found, label, size)
                yield Drawn(place, name, who, label, kind, worded(shape, words), size)
        except WrongFigureError as error:
            yield Bad(place, str(error))


def _author(node: Node, annotator: str) -> str:
    return "model:cvat" if node.attributes.get("source") in ("auto", "semi-auto") else annotator


def _words(node: Node) -> dict[str, str]:
    words = {one.attributes.get("name", ""): one.text.strip() for one in node.every("attribute")}
    for name in ("occluded", "group_id"):
        if node.attributes.get(name) not in (None, "", "0"):
            words[name] = node.attributes[name]
    return words


def _shape(node: Node, label: str, size: tuple[int, int]) -> tuple[str, Shape]:
    said = node.attributes
    if node.tag == "box":
        if number(said.get("rotation", "0"), "the rotation"):
            raise WrongFigureError("a box that is turned")
        return "box", box(*(said.get(side, "") for side in ("xtl", "ytl", "xbr", "ybr")))
    if node.tag == "polygon":
        return "mask", polygons([pairs(_points(said.get("points", "")))])
    if node.tag == "mask":
        return "mask", _mask(said, size)
    if node.tag == "points":
        return "points", keypoints(label, [[*point, 2] for point in _points(said.get("points", ""))])
    children = list(node.every("points"))
    points = [[*_points(child.attributes.get("points", ""))[0], _seen(child)] for child in children]
    return "points", keypoints(label, points, [child.attributes.get("label", "")[:200] for child in children])


def _points(text: str) -> list[list[str]]:
    found = [point.split(",") for point in text.split(";") if point.strip()]
    if not found or any(len(point) != 2 for point in found):  # noqa: PLR2004
        raise WrongFigureError(f"points {clipped(text)} are not x,y;x,y;…")
    return found


def _seen(node: Node) -> int:
    if node.attributes.get("outside") == "1":
        return 0
    return 1 if node.attributes.get("occluded") == "1" else 2


def _mask(said: dict[str, str], size: tuple[int, int]) -> Shape:
    try:
        counts = [int(part) for part in said.get("rle", "").split(",")]
        left, top, width, height = (int(float(said.get(key, ""))) for key in ("left", "top", "width", "height"))
    except (ValueError, OverflowError):
        raise WrongFigureError("a mask without run lengths, left, top, width and height") from None
    if size == (0, 0):
        raise WrongFigureError("a mask on a picture whose size the file does not say")
    return mask_shape(from_cvat(counts, left, top, (width, height), size))
