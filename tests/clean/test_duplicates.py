"""Groups of the same picture: who stays, who goes, by which evidence."""

from __future__ import annotations

import tracemalloc
from dataclasses import dataclass
from random import Random

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.clean import duplicates, keepers
from pictus.clean.duplicates import Ids, Pool, find
from pictus.clean.keepers import Merits
from pictus.records import Duplicate


@dataclass(frozen=True)
class Drawn:
    """One picture of a test: `bits` are the places where its hash differs from zero."""

    name: str
    bits: tuple[int, ...] = ()
    side: int = 100
    size: int = 1000
    pixels: str = ""
    quality: int = 100
    is_grey: bool = False
    jpeg_quality: int = 90
    sharpness: int = 100
    freedom: int = keepers.UNKNOWN
    added: int = 0


def far(seed: int) -> tuple[int, ...]:
    """192 random bits of 384: unrelated to anything."""
    return tuple(np.random.default_rng(seed).permutation(384)[:192].tolist())


def pool(*drawn: Drawn) -> Pool:
    hashes = np.zeros((len(drawn), 6), dtype=np.uint64)
    for row, picture in enumerate(drawn):
        for bit in picture.bits:
            hashes[row, bit // 64] ^= np.uint64(1 << (bit % 64))
    names = sorted({picture.pixels or picture.name for picture in drawn})
    pixels = np.array([[names.index(picture.pixels or picture.name)] for picture in drawn], dtype=np.uint64)
    quality = np.array([picture.quality for picture in drawn], dtype=np.int64)
    return Pool(Ids([picture.name for picture in drawn]), pixels.reshape(-1, 1), hashes, quality, merits(*drawn))


def merits(*drawn: Drawn) -> Merits:
    def column(name: str) -> np.ndarray:
        return np.array([getattr(picture, name) for picture in drawn], dtype=np.int64)

    return Merits(
        column("side"), column("side"), column("is_grey").astype(np.bool_), column("size"), column("jpeg_quality"),
        column("sharpness").astype(np.float64), column("freedom"), column("added"),
    )  # fmt: skip


def rows(*drawn: Drawn, radius: int = duplicates.RADIUS) -> dict[str, Duplicate]:
    return {row.image_id: row for row in find(pool(*drawn), radius=radius)}


def above(first: int, count: int) -> tuple[int, ...]:
    """`count` bits of the PDQ part (words 2 to 5), from `first` on: they do not touch the pHash."""
    return tuple(range(128 + first, 128 + first + count))


def test_nothing_alike_gives_no_groups() -> None:
    assert rows(Drawn("a", far(1)), Drawn("b", far(2)), Drawn("c", far(3))) == {}
    assert rows() == {}
    assert rows(Drawn("a")) == {}


def test_equal_pixels_are_one_group_even_when_the_hash_says_nothing() -> None:
    found = rows(Drawn("a", quality=0, pixels="p"), Drawn("b", quality=0, pixels="p", size=2000))
    assert found["b"].is_keeper
    assert found["a"].relation == "pixels"
    assert (found["a"].distance, found["a"].evidence_id, found["a"].group_id) == (0, "b", "b")


def test_low_information_is_not_grouped_by_hash() -> None:
    assert rows(Drawn("a", quality=49), Drawn("b", quality=49)) == {}
    assert rows(Drawn("a", quality=50), Drawn("b", quality=49)) == {}
    assert len(rows(Drawn("a", quality=50), Drawn("b", quality=50))) == 2


def test_the_keeper_has_more_pixels_then_colour_then_bytes_then_came_first() -> None:
    found = rows(Drawn("a"), Drawn("b", above(0, 4), side=200), Drawn("c", above(4, 4), size=9999))
    assert [name for name, row in found.items() if row.is_keeper] == ["b"]
    assert "largest of 3" in found["b"].reason
    assert "has more pixels (200 × 200)" in found["c"].reason
    found = rows(Drawn("a", is_grey=True, size=5000), Drawn("b", above(0, 4)))
    assert found["b"].is_keeper
    assert "colour" in found["b"].reason
    assert "has colour" in found["a"].reason
    found = rows(Drawn("a"), Drawn("b", above(0, 4), size=2000))
    assert found["b"].is_keeper
    assert "most bytes (2,000)" in found["b"].reason
    assert "has more bytes (2,000)" in found["a"].reason
    found = rows(Drawn("a"), Drawn("b", above(0, 4)))
    assert found["a"].is_keeper
    assert "added first" in found["a"].reason
    assert "was added first" in found["b"].reason


def test_the_radius_is_included_and_the_distance_stored() -> None:
    found = rows(Drawn("a"), Drawn("b", above(0, 76)))
    assert (found["b"].distance, found["b"].relation, found["b"].evidence_id) == (76, "near", "a")
    assert "76 of 384 bits differ from a" in found["b"].reason
    assert rows(Drawn("a"), Drawn("b", above(0, 77))) == {}
    assert rows(Drawn("a"), Drawn("b", above(0, 20)), radius=19) == {}


def test_the_phash_or_the_dhash_may_differ_in_ten_bits_at_most() -> None:
    phash, dhash = tuple(range(11)), tuple(range(64, 75))
    assert len(rows(Drawn("a"), Drawn("b", phash + dhash[:10]))) == 2
    assert len(rows(Drawn("a"), Drawn("b", phash[:10] + dhash))) == 2
    assert rows(Drawn("a"), Drawn("b", phash + dhash)) == {}


def test_a_member_reached_over_another_names_it_as_evidence() -> None:
    # a - b 50 bits, b - c 40 bits, a - c 90 bits: not within 76, but c stays within 96 of the keeper.
    found = rows(Drawn("a", size=9), Drawn("b", above(0, 50), size=8), Drawn("c", above(0, 90), size=7))
    assert found["a"].is_keeper
    assert (found["c"].group_id, found["c"].evidence_id, found["c"].distance) == ("a", "b", 40)
    assert "40 of 384 bits differ from b; its keeper a has more bytes" in found["c"].reason


def test_a_chain_does_not_walk_away_from_its_keeper() -> None:
    # Steps of 45 bits from a (the keeper): 0, 45, 90, 135, 180. Beyond 96 a new group begins.
    chain = [Drawn(name, above(0, 45 * step), size=9 - step) for step, name in enumerate("abcde")]
    found = rows(*chain)
    assert {row.image_id: row.group_id for row in found.values()} == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "d"}


def test_copies_of_a_member_follow_it_to_the_keeper() -> None:
    found = rows(
        Drawn("big", side=200),
        Drawn("small", above(0, 10), pixels="p"),
        Drawn("copy", above(0, 10), pixels="p", size=9),
    )
    assert (found["copy"].group_id, found["copy"].relation, found["copy"].evidence_id) == ("big", "pixels", "small")
    assert found["small"].relation == "near"


def test_a_thousand_equal_hashes_are_one_group() -> None:
    found = rows(*(Drawn(f"p{number:04d}", far(1)) for number in range(1000)))
    assert {row.group_id for row in found.values()} == {"p0000"}
    assert sum(row.is_keeper for row in found.values()) == 1
    assert {row.distance for row in found.values()} == {0}


def test_look_alikes_need_memory_for_the_pictures_and_not_for_their_pairs() -> None:
    # 2,000 screenshots of one page, each a few bits off: 2 M near pairs, 460 MB when each is a tuple.
    random = np.random.default_rng(0)
    flips = random.random((2000, 384)) < 0.05
    flips[:, :128] &= random.random((2000, 128)) < 0.6
    alike = pool(*(Drawn(f"p{number:04d}", size=number) for number in range(2000)))
    alike = alike._replace(hashes=np.packbits(flips.astype(np.uint8), axis=1).view(np.uint64))
    tracemalloc.start()
    found = duplicates.group(alike, keepers.order(alike.merits))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(found) > 1900
    assert peak < 180e6


families = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 130), st.integers(1, 3), st.integers(0, 1)), min_size=1, max_size=25
)


@settings(deadline=None, max_examples=60)
@given(families)
def test_every_member_is_near_its_evidence_and_not_far_from_its_keeper(drawn: list[tuple[int, int, int, int]]) -> None:
    """Four families far apart, members shifted by up to 130 PDQ bits; some copies with equal pixels."""
    pictures = []
    for number, (family, shift, size, is_copy) in enumerate(drawn):
        bits = tuple(sorted(set(far(family)) ^ set(above(0, shift))))
        pixels = f"{family}-{shift}" if is_copy else ""
        pictures.append(Drawn(f"p{number:02d}", bits, size=size, pixels=pixels))
    known = {picture.name: picture for picture in pictures}
    found = find(pool(*pictures))
    by_id = {row.image_id: row for row in found}
    assert len(by_id) == len(found), "a picture is in one group at most"
    for row in found:
        assert by_id[row.group_id].is_keeper
        if row.is_keeper:
            assert row.image_id == row.group_id
            continue
        mine, evidence, keeper = (set(known[name].bits) for name in (row.image_id, row.evidence_id, row.group_id))
        assert len(mine ^ evidence) == row.distance <= duplicates.RADIUS
        assert len(mine ^ keeper) <= duplicates.DRIFT
        assert by_id[row.evidence_id].group_id == row.group_id
    # Nothing is missed: of two pictures within the radius at least one is a member (not a keeper, not free).
    dropped = {row.image_id for row in found if not row.is_keeper}
    for first in pictures:
        for second in pictures:
            is_near = first.name < second.name and len(set(first.bits) ^ set(second.bits)) <= duplicates.RADIUS
            assert not is_near or first.name in dropped or second.name in dropped


def grouped_by_the_book(drawn: Pool, radius: int) -> set[tuple[int, int, int]]:
    """(row, keeper, evidence) of every member, found by comparing everything: what the docstring says, literally.

    For pools of different pixels and good quality.
    """
    count = len(drawn.image_ids)
    bits = np.bitwise_count(drawn.hashes[:, None] ^ drawn.hashes[None])
    distance = bits.sum(axis=2).astype(int)
    is_near = (distance <= radius) & (bits[:, :, :2].min(axis=2) <= duplicates.KEY_RADIUS)
    drift = max(radius, duplicates.DRIFT)
    rank = keepers.order(drawn.merits).rank
    free = set(range(count))
    members: set[tuple[int, int, int]] = set()
    for keeper in sorted(range(count), key=lambda row: int(rank[row])):
        if keeper not in free:
            continue
        free.remove(keeper)
        reached = [keeper]
        for evidence in reached:
            near = [row for row in free if is_near[evidence, row] and distance[keeper, row] <= drift]
            near.sort(key=lambda row: (distance[evidence, row], rank[row]))
            members.update((row, keeper, evidence) for row in near)
            reached += near
            free -= set(near)
    return members


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 2**32 - 1), st.sampled_from([40, 76, 100]), st.integers(2, 60))
def test_the_groups_are_those_of_comparing_every_pair(seed: int, radius: int, count: int) -> None:
    """Chains with forks: each picture is some earlier one with 5 to 60 bits changed, some of them in the keys."""
    random = np.random.default_rng(seed)
    bits = np.zeros((count, 384), dtype=np.uint8)
    for row in range(1, count):
        bits[row] = bits[random.integers(max(0, row - 10), row)]
        bits[row, random.permutation(384)[: random.integers(5, 60)]] ^= 1
    drawn = pool(*(Drawn(f"p{row:02d}", side=100 + int(random.integers(3))) for row in range(count)))
    drawn = drawn._replace(hashes=np.packbits(bits, axis=1).view(np.uint64))
    grouped = duplicates.group(drawn, keepers.order(drawn.merits), radius=radius)
    found = {(member.row, member.keeper, member.evidence) for member in grouped}
    assert found == grouped_by_the_book(drawn, radius)


@given(families, st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=30)
def test_the_groups_do_not_depend_on_the_order_when_sizes_differ(
    drawn: list[tuple[int, int, int, int]], shuffle: Random
) -> None:
    pictures = [
        Drawn(f"p{number:02d}", tuple(sorted(set(far(family)) ^ set(above(0, shift)))), size=1000 + number)
        for number, (family, shift, _, _) in enumerate(drawn)
    ]
    mixed = list(pictures)
    shuffle.shuffle(mixed)
    first = {row.image_id: (row.group_id, row.evidence_id) for row in find(pool(*pictures))}
    assert first == {row.image_id: (row.group_id, row.evidence_id) for row in find(pool(*mixed))}
