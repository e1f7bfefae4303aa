"""Groups of duplicates as a page shows them: who stays and why, and the evidence for every other member, drawn."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from markupsafe import Markup

from pictus.errors import UserError, clipped
from pictus.project import Project
from pictus.tables import SCHEMAS, one_of
from pictus.web.duplicates import Side, sides

ORDERS = {"": "most doubtful first", "likest": "likest first", "largest": "largest groups first"}
RELATIONS = {"pixels": "same pixels", "near": "nearly the same", "turned": "turned or mirrored", "crop": "cropped",
             "edit": "edited"}  # fmt: skip
HASHES = ("phash", "dhash", "pdq")
BLOCKS = ((0, 8), (9, 8), (18, 16))
"""Where each hash is drawn: its left edge and its side, in cells."""
MEMBERS_SHOWN = 24
WHOLE = 0.98
"""From this share on a part is called the whole."""

Frame = tuple[float, float, float, float]
"""x, y, width, height as shares of the other picture, each in [0, 1]."""


@dataclass(frozen=True)
class Evidence:
    """Why a member is in its group, against which picture, in words and as what can be drawn."""

    other: Side
    whole: Side  # the one that holds the other one; `other` where neither is a part
    words: str
    reason: str
    relation: str
    frame: Frame | None  # where in the whole the part lies
    turn: int  # degrees clockwise that lay the part on the whole, after it was mirrored where it was
    is_mirrored: bool
    is_inverse: bool  # turned first and then mirrored
    bits: Markup  # the hashes' bits that differ; empty where there are none to compare

    @property
    def is_turned(self) -> bool:
        """Whether all of it lies on the whole once it is turned by right angles or mirrored."""
        is_all = self.frame is None or self.frame[2] * self.frame[3] >= WHOLE
        return bool(is_all and (self.turn or self.is_mirrored) and self.turn % 90 == 0)

    @property
    def inner_size(self) -> tuple[int, int]:
        """Width and height that the part has before it is turned onto the whole."""
        sides = (self.whole["width"], self.whole["height"])
        return sides if self.turn % 180 == 0 else sides[::-1]

    @property
    def transform(self) -> str:
        """How a part drawn around 0, 0 comes to lie on the whole, as SVG says it."""
        steps = [f"rotate({self.turn})", *(["scale(-1 1)"] if self.is_mirrored else [])]
        middle = f"translate({self.whole['width'] / 2:g} {self.whole['height'] / 2:g})"
        return " ".join([middle, *(reversed(steps) if self.is_inverse else steps)])


@dataclass(frozen=True)
class Member:
    """One picture of a group; the keeper has no evidence."""

    side: Side
    evidence: Evidence | None
    reason: str


@dataclass(frozen=True)
class Group:
    """A keeper, and the others: most doubtful first, at most MEMBERS_SHOWN of `total`."""

    group_id: str
    keeper: Member
    others: tuple[Member, ...]
    total: int


class Page(NamedTuple):
    """One page of groups. `total`: groups that the filter lets through; `relations`: members by relation."""

    groups: list[Group]
    total: int
    pictures: int
    relations: dict[str, int]
    has_looked: bool


def page(project: Project, offset: int, count: int, *, relation: str = "", order: str = "") -> Page:
    """`count` groups from `offset`; only those with a member of `relation`, where one is given."""
    if order not in ORDERS:
        known = ", ".join(filter(None, ORDERS))
        raise UserError(f"Groups cannot be ordered by {clipped(order)}.", fix=f"one of: {known}")
    names = [name for name in ("group_id", "relation", "distance", "similarity") if name in SCHEMAS["duplicates"].names]
    rows = project.tables.read("duplicates", names, where="NOT is_keeper")
    found = pc.value_counts(rows.column("relation")).to_pylist()
    relations = {entry["values"]: entry["counts"] for entry in sorted(found, key=lambda one: -one["counts"])}
    chosen = rows.filter(pc.equal(rows.column("relation"), relation)) if relation else rows
    wanted = _ordered(chosen, order)
    shown = wanted[offset : offset + count]
    groups = _groups(project, shown) if shown else []
    return Page(groups, len(wanted), rows.num_rows, relations, project.tables.exists("duplicates"))


def _ordered(rows: pa.Table, order: str) -> list[str]:
    """The groups of these members in the order asked for."""
    if not rows.num_rows:
        return []
    found = rows.append_column("doubt", pa.array(_doubt(rows))).group_by("group_id").aggregate(
        [("doubt", "max"), ("doubt", "min"), ("relation", "count")]
    )  # fmt: skip
    first = {"": ("doubt_max", "descending"), "likest": ("doubt_min", "ascending"),
             "largest": ("relation_count", "descending")}[order]  # fmt: skip
    places = pc.sort_indices(found, [first, ("group_id", "ascending")])
    ids: list[str] = found.column("group_id").take(places).to_pylist()
    return ids


def _doubt(rows: pa.Table) -> np.ndarray[Any, np.dtype[np.float64]]:
    """f64[N], the more the less sure: bits apart as a share, or what is missing from a full likeness."""
    bits: np.ndarray[Any, np.dtype[np.float64]] = rows.column("distance").to_numpy().astype(np.float64) / 384
    if "similarity" not in rows.schema.names:
        return bits
    unlike: np.ndarray[Any, np.dtype[np.float64]] = 1 - rows.column("similarity").to_numpy().astype(np.float64)
    found: np.ndarray[Any, np.dtype[np.float64]] = np.maximum(bits, unlike)
    return found


def _groups(project: Project, group_ids: list[str]) -> list[Group]:
    rows = project.tables.read("duplicates", where=one_of("group_id", group_ids))
    rows = rows.append_column("doubt", pa.array(_doubt(rows)))
    by_group: dict[str, list[dict[str, Any]]] = {group_id: [] for group_id in group_ids}
    for row in rows.take(pc.sort_indices(rows, [("doubt", "descending"), ("image_id", "ascending")])).to_pylist():
        by_group[row["group_id"]].append(row)
    parts = {group_id: [row for row in found if not row["is_keeper"]] for group_id, found in by_group.items()}
    kept = {row["image_id"]: row for found in by_group.values() for row in found if row["is_keeper"]}
    shown = [row for found in parts.values() for row in found[:MEMBERS_SHOWN]]
    ids = {*group_ids, *(row["image_id"] for row in shown), *(row["evidence_id"] or row["group_id"] for row in shown)}
    seen, hashes = sides(project, ids), _hashes(project, ids)
    pairs = _compared(project, ids)
    found = []
    for group_id in group_ids:
        others = tuple(
            Member(seen[row["image_id"]], _evidence(row, seen, hashes, pairs), row["reason"])
            for row in parts[group_id][:MEMBERS_SHOWN]
        )
        reason = kept[group_id]["reason"] if group_id in kept else ""
        found.append(Group(group_id, Member(seen[group_id], None, reason), others, len(parts[group_id])))
    return found


def _compared(project: Project, image_ids: Iterable[str]) -> set[tuple[str, str]]:
    """(first, second) of the pairs whose detail says how the first lies in the second."""
    where = one_of("image_id", sorted(image_ids))
    rows = project.tables.read("likenesses", ["image_id", "other_id"], where=where).to_pylist()
    return {(row["image_id"], row["other_id"]) for row in rows}


def _evidence(
    row: Mapping[str, Any], seen: Mapping[str, Side], hashes: Mapping[str, bytes], pairs: set[tuple[str, str]]
) -> Evidence:
    image_id, other = row["image_id"], row["evidence_id"] or row["group_id"]
    detail = read_detail(row.get("detail", ""))
    turn, is_mirrored = _turn(detail)
    # The detail tells of a first and a second picture; it does not say which of these two is the first.
    is_first = (other, image_id) not in pairs
    first, second = (image_id, other) if is_first else (other, image_id)
    is_frame = row["relation"] in ("crop", "turned", "edit")
    frame = frame_of(detail) if is_frame else None
    is_part = frame is not None and frame[2] * frame[3] < WHOLE
    whole = (first if detail.get("part") == "other" else second) if is_part else other
    is_drawn = row["relation"] == "near" and image_id in hashes and other in hashes
    bits = differing(hashes[image_id], hashes[other]) if is_drawn else Markup()
    words = _words(row, (turn, is_mirrored), frame, is_part=whole == other)
    reason = _why(row["reason"], words, is_keeper=other == row["group_id"])
    is_inverse = whole == first  # the way from the second to the first goes back
    return Evidence(
        seen[other], seen[whole], words, reason, row["relation"], frame, -turn if is_inverse else turn, is_mirrored,
        is_inverse, bits,
    )  # fmt: skip


def _words(row: Mapping[str, Any], turned: tuple[int, bool], frame: Frame | None, *, is_part: bool) -> str:
    """The evidence in a few words about the member: what it is to the picture it was matched with."""
    relation, bits, (turn, is_mirrored) = row["relation"], row["distance"], turned
    if relation == "pixels":
        return "same pixels"
    if relation == "near":
        return f"{bits} of 384 bits differ" if bits != 1 else "1 of 384 bits differs"
    parts = ["mirrored"] if is_mirrored else []
    parts += [f"turned by {abs(turn)}°"] if turn else []
    if frame and frame[2] * frame[3] < WHOLE:
        size = f"{frame[2] * 100:.0f} × {frame[3] * 100:.0f} %"
        parts.append(f"a part of it, {size}" if is_part else f"holds it as {size}")
    likeness = f"{row['similarity'] * 100:.0f} % alike" if row.get("similarity") else ""
    return ", ".join([*(parts or [RELATIONS.get(relation, relation)]), *filter(None, [likeness])])


def _why(reason: str, words: str, *, is_keeper: bool) -> str:
    """What a reason says beside the words that stand before it."""
    better = reason.partition(", which ")[2]
    if better and is_keeper:
        return f"the kept one {better}"
    return "" if reason == words else reason


def read_detail(text: str) -> dict[str, Any]:
    """What a table notes for machines; nothing where it is no JSON object."""
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}  # the words of the reason say it still
    return found if isinstance(found, dict) else {}


def frame_of(detail: Mapping[str, Any]) -> Frame | None:
    """The part of the other picture that a crop shows, or None where it is not said or makes no sense."""
    scale = detail.get("scale")
    numbers = (detail.get("x"), detail.get("y"), detail.get("width", scale), detail.get("height", scale))
    if not all(isinstance(one, (int, float)) and math.isfinite(one) for one in numbers):
        return None
    x, y, width, height = (min(max(float(one), 0.0), 1.0) for one in numbers if one is not None)
    width, height = min(width, 1 - x), min(height, 1 - y)
    return (x, y, width, height) if width > 0 and height > 0 else None


def _turn(detail: Mapping[str, Any]) -> tuple[int, bool]:
    """(degrees clockwise, whether mirrored) from a detail such as {"turn": "-90", "mirrored": true}."""
    text = str(detail.get("turn", "0"))
    return int(text) if re.fullmatch(r"-?\d{1,3}", text, re.ASCII) else 0, detail.get("mirrored") is True


def differing(first: bytes, second: bytes) -> Markup:
    """The bits of two pictures' hashes (64 + 64 + 256) that differ, each a cell at its place."""
    bits = np.unpackbits(np.frombuffer(first, np.uint8) ^ np.frombuffer(second, np.uint8))
    path, at = [], 0
    for left, side in BLOCKS:
        block = bits[at : at + side * side].reshape(side, side)
        at += side * side
        path += [f"M{left + column} {row}h1v1h-1z" for row, column in zip(*np.nonzero(block), strict=True)]
    paper = "".join(f'<rect x="{left}" width="{side}" height="{side}"/>' for left, side in BLOCKS)
    words = f"{int(bits.sum())} of {len(bits)} bits differ"
    return Markup(  # noqa: S704  numbers only
        f'<svg class="bits" viewBox="0 0 34 16" role="img" aria-label="{words}"><g>{paper}</g>'
        f'<path d="{"".join(path)}"/></svg>'
    )


def _hashes(project: Project, image_ids: Iterable[str]) -> dict[str, bytes]:
    """Each picture's three hashes behind each other, 48 bytes; only for those that have them."""
    rows = project.tables.read("checks", ["image_id", *HASHES], where=one_of("image_id", sorted(image_ids)))
    return {
        row["image_id"]: row["phash"].to_bytes(8) + row["dhash"].to_bytes(8) + row["pdq"] for row in rows.to_pylist()
    }
