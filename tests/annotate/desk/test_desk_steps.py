"""The desk as a whole: what it says when its database went away under it."""

from __future__ import annotations

import pytest
from tests.annotate.desks import all_of, desk_of, put_questions, rows, someone

import pictus
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
