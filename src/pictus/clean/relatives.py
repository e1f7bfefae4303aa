"""Groups joined by pictures made from one another: turned, edited, cropped. Pure.

Comes after equal pixels and near hashes, and joins whole groups of those: the pictures of one are small changes of
each other, so what is a part of one is a part of all. Chain protection: groups are looked at from the best keeper on;
a group that joins another does so by an edge between members that pixels or hashes put there, and brings no further
group with it. A crop of a crop is its own keeper, so that crops cannot walk from one picture to another.

A picture that shows others side by side (a contact sheet, a screenshot, a film strip) is a collage: of what it shows
nothing joins anything through it, and it is itself a member of the best of them. It is told by where its parts lie:
their frames do not overlap. So two apart crops of one photograph stay, and the photograph goes: nothing is lost.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import NamedTuple

from pictus.hashes import Rows

PIXELS, NEAR, TURNED, EDIT, CROP, COLLAGE = RELATIONS = ("pixels", "near", "turned", "edit", "crop", "collage")
"""From the strictest to the loosest evidence."""

OVERLAP = 0.2
"""Of the smaller of two frames, from which they show the same place. Frames are right to 1 or 2 %, so that pictures
laid side by side overlap by less; two crops of a photograph that share less are taken for two pictures: both stay."""

Frame = tuple[float, float, float, float]  # left, top, right, bottom: shares of the whole


class Edge(NamedTuple):
    """Rows `first` and `second` of the pool show the same, proved on their pixels."""

    first: int
    second: int
    relation: str  # turned | edit | crop
    similarity: float  # 0..1
    detail: str


class Member(NamedTuple):
    """Row `row` belongs to keeper `keeper` because of `evidence` (all rows of the pool)."""

    row: int
    keeper: int
    evidence: int
    distance: int = 0
    relation: str = NEAR
    similarity: float = 1.0
    detail: str = ""


def with_relatives(members: Sequence[Member], edges: Sequence[Edge], rank: Rows) -> list[Member]:
    """The members of all groups once edges have joined some of them, each group with its better keeper."""
    by_row = {member.row: member for member in members}
    root = {row: member.keeper for row, member in by_row.items()}
    families: dict[int, list[int]] = {}
    for row, keeper in root.items():
        families.setdefault(keeper, []).append(row)
    between = _between(edges, root)
    frames = _frames(edges, root)
    sheets = _collages(frames)
    taken: set[int] = set()
    for keeper in sorted(between, key=lambda row: int(rank[row])):
        if keeper in taken or keeper in sheets:
            continue
        for other in sorted(between[keeper], key=lambda row: int(rank[row])):
            if rank[other] > rank[keeper] and other not in taken and other not in sheets:
                taken.add(other)
                for member in _moved(by_row, families.get(other, []), between[keeper][other], keeper, other):
                    by_row[member.row] = member
    for sheet in sorted(sheets):
        best = min((row for row in frames[sheet] if row not in sheets), key=lambda row: int(rank[row]), default=-1)
        if best >= 0:
            edge = between[sheet][best]
            evidence = edge.first if root.get(edge.first, edge.first) == best else edge.second
            keeper = by_row[best].keeper if best in by_row else best
            for row in (sheet, *families.get(sheet, [])):
                by_row[row] = Member(row, keeper, evidence, 0, COLLAGE, edge.similarity, edge.detail)
    return list(by_row.values())


def _between(edges: Sequence[Edge], root: Mapping[int, int]) -> dict[int, dict[int, Edge]]:
    """The surest edge between each two groups, both ways, by their keepers."""
    between: dict[int, dict[int, Edge]] = {}
    for edge in edges:
        first, second = (root.get(row, row) for row in (edge.first, edge.second))
        if first != second:
            for here, there in ((first, second), (second, first)):
                old = between.setdefault(here, {}).get(there)
                between[here][there] = edge if old is None else min(old, edge, key=_worth)
    return between


def _frames(edges: Sequence[Edge], root: Mapping[int, int]) -> dict[int, dict[int, list[Frame]]]:
    """Groups that show several others as parts of them: whole -> part -> where. Both by their keepers."""
    wholes: dict[int, dict[int, list[Frame]]] = {}
    for edge in edges:
        placed = json.loads(edge.detail) if edge.detail.startswith("{") else {}
        if "part" in placed:
            ends = [root.get(row, row) for row in (edge.first, edge.second)]
            part, whole = ends if placed["part"] == "image" else ends[::-1]
            left, top = placed["x"], placed["y"]
            frame = left, top, left + placed["width"], top + placed["height"]
            if part != whole:
                wholes.setdefault(whole, {}).setdefault(part, []).append(frame)
    return {whole: parts for whole, parts in wholes.items() if len(parts) > 1}


def _collages(frames: Mapping[int, Mapping[int, Sequence[Frame]]]) -> set[int]:
    """Who shows parts that do not overlap, nor are joined by others that overlap both.

    A collage within a collage overlaps all that it shows; so those found are left out, and the rest looked at again.
    """
    sheets: set[int] = set()
    while True:
        more = {whole for whole, parts in frames.items() if whole not in sheets and _is_apart(parts, sheets)}
        if not more:
            return sheets
        sheets |= more


def _is_apart(parts: Mapping[int, Sequence[Frame]], sheets: AbstractSet[int]) -> bool:
    open_ = [row for row in parts if row not in sheets]
    reached = open_[:1]
    waiting = open_[1:]
    for row in reached:  # grows while it is walked
        near = [other for other in waiting if any(_meet(one, two) for one in parts[row] for two in parts[other])]
        reached += near
        waiting = [other for other in waiting if other not in near]
    return bool(waiting)


def _meet(one: Frame, two: Frame) -> bool:
    wide = min(one[2], two[2]) - max(one[0], two[0])
    high = min(one[3], two[3]) - max(one[1], two[1])
    least = min((frame[2] - frame[0]) * (frame[3] - frame[1]) for frame in (one, two))
    return wide > 0 and high > 0 and wide * high >= OVERLAP * least


def _worth(edge: Edge) -> tuple[float, int, int, int]:
    ends = sorted((edge.first, edge.second))
    return -edge.similarity, RELATIONS.index(edge.relation), ends[0], ends[1]


def _moved(by_row: dict[int, Member], family: list[int], edge: Edge, keeper: int, other: int) -> list[Member]:
    """The group of `other` as members of `keeper`: the edge's end first, and from there each by its old evidence."""
    ends = (edge.first, edge.second)
    is_first = edge.first in {other, *family}
    end, evidence = ends if is_first else ends[::-1]
    moved = {row: by_row[row]._replace(keeper=keeper) for row in family}
    at, link = end, Member(end, keeper, evidence, 0, edge.relation, edge.similarity, edge.detail)
    while at != other:  # what is near is near both ways: the way from the edge's end to the old keeper is turned round
        old = by_row[at]
        moved[at] = link
        at, link = old.evidence, old._replace(row=old.evidence, evidence=at, keeper=keeper)
    moved[at] = link
    return list(moved.values())
