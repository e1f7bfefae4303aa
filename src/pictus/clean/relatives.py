"""Groups joined by pictures made from one another: turned, edited, cropped. Pure.

Comes after equal pixels and near hashes, and joins whole groups of those: the pictures of one are small changes of
each other, so what is a part of one is a part of all. Chain protection: groups are looked at from the best keeper on;
a group that joins another does so by an edge between members that pixels or hashes put there, and brings no further
group with it. A crop of a crop is its own keeper, so that crops cannot walk from one picture to another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pictus.hashes import Rows

PIXELS, NEAR, TURNED, EDIT, CROP = RELATIONS = ("pixels", "near", "turned", "edit", "crop")
"""From the strictest to the loosest evidence."""


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
    between: dict[int, dict[int, Edge]] = {}
    for edge in edges:
        first, second = (root.get(row, row) for row in (edge.first, edge.second))
        if first != second:
            for here, there in ((first, second), (second, first)):
                old = between.setdefault(here, {}).get(there)
                between[here][there] = edge if old is None else min(old, edge, key=_worth)
    taken: set[int] = set()
    for keeper in sorted(between, key=lambda row: int(rank[row])):
        if keeper in taken:
            continue
        for other in sorted(between[keeper], key=lambda row: int(rank[row])):
            if rank[other] > rank[keeper] and other not in taken:
                taken.add(other)
                for member in _moved(by_row, families.get(other, []), between[keeper][other], keeper, other):
                    by_row[member.row] = member
    return list(by_row.values())


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
