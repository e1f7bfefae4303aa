"""CVAT for images, XML 1.1: boxes, polygons, points, skeletons, masks and tags of each picture."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, groupby
from pathlib import Path

from pictus.annotate.exchange.formats.contents import Bad, Drawn, Export, Mark, Read, Said, Shape, Vote
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import (
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
from pictus.annotate.exchange.formats.outputs import decimal, tag, text_file, xml_text
from pictus.annotate.exchange.formats.run_lengths import from_cvat, mask_shape, pixels_of, to_cvat
from pictus.annotate.exchange.formats.xml_nodes import Node, nodes
from pictus.errors import clipped

_SHAPES = ("box", "polygon", "points", "mask", "skeleton")
_PLACE = ("left", "top", "width", "height")
_UNREAD = {"polyline": "a polyline", "ellipse": "an ellipse", "cuboid": "a cuboid"}


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
    tags = Counter(_tagger(one, annotator) for one in node.every("tag"))
    for found in node.children:
        place = f"{document.name} line {found.line}"
        label, words = found.attributes.get("label", ""), _words(found)
        who = words.pop("annotator", "") or _author(found, annotator)
        if found.tag == "tag":
            answer = words.get("answer", "yes" if tags[_tagger(found, annotator)] > 1 else "")
            yield Said(place, name, who, label if answer else "", answer or label)
            continue
        try:
            if found.tag in _UNREAD:
                refuse(f"{_UNREAD[found.tag]}, which has no place here")
            if found.tag in _SHAPES:
                kind, shape = _shape(found, label, size)
                yield Drawn(place, name, who, label, kind, worded(shape, words), size)
        except WrongFigureError as error:
            yield Bad(place, str(error))


def _tagger(node: Node, annotator: str) -> tuple[str, bool]:
    """Who gave a tag, and whether it says to what it answers: several that do not are a yes to each."""
    words = _words(node)
    return words.get("annotator") or _author(node, annotator), "answer" in words


def _author(node: Node, annotator: str) -> str:
    return "model:cvat" if node.attributes.get("source") in ("auto", "semi-auto") else annotator


def _words(node: Node) -> dict[str, str]:
    words = {one.attributes.get("name", ""): one.text.strip() for one in node.every("attribute")}
    words.pop("skeleton", None)
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
    skeleton = next((one.text for one in node.every("attribute") if one.attributes.get("name") == "skeleton"), label)
    children = list(node.every("points"))
    points = [[*_points(child.attributes.get("points", ""))[0], _seen(child)] for child in children]
    names = [child.attributes.get("label", "")[:200] for child in children]
    return "points", keypoints(skeleton.strip()[:200], points, names if any(names) else ())


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
        left, top, width, height = (int(float(said.get(key, ""))) for key in _PLACE)
    except (ValueError, OverflowError):
        raise WrongFigureError("a mask without run lengths, left, top, width and height") from None
    if size == (0, 0):
        raise WrongFigureError("a mask on a picture whose size the file does not say")
    return mask_shape(from_cvat(counts, left, top, (width, height), size))


def write(export: Export, path: Path) -> int:
    """Answers as tags, shapes as CVAT's own; who gave them is an attribute, for CVAT has no place for several."""
    count = 0
    with text_file(path) as out:
        labels = "".join(f"<label><name>{xml_text(name)}</name></label>" for name in export.concepts)
        out.write('<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n<meta><task>')
        out.write(f"<name>{xml_text(export.project)}</name><labels>{labels}</labels></task></meta>\n")
        rows: Iterator[Vote | Mark] = chain(export.votes(), export.marks())
        for number, (sheet, found) in enumerate(groupby(rows, key=lambda row: row.sheet)):
            size = {"width": sheet.width, "height": sheet.height}
            out.write(tag("image", {"id": number, "name": sheet.name, **size}, closed=False) + "\n")
            for row in found:
                out.write(_tag(row) if isinstance(row, Vote) else _drawn(row))
                count += 1
            out.write("</image>\n")
        out.write("</annotations>\n")
    return count


def _attributes(words: Mapping[str, object]) -> str:
    return "".join(
        tag("attribute", {"name": name}, closed=False) + f"{xml_text(str(said))}</attribute>"
        for name, said in words.items() if said not in ("", None)
    )  # fmt: skip


def _tag(vote: Vote) -> str:
    label, answer = (vote.question, vote.answer) if vote.question else (vote.answer, "")
    head = tag("tag", {"label": label, "source": "manual"}, closed=False)
    return f"{head}{_attributes({'annotator': vote.annotator, 'answer': answer})}</tag>\n"


def _drawn(mark: Mark) -> str:
    words = dict(mark.shape.get("words", {}))
    head: dict[str, object] = {"label": mark.concept, "source": "manual"}
    head |= {name: words.pop(name) for name in ("occluded", "group_id") if name in words}
    after = _attributes({"annotator": mark.annotator, **words})
    rings = mark.shape.get("polygons", ())
    if mark.kind == "box":
        head |= dict(zip(("xtl", "ytl", "xbr", "ybr"), map(decimal, mark.shape["box"]), strict=True))
    elif mark.kind == "points":
        return _skeleton(mark, head, after)
    elif len(rings) == 1:
        head["points"] = _joined(rings[0])
    else:
        counts, *place = to_cvat(pixels_of(mark.shape, mark.sheet.width, mark.sheet.height))
        head |= dict(zip(("rle", *_PLACE), (", ".join(map(str, counts)), *place), strict=True))
    name = "box" if mark.kind == "box" else "polygon" if len(rings) == 1 else "mask"
    return f"{tag(name, head, closed=False)}{after}</{name}>\n"


def _joined(ring: Sequence[float]) -> str:
    return ";".join(f"{decimal(x)},{decimal(y)}" for x, y in zip(ring[0::2], ring[1::2], strict=True))


def _skeleton(mark: Mark, head: dict[str, object], after: str) -> str:
    points = mark.shape["points"]
    names = mark.shape.get("names") or [""] * len(points)
    inner = "".join(
        tag("points", {"label": name, "outside": int(not seen), "occluded": int(seen == 1), "points": _joined([x, y])})
        for name, (x, y, seen) in zip(names, points, strict=True)
    )
    skeleton = _attributes({"skeleton": mark.shape["skeleton"]})
    return f"{tag('skeleton', head, closed=False)}{inner}{skeleton}{after}</skeleton>\n"
