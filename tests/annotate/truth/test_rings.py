"""People of one link who answer as one are a sign; people of one link are not."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray
from tests.annotate.truth.test_trust import world

from pictus.annotate.truth.consensus import Ints, Votes, votes_of
from pictus.annotate.truth.rings import rings

NAMES = [f"p{who}" for who in range(50)]


def crowd(seed: int, ring: Sequence[int] = (), *, lent: float = 1.0) -> Votes:
    """Fifty people on pages; those of the ring give the answers of the first of them, where it answered."""
    votes = world(seed).votes
    answer_V = votes.answer_V.copy()
    rng = np.random.default_rng(seed)
    made_I = rng.integers(0, 2, votes.n_items)  # nobody of them looked
    of_V = np.isin(votes.annotator_V, ring) & (rng.random(answer_V.size) < lent)
    answer_V[of_V] = made_I[votes.item_V[of_V]]
    return votes_of(votes.item_V, votes.annotator_V, answer_V, n_classes=2)


def linked(*groups: Sequence[int]) -> Ints:
    link_W = np.full(50, -1)
    for link, people in enumerate(groups):
        link_W[list(people)] = link
    return link_W


def told(votes: Votes, link_W: Ints) -> set[str]:
    return {one.annotator for one in rings(votes, NAMES, link_W)}


@pytest.mark.parametrize("groups", [(range(3), range(3, 50)), (range(25), range(25, 50)), (range(10),)])
def test_honest_people_of_one_link_are_no_sign(groups: Sequence[Sequence[int]]) -> None:
    assert [seed for seed in range(15) if told(crowd(seed), linked(*groups))] == []


def test_names_that_answer_as_one_against_all_others_are_found() -> None:
    ring = range(8)
    for seed in range(8):
        found = told(crowd(seed, ring), linked(ring, range(8, 50)))
        assert found <= {f"p{who}" for who in ring}
        assert len(found) >= 6, "all but those who share no page with another one"
    (first, *_) = rings(crowd(3, ring), NAMES, linked(ring, range(8, 50)))
    assert first.says.startswith("looks like one with p1, p2, p3 and ")
    assert "who came by the same link: 0 unlike among" in first.says
    assert (first.sign, first.observed) == ("ring", 0)
    assert told(crowd(3, ring), linked(range(8, 50))) == set(), "who came by no such link is compared with nobody"


def alone(n: int, answers: NDArray[np.int64], known: int = 0) -> Votes:
    """Three people on the same pictures; answers: i64[3, n]."""
    known_I = np.full(n, -1)
    known_I[:known] = answers[0, :known]
    return votes_of(
        np.tile(np.arange(n), 3), np.repeat(np.arange(3), n), answers.ravel(), n_classes=2, known_I=known_I,
        trust_W=np.full(50, 0.8), is_source_W=np.zeros(50, np.bool_),
    )  # fmt: skip


def test_of_one_mind_where_nobody_else_answered_is_a_sign_on_many_pictures() -> None:
    # Three who slip once in fifty differ on 1 - .98^3 = 5.9 % : 14.1 of 240, and exp(-14.1) < 1e-6; 11.8 of 200 is not.
    link_W = linked(range(3))
    same = np.zeros((3, 300), np.int64)
    found = rings(alone(300, same, known=60), NAMES, link_W)
    assert [one.annotator for one in found] == ["p0", "p1", "p2"]
    assert "of one mind on 240 of 240 pictures that nobody else answered" in found[0].says
    assert rings(alone(260, same[:, :260], known=60), NAMES, link_W) == []
    rng = np.random.default_rng(0)
    slips = (rng.random((3, 2000)) < 0.01).astype(np.int64)
    assert rings(alone(2000, slips), NAMES, link_W) == [], "very good people slip too"
    assert rings(alone(300, same), NAMES, linked([0], [1, 2])) == [], "somebody of another link says the same"


def test_nobody_has_a_sign_without_votes_or_links() -> None:
    nothing = votes_of([], [], [], n_classes=2, trust_W=np.full(50, 0.8))
    assert rings(nothing, NAMES, linked(range(5))) == []
    assert rings(crowd(1), NAMES, linked()) == []
