"""What counts of many rulings, and what takes a batch back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pictus.annotate.review import rulings
from pictus.annotate.review.rulings import Decision, Ruling, Shown
from pictus.errors import UserError


def row(number: int, image: str, concept: str, ruling: str, batch: str = "") -> Ruling:
    return Ruling(number, image, concept, ruling, "rita", "why", batch or f"b{number}", "2026-01-01T00:00:00Z")


def test_a_reassigned_picture_is_the_new_and_not_the_old() -> None:
    found = rulings.reassigned([("1", "owl"), ("2", ""), ("3", "wren")], "wren")
    assert found == [
        Decision("1", "wren", "is"), Decision("1", "owl", "is-not"), Decision("2", "wren", "is"),
        Decision("3", "wren", "is"),
    ]  # fmt: skip


def test_a_pair_is_not_ruled_both_ways_and_words_are_known() -> None:
    same = Decision("1", "owl", "is")
    assert rulings.checked([same, same]) == [same]
    with pytest.raises(UserError, match="both ways"):
        rulings.checked([same, Decision("1", "owl", "is-not")])
    with pytest.raises(UserError, match="no ruling"):
        rulings.checked([Decision("1", "owl", "withdrawn")])


def test_the_latest_counts_and_a_withdrawn_one_leaves_none() -> None:
    rows = [row(1, "1", "owl", "is"), row(2, "1", "wren", "is"), row(3, "1", "owl", "is-not")]
    assert [(one.concept_id, one.ruling) for one in rulings.standing(rows).values()] == [
        ("wren", "is"), ("owl", "is-not")
    ]  # fmt: skip
    assert ("1", "owl") not in rulings.standing([*rows, row(4, "1", "owl", "withdrawn")])


def test_what_stood_before_a_batch_stands_again() -> None:
    rows = [row(1, "1", "owl", "is", "a"), row(2, "1", "owl", "is-not", "b"), row(3, "2", "owl", "is-not", "b")]
    found = rulings.reversal("b", rows)
    assert found.withdrawn == [("1", "owl"), ("2", "owl")]
    assert [(one.image_id, one.ruling) for one in found.restored] == [("1", "is")]
    later = [*rows, row(4, "2", "owl", "is", "c")]
    assert rulings.reversal("b", later).withdrawn == [("1", "owl")]
    assert rulings.reversal("b", later).overruled == 1, "what was ruled since is left alone"


def test_what_a_picture_is_now() -> None:
    voted = ("owl", "accepted", "one-coin")
    assert rulings.shown(None, ()) == Shown("", "unsettled", "")
    assert rulings.shown(voted, ()) == Shown("owl", "accepted", "")
    assert rulings.shown(voted, [row(1, "1", "owl", "is-not")]) == Shown("owl", "rejected", "rita")
    assert rulings.shown(voted, [row(1, "1", "owl", "is-not"), row(2, "1", "wren", "is")]).concept_id == "wren"
    assert rulings.shown(("owl", "accepted", "ruling"), ()).concept_id == "", "withdrawn since it was settled"


Acts = st.lists(
    st.lists(
        st.tuples(st.sampled_from("12"), st.sampled_from("xy"), st.sampled_from(["is", "is-not"])), min_size=1,
        max_size=4, unique_by=lambda one: one[:2],
    ),
    min_size=1, max_size=5,
)  # fmt: skip


@given(Acts)
def test_taking_back_all_acts_from_the_last_on_leaves_what_was_before(acts: list[list[tuple[str, ...]]]) -> None:
    rows: list[Ruling] = []

    def add(batch: str, decided: list[tuple[str, ...]]) -> None:
        rows.extend(row(len(rows) + at, one[0], one[1], one[2], batch) for at, one in enumerate(decided))

    def state() -> dict[tuple[str, str], str]:
        return {pair: one.ruling for pair, one in rulings.standing(rows).items()}

    states = []
    for number, act in enumerate(acts):
        states.append(state())
        add(f"act{number}", act)
    for number in reversed(range(len(acts))):
        found = rulings.reversal(f"act{number}", rows)
        after = state()
        add(f"back{number}", [
            *((*pair, "withdrawn") for pair in found.withdrawn),
            *((one.image_id, one.concept_id, one.ruling) for one in found.restored),
        ])  # fmt: skip
        if number == len(acts) - 1:
            assert state() == states[number]
            redone = rulings.reversal(f"back{number}", rows)
            assert {pair: one.ruling for pair, one in rulings.standing([
                *rows, *(row(10**6 + at, *pair, "withdrawn") for at, pair in enumerate(redone.withdrawn)),
                *(row(2 * 10**6 + at, one.image_id, one.concept_id, one.ruling)
                  for at, one in enumerate(redone.restored)),
            ]).items()} == after, "a withdrawal can be taken back as well"  # fmt: skip
