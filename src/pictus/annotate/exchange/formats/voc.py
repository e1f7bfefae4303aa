"""Pascal VOC: one XML per picture, with the corners of each box. ILSVRC's and many tools' boxes look the same.

VOC's own files number pixels from 1 and include the last: the pixel xmin = 1, xmax = 1 is the box from 0 to 1. So
there x1 = xmin - 1, y1 = ymin - 1, x2 = xmax, y2 = ymax. Most tools that write such files (labelImg, CVAT) put in the
edges as they are. `voc` takes a file that names VOC as its source ("PASCAL VOC2007", "The VOC2007 Database") by VOC's
rule, any other by the edges; `voc-inclusive` and `voc-edges` say which, whatever the file says.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial
from itertools import groupby
from pathlib import Path

from pictus.annotate.exchange.formats.contents import Bad, Drawn, Export, Mark, Read
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import WrongFigureError, box, number, refuse, size_of, worded
from pictus.annotate.exchange.formats.outputs import safe_path, text_file, xml_text
from pictus.annotate.exchange.formats.xml_nodes import Node, root
from pictus.errors import UserError

MAX_BYTES = 32 * 2**20
_RULE = "PASCAL VOC (pixels from 1, the last included)"
_KEPT = ("pose", "truncated", "difficult", "occluded")


def recognises(bundle: Bundle) -> bool:
    return any(is_voc(document) for document in bundle.ending(".xml")[:20])


def is_voc(document: Document) -> bool:
    return b"<annotation>" in document.head or b"<annotation " in document.head


def read(bundle: Bundle, *, inclusive: bool | None = None) -> Iterator[Read]:
    """Boxes, picture by picture. inclusive: VOC's rule (None: by what each file says)."""
    for document in bundle.ending(".xml"):
        try:
            node = root(document, MAX_BYTES)
        except UserError as error:
            yield Bad(document.name, error.what.removeprefix(document.name).strip())
            continue
        if node.tag != "annotation":
            yield Bad(document.name, f"its root is <{node.tag[:50]}>, not <annotation>")
            continue
        yield from _picture(document, node, inclusive)


read_inclusive = partial(read, inclusive=True)
read_edges = partial(read, inclusive=False)


def _picture(document: Document, node: Node, inclusive: bool | None) -> Iterator[Read]:
    name = node.said("filename") or document.stem
    if name in ("%s", "%s.jpg"):  # ILSVRC's own files were written so
        name = document.stem
    first = _is_vocs_own(node) if inclusive is None else inclusive
    try:
        size = size_of(node.said("size", "width"), node.said("size", "height"))
    except WrongFigureError as error:
        yield Bad(f"{document.name} line {node.line}", str(error))
        return
    for found in node.every("object"):
        place = f"{document.name} line {found.line}"
        try:
            corners = [found.said("bndbox", side) for side in ("xmin", "ymin", "xmax", "ymax")]
            if not all(corners):
                refuse("no <bndbox> with xmin, ymin, xmax and ymax")
            left, top, right, bottom = (number(corner) for corner in corners)
            back = 1 if first else 0
            shape = box(left - back, top - back, right, bottom) if left <= right and top <= bottom else {}
            if not shape:
                refuse(f"a box from {left:g}, {top:g} to {right:g}, {bottom:g}")
            words = {key: said for key in _KEPT if (said := found.said(key)) not in ("", "0", "Unspecified")}
            annotator = found.said("annotator")
            yield Drawn(place, name, annotator, found.said("name"), "box", worded(shape, words), size)
        except WrongFigureError as error:
            yield Bad(place, str(error))


def _is_vocs_own(node: Node) -> bool:
    database, annotation = node.said("source", "database"), node.said("source", "annotation")
    return annotation.upper().startswith("PASCAL VOC") or database.startswith("The VOC")


def write(export: Export, path: Path) -> int:
    """One XML for each picture, by VOC's rule: whole pixels from 1, the last included, that hold the box."""
    count = 0
    for sheet, marks in groupby(export.marks(), key=lambda mark: mark.sheet):
        boxes = [mark for mark in marks if mark.kind == "box"]
        if not boxes:
            continue
        with text_file(safe_path(path, sheet.name, ".xml")) as out:
            out.write(
                f"<annotation>\n  <filename>{xml_text(sheet.name)}</filename>\n  <source>\n"
                f"    <database>{xml_text(export.project)}</database>\n    <annotation>{_RULE}</annotation>\n"
                "  </source>\n"
                f"  <size>\n    <width>{sheet.width}</width>\n    <height>{sheet.height}</height>\n"
                "    <depth>3</depth>\n  </size>\n  <segmented>0</segmented>\n"
            )
            for mark in boxes:
                out.write(_object(mark))
                count += 1
            out.write("</annotation>\n")
    return count


def _object(mark: Mark) -> str:
    x1, y1, x2, y2 = mark.shape["box"]
    words = mark.shape.get("words", {})
    lines = [("name", mark.concept), ("annotator", mark.annotator)]
    lines += [(key, words.get(key, "Unspecified" if key == "pose" else "0")) for key in _KEPT]
    sides = {"xmin": math.floor(x1) + 1, "ymin": math.floor(y1) + 1, "xmax": math.ceil(x2), "ymax": math.ceil(y2)}
    box_lines = "".join(f"      <{key}>{value}</{key}>\n" for key, value in sides.items())
    body = "".join(f"    <{key}>{xml_text(value)}</{key}>\n" for key, value in lines)
    return f"  <object>\n{body}    <bndbox>\n{box_lines}    </bndbox>\n  </object>\n"
