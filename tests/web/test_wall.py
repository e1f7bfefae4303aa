from __future__ import annotations

import pytest

import pictus
from pictus.clock import now
from pictus.concepts import Taxonomy
from pictus.records import Concept, Picture, Source, Verdict
from pictus.tables import table_of
from pictus.web import wall as walls
from pictus.web.wall import ORDERS, Filter, Wall

NOTHING = Taxonomy.of(())


def add(project: pictus.Project, numbers: range, *, claim: str = "") -> None:
    """Pictures `number` px wide, in the order given."""
    ids = {number: f"{number:064x}" for number in numbers}
    pictures = [Picture(ids[n], "pictures-00000.tar", n, 9, n, 3, "jpeg", "RGB", now()) for n in numbers]
    sources = [Source(ids[n], f"/in/{n}.jpg", "folder", claim, "", "", "", now()) for n in numbers]
    project.tables.append("images", table_of("images", pictures))
    project.tables.append("sources", table_of("sources", sources))


def widths(wall: Wall, chosen: Filter, offset: int = 0, count: int = 3, taxonomy: Taxonomy = NOTHING) -> list[int]:
    return [row["width"] for row in wall.page(chosen, taxonomy, offset, count)[0]]


@pytest.fixture
def ordered(monkeypatch: pytest.MonkeyPatch) -> list[Filter]:
    """The filters whose order is made from now on."""
    found: list[Filter] = []
    make = walls._ordered

    def noted(rows: object, chosen: Filter, concepts: tuple[str, ...]) -> object:
        found.append(chosen)
        return make(rows, chosen, concepts)

    monkeypatch.setattr(walls, "_ordered", noted)
    return found


def test_pages_of_one_wall_follow_each_other_and_are_ordered_once(
    project: pictus.Project, ordered: list[Filter]
) -> None:
    add(project, range(1, 11))
    wall = Wall(project)
    widest = Filter(sort="width", descending=True)
    assert [widths(wall, widest, offset) for offset in (0, 3, 6, 9, 12)] == [[10, 9, 8], [7, 6, 5], [4, 3, 2], [1], []]
    assert ordered == [widest]
    assert widths(wall, Filter(descending=True)) == [10, 9, 8]
    assert widths(wall, Filter()) == [1, 2, 3]


def test_what_is_written_while_the_server_runs_is_in_the_next_page(project: pictus.Project) -> None:
    add(project, range(1, 4))
    wall = Wall(project)
    widest = Filter(sort="width", descending=True)
    assert widths(wall, widest) == [3, 2, 1]
    add(project, range(4, 6))
    assert widths(wall, widest) == [5, 4, 3]
    project.tables.append("verdicts", table_of("verdicts", [Verdict(f"{5:064x}", "drop", "dark", "", 1, 2, now())]))
    assert widths(wall, Filter(sort="width", descending=True, verdict="unscreened")) == [4, 3, 2]


def test_a_concept_moved_elsewhere_leaves_the_wall_of_what_it_was_below(project: pictus.Project) -> None:
    add(project, range(1, 3), claim="owl")
    wall = Wall(project)
    owl, bird = Concept("owl", ("owl",), parents=("bird",)), Concept("bird", ("bird",))
    assert widths(wall, Filter(concept="bird"), taxonomy=Taxonomy.of((owl, bird))) == [1, 2]
    assert widths(wall, Filter(concept="bird"), taxonomy=Taxonomy.of((Concept("owl", ("owl",)), bird))) == []


def test_only_the_latest_orders_are_kept(project: pictus.Project, ordered: list[Filter]) -> None:
    add(project, range(1, 4))
    wall = Wall(project)
    for number in range(ORDERS):
        widths(wall, Filter(text=f"{number}.jpg"))
    widths(wall, Filter(text="0.jpg"))  # asked again: now the latest
    widths(wall, Filter(sort="width"))
    assert len(ordered) == ORDERS + 1
    widths(wall, Filter(text="0.jpg"))
    assert len(ordered) == ORDERS + 1
    widths(wall, Filter(text="1.jpg"))
    assert len(ordered) == ORDERS + 2
