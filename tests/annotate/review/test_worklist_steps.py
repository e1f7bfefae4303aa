"""What is worth a look, and that it follows votes, labels and rulings."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from tests.annotate.conftest import image_id
from tests.annotate.desks import counting_held_back, desk_of, someone

import pictus
from pictus.annotate import import_, pause, settle
from pictus.annotate.review.counting import FRESH_S
from pictus.annotate.review.review_steps import Decision, decide, reassigned, withdraw
from pictus.annotate.review.said_steps import votes_of_people
from pictus.annotate.review.worklist_steps import Asked, Worklist
from pictus.concepts import load_taxonomy
from pictus.errors import UserError

COUNT = "pictus.annotate.review.counting.votes_of_people"
PICTURES = [image_id(f"owl{number}") for number in range(6)]


class Seconds:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


@pytest.fixture
def seconds() -> Seconds:
    return Seconds()


def vote(project: pictus.Project, folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("\n".join(["worker,image,question,answer", *lines]) + "\n")
    import_(project, (folder / name,))


@pytest.fixture
def worklist(world: pictus.Project, tmp_path: Path, seconds: Seconds) -> Worklist:
    """Five people on six pictures: the first is split 3 to 2, the second 4 to 1; somebody calls the third a wren."""
    no = {("d", 0), ("e", 0), ("e", 1)}
    lines = [
        f"{who},{picture},owl,{'no' if (who, number) in no else 'yes'}"
        for number, picture in enumerate(PICTURES) for who in "abcde"
    ]  # fmt: skip
    vote(world, tmp_path, "v.csv", *lines, f"a,{PICTURES[2]},wren,yes", f"b,{PICTURES[2]},wren,no")
    settle(world)
    return Worklist(world, lambda: load_taxonomy(world), seconds)


def test_the_worst_split_comes_first_and_a_ruling_takes_it_off(worklist: Worklist, world: pictus.Project) -> None:
    wall = worklist.wall(Asked("disagreements"))
    assert wall.images == [PICTURES[2], PICTURES[0], PICTURES[1]]
    assert wall.notes == ["1 yes, 1 no", "3 yes, 2 no", "4 yes, 1 no"]
    assert worklist.disagreements() == {"owl": 2, "wren": 1}
    assert worklist.wall(Asked("disagreements", concept="bird")).images == wall.images, "what lies below counts"
    done = decide(world, "rita", reassigned([(PICTURES[0], "owl")], "crow"), "x")
    assert worklist.disagreements() == {"owl": 1, "wren": 1}
    assert worklist.wall(Asked("disagreements"), wall.token) == wall
    assert worklist.tiles(wall, 1, 1)[0].shown == ("crow", "accepted", "rita")
    withdraw(world, "rita", done.batch)
    assert worklist.disagreements() == {"owl": 2, "wren": 1}


def test_a_concept_shows_what_is_it_now(worklist: Worklist, world: pictus.Project) -> None:
    before = worklist.wall(Asked("concept", "owl")).images
    assert sorted(before) == sorted(PICTURES)
    decide(world, "rita", reassigned([(PICTURES[5], "owl")], "crow"), "x")
    assert PICTURES[5] not in worklist.wall(Asked("concept", "owl")).images
    assert worklist.wall(Asked("concept", "crow")).images == [PICTURES[5]]
    assert worklist.counts()["crow"] == 1
    (act,) = worklist.acts()
    assert (act.pictures, act.standing, act.reviewer, act.is_withdrawal) == (1, 1, "rita", False)
    assert act.what == "crow instead of owl"
    withdraw(world, "otto", act.batch)
    assert worklist.acts()[0].what.startswith("taken back: ")
    assert [(one.standing, one.is_withdrawal) for one in worklist.acts()] == [(1, True), (0, False)]
    decide(world, "rita", [Decision(PICTURES[5], "owl", "is-not")], "x")
    assert worklist.acts()[0].what == "not owl"


def test_mixed_concepts_and_one_persons_differences(worklist: Worklist) -> None:
    (pair,) = worklist.pairs()
    assert (pair.concept_id, pair.other_id, pair.pictures, pair.by_people) == ("owl", "wren", 1, 1)
    assert worklist.wall(Asked("pair", "owl", "wren")).images[0] == PICTURES[2]
    differing = worklist.wall(Asked("person", name="e"))
    assert PICTURES[1] in differing.images
    assert all(note.startswith("said no") for note in differing.notes)
    assert worklist.wall(Asked("person", name="nobody")).images == []


def test_votes_are_looked_at_again_after_a_while(
    worklist: Worklist, world: pictus.Project, tmp_path: Path, seconds: Seconds
) -> None:
    assert PICTURES[3] not in worklist.wall(Asked("disagreements")).images
    vote(world, tmp_path, "w.csv", f"e,{PICTURES[3]},owl,no")
    assert PICTURES[3] not in worklist.wall(Asked("disagreements")).images
    seconds.at += FRESH_S
    assert PICTURES[3] in worklist.wall(Asked("disagreements")).images
    someone(desk_of(world), "eve")
    pause(world, "eve", reason="x")
    seconds.at += FRESH_S
    assert PICTURES[3] in worklist.wall(Asked("disagreements")).images


def test_nothing_is_worth_a_look_in_an_empty_project_and_odd_walls_are_refused(birds: pictus.Project) -> None:
    worklist = Worklist(birds, lambda: load_taxonomy(birds))
    assert (worklist.disagreements(), worklist.pairs(), worklist.suspects(), worklist.acts()) == ({}, [], 0, [])
    assert worklist.wall(Asked("disagreements")).images == []
    with pytest.raises(UserError, match="no wall"):
        worklist.wall(Asked("odd"))


def test_what_is_counted_first_is_counted_beside_who_looks(
    worklist: Worklist, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_go_on = counting_held_back(monkeypatch)
    assert not worklist.is_ready(0)
    assert not worklist.is_ready(0.01), "nobody is kept waiting"
    may_go_on.set()
    assert worklist.is_ready(30)
    assert worklist.disagreements() == {"owl": 2, "wren": 1}


def test_a_first_count_that_fails_is_told_to_who_looks_next(
    worklist: Worklist, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_project: pictus.Project) -> object:
        raise UserError("The journal is damaged.")

    with monkeypatch.context() as patch:
        patch.setattr(COUNT, broken)
        assert worklist.is_ready(30)
        with pytest.raises(UserError, match="damaged"):
            worklist.disagreements()
    assert worklist.disagreements() == {"owl": 2, "wren": 1}


def test_while_a_long_count_goes_on_the_last_one_is_shown(
    worklist: Worklist, world: pictus.Project, tmp_path: Path, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, may_go_on, done = threading.Event(), threading.Event(), threading.Event()
    may_go_on.set()
    real = votes_of_people

    def slow(project: pictus.Project) -> object:
        begun.set()
        assert may_go_on.wait(30)
        seconds.at += 2
        found = real(project)
        done.set()
        return found

    monkeypatch.setattr(COUNT, slow)
    assert worklist.disagreements() == {"owl": 2, "wren": 1}
    vote(world, tmp_path, "w.csv", f"e,{PICTURES[4]},owl,no")
    begun.clear()
    done.clear()
    may_go_on.clear()
    seconds.at += FRESH_S
    assert worklist.disagreements() == {"owl": 2, "wren": 1}, "of before"
    assert begun.wait(30)
    may_go_on.set()
    assert done.wait(30)
    deadline = time.monotonic() + 30
    while worklist.disagreements() == {"owl": 2, "wren": 1} and time.monotonic() < deadline:
        time.sleep(0.01)
    assert worklist.disagreements() == {"owl": 3, "wren": 1}


@pytest.mark.usefixtures("worklist")
def test_a_wall_is_put_in_order_once_while_nothing_changes(
    world: pictus.Project, seconds: Seconds, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[Asked] = []
    real = Worklist._rows

    def ordered(self: Worklist, asked: Asked) -> list[tuple[str, str, str, str]]:
        orders.append(asked)
        return real(self, asked)

    monkeypatch.setattr(Worklist, "_rows", ordered)
    taxonomy = load_taxonomy(world)
    worklist = Worklist(world, lambda: taxonomy, seconds)
    for _ in range(3):
        worklist.disagreements()
        worklist.wall(Asked("disagreements"))
    assert len(orders) == 1
    decide(world, "rita", reassigned([(PICTURES[0], "owl")], "crow"), "x")
    assert PICTURES[0] not in worklist.wall(Asked("disagreements")).images
