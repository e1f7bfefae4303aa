"""A search that looks only at what is new finds what a whole search finds; a damaged state is no state."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus import neighbours
from pictus.clean import duplicates, increments
from pictus.clean.duplicates import Ids, Pool
from pictus.clean.keepers import Merits
from pictus.clean.relatives import Edge
from pictus.tables import table_of

HOW = {"radius": duplicates.RADIUS, "keep": ("resolution",)}


def drawn_pool(seed: int, count: int, *, are_ranks_distinct: bool = False) -> tuple[Pool, list[Edge]]:
    """Chains of near hashes, some equal pixels, some that say too little, some crops."""
    random = np.random.default_rng(seed)
    bits = np.zeros((count, 384), dtype=np.uint8)
    for row in range(1, count):
        is_new = random.random() < 0.3
        bits[row] = random.integers(0, 2, 384) if is_new else bits[random.integers(max(0, row - 8), row)]
        bits[row, random.permutation(384)[: random.integers(0, 70)]] ^= 1
    pixels = np.arange(count)
    pixels[random.random(count) < 0.15] = random.integers(count)
    bits[pixels != np.arange(count)] = bits[pixels[pixels != np.arange(count)]]
    side = random.permutation(count) + 100 if are_ranks_distinct else random.integers(100, 104, count)
    zeros = np.zeros(count, dtype=np.int64)
    merits = Merits(side, side, zeros.astype(np.bool_), zeros, zeros, zeros.astype(np.float64), zeros, zeros)
    quality = np.where(random.random(count) < 0.1, 10, 90)
    words = np.packbits(bits, axis=1).view(np.uint64)
    pool = Pool(Ids([f"p{row:03d}" for row in range(count)]), pixels[:, None].astype(np.uint64), words, quality, merits)
    ends = random.integers(0, count, (count // 6, 2))
    return pool, [Edge(max(a, b), min(a, b), "crop", 0.5 + (a * 7 + b) % 50 / 100, "") for a, b in ends.tolist()]


def whole(pool: Pool, edges: list[Edge]) -> pa.Table:
    return table_of("duplicates", duplicates.find(pool, edges=edges, **HOW))  # type: ignore[arg-type]


def head(pool: Pool, count: int) -> Pool:
    return increments.taken(pool, np.arange(count))


def in_batches(pool: Pool, edges: list[Edge], cuts: list[int]) -> pa.Table:
    """As the step does it: each batch from the state the one before has left."""
    state, table = None, None
    join, grouping = increments.options(duplicates.RADIUS, HOW["keep"])  # type: ignore[arg-type]
    for version, end in enumerate(cuts, 1):
        now = head(pool, end)
        present = sorted((edge for edge in edges if edge.first < end), key=lambda edge: edge.first)
        heads = duplicates.heads_of(now)
        known = increments.known_labels(now, state, join)
        assert (known is None) == (state is None)
        linked = neighbours.linked(now.hashes[heads.nodes], 76, key_radius=10, keys=2, before=known)
        label = heads.spread(linked)
        if state is not None and table is not None:
            assert increments.is_same_so_far(now, present, state, grouping, version - 1)
            new = (state.rows, state.edges)
            table = increments.regrouped(now, present, label, earlier=table, new=new, how=HOW)
        else:
            table = whole(now, present)
        found = increments.found(now, present, (join, grouping), version, linked)
        state = increments.decoded(increments.encoded(found))
    assert table is not None
    return table


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(1, 50), st.lists(st.integers(1, 50), max_size=4))
def test_in_any_batches_the_table_is_that_of_a_whole_search(seed: int, count: int, cuts: list[int]) -> None:
    pool, edges = drawn_pool(seed, count)
    edges.sort(key=lambda edge: edge.first)
    found = in_batches(pool, edges, sorted({min(cut, count) for cut in cuts} | {count}))
    assert found.to_pylist() == whole(pool, edges).to_pylist()


@settings(deadline=None, max_examples=15)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(1, 40), st.randoms(use_true_random=False))
def test_in_any_order_the_groups_are_the_same_when_no_two_are_equally_good(
    seed: int, count: int, cut: int, shuffle: "object"
) -> None:
    pool, _ = drawn_pool(seed, count, are_ranks_distinct=True)
    order = list(range(count))
    shuffle.shuffle(order)  # type: ignore[attr-defined]
    mixed = increments.taken(pool, np.array(order))
    found = in_batches(mixed, [], sorted({min(cut, count), count}))
    def rows(table: pa.Table) -> set[tuple[str, str]]:
        return set(zip(table.column("image_id").to_pylist(), table.column("group_id").to_pylist(), strict=True))

    assert rows(found) == rows(whole(pool, []))


def test_only_what_may_be_joined_with_something_new_is_grouped_again() -> None:
    pool, _ = drawn_pool(3, 40)
    label = duplicates.labels(pool)
    is_open = increments.touched(pool, [], label, 39, 0)
    assert is_open[39]
    assert is_open.sum() < 40
    assert (is_open == (label == label[39])).all() or pool.pixels[39] in pool.pixels[:39]


def test_another_picture_option_or_byte_is_noticed() -> None:
    pool, edges = drawn_pool(1, 30)
    join, grouping = increments.options(76, ("resolution",))
    state = increments.found(pool, edges, (join, grouping), 5, np.arange(3))
    assert increments.is_same_so_far(pool, edges, state, grouping, 5)
    assert not increments.is_same_so_far(pool, edges, state, grouping, 6), "the table was written by another"
    assert not increments.is_same_so_far(pool, edges[1:], state, grouping, 5)
    assert not increments.is_same_so_far(pool, edges, state, increments.options(76, ("age",))[1], 5)
    other = pool._replace(merits=pool.merits._replace(freedom=pool.merits.freedom + 1))
    assert not increments.is_same_so_far(other, edges, state, grouping, 5)
    assert increments.known_labels(other, state, join) is not None, "who is near is the same"
    assert increments.known_labels(pool, state, increments.options(60, ("resolution",))[0]) is None
    assert increments.known_labels(pool._replace(hashes=pool.hashes[::-1]), state, join) is None
    assert increments.known_labels(head(pool, 20), state, join) is None, "pictures are gone"
    names = [f"q{row}" for row in range(30)]
    assert not increments.is_same_so_far(pool._replace(image_ids=Ids(names)), [], state._replace(edges=0), grouping, 5)


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_state_with_a_changed_byte_is_no_state(place: int, change: int) -> None:
    data = increments.encoded(increments.Found("a", "b", 1, "c", "d", 2, "e", 3, np.arange(7)))
    assert increments.decoded(data) is not None
    broken = bytearray(data)
    broken[place % len(data)] ^= change
    assert increments.decoded(bytes(broken)) is None
    assert increments.decoded(data[: place % len(data)]) is None


def test_the_state_comes_back_as_it_was() -> None:
    state = increments.Found("a", "b", 1, "c", "d", 2, "e", 3, np.arange(7))
    again = increments.decoded(increments.encoded(state))
    assert again is not None
    assert again[:-1] == state[:-1]
    assert again.label.tolist() == list(range(7))
