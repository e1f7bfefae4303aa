"""What the last search for duplicates found, kept so that the next one looks only at what is new. Pure.

A state is a cache: it says of which pictures, by digest, and with which options it was found. When that does not fit
what is there now, or the state is damaged, the work is done from the start; it is never the source of an answer
that could not be computed again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from pictus.clean import duplicates
from pictus.clean.duplicates import Ids, Pool
from pictus.clean.keepers import Merits
from pictus.clean.relatives import Edge
from pictus.hashes import Rows
from pictus.tables import table_of

FORMAT = 2

_DIGEST = 32


class Found(NamedTuple):
    """The last search: its options, and digests of the first `rows` pictures and `edges` likenesses it looked at."""

    join: str  # what decides who is near
    grouping: str  # what decides who is kept, beyond that
    rows: int
    hashes_digest: str
    pool_digest: str
    edges: int
    edges_digest: str
    version: int  # of the table it wrote
    label: Rows  # of the nodes, as neighbours.linked gives it


def found(pool: Pool, edges: Sequence[Edge], options: tuple[str, str], version: int, label: Rows) -> Found:
    """The state to keep after a search."""
    count = len(pool.quality)
    return Found(
        *options, count, hashes_digest(pool, count), pool_digest(pool, count), len(edges), edges_digest(pool, edges),
        version, label,
    )  # fmt: skip


def options(radius: int, keep: Sequence[str]) -> tuple[str, str]:
    """Everything beside the pictures that decides on groups, in two texts: who is near, and who is kept."""
    near = [FORMAT, radius, duplicates.KEY_RADIUS, duplicates.LEAST_QUALITY]
    return json.dumps(near), json.dumps([FORMAT, duplicates.DRIFT, list(keep)])


def known_labels(pool: Pool, state: Found | None, join: str) -> Rows | None:
    """Labels of the first nodes, where the state is of the same pictures in the same order; else None."""
    if state is None or state.join != join or state.rows > len(pool.quality):
        return None
    return state.label if hashes_digest(pool, state.rows) == state.hashes_digest else None


def is_same_so_far(pool: Pool, edges: Sequence[Edge], state: Found, grouping: str, version: int) -> bool:
    """Whether the groups of the state's pictures still hold, but for what is new."""
    return (
        (state.grouping, state.version) == (grouping, version)
        and state.edges <= len(edges)
        and edges_digest(pool, edges[: state.edges]) == state.edges_digest
        and pool_digest(pool, state.rows) == state.pool_digest
    )


def regrouped(
    pool: Pool, edges: Sequence[Edge], label: Rows, *, earlier: pa.Table, new: tuple[int, int], how: dict[str, Any]
) -> pa.Table:  # fmt: skip
    """The table of duplicates when `earlier` was right for the first new[0] pictures and new[1] edges.

    Only what may be joined with something new is grouped again, with `how` (radius, keep) as for the rest.
    """
    import pyarrow.compute as pc  # noqa: PLC0415  0.1 s that --help does not pay

    is_open = touched(pool, edges, label, *new)
    rows = np.flatnonzero(is_open)
    place = np.full(len(is_open), -1, dtype=np.int64)
    place[rows] = np.arange(len(rows))
    inside = [
        edge._replace(first=int(place[edge.first]), second=int(place[edge.second]))
        for edge in edges if is_open[edge.first]
    ]  # fmt: skip
    again = duplicates.find(taken(pool, rows), edges=inside, label=place[label[rows]], **how)
    both = pa.concat_tables([earlier, table_of("duplicates", again)]).combine_chunks()
    names = both.column("image_id").combine_chunks().cast(pa.large_string())
    known = names.dictionary_encode()
    found = pc.index_in(pool.image_ids.column, value_set=known.dictionary)  # one pass over all names, not one a column
    rows_of = np.empty(len(known.dictionary), dtype=np.int64)
    rows_of[pc.drop_null(found).to_numpy()] = np.flatnonzero(pc.is_valid(found).to_numpy(zero_copy_only=False))
    member = rows_of[known.indices.to_numpy()]
    groups = both.column("group_id").combine_chunks().cast(pa.large_string())
    group = rows_of[pc.index_in(groups, value_set=known.dictionary).to_numpy()]
    is_left = np.ones(both.num_rows, dtype=np.bool_)
    is_left[: earlier.num_rows] = ~is_open[member[: earlier.num_rows]]
    order = np.argsort(group, kind="stable")  # a group is all of one table, and there in its order
    return both.take(pa.array(order[is_left[order]])).combine_chunks()


def touched(pool: Pool, edges: Sequence[Edge], label: Rows, rows: int, old_edges: int) -> npt.NDArray[np.bool_]:
    """bool[N]: rows that are new, and all that near pairs, equal pixels or edges may join with a new row or edge."""
    from scipy.sparse import coo_array  # noqa: PLC0415  0.1 s that --help does not pay
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415

    count = len(label)
    ends = np.array([(edge.first, edge.second) for edge in edges], dtype=np.int64).reshape(-1, 2)
    first = np.concatenate([label, duplicates.first_of_equal(pool.pixels), ends[:, 0]])
    second = np.concatenate([np.arange(count), np.arange(count), ends[:, 1]])
    graph = coo_array((np.ones(len(first), dtype=np.bool_), (first, second)), shape=(count, count))
    component = connected_components(graph, directed=False)[1]
    is_new = np.zeros(int(component.max(initial=-1)) + 1, dtype=np.bool_)
    is_new[component[rows:]] = True
    is_new[component[ends[old_edges:].ravel()]] = True
    is_touched: npt.NDArray[np.bool_] = is_new[component]
    return is_touched


def taken(pool: Pool, rows: Rows) -> Pool:
    """The pool of some rows, in their order."""
    merits = Merits._make(column[rows] for column in pool.merits)
    ids = Ids(pool.image_ids.column.take(pa.array(rows)))
    return Pool(ids, pool.pixels[rows], pool.hashes[rows], pool.quality[rows], merits)


def hashes_digest(pool: Pool, count: int) -> str:
    """Of what decides who is near, of the first `count` pictures."""
    return _digest(pool.hashes[:count], pool.quality[:count])


def pool_digest(pool: Pool, count: int) -> str:
    """Of all that decides on groups, of the first `count` pictures."""
    ids = pool.image_ids.column
    _, offsets, letters = ids.buffers()
    ends = np.frombuffer(offsets, dtype=np.int64)[ids.offset : ids.offset + count + 1]
    named = np.frombuffer(letters or b"", dtype=np.uint8)[ends[0] : ends[-1]]
    merits = (column[:count] for column in pool.merits)
    return _digest(pool.hashes[:count], pool.quality[:count], pool.pixels[:count], ends - ends[0], named, *merits)


def edges_digest(pool: Pool, edges: Sequence[Edge]) -> str:
    """Of likenesses, in order."""
    text = json.dumps([[pool.image_ids[edge.first], pool.image_ids[edge.second], *edge[2:]] for edge in edges])
    return hashlib.blake2b(text.encode(), digest_size=_DIGEST).hexdigest()


def _digest(*arrays: np.ndarray[Any, Any]) -> str:
    digest = hashlib.blake2b(digest_size=_DIGEST)
    for array in arrays:
        digest.update(f"{array.dtype.str}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).tobytes())
    return digest.hexdigest()


def encoded(state: Found) -> bytes:
    """Digest of the rest, one line of JSON, the labels."""
    head = json.dumps(state._replace(label=np.zeros(0, np.int64))[:-1]).encode()
    return sealed(head + b"\n" + state.label.astype("<i8").tobytes())


def decoded(data: bytes) -> Found | None:
    """What `encoded` wrote; None for anything else."""
    inside = unsealed(data)
    if inside is None:
        return None
    head, _, labels = inside.partition(b"\n")
    label = np.frombuffer(labels, dtype="<i8").astype(np.int64)
    return Found._make([*json.loads(head), label])


def sealed(data: bytes) -> bytes:
    """Data with its digest before it."""
    return hashlib.blake2b(data, digest_size=_DIGEST).digest() + data


def unsealed(data: bytes) -> bytes | None:
    """What was sealed, or None when a byte of it has changed."""
    inside = data[_DIGEST:]
    return inside if hashlib.blake2b(inside, digest_size=_DIGEST).digest() == data[:_DIGEST] else None
