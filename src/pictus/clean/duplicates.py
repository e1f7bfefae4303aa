"""Which pictures are the same, which one stays, and why. Pure: arrays in, groups out.

Equal pixels are one picture. Two pictures are near when at most RADIUS of the 384 bits of their
three hashes differ (64 pHash + 64 dHash + 256 PDQ), and at most KEY_RADIUS of the pHash's or of the
dHash's; every such pair is found. Pictures that say too little (PDQ quality under LEAST_QUALITY) are
never grouped by hash.

A group grows from its keeper: the most pixels, then colour, then the most bytes, then added first.
A member is within the radius of the keeper, or within the radius of another member (its evidence)
and then still within DRIFT of the keeper: what a chain of small steps reaches further away starts a
group of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pictus import hashes, neighbours
from pictus.clean import rules
from pictus.hashes import Hashes, Rows
from pictus.records import Duplicate

HASH_BITS = 384
RADIUS = 76
"""A fifth. Of 1,003 photographs of hands in ten poses before one wall it takes 5 pairs for the same; 96 bits
take 113. Copies of a photograph are far below, but for cropped ones (docs/clean.md)."""
KEY_RADIUS = 10
DRIFT = 96
"""A quarter. Beyond it look-alikes begin to outnumber copies."""
LEAST_QUALITY = 50
"""Meta's advice for PDQ: discard hashes of quality 49 and less."""

_SHORT = 12


class Pool(NamedTuple):
    """The pictures to compare, one row each, in the order they were added."""

    image_ids: Sequence[str]
    width: Rows
    height: Rows
    size: Rows  # bytes
    pixel_sha256: Sequence[str]
    hashes: Hashes  # u64[N, 6]: pHash, dHash, PDQ
    quality: Rows  # PDQ's, 0..100
    is_grey: npt.NDArray[np.bool_]


class Member(NamedTuple):
    """Row `row` belongs to keeper `keeper` because of `evidence` (all rows of the pool)."""

    row: int
    keeper: int
    evidence: int
    distance: int
    has_same_pixels: bool


def stack(phash: npt.NDArray[np.uint64], dhash: npt.NDArray[np.uint64], pdq: list[bytes]) -> Hashes:
    """The three hashes side by side: u64[N], u64[N], N × 32 bytes -> u64[N, 6]."""
    return np.column_stack([phash, dhash, hashes.words_of(pdq)])


def find(pool: Pool, *, radius: int = RADIUS) -> list[Duplicate]:
    """Every member of every group, keepers first within their group, groups by their keeper's place in the pool."""
    members = group(pool, radius=radius)
    by_keeper: dict[int, list[Member]] = {}
    for member in members:
        by_keeper.setdefault(member.keeper, []).append(member)
    rows: list[Duplicate] = []
    for keeper in sorted(by_keeper):
        others = sorted(by_keeper[keeper])
        rows.append(_kept(pool, keeper, others))
        rows.extend(_dropped(pool, member) for member in others)
    return rows


def group(pool: Pool, *, radius: int = RADIUS) -> list[Member]:
    """Members of all groups, keepers left out."""
    rank = preference(pool.width * pool.height, pool.is_grey, pool.size)
    best_of_pixels = _best_of_equal(np.unique(np.asarray(pool.pixel_sha256), return_inverse=True)[1], rank)
    members = {
        int(row): Member(int(row), int(best), int(best), 0, has_same_pixels=True)
        for row, best in enumerate(best_of_pixels)
        if row != best
    }
    for member in _near_members(pool, rank, best_of_pixels, radius):
        members[member.row] = member
    # Copies of a picture that is itself a member follow it to its keeper; their evidence stays.
    for row, member in members.items():
        if member.has_same_pixels and member.evidence in members:
            members[row] = member._replace(keeper=members[member.evidence].keeper)
    return list(members.values())


def preference(pixels: Rows | rules.Values, is_grey: npt.NDArray[np.bool_], size: Rows) -> Rows:
    """Place of each row in the order of keeping, 0 is best: more pixels, then colour, then more bytes, then earlier."""
    order = np.lexsort((np.arange(len(size)), -size, is_grey, -pixels))
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    return rank


def _best_of_equal(label: Rows, rank: Rows) -> Rows:
    """For each row the best-ranked row with the same label."""
    order = np.lexsort((rank, label))
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = label[order[1:]] != label[order[:-1]]
    best = np.empty(len(order), dtype=np.int64)
    best[order] = order[is_first][np.cumsum(is_first) - 1]
    return best


def _near_members(pool: Pool, rank: Rows, best_of_pixels: Rows, radius: int) -> list[Member]:
    """Group what is near. Rows with equal hashes stand for each other, so that a thousand copies are one node."""
    usable = np.flatnonzero((pool.quality >= LEAST_QUALITY) & (best_of_pixels == np.arange(len(rank))))
    if not len(usable):
        return []
    nodes, node_of = np.unique(pool.hashes[usable], axis=0, return_inverse=True)
    best = _best_of_equal(node_of.ravel(), rank[usable])
    head = np.empty(len(nodes), dtype=np.int64)  # node -> its best row
    head[node_of.ravel()] = usable[best]
    placed = [place for cluster in _clusters(nodes, rank[head], radius) for place in _placed(nodes, cluster, radius)]
    keeper_of = {node: keeper for node, keeper, _, _ in placed}
    members = [
        Member(int(head[node]), int(head[keeper]), int(head[evidence]), distance, has_same_pixels=False)
        for node, keeper, evidence, distance in placed
        if node != keeper
    ]
    for place, row in enumerate(usable.tolist()):
        node = int(node_of.ravel()[place])
        if row != head[node]:
            keeper = int(head[keeper_of.get(node, node)])
            members.append(Member(row, keeper, int(head[node]), 0, has_same_pixels=False))
    return members


def _clusters(nodes: Hashes, rank: Rows, radius: int) -> list[Rows]:
    """The nodes that chains of near pairs join, best first: indexed once by the pHash and once by the dHash."""
    label = neighbours.linked(nodes, radius, key_radius=KEY_RADIUS, keys=2)
    order = np.lexsort((rank, label))
    order = order[np.bincount(label)[label[order]] > 1]
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1) if len(order) else []


def _placed(nodes: Hashes, cluster: Rows, radius: int) -> Iterator[tuple[int, int, int, int]]:
    """(node, keeper, evidence, distance to evidence) for every node of a cluster, keepers included.

    Distances are computed when they are asked for: a cluster of look-alikes has too many pairs to hold.
    """
    left = cluster
    while len(left):
        keeper, left = int(left[0]), left[1:]
        yield keeper, keeper, keeper, 0
        is_gone = np.bitwise_count(nodes[left] ^ nodes[keeper]).sum(axis=1) <= max(radius, DRIFT)
        places = np.flatnonzero(is_gone)  # what may still join this keeper
        found = nodes[left[places]]
        waiting = deque([keeper])
        while waiting and len(places):
            evidence = waiting.popleft()
            bits = np.bitwise_count(found ^ nodes[evidence])
            distance = bits.sum(axis=1)
            is_near = (distance <= radius) & (bits[:, :2].min(axis=1) <= min(KEY_RADIUS, radius))
            if is_near.any():
                nearest = np.flatnonzero(is_near)[np.argsort(distance[is_near], kind="stable")]
                reached = left[places[nearest]].tolist()
                waiting.extend(reached)
                for node, far in zip(reached, distance[nearest].tolist(), strict=True):
                    yield node, keeper, evidence, far
                places, found = places[~is_near], found[~is_near]
        is_gone[places] = False
        left = left[~is_gone]


def _kept(pool: Pool, keeper: int, members: list[Member]) -> Duplicate:
    others = [member.row for member in members]
    size = f"{pool.width[keeper]} × {pool.height[keeper]} px"
    pixels = int(pool.width[keeper] * pool.height[keeper])
    rivals = [row for row in others if int(pool.width[row] * pool.height[row]) == pixels]
    if not rivals:
        reason = f"kept: {size} is the largest of {len(others) + 1}"
    elif all(_merit(pool, row)[1:2] < _merit(pool, keeper)[1:2] for row in rivals):
        reason = f"kept: the one in colour of {len(rivals) + 1} of {size}"
    elif all(_merit(pool, row) < _merit(pool, keeper) for row in rivals):
        reason = f"kept: {size}, and the most bytes ({pool.size[keeper]:,}) of {len(rivals) + 1} of this size"
    else:
        reason = f"kept: added first of {len(rivals) + 1} of {size}"
    relation = "pixels" if all(member.has_same_pixels for member in members) else "near"
    image_id = pool.image_ids[keeper]
    return Duplicate(image_id, image_id, is_keeper=True, relation=relation, distance=0, evidence_id="", reason=reason)


def _dropped(pool: Pool, member: Member) -> Duplicate:
    return Duplicate(
        pool.image_ids[member.row],
        pool.image_ids[member.keeper],
        is_keeper=False,
        relation="pixels" if member.has_same_pixels else "near",
        distance=member.distance,
        evidence_id=pool.image_ids[member.evidence],
        reason=_why_dropped(pool, member),
    )


def _merit(pool: Pool, row: int) -> tuple[int, bool, int]:
    """What makes a picture worth keeping, before the order of arrival decides."""
    return int(pool.width[row] * pool.height[row]), not pool.is_grey[row], int(pool.size[row])


def _why_dropped(pool: Pool, member: Member) -> str:
    keeper = member.keeper
    evidence = pool.image_ids[member.evidence][:_SHORT]
    if member.has_same_pixels:
        match = f"same pixels as {evidence}"
    elif member.distance:
        match = f"{member.distance} of {HASH_BITS} bits differ from {evidence}"
    else:
        match = f"same hashes as {evidence}"
    mine, kept = _merit(pool, member.row), _merit(pool, keeper)
    if kept[0] > mine[0]:
        better = f"has more pixels ({pool.width[keeper]} × {pool.height[keeper]})"
    elif kept[1] > mine[1]:
        better = "has colour"
    elif kept[2] > mine[2]:
        better = f"has more bytes ({pool.size[keeper]:,})"
    else:
        better = "was added first"
    if member.evidence == keeper:
        return f"{match}, which {better}"
    return f"{match}; its keeper {pool.image_ids[keeper][:_SHORT]} {better}"
