from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

import pictus
from pictus.records import Picture
from pictus.tables import Tables, table_of
from pictus.web.places import Places


def picture(image_id: str, offset: int) -> Picture:
    return Picture(image_id, "pictures-00000.tar", offset, 10, 4, 3, "jpeg", "RGB", "2026-01-01T00:00:00Z")


def add(project: pictus.Project, ids: Sequence[str], start: int = 0) -> None:
    rows = [picture(image_id, start + number) for number, image_id in enumerate(ids)]
    project.tables.append("images", table_of("images", rows))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What is read of tables from now on: where a reading begins, or which rows."""
    found: list[Any] = []
    read, take = Tables.read, Tables.take

    def noted(tables: Tables, *names: Any, **options: Any) -> Any:
        found.append(options["offset"])
        return read(tables, *names, **options)

    def took(tables: Tables, name: str, rows: Sequence[int]) -> Any:
        found.append(list(rows))
        return take(tables, name, rows)

    monkeypatch.setattr(Tables, "read", noted)
    monkeypatch.setattr(Tables, "take", took)
    return found


def test_every_picture_is_found_and_no_other(project: pictus.Project) -> None:
    ids = [f"{number * 2654435761 % 2**32:08x}{number:056x}" for number in range(500)]
    add(project, ids)
    places = Places(project.tables)
    assert [found.offset for image_id in ids if (found := places.find(image_id))] == list(range(500))
    assert places.find("f" * 64) is None
    assert places.find(ids[0][:12]) is None
    assert places.find("../pictus.toml") is None


def test_pictures_with_the_same_beginning_are_told_apart(project: pictus.Project) -> None:
    twins = ["ab" * 4 + "0" * 56, "ab" * 4 + "1" * 56]
    add(project, twins)
    places = Places(project.tables)
    assert [found.image_id for image_id in twins if (found := places.find(image_id))] == twins
    assert places.find("ab" * 4 + "2" * 56) is None


def test_pictures_added_while_the_server_runs_are_found(project: pictus.Project) -> None:
    places = Places(project.tables)
    assert places.find("a" * 64) is None, "the table does not exist yet"
    add(project, ["b" * 64, "a" * 64])
    assert places.find("a" * 64) == picture("a" * 64, 1)
    add(project, ["9" * 64], start=2)
    assert places.find("9" * 64) == picture("9" * 64, 2)
    assert places.find("b" * 64) == picture("b" * 64, 0)


def test_a_picture_costs_one_row_however_long_the_table(project: pictus.Project, asked: list[Any]) -> None:
    add(project, [f"{number:08x}" + "0" * 56 for number in range(1000)])
    places = Places(project.tables)
    places.find("0" * 64)
    asked.clear()
    places.find(f"{7:08x}" + "0" * 56)
    places.find("f" * 64)  # looked for among the rows added since, of which there are none
    assert asked == [[7], 1000]


def test_the_pictures_of_a_page_are_looked_up_at_once_and_not_again(project: pictus.Project, asked: list[Any]) -> None:
    ids = [f"{number:08x}" + "0" * 56 for number in range(100)]
    add(project, ids)
    places = Places(project.tables)
    places.find(ids[9])
    asked.clear()
    page = [ids[5], ids[3], ids[9], "f" * 64, "no id"]
    assert places.find_all(page) == {ids[number]: picture(ids[number], number) for number in (9, 3, 5)}
    assert asked == [[3, 5], 100], "both that were not known, and the rows added since, of which there are none"
    asked.clear()
    assert [found.offset for one in page[:3] if (found := places.find(one))] == [5, 3, 9]
    assert asked == []
