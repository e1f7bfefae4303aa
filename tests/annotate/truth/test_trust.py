"""Signs of not looking, on simulated crowds: none among honest people, all where somebody does it."""

from __future__ import annotations

import time
from typing import NamedTuple

import numpy as np
import pytest

from pictus.annotate.truth.consensus import Consensus, Votes, probability_of, votes_of
from pictus.annotate.truth.dawid_skene import dawid_skene
from pictus.annotate.truth.signs import Answered, Work, signs_of
from pictus.annotate.truth.trust import (
    Pages,
    Sign,
    alternating,
    by_place,
    constant,
    copied,
    low_share,
    quick,
    worst_first,
)

PER_PAGE = 48
BAD = {"constant": 0, "copied": 1, "position": 2, "alternating": 3, "too-fast": 4}


class World(NamedTuple):
    """A crowd on pages. Person 1 copies person 9 where `bad` has them."""

    votes: Votes
    consensus: Consensus
    pages: Pages
    pace_s: dict[str, float]
    names: list[str]


def world(seed: int, bad: tuple[str, ...] = (), people: int = 50, pages_each: int = 8) -> World:
    """Pictures of unlike difficulty (people err on them together), people of unlike skill and pace; sorted pages.

    Each page is of one concept, its pictures sorted by a model that separates them as d' = 1 does, and every page is
    seen by up to five people, as in a real heap.
    """
    rng = np.random.default_rng(seed)
    n_pages = people * pages_each // 5
    items = n_pages * PER_PAGE
    truth_I = rng.random(items) < rng.uniform(0.2, 0.8, n_pages).repeat(PER_PAGE)
    hard_I = rng.beta(1, 6, items)  # 14 % on average, a few above a half
    score_I = np.where(truth_I, rng.normal(1, 1, items), rng.normal(0, 1, items))
    place_I = np.argsort(np.lexsort((-score_I, np.arange(items) // PER_PAGE))) % PER_PAGE
    page_P, who_P = np.repeat(np.arange(n_pages), 5), rng.permuted(np.tile(np.arange(people), n_pages * 5 // people))
    page_P, who_P = np.unique(np.stack([page_P, who_P]), axis=1)
    if "copied" in bad:  # the copier is lent the pages of the one who is copied
        mine = page_P[who_P == 9]
        keep = who_P != BAD["copied"]
        page_P, who_P = np.append(page_P[keep], mine), np.append(who_P[keep], np.full(mine.size, BAD["copied"]))
    item_V = (page_P[:, None] * PER_PAGE + np.arange(PER_PAGE)).ravel()
    who_V = who_P.repeat(PER_PAGE)
    slip_W = rng.uniform(0.0, 0.15, people)
    errs_V = rng.random(item_V.size) < np.minimum(0.9, hard_I[item_V] + slip_W[who_V])
    yes_V = truth_I[item_V] ^ errs_V
    pace_s = {f"p{who}": float(rng.lognormal(np.log(0.8), 0.4)) for who in range(people)}
    for name in bad:
        of = who_V == BAD[name]
        if name == "constant":
            yes_V[of] = True
        if name == "position":
            yes_V[of] = place_I[item_V[of]] < 8
        if name == "alternating":
            yes_V[of] = place_I[item_V[of]] % 2 == 0
        if name == "too-fast":
            pace_s["p4"] = 0.13
    if "copied" in bad:
        theirs = dict(zip(item_V[who_V == 9].tolist(), yes_V[who_V == 9].tolist(), strict=True))
        of = np.flatnonzero(who_V == BAD["copied"])
        own = rng.random(of.size) < 0.05  # now and then they look themselves
        yes_V[of] = np.where(own, yes_V[of], [theirs[item] for item in item_V[of].tolist()])
    votes = votes_of(item_V, who_V, yes_V.astype(int), n_classes=2, trust_W=np.full(people, 0.8))
    consensus = dawid_skene(votes)
    expected_I = probability_of(consensus, 1)
    order = np.lexsort((place_I[item_V], item_V // PER_PAGE, who_V))
    pages = Pages(
        who_V[order], (item_V // PER_PAGE)[order], place_I[item_V][order], yes_V[order], expected_I[item_V][order]
    )
    return World(votes, consensus, pages, pace_s, [f"p{who}" for who in range(people)])


def signs(found: World) -> list[Sign]:
    """The worst first; nobody came by a link that lets several in."""
    kinds = [Answered(found.votes, found.consensus, ("no", "yes"))]
    work = Work({}, {}, found.pace_s, dict.fromkeys(found.names, 8))
    return worst_first(signs_of(found.names, found.pages, kinds, work, np.full(len(found.names), -1)))


def test_among_fifty_honest_people_less_than_one_crowd_in_twenty_has_a_sign() -> None:
    # 30 crowds of 50: 1,500 people, 36,750 pairs. None is what is seen; one is allowed.
    alarms = [sign.says for seed in range(30) for sign in signs(world(seed))]
    assert len(alarms) <= 1, alarms


def test_who_does_not_look_is_found_and_nobody_else() -> None:
    """Five of fifty, each in another way; 12 crowds."""
    found, false = 0, []
    for seed in range(12):
        seen = signs(world(100 + seed, tuple(BAD)))
        expected = {(f"p{who}", name) for name, who in BAD.items()}
        found += len(expected & {(one.annotator, one.sign) for one in seen})
        false += [one.says for one in seen if one.annotator not in {"p0", "p1", "p2", "p3", "p4", "p9"}]
    assert found >= 0.95 * 5 * 12
    assert len(false) <= 1, false


def test_a_sign_says_its_numbers_and_accuses_nobody() -> None:
    seen = {one.sign: one for one in signs(world(7, tuple(BAD))) if one.annotator != "p9"}
    assert set(seen) == set(BAD)
    assert all(one.says.startswith("looks") for one in seen.values())
    assert not any(word in one.says for one in seen.values() for word in ("spam", "cheat", "bot", "fraud"))
    assert "384 of 384 answers" in seen["constant"].says
    assert seen["copied"].other == "p9"
    assert "yes at places 1, 2, 3, 4, 5, 6, 7, 8" in seen["position"].says
    assert "0.13 s a picture on 8 pages" in seen["too-fast"].says


def test_the_one_who_is_copied_is_named_with_the_copy_since_answers_do_not_say_who_looked() -> None:
    pairs = {(one.annotator, one.other) for one in signs(world(8, ("copied",)))}
    assert pairs == {("p1", "p9"), ("p9", "p1")}


def test_always_yes_is_no_sign_where_everything_is_right() -> None:
    votes = votes_of(np.repeat(np.arange(200), 4), np.tile(np.arange(4), 200), np.ones(800, int), n_classes=2)
    assert constant(votes, dawid_skene(votes), [*"abcd"], ("no", "yes")) == []


def test_of_three_people_two_careful_ones_copy_nobody_when_the_third_is_careless() -> None:
    """Pictures that are nearly all yes: two say so, the third answers at random."""
    for seed in range(20):
        rng = np.random.default_rng(seed)
        careless_I = rng.random(41) > 0.4
        answers = np.stack([np.ones(41, bool), np.ones(41, bool), careless_I], 1).astype(int).ravel()
        votes = votes_of(np.repeat(np.arange(41), 3), np.tile(np.arange(3), 41), answers, n_classes=2)
        assert copied(votes, dawid_skene(votes), [*"abc"]) == []
        mixed_I = rng.random(60) < 0.5  # and where pictures differ, what is usual would rest on the third alone
        answers = np.stack([mixed_I, mixed_I, rng.random(60) < 0.5], 1).astype(int).ravel()
        votes = votes_of(np.repeat(np.arange(60), 3), np.tile(np.arange(3), 60), answers, n_classes=2)
        assert copied(votes, dawid_skene(votes), [*"abc"]) == []


def test_who_always_says_yes_is_no_copy_of_others_who_do() -> None:
    rng = np.random.default_rng(3)
    answers = np.ones((200, 6), bool)
    answers[:, 2:] = rng.random((200, 4)) > 0.3
    votes = votes_of(np.repeat(np.arange(200), 6), np.tile(np.arange(6), 200), answers.astype(int).ravel(), n_classes=2)
    assert not {one.annotator for one in copied(votes, dawid_skene(votes), [*"abcdef"])} & {"a", "b"}


def test_lists_and_folders_have_no_signs() -> None:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 2, 300)
    answers = np.where(np.tile(np.arange(5), 300) < 2, 1, np.repeat(truth, 5))  # two always say yes
    votes = votes_of(
        np.repeat(np.arange(300), 5), np.tile(np.arange(5), 300), answers, n_classes=2, is_source_W=[1, 1, 0, 0, 0]
    )
    consensus = dawid_skene(votes)
    assert constant(votes, consensus, [*"abcde"], ("no", "yes")) == []
    assert {one.annotator for one in copied(votes, consensus, [*"abcde"])} <= {"c", "d", "e"}


def test_pages_sorted_by_a_good_model_are_no_sign_of_following_the_place() -> None:
    # The first half of every page is right, and everybody sees it.
    truth = np.tile(np.arange(PER_PAGE) < 24, 10)
    pages = Pages(np.zeros(480, int), np.repeat(np.arange(10), PER_PAGE), np.tile(np.arange(PER_PAGE), 10), truth,
                  np.where(truth, 0.97, 0.03))  # fmt: skip
    assert by_place(pages, ["ada"]) == []
    assert alternating(pages, ["ada"]) == []


@pytest.mark.parametrize(("right", "n", "is_low"), [(3, 20, True), (11, 20, False), (0, 9, False), (30, 40, False)])
def test_a_share_is_low_only_where_it_surely_is(right: int, n: int, is_low: bool) -> None:
    found = low_share({"ada": (right, n)}, "known")
    assert bool(found) == is_low
    if found:
        assert "3 of 20 known answers right (95 % interval 0.03 to 0.38)" in found[0].says


def test_nobody_is_too_fast_among_few_people_or_on_few_pages() -> None:
    assert quick({"ada": 0.3, "bob": 3.0}, {"ada": 5, "bob": 5}) == []
    assert quick({"ada": 0.01}, {"ada": 2}) == []
    assert [one.annotator for one in quick({"ada": 0.05}, {"ada": 3})] == ["ada"]


def test_the_worst_stands_first() -> None:
    weak, strong = Sign("a", "x", "", 1, 0, 0, 5.0), Sign("b", "x", "", 1, 0, 0, 9.0)
    twice = [Sign("c", "x", "", 1, 0, 0, 4.0), Sign("c", "y", "", 1, 0, 0, 4.5)]
    assert [one.annotator for one in worst_first([weak, strong, *twice])] == ["c", "c", "b", "a"]


def test_a_thousand_people_are_compared_in_a_moment() -> None:
    rng = np.random.default_rng(0)
    item_V = np.repeat(np.arange(60_000), 8)
    who_V = ((np.arange(60_000) // 48 * 8)[:, None] + np.arange(8)).ravel() * 7 % 1000
    truth = rng.integers(0, 2, 60_000)
    votes = votes_of(item_V, who_V, np.where(rng.random(item_V.size) < 0.85, truth[item_V], 1 - truth[item_V]),
                     n_classes=2)  # fmt: skip
    consensus = dawid_skene(votes)
    started = time.process_time()
    assert copied(votes, consensus, [f"p{who}" for who in range(1000)]) == []
    assert time.process_time() - started < 10  # it takes half a second
