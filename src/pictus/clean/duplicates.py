"""Which pictures are the same, which one stays, and why. Pure: arrays in, groups out.

Equal pixels are one picture. Two pictures are near when at most RADIUS of the 384 bits of their
three hashes differ (64 pHash + 64 dHash + 256 PDQ), and at most KEY_RADIUS of the pHash's or of the
dHash's; every such pair is found. Pictures that say too little (PDQ quality under LEAST_QUALITY) are
never grouped by hash.

A group grows from its keeper, the best by the order of `keepers`. A member is within the radius of the
keeper, or within the radius of another member (its evidence) and then still within DRIFT of the keeper:
what a chain of small steps reaches further away starts a group of its own. Then groups join whose
pictures were made from each other (`relatives`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pictus import hashes, neighbours
from pictus.clean import keepers
from pictus.clean.keepers import Merits, Order
from pictus.clean.relatives import (
    COLLAGE,
    CROP,
    EDIT,
    NEAR,
    PIXELS,
    RELATIONS,
    TURNED,
    Edge,
    Member,
    with_relatives,
)
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


class Ids(Sequence[str]):
    """Names in one column: 14 M of them as Python texts are 1.6 GB."""

    def __init__(self, names: pa.Array | Sequence[str]) -> None:
        self.column = pa.array(names, pa.large_string()) if not isinstance(names, pa.Array) else names

    def __getitem__(self, row: Any) -> Any:  # noqa: ANN401  Sequence's overloads: here always int -> str
        return self.column[row].as_py()

    def __len__(self) -> int:
        return len(self.column)


class Pool(NamedTuple):
    """The pictures to compare, one row each, in the order they were added."""

    image_ids: Ids
    pixels: Hashes  # u64[N, words], equal rows for equal pixels
    hashes: Hashes  # u64[N, 6]: pHash, dHash, PDQ
    quality: Rows  # PDQ's, 0..100
    merits: Merits


def stack(phash: npt.NDArray[np.uint64], dhash: npt.NDArray[np.uint64], pdq: list[bytes]) -> Hashes:
    """The three hashes side by side: u64[N], u64[N], N × 32 bytes -> u64[N, 6]."""
    return np.column_stack([phash, dhash, hashes.words_of(pdq)])


def find(
    pool: Pool, *, radius: int = RADIUS, keep: Sequence[str] = (keepers.RESOLUTION,), edges: Sequence[Edge] = (),
    label: Rows | None = None,
) -> list[Duplicate]:  # fmt: skip
    """Every member of every group: the keeper, then the better before the worse; groups in the order of their keepers.

    `label`: as `labels` gives it, for who has it already.
    """
    order = keepers.order(pool.merits, keep)
    members = group(pool, order, radius=radius, edges=edges, label=label)
    by_keeper: dict[int, list[Member]] = {}
    for member in members:
        by_keeper.setdefault(member.keeper, []).append(member)
    rows: list[Duplicate] = []
    for keeper in sorted(by_keeper):
        others = sorted(by_keeper[keeper], key=lambda member: int(order.rank[member.row]))
        rows.append(_kept(pool, order, keeper, others))
        rows.extend(_dropped(pool, order, member) for member in others)
    return rows


def group(
    pool: Pool, order: Order, *, radius: int = RADIUS, edges: Sequence[Edge] = (), label: Rows | None = None
) -> list[Member]:
    """Members of all groups, keepers left out."""
    rank = order.rank
    best_of_pixels = _best_of_equal(first_of_equal(pool.pixels), rank)
    copies = np.flatnonzero(best_of_pixels != np.arange(len(rank)))
    members = {
        row: Member(row, best, best, 0, PIXELS)
        for row, best in zip(copies.tolist(), best_of_pixels[copies].tolist(), strict=True)
    }
    for member in _near_members(pool, rank, best_of_pixels, radius, labels(pool, radius) if label is None else label):
        members[member.row] = member
    # Copies of a picture that is itself a member follow it to its keeper; their evidence stays.
    for row, member in members.items():
        if member.relation == PIXELS and member.evidence in members:
            members[row] = member._replace(keeper=members[member.evidence].keeper)
    return with_relatives(list(members.values()), edges, rank)


def labels(pool: Pool, radius: int = RADIUS) -> Rows:
    """For each row the first row that chains of near pairs join it with; itself for what says too little."""
    heads = heads_of(pool)
    return heads.spread(neighbours.linked(pool.hashes[heads.nodes], radius, key_radius=KEY_RADIUS, keys=2))


class Heads(NamedTuple):
    """Rows that stand for all with an equal hash, of the pictures that say enough."""

    head: Rows  # i64[N]: the first row with an equal hash; itself for what says too little
    nodes: Rows  # the different hashes' first rows, in order

    def spread(self, linked: Rows) -> Rows:
        """Labels of the nodes, as `neighbours.linked` gives them -> labels of all rows."""
        label = np.arange(len(self.head))
        label[self.nodes] = self.nodes[linked]
        return label[self.head]


def heads_of(pool: Pool) -> Heads:
    """What to compare: each different hash once."""
    usable = np.flatnonzero(pool.quality >= LEAST_QUALITY)
    first = first_of_equal(pool.hashes[usable])
    head = np.arange(len(pool.quality))
    head[usable] = usable[first]
    return Heads(head, usable[first == np.arange(len(usable))])


def first_of_equal(words_NW: Hashes) -> Rows:
    """For each row the first row equal to it. u64[N, W] -> i64[N]."""
    mixed = np.zeros(len(words_NW), dtype=np.uint64)
    for word in range(words_NW.shape[1]):  # one word to sort by; what is equal in it is compared whole
        mixed = (mixed ^ words_NW[:, word]) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(32)
    order = np.argsort(mixed, kind="stable")
    is_same_mix = mixed[order[1:]] == mixed[order[:-1]]
    is_new = np.ones(len(order), dtype=np.bool_)
    is_new[1:] = (words_NW[order[1:]] != words_NW[order[:-1]]).any(axis=1)
    if (is_new[1:] & is_same_mix).any():  # two that differ met in one word: sort by all of them
        order = np.lexsort(words_NW.T[::-1])
        is_new[1:] = (words_NW[order[1:]] != words_NW[order[:-1]]).any(axis=1)
    first = np.empty(len(order), dtype=np.int64)
    first[order] = order[is_new][np.cumsum(is_new) - 1]
    return first


def _best_of_equal(label: Rows, rank: Rows) -> Rows:
    """For each row the best-ranked row with the same label."""
    order = np.lexsort((rank, label))
    is_first = np.ones(len(order), dtype=np.bool_)
    is_first[1:] = label[order[1:]] != label[order[:-1]]
    best = np.empty(len(order), dtype=np.int64)
    best[order] = order[is_first][np.cumsum(is_first) - 1]
    return best


def _near_members(pool: Pool, rank: Rows, best_of_pixels: Rows, radius: int, label: Rows) -> list[Member]:
    """Group what is near. Rows with equal hashes stand for each other, so that a thousand copies are one node."""
    usable = np.flatnonzero((pool.quality >= LEAST_QUALITY) & (best_of_pixels == np.arange(len(rank))))
    counts = np.bincount(label[usable], minlength=1)
    usable = usable[counts[label[usable]] > 1]
    if not len(usable):
        return []
    first = first_of_equal(pool.hashes[usable])
    heads_of = usable[_best_of_equal(first, rank[usable])]  # row -> the best row of its hash
    nodes = np.unique(heads_of)
    members = []
    keeper_of: dict[int, int] = {}
    for cluster in _clusters(nodes, label, rank):
        for node, keeper, evidence, distance in _placed(pool.hashes, cluster, radius):
            keeper_of[node] = keeper
            if node != keeper:
                members.append(Member(node, keeper, evidence, distance))
    for row, head in zip(usable.tolist(), heads_of.tolist(), strict=True):
        if row != head:
            members.append(Member(row, keeper_of.get(head, head), head))
    return [member._replace(similarity=1 - member.distance / HASH_BITS) for member in members]


def _clusters(nodes: Rows, label: Rows, rank: Rows) -> list[Rows]:
    """The nodes of one label each, best first."""
    order = nodes[np.lexsort((rank[nodes], label[nodes]))]
    return np.split(order, np.flatnonzero(np.diff(label[order])) + 1)


def _placed(words: Hashes, cluster: Rows, radius: int) -> Iterator[tuple[int, int, int, int]]:
    """(row, keeper, evidence, distance to evidence) for every row of a cluster, keepers included.

    Distances are computed when they are asked for: a cluster of look-alikes has too many pairs to hold.
    """
    left = cluster
    while len(left):
        keeper, left = int(left[0]), left[1:]
        yield keeper, keeper, keeper, 0
        is_gone = np.bitwise_count(words[left] ^ words[keeper]).sum(axis=1) <= max(radius, DRIFT)
        places = np.flatnonzero(is_gone)  # what may still join this keeper
        found = words[left[places]]
        waiting = deque([keeper])
        while waiting and len(places):
            evidence = waiting.popleft()
            bits = np.bitwise_count(found ^ words[evidence])
            distance = bits.sum(axis=1)
            is_near = (distance <= radius) & (bits[:, :2].min(axis=1) <= min(KEY_RADIUS, radius))
            if is_near.any():
                nearest = np.flatnonzero(is_near)[np.argsort(distance[is_near], kind="stable")]
                reached = left[places[nearest]].tolist()
                waiting.extend(reached)
                for row, far in zip(reached, distance[nearest].tolist(), strict=True):
                    yield row, keeper, evidence, far
                places, found = places[~is_near], found[~is_near]
        is_gone[places] = False
        left = left[~is_gone]


def _kept(pool: Pool, order: Order, keeper: int, members: list[Member]) -> Duplicate:
    others = [member.row for member in members if member.relation != COLLAGE]
    reason = keepers.why_kept(pool.merits, order, keeper, others) if others else "kept: the other shows more than this"
    loosest = max((member.relation for member in members), key=RELATIONS.index)
    image_id = pool.image_ids[keeper]
    return Duplicate(image_id, image_id, is_keeper=True, relation=loosest, distance=0, evidence_id="", reason=reason)


def _dropped(pool: Pool, order: Order, member: Member) -> Duplicate:
    return Duplicate(
        pool.image_ids[member.row],
        pool.image_ids[member.keeper],
        is_keeper=False,
        relation=member.relation,
        distance=member.distance,
        evidence_id=pool.image_ids[member.evidence],
        reason=_why_dropped(pool, order, member),
        similarity=member.similarity,
        detail=member.detail,
    )


_MATCHES = {
    PIXELS: "same pixels as {evidence}",
    TURNED: "the same as {evidence}, turned or mirrored",
    EDIT: "the same as {evidence}, edited",
    CROP: "{evidence} cropped, or what it was cropped from",
    COLLAGE: "a collage: it shows {evidence} and others side by side",
}


def matched(relation: str, distance: int, evidence_id: str) -> str:
    """In what a member is the same as its evidence."""
    evidence = evidence_id[:_SHORT]
    if relation != NEAR:
        return _MATCHES[relation].format(evidence=evidence)
    return f"{distance} of {HASH_BITS} bits differ from {evidence}" if distance else f"same hashes as {evidence}"


def _why_dropped(pool: Pool, order: Order, member: Member) -> str:
    match = matched(member.relation, member.distance, pool.image_ids[member.evidence])
    if member.relation == COLLAGE:
        return f"{match}; what it shows is kept"
    better = keepers.why_better(pool.merits, order, member.keeper, member.row)
    if member.evidence == member.keeper:
        return f"{match}, which {better}"
    return f"{match}; its keeper {pool.image_ids[member.keeper][:_SHORT]} {better}"
