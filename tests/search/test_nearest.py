"""The nearest are the nearest: known angles, brute force, filters, ties, blocks."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.search.nearest import Block, Found, centroid, nearest, only, typical

Floats = npt.NDArray[np.float32]


def unit(rows: npt.ArrayLike) -> Floats:
    vectors = np.asarray(rows, np.float64)
    found: Floats = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return found


def blocks_of(ids: list[str], vectors: Floats, size: int) -> list[Block]:
    return [
        Block(pa.array(ids[start : start + size], pa.string()), vectors[start : start + size])
        for start in range(0, len(ids), size)
    ]


def brute_force(
    query: npt.ArrayLike, ids: list[str], vectors: Floats, allowed: AbstractSet[str] | None, excluded: AbstractSet[str]
) -> list[str]:
    """Every score in float64, the whole list sorted: best first, equal scores by id."""
    asked = np.asarray(query, np.float64)
    rows = vectors.astype(np.float64)
    scores = [float(row @ asked / np.linalg.norm(asked) / np.linalg.norm(row)) for row in rows]
    order = sorted(zip(ids, scores, strict=True), key=lambda pair: (-round(pair[1], 14), pair[0]))
    return [image_id for image_id, _ in order if (allowed is None or image_id in allowed) and image_id not in excluded]


def test_scores_are_cosines_of_known_angles() -> None:
    # The query (2, 0): (1, 0) lies at 0°, (1, 1) at 45°, (0, 1) at 90°, (-1, 0) at 180°.
    vectors = unit([[0, 1], [-1, 0], [1, 1], [1, 0]])
    found = nearest(np.array([2, 0], np.float32), blocks_of(list("abcd"), vectors, 3), 4)
    assert [one.image_id for one in found] == ["d", "c", "a", "b"]
    assert [one.score for one in found] == pytest.approx([1, 2**-0.5, 0, -1], abs=1e-7)


def test_count_above_the_number_of_vectors_gives_all_of_them() -> None:
    assert len(nearest(np.array([1, 0], np.float32), blocks_of(list("ab"), unit([[1, 0], [0, 1]]), 8), 100)) == 2


def test_no_blocks_give_nothing() -> None:
    assert nearest(np.array([1, 0], np.float32), [], 3) == []


def test_equal_vectors_get_equal_scores_wherever_they_lie_and_are_ordered_by_id() -> None:
    generator = np.random.default_rng(5)
    query = generator.standard_normal(385).astype(np.float32)
    same = np.repeat(unit(generator.standard_normal((1, 385))), 101, axis=0)
    ids = [f"{number:03d}" for number in generator.permutation(101)]
    for size in (1, 7, 101):
        found = nearest(query, blocks_of(ids, same, size), 50)
        assert [one.image_id for one in found] == [f"{number:03d}" for number in range(50)]
        assert len({one.score for one in found}) == 1


def test_what_lies_closer_than_float32_can_tell_is_still_ranked_right() -> None:
    # 400 vectors within 1e-4 of one direction: cosines closer than float32's rounding of a sum of 64 products.
    generator = np.random.default_rng(1)
    vectors = unit(generator.standard_normal(64) + 1e-4 * generator.standard_normal((400, 64)))
    ids = [f"{number:03d}" for number in range(400)]
    query = (vectors[0] + vectors[1]).astype(np.float32)
    wanted = brute_force(query, ids, vectors, None, set())
    by_product = [ids[n] for n in np.argsort(-(vectors @ query), kind="stable")]
    assert set(by_product[:20]) != set(wanted[:20])
    for size in (37, 400):
        assert [one.image_id for one in nearest(query, blocks_of(ids, vectors, size), 20)] == wanted[:20]


@given(
    seed=st.integers(0, 2**32 - 1), total=st.integers(1, 60), features=st.integers(1, 9), size=st.integers(1, 70),
    count=st.integers(1, 70), twins=st.integers(0, 20), kept=st.none() | st.floats(0, 1), out=st.floats(0, 1),
)  # fmt: skip
def test_equals_brute_force_and_gives_exactly_count_under_any_filter(
    *, seed: int, total: int, features: int, size: int, count: int, twins: int, kept: float | None, out: float
) -> None:
    generator = np.random.default_rng(seed)
    ids = [f"{number:04x}" for number in generator.permutation(total)]
    vectors = unit(generator.standard_normal((total, features)) + 1e-3)
    for _ in range(twins):
        vectors[generator.integers(total)] = vectors[generator.integers(total)]
    query = generator.standard_normal(features) + 1e-3
    allowed = None if kept is None else {image_id for image_id in ids if generator.random() < kept}
    excluded = {image_id for image_id in ids if generator.random() < out}
    wanted = brute_force(query.astype(np.float32), ids, vectors, allowed, excluded)
    found = nearest(
        query.astype(np.float32), blocks_of(ids, vectors, size), count, allowed=allowed, excluded=excluded
    )
    assert [one.image_id for one in found] == wanted[:count]


@given(seed=st.integers(0, 2**32 - 1), total=st.integers(1, 60), first=st.integers(1, 70), second=st.integers(1, 70))
def test_how_the_table_is_cut_into_blocks_changes_nothing(seed: int, total: int, first: int, second: int) -> None:
    generator = np.random.default_rng(seed)
    ids = [f"{number:04x}" for number in range(total)]
    vectors = unit(generator.standard_normal((total, 5)))
    query = generator.standard_normal(5).astype(np.float32)

    def asked(size: int) -> list[Found]:
        return nearest(query, blocks_of(ids, vectors, size), 10)

    assert asked(first) == asked(second)


def test_the_centroid_is_the_mean_direction_of_the_members_only() -> None:
    # (1, 0) and (0, 1) sum to (1, 1), which at length 1 is (√½, √½); c is no member.
    blocks = blocks_of(list("acb"), unit([[1, 0], [-1, 0], [0, 1]]), 2)
    found = centroid(only(blocks, {"a", "b", "elsewhere"}))
    assert found is not None
    assert found.tolist() == pytest.approx([2**-0.5, 2**-0.5])


def test_members_without_vectors_or_that_cancel_out_have_no_centroid() -> None:
    blocks = blocks_of(list("ab"), unit([[1, 0], [-1, 0]]), 2)
    assert centroid(only(blocks, {"elsewhere"})) is None
    assert centroid(only(blocks, {"a", "b"})) is None
    assert centroid([]) is None
    assert typical(lambda: blocks, {"elsewhere"}, 3) is None


@pytest.mark.parametrize(("kept_bytes", "times"), [(10**6, 1), (5 * 16, 2), (0, 2)])
def test_the_most_typical_members_are_those_nearest_to_their_mean_read_once_while_they_fit(
    kept_bytes: int, times: int
) -> None:
    rng = np.random.default_rng(3)
    ids = [f"{number:03}" for number in range(40)]
    vectors = unit(rng.normal(size=(40, 4)))  # 16 bytes each
    members = set(ids[::2])
    reads: list[int] = []

    def read() -> list[Block]:
        reads.append(1)
        return blocks_of(ids, vectors, 7)

    found = typical(read, members, 5, kept_bytes=kept_bytes)
    heart = vectors[::2].sum(0, dtype=np.float64)
    assert [one.image_id for one in found or ()] == brute_force(heart, ids, vectors, members, set())[:5]
    assert len(reads) == times
