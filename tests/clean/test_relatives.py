"""Groups that join because their pictures were made from each other; no chain of crops."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from pictus.clean.relatives import Edge, Member, with_relatives

RANK = np.arange(10)


def near(row: int, keeper: int, evidence: int) -> Member:
    return Member(row, keeper, evidence, 9, similarity=0.9)


def crop(first: int, second: int, similarity: float = 0.8) -> Edge:
    return Edge(first, second, "crop", similarity, '{"scale": 0.7}')


def found(members: list[Member], edges: list[Edge]) -> dict[int, Member]:
    return {member.row: member for member in with_relatives(members, edges, RANK)}


def test_a_crop_joins_its_picture_with_its_evidence() -> None:
    (member,) = found([], [crop(3, 1)]).values()
    assert member == Member(3, 1, 1, 0, "crop", 0.8, '{"scale": 0.7}')


def test_what_is_near_a_crop_comes_with_it_and_keeps_its_own_evidence() -> None:
    joined = found([near(4, 3, 3)], [crop(3, 1)])
    assert (joined[3].keeper, joined[3].evidence, joined[3].relation) == (1, 1, "crop")
    assert joined[4] == near(4, 1, 3)


def test_an_edge_to_a_member_turns_the_way_to_its_keeper_round() -> None:
    # 5 is near 4, 4 near the keeper 3; the crop is of 5: so 5 by the crop, 4 by 5, 3 by 4.
    joined = found([near(4, 3, 3), near(5, 3, 4)], [crop(5, 0)])
    assert joined[5].evidence == 0
    assert (joined[4].evidence, joined[4].relation) == (5, "near")
    assert (joined[3].evidence, joined[3].relation, joined[3].distance) == (4, "near", 9)
    assert {member.keeper for member in joined.values()} == {0}


def test_a_crop_of_a_near_member_leads_to_the_keeper() -> None:
    joined = found([near(2, 1, 1)], [crop(5, 2)])
    assert (joined[5].keeper, joined[5].evidence) == (1, 2)


def test_crops_do_not_walk_from_one_picture_to_another() -> None:
    joined = found([], [crop(1, 2), crop(2, 3), crop(3, 4), crop(4, 5)])
    assert {row: member.keeper for row, member in joined.items()} == {2: 1, 4: 3}


def test_the_surest_of_several_edges_is_the_evidence() -> None:
    joined = found([near(2, 1, 1)], [crop(5, 2, 0.7), crop(5, 1, 0.9), Edge(5, 2, "turned", 0.9, "")])
    assert (joined[5].evidence, joined[5].relation) == (2, "turned")


def test_edges_within_a_group_change_nothing() -> None:
    assert found([near(2, 1, 1)], [crop(2, 1)]) == {2: near(2, 1, 1)}


edges = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9), st.floats(0.5, 1)), max_size=12)


@settings(deadline=None, max_examples=200)
@given(st.lists(st.integers(0, 9), min_size=10, max_size=10), edges, st.randoms(use_true_random=False))
def test_every_way_of_evidence_ends_at_the_keeper_and_crosses_one_crop(
    drawn: list[int], some: list[tuple[int, int, float]], shuffle: "object"
) -> None:
    """Groups by hash: each row near an earlier one, or alone. Then any edges, in any order."""
    keeper: dict[int, int] = {}
    members = []
    for row in range(10):
        towards = drawn[row] % (row + 1)
        keeper[row] = row if towards == row else keeper[towards]
        if towards != row:
            members.append(near(row, keeper[row], towards))
    made = [crop(first, second, similarity) for first, second, similarity in some]
    joined = found(members, made)
    for row, member in joined.items():
        at, crops = row, 0
        for _ in range(11):
            if at == member.keeper:
                break
            crops += joined[at].relation == "crop"
            assert joined[at].keeper == member.keeper
            at = joined[at].evidence
        assert at == member.keeper
        assert at not in joined
        assert crops <= 1
        assert member.keeper <= keeper[row], "nobody gets a worse keeper"
    shuffle.shuffle(made)  # type: ignore[attr-defined]
    assert found(members, made) == joined
