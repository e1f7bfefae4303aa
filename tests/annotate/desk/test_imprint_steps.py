"""What never changes of a page is looked up once, and told to whose page it is."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from tests.annotate.desks import desk_of, pictures_of, put_questions, someone

import pictus
from pictus.annotate.desk import imprint_steps
from pictus.annotate.desk.imprint_steps import Imprint, Imprints
from pictus.errors import NotThereError


def test_the_pictures_of_a_page_are_looked_up_once_and_are_its_owners(world: pictus.Project) -> None:
    put_questions(world, 10)
    desk = desk_of(world)
    ada, eve = someone(desk, "ada"), someone(desk, "eve")
    page = desk.next_page(ada)
    assert page is not None
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        asked.append(statement)

    sa.event.listen(world.journal.engine, "before_cursor_execute", note)
    assert pictures_of(desk, page, ada) == list(page.pictures)
    assert desk.imprint(ada, page.page_id) == Imprint("ada", "grid", page.pictures)
    assert len([one for one in asked if "page_items" in one]) == 1
    with pytest.raises(NotThereError):
        desk.picture(eve, page.page_id, 0)
    for position in (-1, 10):
        with pytest.raises(NotThereError):
            desk.picture(ada, page.page_id, position)


def test_the_pages_asked_for_last_are_kept_and_none_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imprint_steps, "KEPT", 2)
    pages, read = Imprints(), []
    for page_id in "abacab":

        def look(page_id: str = page_id) -> Imprint:
            read.append(page_id)
            return Imprint("ada", "grid", (page_id,))

        assert pages.of(page_id, look) == Imprint("ada", "grid", (page_id,))
    assert "".join(read) == "abcb"
    assert pages.of("x", lambda: None) is None
    assert pages.of("x", lambda: Imprint("ada", "grid", ())) == Imprint("ada", "grid", ()), "lent since"
