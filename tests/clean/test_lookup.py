"""Codes meet exactly where brute force says; what a picture finds depends on those before it alone."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.clean import lookup
from pictus.clean.lookup import LATEST, Codes, Votes, meetings


def random_codes(seed: int, pictures: int, each: int = 12) -> Codes:
    """Every third picture has half of the codes of the one before, a bit apart."""
    chance = np.random.default_rng(seed)
    codes = chance.integers(0, 256, (pictures, each, 32), dtype=np.uint8)
    for row in range(1, pictures, 3):
        codes[row, : each // 2] = codes[row - 1, : each // 2]
        codes[row, : each // 2, 5] ^= np.uint8(1 << int(chance.integers(0, 8)))
    return Codes(np.repeat(np.arange(pictures), each), codes.reshape(-1, 32))


def pairs_of(votes: Votes) -> list[tuple[int, int, int]]:
    return list(zip(votes.asked.tolist(), votes.held.tolist(), votes.votes.tolist(), strict=True))


def brute_force(codes: Codes, radius: int, least: int) -> list[tuple[int, int, int]]:
    """Every two codes that share a word of 4 bytes and differ in at most `radius` bits (no picture is crowded out)."""
    words = codes.codes.view(np.uint32)
    met: dict[tuple[int, int], tuple[set[int], set[int]]] = {}
    for row in range(len(words)):
        for other in range(row):
            pair = int(codes.owner[row]), int(codes.owner[other])
            is_met = pair[0] != pair[1] and (words[row] == words[other]).any()
            if is_met and np.bitwise_count(words[row] ^ words[other]).sum() <= radius:
                mine, theirs = met.setdefault(pair, (set(), set()))
                mine.add(row)
                theirs.add(other)
    votes = {pair: min(len(mine), len(theirs)) for pair, (mine, theirs) in met.items()}
    return sorted((*pair, count) for pair, count in votes.items() if count >= least)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_what_meets_is_what_brute_force_finds(seed: int, least: int) -> None:
    codes = random_codes(seed, 12)
    found = pairs_of(meetings(codes, codes, key_bytes=4, radius=48, least=least, most=99))
    assert sorted(found) == brute_force(codes, 48, least)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 39))
def test_what_is_added_later_finds_what_adding_at_once_had_found(seed: int, cut: int) -> None:
    codes = random_codes(seed, 40)
    codes.codes[::7] = 3  # a corner that all have
    how = {"key_bytes": 4, "radius": 48, "least": 1, "most": 5}
    at = int(np.searchsorted(codes.owner, cut))
    before, after = Codes(codes.owner[:at], codes.codes[:at]), Codes(codes.owner[at:], codes.codes[at:])
    apart = pairs_of(meetings(before, before, **how)) + pairs_of(meetings(codes, after, **how))
    assert apart == pairs_of(meetings(codes, codes, **how))


def test_parts_of_any_size_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    codes = random_codes(3, 60)
    whole = pairs_of(meetings(codes, codes, key_bytes=4, radius=48, least=1, most=9))
    assert len(whole) >= 20
    monkeypatch.setattr(lookup, "_ASKED", 30)
    assert pairs_of(meetings(codes, codes, key_bytes=4, radius=48, least=1, most=9)) == whole


def test_a_corner_that_all_pictures_have_costs_each_of_them_the_latest_few() -> None:
    codes = Codes(np.arange(500), np.full((500, 32), 7, dtype=np.uint8))
    votes = meetings(codes, codes, key_bytes=4, radius=48, least=1, most=99)
    assert np.bincount(votes.asked, minlength=500).tolist() == [min(row, LATEST) for row in range(500)]
    assert (votes.asked - votes.held).max() == LATEST


def test_the_best_are_kept_latest_first() -> None:
    codes = np.random.default_rng(0).integers(0, 256, (9, 32), dtype=np.uint8)
    owners = [0, 0, 1, 2, 2, 3, 3, 3, 3]
    codes[2] = codes[3] = codes[5] = codes[0]
    codes[4] = codes[6] = codes[1]
    votes = meetings(Codes(np.array(owners), codes), Codes(np.array(owners[5:]), codes[5:]),
                     key_bytes=4, radius=48, least=1, most=2)  # fmt: skip
    assert pairs_of(votes) == [(3, 2, 2), (3, 0, 2)]


def test_one_code_against_many_is_one_vote() -> None:
    codes = np.full((6, 32), 9, dtype=np.uint8)
    votes = meetings(Codes(np.array([0] * 5 + [1]), codes), Codes(np.array([1]), codes[:1]),
                     key_bytes=3, radius=0, least=1, most=2)  # fmt: skip
    assert pairs_of(votes) == [(1, 0, 1)]


def test_nothing_asked_or_held_finds_nothing() -> None:
    none = Codes(np.zeros(0, dtype=np.int64), np.zeros((0, 32), dtype=np.uint8))
    some = random_codes(0, 3)
    for held, asked in ((none, none), (none, some), (some, none)):
        assert pairs_of(meetings(held, asked, key_bytes=4, radius=48, least=1, most=9)) == []
