"""Links, sessions and names: how people come in, and who cannot."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import Any

import pytest
import sqlalchemy as sa
from tests.annotate.desks import Clock, desk_of, link, put_questions, rows, someone

import pictus
from pictus.annotate.desk.desk_steps import Desk
from pictus.errors import UserError
from pictus.records import Vote


def test_a_link_lets_in_once_and_the_session_lasts_thirty_days(world: pictus.Project) -> None:
    clock = Clock()
    desk = desk_of(world, clock)
    session = desk.join(link(world, quota=500), "  ada\u0301  lovelace ")
    person = desk.person(session)
    assert person is not None
    assert (person.name, person.role, person.state, person.quota) == ("ad\u00e1 lovelace", "annotator", "active", 500)
    with pytest.raises(UserError, match="not valid"):
        desk.join("t" * 43, "bob")
    clock.wait(30 * 86400 - 1)
    assert desk.person(session) == person
    clock.wait(2)
    assert desk.person(session) is None


def test_no_token_is_stored(world: pictus.Project) -> None:
    desk = desk_of(world)
    session = desk.join(link(world, "secret-token-of-a-link"), "ada")
    stored = str(rows(world, "SELECT * FROM tokens")) + str(rows(world, "SELECT * FROM annotators"))
    stored += str(rows(world, "SELECT * FROM events"))
    assert "secret-token-of-a-link" not in stored
    assert session not in stored


def test_a_link_expires(birds: pictus.Project) -> None:
    clock = Clock()
    desk = desk_of(birds, clock)
    token = link(birds, days=2)
    clock.wait(2 * 86400)
    with pytest.raises(UserError, match="not valid"):
        desk.join(token, "ada")


@pytest.mark.parametrize("token", ["", "x", "t" * 42, "T" * 43, "' OR 1=1 --", "t" * 100_000, "\ud800", "\0"])
def test_a_forged_token_is_nobody(birds: pictus.Project, token: str) -> None:
    link(birds)
    desk = desk_of(birds)
    someone(desk)
    assert desk.person(token) is None
    with pytest.raises(UserError, match="not valid"):
        desk.join(token, "eve")


def test_a_link_is_no_session_and_a_session_no_link(birds: pictus.Project) -> None:
    desk = desk_of(birds)
    token = link(birds)
    assert desk.person(token) is None
    session = desk.kiosk("ada")
    with pytest.raises(UserError, match="not valid"):
        desk.join(session, "eve")


def test_of_two_who_use_the_last_place_at_once_one_gets_it(world: pictus.Project) -> None:
    token = link(world, uses=3)
    desks = [desk_of(world), desk_of(world)]
    came: list[str] = []
    refused: list[str] = []
    ready = threading.Barrier(8)

    def enter(number: int) -> None:
        ready.wait(30)
        try:
            desks[number % 2].join(token, f"p{number}")
            came.append(f"p{number}")
        except UserError as error:
            refused.append(error.what)

    threads = [threading.Thread(target=enter, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert (len(came), len(refused)) == (3, 5)
    assert {name for (name,) in rows(world, "SELECT name FROM annotators")} == set(came)


def test_a_name_that_is_taken_leaves_the_link_unused(world: pictus.Project) -> None:
    world.journal.add_votes([Vote("a" * 64, "carla", "owl", "yes", "votes.csv", "2026-01-01T00:00:00Z")])
    desk = desk_of(world)
    someone(desk, "ada")
    token = link(world)
    for name in ("ada", "ADA", "carla"):
        with pytest.raises(UserError, match="is taken"):
            desk.join(token, name)
    assert desk.person(desk.join(token, "bob")) is not None


LOOK_ALIKES = [
    "Ada", "ada\u034f", "ada\ufe0f", "ada\u17b5", "ada\U000e0100", "\u0430\u0501\u0430", "\uff41\uff44\uff41",
    "ada\u3164",
]  # fmt: skip


@pytest.mark.parametrize("name", LOOK_ALIKES, ids=ascii)
def test_a_name_that_looks_like_anothers_is_taken(world: pictus.Project, name: str) -> None:
    desk = desk_of(world)
    desk.join(link(world, "a" * 43), "ada")
    token = link(world)
    with pytest.raises(UserError, match="is taken"):
        desk.join(token, name)
    with pytest.raises(UserError, match="is taken"):
        desk.kiosk(name)
    assert rows(world, "SELECT name FROM annotators") == [("ada",)]


def test_capitals_with_dots_are_the_same_in_both_databases(world: pictus.Project) -> None:
    desk = desk_of(world)
    desk.kiosk("\u00c4nne")
    with pytest.raises(UserError, match="is taken"):
        desk.kiosk("\u00e4nne")


def test_nobody_looks_like_who_voted_in_a_file_or_drew_a_shape(world: pictus.Project) -> None:
    desk = desk_of(world)
    world.journal.add_votes([Vote("a" * 64, "Carla", "owl", "yes", "votes.csv", "2026-01-01T00:00:00Z")])
    with world.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO marks (kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
                " VALUES ('box', :image, 'owl', 'dan', '{}', 'boxes.json', 0, 0, '')"
            ),
            {"image": "a" * 64},
        )
    for name in ("carla", "DAN"):
        with pytest.raises(UserError, match="is taken"):
            desk.kiosk(name)
    desk.kiosk("eve")
    world.journal.add_votes([Vote("a" * 64, "fay", "owl", "yes", "more.csv", "2026-01-01T00:00:00Z")])
    with pytest.raises(UserError, match="is taken"):
        desk.kiosk("FAY")
    assert desk.person(desk.kiosk("eve")) is not None, "who is here comes in again"


def test_two_who_look_alike_and_come_at_once_are_one(world: pictus.Project) -> None:
    token = link(world, uses=8)
    desks = [desk_of(world), desk_of(world)]
    came: list[str] = []
    ready = threading.Barrier(4)

    def enter(number: int, name: str) -> None:
        ready.wait(30)
        with suppress(UserError):
            desks[number % 2].join(token, name)
            came.append(name)

    threads = [threading.Thread(target=enter, args=each) for each in enumerate(["ada", "ADA", "Ada", "\uff41da"])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(came) == 1
    assert rows(world, "SELECT uses_left FROM tokens WHERE kind = 'link'") == [(7,)]


@pytest.mark.parametrize(
    "name",
    ["", "   ", "x" * 41, "a\0b", "--resume", "!!!", "\u3164", "source\uff1ax", "\u0430da",
     "a\u202eb", "a\u0007b", "source:list.csv", "Source:x", "model:run", "\ud800"],
)
def test_a_name_that_cannot_be_one_is_refused(birds: pictus.Project, name: str) -> None:
    desk = desk_of(birds)
    for enter in (desk.kiosk, lambda chosen: desk.join(link_of(birds), chosen)):
        with pytest.raises(UserError):
            enter(name)


def link_of(project: pictus.Project) -> str:
    return link(project) if not rows(project, "SELECT 1 FROM tokens WHERE kind = 'link'") else "t" * 43


@pytest.mark.parametrize("name", ["<b>ada</b>", "'; DROP TABLE annotators; --", "Zoë 木村 🦉", "{{7*7}}", "%s%n"])
def test_hostile_names_are_only_names(birds: pictus.Project, name: str) -> None:
    desk = desk_of(birds)
    person = desk.person(desk.kiosk(name))
    assert person is not None
    assert person.name == name
    assert rows(birds, "SELECT name FROM annotators") == [(name,)]


def test_a_kiosk_lets_its_own_people_in_again_and_no_others(birds: pictus.Project) -> None:
    desk = desk_of(birds)
    first, second = desk.kiosk("ada"), desk.kiosk("ada")
    assert first != second
    desk.leave(first)
    assert desk.person(first) is None
    assert desk.person(second) is not None
    desk.join(link(birds), "grace")
    with pytest.raises(UserError, match="is taken"):
        desk.kiosk("grace")


def test_who_came_is_in_the_journal(birds: pictus.Project) -> None:
    desk: Desk = desk_of(birds)
    desk.join(link(birds), "ada")
    (event,) = birds.journal.events(event="person_joined")
    assert event.subject == "ada"
    data: dict[str, Any] = event.data
    assert data["role"] == "annotator"


def test_which_known_answers_somebody_is_shown_hangs_on_a_secret_of_the_project(world: pictus.Project) -> None:
    put_questions(world, 100)
    put_questions(world, 60, known="yes", first=1000)

    def golds(seed: int) -> list[int]:
        desk = desk_of(world, seed=seed)
        ada = someone(desk)
        page = desk.next_page(ada)
        assert page is not None
        query = "SELECT question_id FROM page_items WHERE page_id = :page AND role = 'gold' ORDER BY question_id"
        found = [row.question_id for row in rows(world, query, page=page.page_id)]
        with world.journal.transaction() as connection:  # as if she had never been lent one
            connection.execute(sa.text("DELETE FROM page_items"))
            connection.execute(sa.text("DELETE FROM pages"))
            connection.execute(sa.text("UPDATE questions SET leases = 0"))
        return found

    assert rows(world, "SELECT * FROM secrets") == []
    assert golds(7) == golds(7), "a seed gives the same again"
    assert golds(7) != golds(8)
    assert rows(world, "SELECT * FROM secrets") == [], "a seed is no secret to keep"
    first = golds(0)
    (kept,) = rows(world, "SELECT name, value FROM secrets")
    assert len(kept.value) == 64
    assert golds(0) == first, "another server of the project"
    with world.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE secrets SET value = 'another project'"))
    assert golds(0) != first


def test_who_comes_by_a_link_takes_its_row_last(birds: pictus.Project) -> None:
    desk, token, done = desk_of(birds), link(birds), []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        done.append(statement)

    sa.event.listen(birds.journal.engine, "before_cursor_execute", note)
    desk.join(token, "ada")
    writes = [" ".join(one.split()[:3]) for one in done if one.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert writes[0] == "INSERT INTO annotators"
    assert [one for one in writes if one.startswith("UPDATE")] == [writes[-1]] == ["UPDATE tokens SET"]
