"""The desk as a whole: what it says when its database went away under it."""

from __future__ import annotations

import pytest
from tests.annotate.desks import Clock, all_of, desk_of, put_questions, rows, someone

import pictus
from pictus.annotate.desk import desk_steps
from pictus.annotate.desk.desk_steps import LaterError


def test_a_desk_whose_database_file_was_deleted_acknowledges_nothing(
    birds: pictus.Project, caplog: pytest.LogCaptureFixture
) -> None:
    put_questions(birds, 10)
    desk = desk_of(birds)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    path = birds.root / "journal.sqlite"
    kept = path.rename(path.with_name("kept"))
    for _ in range(2):
        with pytest.raises(LaterError, match="cannot reach its database"):
            desk.submit(ada, page.page_id, 1, all_of(page), 60)
        with pytest.raises(LaterError):
            desk.next_page(ada)
        with pytest.raises(LaterError):
            desk.kiosk("bob")
    assert len(caplog.records) == 1
    assert not path.exists()
    kept.rename(path)
    assert desk.submit(ada, page.page_id, 1, all_of(page), 60).is_new, "what the browser kept is taken once it is back"
    assert len(rows(birds, "SELECT 1 FROM answers")) == 10


def test_what_was_searched_in_vain_is_forgotten_after_some_seconds(birds: pictus.Project) -> None:
    for concept in ("owl", "wren", "crow"):
        put_questions(birds, 2, concept=concept)
    clock = Clock()
    desk = desk_of(birds, clock)
    ada, bob = someone(desk), someone(desk, "bob")
    for _ in range(3):
        page = desk.next_page(ada)
        assert page is not None
        desk.submit(ada, page.page_id, 1, all_of(page), 60)
    assert desk.next_page(ada) is None
    assert sum("ada" in names for names in desk._vain.values()) == 3
    clock.wait(desk_steps.VAIN_S + 1)
    assert desk.next_page(bob) is not None
    assert desk._vain == {}
