"""What pictures say of people and places: faces with their boxes, GPS, names, opt-outs, a classifier's words."""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import pyarrow.compute as pc
from starlette.requests import Request
from starlette.routing import Route

from pictus.errors import UserError, clipped
from pictus.journey import first_command
from pictus.project import Project
from pictus.tables import SCHEMAS, equals, one_of
from pictus.web.duplicates import Side, sides
from pictus.web.layout import Shell, pager, whole

PAGE = 60
BOXES_SHOWN = 100
TEXT_SHOWN = 80
KINDS = {"exif": "EXIF", "gps": "GPS", "iptc": "IPTC", "xmp": "XMP", "c2pa": "C2PA"}
VIEWS = {
    "faces": "Faces", "gps": "Where it was taken", "creator": "Names a creator", "opt-out": "Prohibits data mining",
    "safety": "Safety",
}  # fmt: skip

Box = tuple[float, float, float, float]
"""x, y, width, height in px of the upright picture."""


class Seen(NamedTuple):
    """One picture and what is known of it here. `size`: upright, px."""

    side: Side
    size: tuple[int, int]
    boxes: tuple[Box, ...]
    words: str


class Numbers(NamedTuple):
    """How many pictures there are of each kind."""

    pictures: int
    looked: int  # for faces
    faces: int
    measured: int
    kinds: dict[str, int]
    labels: dict[str, int]  # of a safety classifier
    tools: tuple[str, ...]  # detectors and classifiers


def routes(shell: Shell) -> list[Route]:
    """The page of faces and privacy."""

    def page(request: Request) -> dict[str, Any]:
        view = request.query_params.get("view", "") or "faces"
        label = request.query_params.get("label", "")
        if view not in VIEWS:
            raise UserError(f"There is no view {clipped(view)}.", fix="one of: " + ", ".join(VIEWS))
        offset, numbers = whole(request, "offset"), numbers_of(shell.project)
        ids, words = _chosen(shell.project, view, label)
        return {
            "view": view, "views": VIEWS, "label": label, "numbers": numbers, "kinds": KINDS,
            "counts": {
                "faces": numbers.kinds["faces"], "gps": numbers.kinds["gps"], "creator": numbers.kinds["creator"],
                "opt-out": numbers.kinds["opt-out"], "safety": sum(numbers.labels.values()),
            },
            "seen": _seen(shell.project, ids[offset : offset + PAGE], words[offset : offset + PAGE]),
            "pager": pager(offset, len(ids[offset : offset + PAGE]), len(ids), PAGE),
            "first": first_command(shell.project, "pictures") if not numbers.pictures else "",
        }  # fmt: skip

    return [Route("/clean/privacy", shell.page("privacy.html", page))]


def numbers_of(project: Project) -> Numbers:
    """Counts over whole tables; 0 for what no step has written yet."""
    tables, kinds = project.tables, dict.fromkeys((*KINDS, "icc", "creator", "opt-out", "faces"), 0)
    if "metadata" in SCHEMAS["checks"].names:
        held = pc.list_flatten(tables.read("checks", ["metadata"]).column("metadata"))
        kinds |= {entry["values"]: entry["counts"] for entry in pc.value_counts(held).to_pylist()}
        kinds["creator"] = tables.count("checks", "creator != ''")
        kinds["opt-out"] = tables.count("checks", "starts_with(data_mining, 'prohibited')")
    kinds["faces"] = tables.count("faces", "n_faces > 0")
    faces = int(pc.sum(tables.read("faces", ["n_faces"]).column("n_faces")).as_py() or 0)
    said = pc.value_counts(tables.read("safety", ["label"], where="cause = ''").column("label")).to_pylist()
    labels = {entry["values"]: entry["counts"] for entry in sorted(said, key=lambda one: -one["counts"])}
    tools = {
        tool
        for table, column in (("faces", "detector"), ("safety", "classifier"))
        for tool in pc.unique(tables.read(table, [column]).column(column)).to_pylist()
    }
    return Numbers(
        tables.count("images"), tables.count("faces", "cause = ''"), faces, tables.count("checks"), kinds, labels,
        tuple(sorted(tools)),
    )  # fmt: skip


def _chosen(project: Project, view: str, label: str) -> tuple[list[str], list[str]]:
    """The pictures of a view and a word for each: what is surest, or most, first."""
    tables = project.tables
    if view == "faces":
        rows = tables.read("faces", ["image_id", "n_faces"], where="n_faces > 0")
        rows = rows.take(pc.sort_indices(rows, [("n_faces", "descending"), ("image_id", "ascending")]))
        words = [f"{count} {'face' if count == 1 else 'faces'}" for count in rows.column("n_faces").to_pylist()]
        return rows.column("image_id").to_pylist(), words
    if view == "safety":
        where = "cause = ''" + (f" AND {equals('label', label)}" if label else "")
        rows = tables.read("safety", ["image_id", "label", "score"], where=where)
        rows = rows.take(pc.sort_indices(rows, [("score", "descending"), ("image_id", "ascending")]))
        pairs = zip(rows.column("label").to_pylist(), rows.column("score").to_pylist(), strict=True)
        return rows.column("image_id").to_pylist(), [f"{text[:TEXT_SHOWN]} {score:.2f}" for text, score in pairs]
    if "metadata" not in SCHEMAS["checks"].names:
        return [], []
    if view == "gps":
        rows = tables.read("checks", ["image_id", "metadata"])
        flat, parents = pc.list_flatten(rows.column("metadata")), pc.list_parent_indices(rows.column("metadata"))
        ids = rows.column("image_id").take(parents.filter(pc.equal(flat, "gps"))).to_pylist()
        return ids, ["GPS"] * len(ids)
    column = "creator" if view == "creator" else "data_mining"
    where = "creator != ''" if view == "creator" else "starts_with(data_mining, 'prohibited')"
    rows = tables.read("checks", ["image_id", column], where=where)
    return rows.column("image_id").to_pylist(), [text[:TEXT_SHOWN] for text in rows.column(column).to_pylist()]


def _seen(project: Project, ids: list[str], words: list[str]) -> list[Seen]:
    if not ids:
        return []
    where = one_of("image_id", ids)
    boxes = project.tables.read("faces", ["image_id", "boxes"], where=where).to_pylist()
    sizes = project.tables.read("checks", ["image_id", "width", "height"], where=where).to_pylist()
    found, known = sides(project, set(ids)), {row["image_id"]: read_boxes(row["boxes"]) for row in boxes}
    upright = {row["image_id"]: (row["width"], row["height"]) for row in sizes if row["width"]}
    return [
        Seen(
            found[one], upright.get(one, (found[one]["width"], found[one]["height"])), known.get(one, ()), said
        )
        for one, said in zip(ids, words, strict=True)
    ]  # fmt: skip


def read_boxes(text: str) -> tuple[Box, ...]:
    """The boxes of one row of `faces`, at most BOXES_SHOWN; what is no box is left out."""
    try:
        rows = json.loads(text)
    except ValueError:
        return ()  # the number of faces is told all the same
    found = []
    for row in rows[:BOXES_SHOWN] if isinstance(rows, list) else ():
        numbers = row[:4] if isinstance(row, list) else []
        if len(numbers) == 4 and all(isinstance(one, (int, float)) and math.isfinite(one) for one in numbers):  # noqa: PLR2004
            found.append((float(numbers[0]), float(numbers[1]), float(numbers[2]), float(numbers[3])))
    return tuple(found)
