"""Groups that join because their pictures were made from each other; no chain of crops."""

from __future__ import annotations

import json

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


def shown(part: int, whole: int, left: float, top: float, size: float = 0.5) -> Edge:
    """`part` lies in `whole` as a square of `size` at (left, top)."""
    placed = {"part": "image", "x": left, "y": top, "width": size, "height": size}
    return Edge(part, whole, "crop", 0.9, json.dumps(placed))


def test_what_a_collage_shows_stays_and_the_collage_goes_to_the_best_of_it() -> None:
    corners = [(0.0, 0.0), (0.49, 0.0), (0.0, 0.49), (0.5, 0.5)]  # frames are right to 1 or 2 %
    joined = found([near(9, 3, 3)], [shown(4 - at, 0, *corner) for at, corner in enumerate(corners)])
    assert joined == {9: near(9, 3, 3), 0: Member(0, 1, 1, 0, "collage", 0.9, joined[0].detail)}


def test_copies_of_a_collage_go_with_it_and_what_it_shows_may_belong_to_another() -> None:
    sides = [shown(3, 0, 0.0, 0.0), shown(4, 0, 0.5, 0.0)]
    joined = found([near(5, 0, 0)], [*sides, shown(3, 1, 0.1, 0.1, 0.8)])
    ends = {row: (member.keeper, member.evidence) for row, member in joined.items()}
    assert ends == {3: (1, 1), 0: (1, 3), 5: (1, 3)}
    assert {joined[0].relation, joined[5].relation} == {"collage"}


def test_crops_that_overlap_are_of_one_photograph() -> None:
    joined = found([], [shown(1, 0, 0.0, 0.0, 0.6), shown(2, 0, 0.4, 0.0, 0.6), shown(3, 0, 0.2, 0.3, 0.6)])
    assert {row: member.keeper for row, member in joined.items()} == {1: 0, 2: 0, 3: 0}


def test_a_picture_that_stands_twice_in_another_is_a_part_of_it() -> None:
    assert found([near(2, 1, 1)], [shown(1, 0, 0.0, 0.0), shown(2, 0, 0.5, 0.5)])[1].keeper == 0


def test_a_framed_collage_is_one_although_the_collage_joins_its_parts() -> None:
    sides = [(2, 0.0), (3, 0.5)]
    edges = [shown(1, 0, 0.05, 0.05, 0.9), *(shown(part, whole, left, 0.0) for whole in (0, 1) for part, left in sides)]
    joined = found([], edges)
    assert {row: (member.keeper, member.relation) for row, member in joined.items()} == {
        0: (2, "collage"), 1: (2, "collage")
    }


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
