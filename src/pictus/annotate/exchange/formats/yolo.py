"""YOLO: one text file per picture, a line for each box or polygon, in shares of the picture; the names in another file.

`class x y width height` with the centre of the box (a sixth number is its score), or `class x1 y1 x2 y2 …`.
Names are read from data.yaml, obj.names or classes.txt.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

from pictus.annotate.exchange.formats.contents import Bad, Drawn, Export, Mark, Read
from pictus.annotate.exchange.formats.documents import Bundle, Document
from pictus.annotate.exchange.formats.figures import WrongFigureError, box_at, number, polygons, worded
from pictus.annotate.exchange.formats.outputs import safe_path, text_file
from pictus.errors import UserError, clipped

MAX_BYTES = 32 * 2**20
_NAMES = ("classes.txt", "obj.names", "labels.txt", "names.txt")
_SPLITS = ("train", "val", "valid", "test")
_LISTS = ("train.txt", "val.txt", "test.txt", "valid.txt", "trainval.txt", "readme.txt", "labelmap.txt", *_NAMES)


def recognises(bundle: Bundle) -> bool:
    return len(bundle.documents) > 1 and _names_file(bundle) is not None


def read(bundle: Bundle) -> Iterator[Read]:
    names = _names(bundle)
    for document in bundle.ending(".txt"):
        if document.name.rpartition("/")[2].lower() in _LISTS:
            continue
        picture = _picture(document)
        for line, text in enumerate(_text(document).splitlines(), start=1):
            if not text.strip():
                continue
            place = f"{document.name} line {line:,}"
            try:
                yield _drawn(place, picture, text.split(), names)
            except WrongFigureError as error:
                yield Bad(place, str(error))


def _picture(document: Document) -> str:
    """Its path below labels/, without the folder of a split and its ending; else its plain name."""
    _, below, rest = f"/{document.name}".rpartition("/labels/")
    first, _, after = rest.partition("/")
    path = after if first in _SPLITS and after else rest
    return path.removesuffix(".txt") if below else document.stem


def _drawn(place: str, picture: str, cells: list[str], names: dict[int, str]) -> Drawn:
    first = number(cells[0], "the class")
    if int(first) != first or int(first) not in names:
        raise WrongFigureError(f"class {clipped(cells[0])} is none of {len(names)} names")
    values = [number(cell) for cell in cells[1:]]
    if len(values) in (4, 5):
        x, y, width, height = values[:4]
        words = {"score": cells[5]} if len(values) == 5 else {}  # noqa: PLR2004
        shape, kind = worded(box_at(x - width / 2, y - height / 2, width, height), words), "box"
    else:
        shape, kind = polygons([values]), "mask"
    return Drawn(place, picture, "", names[int(first)], kind, shape, is_share=True)


def _text(document: Document) -> str:
    try:
        return document.read(MAX_BYTES).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{document.name} is not UTF-8 text.", fix="save it in UTF-8") from error


def _names_file(bundle: Bundle) -> Document | None:
    for document in bundle.documents:
        name = document.name.rpartition("/")[2].lower()
        if name in _NAMES or (document.ending in (".yaml", ".yml") and b"names" in document.head):
            return document
    return None


def _names(bundle: Bundle) -> dict[int, str]:
    document = _names_file(bundle)
    if document is None:
        raise UserError(f"{bundle.name} holds no names of classes.", fix="add classes.txt, obj.names or data.yaml")
    if document.ending not in (".yaml", ".yml"):
        return dict(enumerate(line.strip() for line in _text(document).splitlines() if line.strip()))
    import yaml  # noqa: PLC0415  only for these

    try:
        loaded = yaml.safe_load(_plain_yaml(document))
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise UserError(f"{document.name} cannot be read as YAML.", fix="write names: [first, second]") from error
    found = loaded.get("names") if isinstance(loaded, dict) else None
    listed = dict(enumerate(found)) if isinstance(found, list) else found
    if not isinstance(listed, dict) or not all(isinstance(key, int) for key in listed):
        raise UserError(f"{document.name} has no list of names.", fix="write names: [first, second]")
    return {key: str(name) for key, name in listed.items()}


def _plain_yaml(document: Document) -> str:
    text = document.read(2**20).decode("utf-8", errors="replace")
    if any(line.lstrip().partition(":")[2].lstrip().startswith(("*", "&")) for line in text.splitlines()):
        raise UserError(f"{document.name} uses anchors: it is not read.", fix="write names: [first, second]")
    return text


def write(export: Export, path: Path) -> int:
    """A folder: classes.txt, and under labels/ a file for each picture. Boxes and masks of one polygon."""
    numbers = {name: number for number, name in enumerate(export.concepts)}
    with text_file(path / "classes.txt") as out:
        out.writelines(f"{name}\n" for name in export.concepts)
    count = 0
    for sheet, marks in groupby(export.marks(), key=lambda mark: mark.sheet):
        lines = [line for mark in marks if (line := _line(mark, numbers[mark.concept]))]
        if lines:
            with text_file(safe_path(path / "labels", sheet.name, ".txt")) as out:
                out.write("".join(f"{line}\n" for line in lines))
        count += len(lines)
    return count


def _line(mark: Mark, number: int) -> str:
    width, height = mark.sheet.width, mark.sheet.height
    rings = mark.shape.get("polygons", ())
    if mark.kind == "box":
        x1, y1, x2, y2 = mark.shape["box"]
        values = [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height]
    elif len(rings) == 1:
        values = [value / (height if at % 2 else width) for at, value in enumerate(rings[0])]
    else:
        return ""
    return " ".join([str(number), *(f"{value:.8f}" for value in values)])
