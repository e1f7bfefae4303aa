"""The near-duplicate join: every pair of hashes within a radius, exactly, in bands (multi-index hashing, Norouzi 2012).

Two hashes that are near agree, or nearly, in one of their 64-bit words, and there in one of a few bands of its bits:
who differs in r bits differs in at most r // m of them in one of m bands (and in one less in the later bands). For
each band the rows are sorted by its bits; the rows of one value, a bucket, are compared with the rows of every value
that differs in as few bits. Only one word is read for that, about 1 ns a pair; who is near in it is compared whole.

A range of buckets is a part of the work that needs nothing but the hashes: parts are computed in this process, in
others, or on other machines, in any order, with one result. A plan deals the bits to bands so that those of one band
say as different things as possible (neighbouring bits of a gradient hash often agree) and weighs bands against buckets.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from itertools import combinations, pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pictus.hashes import Hashes, Rows

Words = npt.NDArray[np.uint64]
Found = tuple[Rows, Rows]
Compute = Callable[[pa.RecordBatch], pa.RecordBatch]
Spread = Callable[[Compute, Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]
"""Runs a function over batches, here or elsewhere, and gives the results in order."""

PART_S = 20.0
"""Estimated work of one part: a killed worker loses so much."""

_WORD = 64
_NARROWEST, _WIDEST = 6, 22  # bits of an index: its table of starts has 2**22 entries, 32 MB
_BLOCK = 2**17  # pairs compared at once: 1 MB, which stays in the second-level cache
_TILE = 4096  # of them in one row of the block
_CROWDED = 32  # rows in a bucket from which it is worth a turn of its own
_WAITING = 2**18  # pairs joined together: each time costs a pass over all labels
_SAMPLE = 4096  # hashes from which the bits' correlations are taken
_EDGES = pa.schema([pa.field("first", pa.int64()), pa.field("second", pa.int64())])

# Measured on one core of a server of 2024; only their ratio decides, their size tells how long a part takes.
_PAIR_S, _GATHER_S, _PARTNER_S, _BUCKET_S, _SORT_S, _EXPANDED_S = 1.2e-9, 6e-9, 1.5e-8, 6e-5, 8e-8, 2.5e-8


class Pairs(NamedTuple):
    """Rows that are near each other: first < second, each pair once, in order, and the bits that differ."""

    first: Rows
    second: Rows
    distance: npt.NDArray[np.int32]


class Nearness(NamedTuple):
    """At most `radius` bits differ in all; with `keys`, also at most `key_radius` in one of the first `keys` words."""

    radius: int
    key_radius: int = 0
    keys: int = 0


class Band(NamedTuple):
    """Bits of word `word` that are indexed, of which `radius` may differ; `limit`: how many of the whole word."""

    word: int
    limit: int
    radius: int
    bits: tuple[int, ...]

    @property
    def masks(self) -> int:
        return sum(math.comb(len(self.bits), count) for count in range(self.radius + 1))


class Part(NamedTuple):
    """Buckets low .. high of one band. With `since`, only rows from there on look for partners, among all rows."""

    band: Band
    low: int
    high: int
    since: int = 0


def near_pairs(hashes: Hashes, radius: int, *, key_radius: int | None = None, keys: int = 1) -> Pairs:
    """Every pair of rows of u64[N, words] that differ in at most `radius` bits; none is missed.

    With `key_radius` one of the first `keys` words must also differ in at most so many bits; only they are
    indexed, and a wide hash is joined at the cost of a 64-bit one.
    """
    nearness = nearness_of(radius, key_radius, keys)
    parts = parts_of(hashes, plan(hashes, nearness))
    codes = [first * len(hashes) + second for part in parts for first, second in _near(hashes, part, nearness)]
    code = np.unique(np.concatenate([np.zeros(0, np.int64), *codes]))
    first, second = code // max(len(hashes), 1), code % max(len(hashes), 1)
    return Pairs(first, second, _distance(hashes, first, second))


def nearest_between(
    hashes: Hashes, others: Hashes, radius: int, *, key_radius: int | None = None, keys: int = 1
) -> Pairs:  # fmt: skip
    """Of every row of `hashes` (first) the nearest of `others` (second) within `radius`, the first of equal ones.

    One pair a row is held, however many are near: 20,000 screenshots against 1,000 are 20,000,000 pairs.
    """
    both = np.concatenate([hashes, others])
    nearness = nearness_of(radius, key_radius, keys)
    none = np.iinfo(np.int64).max
    best = np.full(len(hashes), none, dtype=np.int64)  # distance * len(both) + row
    for part in parts_of(both, plan(both, nearness, since=len(hashes)), since=len(hashes)):
        for first, second in _near(both, part, nearness):
            is_across = first < len(hashes)
            ours, theirs = first[is_across], second[is_across]
            np.minimum.at(best, ours, _distance(both, ours, theirs).astype(np.int64) * len(both) + theirs)
    found = np.flatnonzero(best != none)
    far, row = np.divmod(best[found], max(len(both), 1))
    return Pairs(found, row - len(hashes), far.astype(np.int32))


def linked(
    hashes: Hashes, radius: int, *, key_radius: int | None = None, keys: int = 1, before: Rows | None = None,
    spread: Spread | None = None, path: Path | None = None,
) -> Rows:  # fmt: skip
    """For each row the first row that a chain of near pairs (as `near_pairs` finds) joins it with: i64[N].

    No list of pairs is held: 20,000 look-alikes have 200,000,000. `before`: such labels of the first rows, from
    an earlier call on them; then only pairs with a later row are looked for. `spread` computes parts elsewhere;
    `path`: a .npy file of `hashes` that can be read there.
    """
    nearness = nearness_of(radius, key_radius, keys)
    since = 0 if before is None else len(before)
    label = np.arange(len(hashes))
    if before is not None:
        label[:since] = before
    if since == len(hashes):
        return label
    parts = parts_of(hashes, plan(hashes, nearness, since=since), since=since)
    compute = partial(edges_of, path if path is not None else hashes, nearness)
    results = (spread or _here)(compute, (_batch(part) for part in parts))
    edges = [(batch.column(0).to_numpy(), batch.column(1).to_numpy()) for batch in results if batch.num_rows]
    return _joined(label, edges) if edges else label


def plan(hashes: Hashes, nearness: Nearness, *, since: int = 0) -> tuple[Band, ...]:
    """The bands that should cost least for these hashes; one band of no bits compares every pair."""
    bands: list[Band] = []
    for word, limit in _words(hashes.shape[1], nearness):
        number, width = shape_of(len(hashes), limit, since=since)
        sample = np.ascontiguousarray(hashes[:: max(1, len(hashes) // _SAMPLE), word])
        radii = dealt(limit, number) if width else [0]
        hands = _hands(sample, number)
        bands += [
            Band(word, limit, min(radius, width), hand[:width])
            for hand, radius in zip(hands, radii, strict=True) if radius >= 0
        ]  # fmt: skip
    return tuple(bands)


def shape_of(count: int, limit: int, *, since: int = 0) -> tuple[int, int]:
    """How many bands of how many bits find who is within `limit` in one word at the least cost; (1, 0): every pair."""
    return min(
        ((number, width) for number in range(1, limit + 2)
         for width in (0, *range(_NARROWEST, min(_WORD // number, _WIDEST) + 1))),
        key=lambda shape: shape_cost_s(count, limit, *shape, since=since),
    )  # fmt: skip


def join_cost_s(count: int, words: int, nearness: Nearness, *, since: int = 0) -> float:
    """About how long one core takes for a whole join."""
    limits = [limit for _, limit in _words(words, nearness)]
    return sum(shape_cost_s(count, limit, *shape_of(count, limit, since=since), since=since) for limit in limits)


def shape_cost_s(count: int, limit: int, number: int, width: int, *, since: int = 0) -> float:
    """About how long one core takes to find who is within `limit` in one word by `number` bands of `width` bits."""
    radii = [radius for radius in dealt(limit, number) if radius >= 0] if width else [0]
    bits = tuple(range(width))
    return sum(cost_s(count, Band(0, limit, min(radius, width), bits), since) for radius in radii)


def cost_s(count: int, band: Band, since: int = 0) -> float:
    """About how long one core takes for one band of `count` hashes whose bits were drawn at random."""
    own = count / (1 << len(band.bits))
    looking = count - since
    sort_s = count * _SORT_S * bool(band.bits)
    if since and own < _CROWDED:
        return sort_s + looking * band.masks * (_PARTNER_S + own * _EXPANDED_S)
    if not band.radius and band.bits and own < _CROWDED:
        return sort_s + count * own * _EXPANDED_S
    partners = band.masks if since else band.masks / 2
    pairs = looking * own * (partners if since else max(partners, 0.5))
    per_bucket = _BUCKET_S + partners * (_PARTNER_S + own * _GATHER_S)
    return sort_s + min(looking, 1 << len(band.bits)) * per_bucket + pairs * _PAIR_S


def parts_of(hashes: Hashes, bands: Iterable[Band], *, since: int = 0) -> list[Part]:
    """The bands cut into ranges of buckets of about equal work."""
    found = []
    for band in bands:
        width = len(band.bits)
        number = min(2**width, max(1, round(cost_s(len(hashes), band, since) / PART_S)))
        # A pair is found from its lower bucket: bucket k of n has about 1 - k / n of its partners above it.
        share = np.arange(number + 1) / number
        edges = np.round(2**width * (share if since else 1 - np.sqrt(1 - share))).astype(np.int64).tolist()
        found += [Part(band, low, high, since) for low, high in pairwise(edges) if low < high]
    return found


def edges_of(source: Path | Hashes, nearness: Nearness, batch: pa.RecordBatch) -> pa.RecordBatch:
    """What a worker runs: rows that say which part -> edges (first, second) that join what its near pairs join."""
    hashes = np.load(source, mmap_mode="r", allow_pickle=False) if isinstance(source, Path) else source
    columns: list[list[npt.NDArray[np.int64]]] = [[np.zeros(0, np.int64)], [np.zeros(0, np.int64)]]
    for row in batch.to_pylist():
        band = Band(row["word"], row["limit"], row["radius"], tuple(row["bits"]))
        for edges in _forest(hashes, Part(band, row["low"], row["high"], row["since"]), nearness):
            for column, ends in zip(columns, edges, strict=True):
                column.append(ends)
    return pa.record_batch([np.concatenate(column) for column in columns], schema=_EDGES)


def nearness_of(radius: int, key_radius: int | None = None, keys: int = 1) -> Nearness:
    """As `near_pairs` and `linked` read their arguments."""
    return Nearness(radius) if key_radius is None else Nearness(radius, min(key_radius, radius), keys)


def _words(words: int, nearness: Nearness) -> list[tuple[int, int]]:
    """The words to index and how many bits of each may differ: near hashes are so near in one of them."""
    if nearness.keys:
        return [(word, nearness.key_radius) for word in range(min(nearness.keys, words))]
    return [(word, limit) for word, limit in enumerate(dealt(nearness.radius, words)) if limit >= 0]


def dealt(radius: int, number: int) -> list[int]:
    """Radii of `number` cells such that whoever differs in `radius` bits is within the radius of one cell."""
    each, more = divmod(radius, number)
    return [each if cell <= more else each - 1 for cell in range(number)]


def _hands(words: Words, number: int) -> list[tuple[int, ...]]:
    """The 64 bits dealt to bands in turn, each taking the bit that agrees least with those it has."""
    bits = (words[:, None] >> np.arange(_WORD, dtype=np.uint64) & np.uint64(1)).astype(np.float64) * 2 - 1
    agreement = (bits.T @ bits / max(len(bits), 1)) ** 2  # not centred: a bit that is always 1 says nothing
    worth = np.round(bits.sum(axis=0) ** 2 / max(len(bits), 1) ** 2, 6)
    hands: list[list[int]] = [[] for _ in range(number)]
    against = [worth.copy() for _ in range(number)]
    for turn in range(_WORD):
        hand = turn % number
        bit = int(np.argmin(against[hand]))
        hands[hand].append(bit)
        against[hand] += np.round(agreement[bit], 6)
        for other in against:
            other[bit] = np.inf
    return [tuple(hand) for hand in hands]


def _batch(part: Part) -> pa.RecordBatch:
    row = {**part.band._asdict(), "low": part.low, "high": part.high, "since": part.since}
    row["bits"] = list(part.band.bits)
    bits = pa.array([row["bits"]], pa.list_(pa.int64()))
    return pa.record_batch({name: bits if name == "bits" else pa.array([value]) for name, value in row.items()})


def _here(compute: Compute, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    yield from map(compute, batches)


def _forest(hashes: Hashes, part: Part, nearness: Nearness) -> Iterator[Found]:
    """Edges enough to join what the near pairs of a part join; pairs already joined are not compared again."""
    label = np.arange(len(hashes))
    waiting: list[Found] = []
    count = 0
    for first, second in _candidates(hashes, part):
        is_open = label[first] != label[second]
        found = _compared(hashes, first[is_open], second[is_open], nearness)
        if len(found[0]):
            waiting.append(found)
            count += len(found[0])
        if count >= _WAITING:
            yield _spanning(waiting)
            label, waiting, count = _joined(label, waiting), [], 0
    if waiting:
        yield _spanning(waiting)


def _spanning(edges: list[Found]) -> Found:
    """Each row of some edges with the first row it is joined to, itself left out."""
    first, second = (np.concatenate(ends) for ends in zip(*edges, strict=True))
    rows, place = np.unique(np.concatenate([first, second]), return_inverse=True)
    label = _joined(np.arange(len(rows)), [(place[: len(first)], place[len(first) :])])
    is_joined = label != np.arange(len(rows))
    return rows[label[is_joined]], rows[is_joined]


def _joined(label: Rows, edges: list[Found]) -> Rows:
    """The labels once the rows of each edge have one: the first row of those joined."""
    from scipy.sparse import coo_array  # noqa: PLC0415  0.1 s that --help does not pay
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    first, second = (label[np.concatenate(ends)] for ends in zip(*edges, strict=True))
    graph = coo_array((np.ones(len(first), dtype=np.bool_), (first, second)), shape=(len(label), len(label)))
    component = connected_components(graph, directed=False)[1][label]
    least = np.full(int(component.max(initial=-1)) + 1, len(label), dtype=np.int64)
    np.minimum.at(least, component, np.arange(len(label)))
    joined: Rows = least[component]
    return joined


def _near(hashes: Hashes, part: Part, nearness: Nearness) -> Iterator[Found]:
    for first, second in _candidates(hashes, part):
        yield _compared(hashes, first, second, nearness)


def _compared(hashes: Hashes, first: Rows, second: Rows, nearness: Nearness) -> Found:
    """The candidates that are near enough, first < second. Word by word: most are given up early."""
    total = np.zeros(len(first), dtype=np.int32)
    key = np.full(len(first), _WORD + 1, dtype=np.int32)
    for word in range(hashes.shape[1]):
        differ = np.bitwise_count(hashes[first, word] ^ hashes[second, word])
        total += differ
        if word < nearness.keys:
            key = np.minimum(key, differ)
        is_near = total <= nearness.radius
        if 0 < nearness.keys <= word + 1:
            is_near &= key <= nearness.key_radius
        first, second, total, key = first[is_near], second[is_near], total[is_near], key[is_near]
    return np.minimum(first, second), np.maximum(first, second)


def _distance(hashes: Hashes, first: Rows, second: Rows) -> npt.NDArray[np.int32]:
    distance = np.zeros(len(first), dtype=np.int32)
    for word in range(hashes.shape[1]):
        distance += np.bitwise_count(hashes[first, word] ^ hashes[second, word])
    return distance


class _Index(NamedTuple):
    """Rows sorted by the bits of a band."""

    order: Rows  # sorted place -> row
    words: Words  # the band's word in that order
    starts: Rows  # bucket -> its first place; one more at the end


def _candidates(hashes: Hashes, part: Part) -> Iterator[Found]:
    """Pairs of rows that are near in the word of the part's band, at least those of its buckets; in chunks."""
    index = _indexed(hashes, part.band)
    is_crowded = len(index.order) >= _CROWDED << len(part.band.bits)
    if part.since:
        found = (_crowds if is_crowded else _singly)(index, part)
    else:
        found = _equals(index, part) if part.band.bits and not part.band.radius | is_crowded else _crowds(index, part)
    held: list[Found] = []
    count = 0
    for first, second in found:
        held.append((index.order[first], index.order[second]))
        count += len(first)
        if count >= _WAITING:
            yield _different(held)
            held, count = [], 0
    if held:
        yield _different(held)


def _crowds(index: _Index, part: Part) -> Iterator[Found]:
    """Bucket by bucket: its rows against those of all its partners."""
    masks = _masks(len(part.band.bits), part.band.radius)
    looking, keys = _looking(index, part) if part.since else (np.zeros(0, np.int64), np.zeros(0, np.int64))
    buckets = np.unique(keys) if part.since else np.flatnonzero(np.diff(index.starts[part.low : part.high + 1]))
    for bucket in (buckets if part.since else buckets + part.low).tolist():
        partners = bucket ^ masks
        if part.since:
            own = looking[np.searchsorted(keys, bucket) : np.searchsorted(keys, bucket, side="right")]
            yield from _blocks(index.words, own, _runs(index.starts, partners), part.band.limit)
        else:
            own = np.arange(index.starts[bucket], index.starts[bucket + 1])
            yield from _both(index, own, partners[partners > bucket], part.band.limit)


def _singly(index: _Index, part: Part) -> Iterator[Found]:
    """The rows that look for partners, many at once: for buckets of a few rows each."""
    masks = _masks(len(part.band.bits), part.band.radius)
    looking, keys = _looking(index, part)
    height = max(1, _WAITING // (len(masks) * (1 + (len(index.order) >> len(part.band.bits)))))
    for start in range(0, len(looking), height):
        partners = keys[start : start + height, None] ^ masks
        counts = (index.starts[partners + 1] - index.starts[partners]).sum(axis=1)
        cuts = np.flatnonzero(np.diff(np.cumsum(counts) // _WAITING)) + 1  # a bucket may hold far more than most do
        for rows in np.split(np.arange(len(counts)), cuts):
            first = np.repeat(looking[start + rows], counts[rows])
            yield _near_places(index.words, first, _runs(index.starts, partners[rows].ravel()), part.band.limit)


def _equals(index: _Index, part: Part) -> Iterator[Found]:
    """Rows of one bucket, each with the next, the next but one …: all buckets at once."""
    first = np.arange(index.starts[part.low], index.starts[part.high])
    ends = np.repeat(index.starts[part.low + 1 : part.high + 1], np.diff(index.starts[part.low : part.high + 1]))
    step = 1
    while len(first):
        is_inside = first + step < ends
        first, ends = first[is_inside], ends[is_inside]
        for start in range(0, len(first), _WAITING):
            some = first[start : start + _WAITING]
            yield _near_places(index.words, some, some + step, part.band.limit)
        step += 1


def _looking(index: _Index, part: Part) -> Found:
    """The sorted places of the rows that look for partners in a part, and their buckets."""
    places = np.flatnonzero(index.order >= part.since)
    keys = np.searchsorted(index.starts, places, side="right") - 1
    is_here = (keys >= part.low) & (keys < part.high)
    return places[is_here], keys[is_here]


def _near_places(words: Words, first: Rows, second: Rows, limit: int) -> Found:
    is_near = np.bitwise_count(words[first] ^ words[second]) <= limit
    return first[is_near], second[is_near]


def _different(held: list[Found]) -> Found:
    first, second = (np.concatenate(ends) for ends in zip(*held, strict=True))
    is_pair = first != second
    return first[is_pair], second[is_pair]


def _both(index: _Index, own: Rows, partners: Rows, limit: int) -> Iterator[Found]:
    """A bucket against itself, each pair once, and against its partners."""
    height = max(_BLOCK // _TILE, _BLOCK // max(len(own), 1))
    for start in range(0, len(own), height):
        for first, second in _blocks(index.words, own[start : start + height], own[start + 1 :], limit):
            is_once = first < second
            yield first[is_once], second[is_once]
    if len(partners):
        yield from _blocks(index.words, own, _runs(index.starts, partners), limit)


def _runs(starts: Rows, buckets: Rows) -> Rows:
    """The sorted places of all rows of some buckets."""
    at = starts[buckets]
    counts = starts[buckets + 1] - at
    ends = np.cumsum(counts)
    places: Rows = np.repeat(at - ends + counts, counts)
    places += np.arange(len(places))
    return places


def _blocks(words: Words, own: Rows, others: Rows, limit: int) -> Iterator[Found]:
    """Places whose words differ in at most `limit` bits: all of `own` against all of `others`, a block at a time."""
    mine, theirs = words[own], words[others]
    tile = min(len(others), max(_TILE, _BLOCK // max(len(own), 1))) or 1
    height = max(1, _BLOCK // tile)
    for top in range(0, len(own), height):
        for left in range(0, len(others), tile):
            different = mine[top : top + height, None] ^ theirs[left : left + tile]
            is_near = np.bitwise_count(different) <= limit
            if is_near.any():
                first, second = np.nonzero(is_near)
                yield own[top + first], others[left + second]


def _indexed(hashes: Hashes, band: Band) -> _Index:
    words = np.ascontiguousarray(hashes[:, band.word])
    if not band.bits:
        return _Index(np.arange(len(words)), words, np.array([0, len(words)]))
    bytes_N8 = words.astype("<u8").view(np.uint8).reshape(-1, 8)
    kind = np.dtype(np.uint16 if len(band.bits) <= 16 else np.uint32)  # noqa: PLR2004  16 bits are sorted by radix
    keys: npt.NDArray[np.unsignedinteger[Any]] = np.zeros(len(words), dtype=kind)
    for byte, table in _tables(band.bits).items():
        np.bitwise_or(keys, table.astype(kind)[bytes_N8[:, byte]], out=keys)
    order = np.argsort(keys, kind="stable")
    counts = np.bincount(keys, minlength=2 ** len(band.bits))
    return _Index(order, words[order], np.concatenate([[0], np.cumsum(counts)]))


@lru_cache(maxsize=64)
def _masks(width: int, radius: int) -> Rows:
    """Every difference of at most `radius` of `width` bits."""
    return np.array(
        [
            sum(1 << bit for bit in bits)
            for count in range(min(radius, width) + 1)
            for bits in combinations(range(width), count)
        ],
        dtype=np.int64,
    )


@lru_cache(maxsize=64)
def _tables(bits: tuple[int, ...]) -> dict[int, npt.NDArray[np.uint32]]:
    """Byte of a word -> what each of its 256 values adds to the key."""
    values = np.arange(256, dtype=np.uint32)
    found: dict[int, npt.NDArray[np.uint32]] = {}
    for place, bit in enumerate(bits):
        added = (values >> np.uint32(bit % 8) & np.uint32(1)) << np.uint32(place)
        found[bit // 8] = found.get(bit // 8, np.zeros_like(values)) | added
    return found
