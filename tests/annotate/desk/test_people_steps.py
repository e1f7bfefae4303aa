"""The steps invite, people and pause."""

from __future__ import annotations

import pytest
from tests.annotate.desks import all_of, desk_of, put_questions, rows, someone

import pictus
from pictus.annotate import invite, links, pause, people, readmit
from pictus.errors import UserError


def test_links_are_shown_once_and_let_people_in(world: pictus.Project) -> None:
    made = invite(world, many=3, quota=100, note="spring")
    tokens = [one.token for one in made]
    assert len(set(tokens)) == 3
    assert all(f"/join/{token}" in made.headline for token in tokens)
    desk = desk_of(world)
    person = desk.person(desk.join(tokens[0], "ada"))
    assert person is not None
    assert person.quota == 100
    assert tokens[1] not in str(rows(world, "SELECT * FROM tokens"))
    (event,) = world.journal.events(event="people_invited")
    assert event.data["links"] == 3


@pytest.mark.parametrize(
    "wrong", [{"many": 0}, {"many": 10**6}, {"uses": 0}, {"days": -1.0}, {"days": 1e9}, {"quota": -1}, {"role": "king"}]
)
def test_a_link_that_makes_no_sense_is_refused(birds: pictus.Project, wrong: dict[str, object]) -> None:
    with pytest.raises(UserError):
        invite(birds, **wrong)  # type: ignore[arg-type]
    assert rows(birds, "SELECT COUNT(*) FROM tokens") == [(0,)]


def test_people_are_listed_with_what_they_did(world: pictus.Project) -> None:
    assert people(world).next == ("pictus annotate invite",)
    put_questions(world, 200)
    put_questions(world, 20, known="yes", first=2000)
    desk = desk_of(world)
    ada = someone(desk)
    someone(desk, "idle")
    page = desk.next_page(ada)
    assert page is not None
    desk.submit(ada, page.page_id, 1, all_of(page), 60)
    busy, idle = people(world)
    assert (busy.name, busy.pages, busy.questions, busy.accuracy, busy.state) == ("ada", 1, 48, 1.0, "active")
    assert busy.accuracy_low is not None
    assert 0 < busy.accuracy_low < 1
    assert (idle.name, idle.pages, idle.accuracy, idle.repeated) == ("idle", 0, None, None)


def test_pausing_says_why_and_nobody_unknown_is_paused(birds: pictus.Project) -> None:
    desk = desk_of(birds)
    ada = someone(desk)
    assert pause(birds, "ada", reason="wait for the new gloss").summary["state"] == "paused"
    assert desk.nothing(ada) == "You are paused: wait for the new gloss."
    assert not pause(birds, "ada", reason="again").summary["changed"]
    with pytest.raises(UserError, match="Nobody"):
        pause(birds, "bob", reason="x")
    for both in ({}, {"reason": "x", "resume": True}):
        with pytest.raises(UserError, match="Say why"):
            pause(birds, "ada", **both)  # type: ignore[arg-type]
    assert pause(birds, "ada", resume=True).headline == "ada can go on"
    told = [event.event for event in birds.journal.events("ada")]
    assert told == ["person_resumed", "person_paused", "person_joined"]


def test_who_lost_their_link_comes_back_as_the_same_person(world: pictus.Project) -> None:
    desk = desk_of(world)
    ada = desk.person(desk.join(next(iter(invite(world, quota=50))).token, "ada"))
    (made,) = readmit(world, "ada")
    assert desk.person(desk.join(made.token, "whatever is typed")) == ada
    with pytest.raises(UserError, match="not valid"):
        desk.join(made.token, "ada")
    with pytest.raises(UserError, match="Nobody"):
        readmit(world, "bob")


def test_people_and_links_are_shown_while_somebody_writes(birds: pictus.Project) -> None:
    invite(birds)
    someone(desk_of(birds))
    with birds.journal.transaction():
        assert people(birds).summary["people"] == 1
        assert links(birds).summary["links"] == 1
