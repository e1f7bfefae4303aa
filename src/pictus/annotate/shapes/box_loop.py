"""ImageNet's way to boxes: draw one, have its quality verified, have the coverage verified, until all are there.

Su, Deng, Fei-Fei 2012, "Crowdsourcing annotations for visual object detection". One question at a time:

    box            draw ONE box around one instance that has none yet, or say that there is no further one (none)
    box-quality    another person: is this box good or bad? A bad one is drawn again
    box-coverage   another person: is every instance covered, or is one missing? A missing one is drawn

until somebody says covered. A question about a mark is its next step, so each is asked once: `box` about mark m
draws m again, about mark -m one more, since somebody who looked after m sees one without a box. Where nobody finds
one to draw then, a third looks, neither of those two: `box-coverage` about -m. Boxes of models and files come in as
proposals and begin with their quality. After MOST_ROUNDS boxes nothing more is asked and the picture stays undecided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pictus.annotate.shapes.shapes import check_bare, check_box, check_drawn
from pictus.annotate.tasks import ACCEPTED, KINDS, OPEN, PARKED, REJECTED, Closed, Kind, Wanted
from pictus.concepts import Taxonomy

BOX, QUALITY, COVERAGE = "box", "box-quality", "box-coverage"
LOOP = (BOX, QUALITY, COVERAGE)

_GOOD = "all boxes are good: are there further ones?"
_MISSING = "somebody sees one without a box"
_TORN = "one sees one without a box, one finds none: who is right?"

MOST_ROUNDS = 30
"""Boxes of one concept on one picture, drawn again or not, after which nobody is asked any more."""

HELP = {
    BOX: (
        "Draw one box around one instance that has none yet. The box goes around all that you can see of it, as tight"
        " as it gets: every visible part inside, no visible part outside. What is hidden behind something else, or"
        " lies outside the picture, is not guessed. One box for one instance, never one for several. If each has its"
        " box already, say that there is no further one."
    ),
    QUALITY: (
        "Is this box good? Good: it is around one instance of what is asked for, with all its visible parts inside,"
        " and tight: no edge could move inwards without cutting it. Bad: it cuts a visible part off, leaves room,"
        " holds several instances, or is around something else."
    ),
    COVERAGE: (
        "Does each instance that you can see have its box? Look for small, far, half hidden and cut off ones too."
        " Covered: each has one. Missing: at least one has none."
    ),
}


def follow(closed: Closed, _taxonomy: Taxonomy) -> Sequence[Wanted]:
    """The question that comes next on this picture; none when it is covered, or had MOST_ROUNDS boxes."""
    where = (closed.concept_id, closed.image_id)
    is_over = closed.rounds >= MOST_ROUNDS
    if closed.kind == BOX and closed.drawn:
        return (Wanted(QUALITY, *where, closed.drawn, "a new box: is it good?"),)
    if closed.kind == QUALITY and closed.state == REJECTED and not is_over:
        return (Wanted(BOX, *where, closed.mark_id, "its box was found bad: to be drawn again"),)
    if closed.kind == COVERAGE and closed.state == REJECTED and closed.mark_id > 0 and not is_over:
        return (Wanted(BOX, *where, -closed.mark_id, _MISSING),)
    if closed.kind == BOX and closed.mark_id < 0:
        return (Wanted(COVERAGE, *where, closed.mark_id, _TORN),)
    is_good = closed.kind == QUALITY and closed.state == ACCEPTED
    is_gone = closed.kind == BOX and closed.mark_id > 0  # what was bad is nothing to be drawn
    if (is_good or is_gone) and not closed.others:
        return (Wanted(COVERAGE, *where, closed.mark_id, _GOOD, is_last=True),)
    return ()


class Asked(NamedTuple):
    """A question of the loop as it stands."""

    kind: str
    mark_id: int
    state: str


def questions_for(
    concept_id: str, image_id: str, marks: Sequence[int], asked: Sequence[Asked]
) -> Sequence[Wanted]:
    """Which questions of the loop this picture needs now. marks: mark_ids of its boxes, without those taken back;
    asked: all questions put before, in the order of question_id.

    What `follow` would have asked, found from how things stand: for a picture that is new to the loop, for boxes
    that came from files or models, and after anything was lost. Empty while one is open, and when it is covered.
    """
    if any(one.state in (OPEN, PARKED) for one in asked):
        return ()
    state = {(one.kind, one.mark_id): one.state for one in asked}
    new = [mark for mark in sorted(marks) if (QUALITY, mark) not in state]
    again = [mark for mark in sorted(marks) if state.get((QUALITY, mark)) == REJECTED and (BOX, mark) not in state]
    wanted: list[tuple[str, int, str]] = []
    if new:
        wanted = [(QUALITY, mark, "a box that was there already: is it good?") for mark in new]
    elif len(marks) >= MOST_ROUNDS:
        wanted = []
    elif again:
        wanted = [(BOX, mark, "its box was found bad: to be drawn again") for mark in again]
    elif not marks:
        wanted = [] if (BOX, 0) in state else [(BOX, 0, "no box yet")]
    else:
        wanted = _covering(asked, state)
    return tuple(Wanted(kind, concept_id, image_id, mark, reason) for kind, mark, reason in wanted)


def _covering(asked: Sequence[Asked], state: Mapping[tuple[str, int], str]) -> list[tuple[str, int, str]]:
    """The same once every box was verified, and each bad one drawn again."""
    judged = max(at for at, one in enumerate(asked) if one.kind == QUALITY)
    covers = [at for at, one in enumerate(asked) if one.kind == COVERAGE]
    if not covers or covers[-1] < judged:
        free = [one.mark_id for one in asked if one.kind == QUALITY and (COVERAGE, one.mark_id) not in state]
        return [(COVERAGE, free[-1], _GOOD)] if free else []
    last = asked[covers[-1]]
    if last.state != REJECTED or last.mark_id <= 0:
        return []
    return [(COVERAGE if (BOX, -last.mark_id) in state else BOX, -last.mark_id,
             _TORN if (BOX, -last.mark_id) in state else _MISSING)]  # fmt: skip


def start(concept_id: str, image_id: str) -> Wanted:
    """The first question of a picture without boxes."""
    return Wanted(BOX, concept_id, image_id, 0, "no box yet")


KINDS.register(BOX)(
    Kind(
        BOX, ("box", "none"), per_page=8, lease_s=1800, draws=True, accepts="box", shows=("mark", QUALITY),
        loop="box", help=HELP[BOX], check=check_drawn("box", "box", check_box, 1), follow=follow,
    )
)  # fmt: skip
KINDS.register(QUALITY)(
    Kind(
        QUALITY, ("good", "bad"), per_page=20, lease_s=1200, is_blind_to_author=True, accepts="good",
        shows=("mark",), loop="box", help=HELP[QUALITY], check=check_bare, follow=follow,
    )
)  # fmt: skip
KINDS.register(COVERAGE)(
    Kind(
        COVERAGE, ("covered", "missing"), per_page=12, lease_s=1200, is_blind_to_author=True, accepts="covered",
        shows=(QUALITY,), loop="box", help=HELP[COVERAGE], check=check_bare, follow=follow,
    )
)  # fmt: skip
