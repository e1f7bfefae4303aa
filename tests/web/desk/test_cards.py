"""What a page says about its concept."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

import pictus
from pictus import annotate, taxonomy
from pictus.concepts import LiveTaxonomy
from pictus.errors import NotThereError, UserError
from pictus.records import Concept
from pictus.tables import SCHEMAS
from pictus.web.desk.app import build_desk_app
from pictus.web.desk.cards import Cards, links

from .conftest import MakeDesk, make_project, settled_project
from .test_desk_app import Visitor


def cards_of(project: pictus.Project) -> Cards:
    return Cards(project, LiveTaxonomy(project))


def claimed(project: pictus.Project, concept_id: str) -> list[str]:
    rows = project.tables.read("sources", ["image_id", "concept_id"], where=f"concept_id = '{concept_id}'")
    return sorted(rows.column("image_id").to_pylist())


def shown(cards: Cards, concept_id: str) -> list[str]:
    found: list[str] = []
    with pytest.raises(NotThereError):
        found.extend(cards.find(concept_id, place) for place in range(100))
    return found


def test_chosen_examples_are_there_from_the_first_page_on_and_are_not_asked_about(
    tmp_path: Path, desk_of: MakeDesk
) -> None:
    project = make_project(tmp_path, 3, 8)
    chosen = claimed(project, "c00")[2:5]
    assert shown(cards_of(project), "c00") == []
    annotate.examples(project, "c00", tuple(chosen))
    assert shown(cards_of(project), "c00") == chosen
    desk = desk_of(project)
    with Visitor(build_desk_app(project, desk, is_kiosk=True), base_url="http://localhost") as ada:
        ada.put("/desk/join", {"token": "", "name": "Ada"})
        page = ada.page(concept="c00")
        assert len(page["concept"]["exemplars"]) == 3
        assert ada.get(page["concept"]["exemplars"][0].replace("{side}", "160")).status_code == 200
        person = desk.person(next(iter(ada.cookies.values())))
        assert person is not None
        asked = {desk.picture(person, page["page_id"], item["position"]) for item in page["items"]}
        assert asked == set(claimed(project, "c00")) - set(chosen)
        beside = ada.page(concept="c01")["concept"]["siblings"]
        assert {one["concept_id"]: len(one["pictures"]) for one in beside} == {"c00": 3, "c02": 0}


def test_an_example_on_somebodys_page_or_marked_as_known_since_is_not_shown(tmp_path: Path) -> None:
    project = make_project(tmp_path, 2, 4)
    first, second, third, _ = claimed(project, "c00")
    annotate.examples(project, "c00", (first, second, third))
    cards = cards_of(project)
    assert [one.partition("/{")[0] for one in cards.card("c00", on_page=[first])["exemplars"]] == [
        "/desk/examples/1", "/desk/examples/2",
    ]  # fmt: skip
    (tmp_path / "gold.csv").write_text(f"image,concept,answer\n{second},c01,no\n")
    annotate.gold(project, (tmp_path / "gold.csv",))
    assert shown(cards_of(project), "c00") == [first, third]
    assert [one.hidden[:17] for one in annotate.examples(project)] == ["", "is a known answer", ""]
    with pytest.raises(UserError, match="known answer"):
        annotate.examples(project, "c01", (second,))


def test_settled_pictures_come_after_the_chosen_ones_each_once(tmp_path: Path) -> None:
    project = settled_project(tmp_path, 2, 6, settled=3)
    settled = shown(cards_of(project), "c00")
    chosen = [settled[1], *(one for one in claimed(project, "c00") if one not in settled)][:2]
    annotate.examples(project, "c00", tuple(chosen))
    assert shown(cards_of(project), "c00") == [*chosen, settled[0], settled[2]]


def test_not_meant_is_what_people_took_for_it_then_the_nearest_in_the_tree(tmp_path: Path) -> None:
    lines = ["id,name,parent,gloss", "thing,thing,,", "animal,animal,thing,", "feline,feline,animal,",
             "made,made,thing,", "cat,domestic cat,feline,", "lion,lion,feline,", "newt,newt,animal,",
             "rack,plate rack,made,",
             "horn,horn,made,", "pipe,pipe,made,"]  # fmt: skip
    (tmp_path / "concepts.csv").write_text("\n".join(lines) + "\n")
    project = pictus.new(tmp_path / "zoo")
    taxonomy.import_(project, file=tmp_path / "concepts.csv")
    beside = [one["concept_id"] for one in cards_of(project).card("cat")["siblings"]]
    assert beside[:2] == ["lion", "newt"]
    for table, status, concept in (("presences", "rejected", "cat"), ("labels", "accepted", "rack")):
        empty = {"string": "", "double": 0.0, "int32": 0, "bool": False}
        rows = [
            {field.name: empty.get(str(field.type), []) for field in SCHEMAS[table]}
            | {"image_id": f"{number:064}", "concept_id": concept, "status": status}
            for number in range(2)
        ]
        project.tables.append(table, pa.Table.from_pylist(rows, schema=SCHEMAS[table]))
    beside = [one["concept_id"] for one in cards_of(project).card("cat")["siblings"]]
    assert beside[:2] == ["rack", "lion"], "two pictures asked about as cat were found to be racks"


def test_where_to_read_on_is_the_owners_page_or_wikipedia_where_its_article_is_meant() -> None:
    own = links(Concept("rbc", ("RBC",)), "https://example.org/cells/rbc")
    assert own == [{"word": "example.org", "address": "https://example.org/cells/rbc"}]
    [article] = links(Concept("n02084071", ("dog",)))
    assert article["word"] == "Wikipedia"
    assert "go=Go" in article["address"]
    [search] = links(Concept("rbc", ("red_blood cell",)))
    assert search["word"] == "Search Wikipedia"
    assert search["address"].endswith("&search=red%20blood%20cell&fulltext=1")
    assert links(Concept("rbc", ("RBC",)), "javascript:alert(1)")[0]["word"] == "Search Wikipedia"


def test_the_url_of_an_import_is_on_the_card(tmp_path: Path) -> None:
    project = pictus.new(tmp_path / "signs")
    (tmp_path / "signs.csv").write_text("name,url\nfive,https://example.org/five?a=1&b=2\nsix,\n")
    taxonomy.import_(project, file=tmp_path / "signs.csv")
    five = LiveTaxonomy(project)().resolve("five")
    assert cards_of(project).card(five)["links"] == [
        {"word": "example.org", "address": "https://example.org/five?a=1&b=2"}
    ]  # fmt: skip


def test_who_has_no_page_yet_sees_no_example_that_could_become_a_known_answer(
    tmp_path: Path, desk_of: MakeDesk
) -> None:
    project = settled_project(tmp_path, 2, 8, settled=6)
    with Visitor(build_desk_app(project, desk_of(project), is_kiosk=True), base_url="http://localhost") as ada:
        ada.put("/desk/join", {"token": "", "name": "Ada"})
        assert ada.get("/desk/examples/0/160?concept=c00").status_code == 404
        assert annotate.gold(project, settled=0.9, many=2).summary["known"] > 0, "nobody has seen any"
        ada.page(concept="c00")
        assert ada.get("/desk/examples/0/160?concept=c00").status_code == 200


def test_what_was_served_as_an_example_is_never_a_known_answer_though_it_is_no_example_any_more(
    tmp_path: Path, desk_of: MakeDesk
) -> None:
    project = make_project(tmp_path, 2, 8)
    first, second = claimed(project, "c00")[:2]
    annotate.examples(project, "c00", (first, second))
    with Visitor(build_desk_app(project, desk_of(project), is_kiosk=True), base_url="http://localhost") as ada:
        ada.put("/desk/join", {"token": "", "name": "Ada"})
        assert ada.get("/desk/examples/0/160?concept=c00").status_code == 404
        ada.page(concept="c00")
        assert ada.get("/desk/examples/0/160?concept=c00").status_code == 200
        assert ada.get("/desk/examples/0/320?concept=c00").status_code == 200
    annotate.examples(project, "c00", (first, second), remove=True)
    (tmp_path / "gold.csv").write_text(f"image,concept,answer\n{first},c00,yes\n{second},c00,yes\n")
    done = annotate.gold(project, (tmp_path / "gold.csv",))
    assert [one.image_id for one in done] == [second], "nobody looked at that one"
    assert done.summary["left_out"] == 1
