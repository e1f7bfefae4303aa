"""The loop of boxes: what comes after what, and that it ends."""

from __future__ import annotations

import numpy as np
import pytest

from pictus.annotate.shapes.box_loop import (
    BOX,
    COVERAGE,
    LOOP,
    MOST_ROUNDS,
    QUALITY,
    Asked,
    follow,
    questions_for,
    start,
)
from pictus.annotate.tasks import ACCEPTED, KINDS, OPEN, REJECTED, Closed, Wanted
from pictus.concepts import Taxonomy

NONE = Taxonomy({})


def closed(kind: str, answer: str, mark: int, *, drawn: int = 0, others: int = 0, rounds: int = 1) -> Closed:
    state = ACCEPTED if answer == KINDS.get(kind).accepts else REJECTED
    return Closed(kind, "owl", "picture", mark, state, answer, drawn, others, rounds)


def steps(found: object) -> list[tuple[str, int]]:
    assert isinstance(found, tuple)
    return [(one.kind, one.mark_id) for one in found]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (closed(BOX, "box", 0, drawn=1), [(QUALITY, 1)]),
        (closed(QUALITY, "bad", 1), [(BOX, 1)]),
        (closed(QUALITY, "good", 1), [(COVERAGE, 1)]),
        (closed(QUALITY, "good", 1, others=2), []),
        (closed(COVERAGE, "missing", 1), [(BOX, -1)]),
        (closed(COVERAGE, "covered", 1), []),
        (closed(BOX, "none", 0), []),
        (closed(BOX, "none", 3), [(COVERAGE, 3)]),
        (closed(BOX, "none", 3, others=1), []),
        (closed(BOX, "none", -3), [(COVERAGE, -3)]),
        (closed(COVERAGE, "missing", -3), []),
        (closed(BOX, "box", 0, drawn=MOST_ROUNDS, rounds=MOST_ROUNDS), [(QUALITY, MOST_ROUNDS)]),
        (closed(QUALITY, "bad", 9, rounds=MOST_ROUNDS), []),
        (closed(COVERAGE, "missing", 9, rounds=MOST_ROUNDS), []),
    ],
)
def test_each_answer_leads_to_the_next_question(before: Closed, after: list[tuple[str, int]]) -> None:
    assert steps(follow(before, NONE)) == after


def test_nobody_judges_what_they_drew() -> None:
    assert [KINDS.get(name).is_blind_to_author for name in LOOP] == [False, True, True]


@pytest.mark.parametrize(
    ("marks", "asked", "wanted"),
    [
        ([], [], [(BOX, 0)]),
        ([], [Asked(BOX, 0, REJECTED)], []),
        ([4, 7], [], [(QUALITY, 4), (QUALITY, 7)]),
        ([4], [Asked(QUALITY, 4, OPEN)], []),
        ([4], [Asked(QUALITY, 4, REJECTED)], [(BOX, 4)]),
        ([4, 7], [Asked(QUALITY, 4, ACCEPTED), Asked(QUALITY, 7, ACCEPTED)], [(COVERAGE, 7)]),
        ([4], [Asked(QUALITY, 4, ACCEPTED), Asked(COVERAGE, 4, ACCEPTED)], []),
        ([4], [Asked(QUALITY, 4, ACCEPTED), Asked(COVERAGE, 4, REJECTED)], [(BOX, -4)]),
        (
            [4], [Asked(QUALITY, 4, ACCEPTED), Asked(COVERAGE, 4, REJECTED), Asked(BOX, -4, REJECTED)],
            [(COVERAGE, -4)],
        ),
        (
            [4], [Asked(QUALITY, 4, ACCEPTED), Asked(COVERAGE, 4, REJECTED), Asked(BOX, -4, REJECTED),
                  Asked(COVERAGE, -4, REJECTED)],
            [],
        ),
        (
            [4, 5],
            [Asked(QUALITY, 4, ACCEPTED), Asked(COVERAGE, 4, REJECTED), Asked(BOX, -4, ACCEPTED),
             Asked(QUALITY, 5, ACCEPTED)],
            [(COVERAGE, 5)],
        ),
        (list(range(1, 31)), [Asked(QUALITY, mark, REJECTED) for mark in range(1, 31)], []),
    ],
)  # fmt: skip
def test_what_a_picture_needs_is_found_from_how_things_stand(
    marks: list[int], asked: list[Asked], wanted: list[tuple[str, int]]
) -> None:
    assert steps(questions_for("owl", "picture", marks, asked)) == wanted


def run(n_things: int, proposals: int, seed: int) -> tuple[int, bool]:
    """A whole loop with people who err: marks drawn, and whether it ended covered. Questions are asked once."""
    rng = np.random.default_rng(seed)
    marks = list(range(1, proposals + 1))
    queue: list[Wanted] = list(questions_for("owl", "picture", marks, []) if marks else [start("owl", "picture")])
    seen = {(one.kind, one.mark_id) for one in queue}
    good, is_covered = 0, False
    for _ in range(10 * MOST_ROUNDS):
        if not queue:
            return len(marks), is_covered
        one = queue.pop(int(rng.integers(len(queue))))
        drawn = 0
        if one.kind == BOX:
            answer = "box" if good < n_things and rng.random() < 0.95 else "none"
            if answer == "box":
                drawn = len(marks) + 1
                marks.append(drawn)
        elif one.kind == QUALITY:
            answer = "good" if rng.random() < 0.8 else "bad"
            good += answer == "good"
        else:
            answer = "covered" if (good >= n_things) == (rng.random() < 0.9) else "missing"
            is_covered = answer == "covered"
        done = closed(one.kind, answer, one.mark_id, drawn=drawn, others=len(queue), rounds=len(marks))
        for wanted in follow(done, NONE):
            assert (wanted.kind, wanted.mark_id) not in seen, "asked twice"
            seen.add((wanted.kind, wanted.mark_id))
            queue.append(wanted)
    message = "the loop does not end"
    raise AssertionError(message)


@pytest.mark.parametrize("proposals", [0, 4])
def test_the_loop_ends_whatever_people_say(proposals: int) -> None:
    ends = [run(n_things, proposals, seed) for seed in range(60) for n_things in (1, 3, 60)]
    assert max(marks for marks, _ in ends) <= MOST_ROUNDS + proposals
    assert sum(covered for _, covered in ends) > 60
