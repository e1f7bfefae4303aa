"""`annotate gold`: which answers are known, from experts' files and from what is settled."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.annotate.conftest import image_id
from tests.annotate.desks import all_of, claimed, desk_of, rows, someone

import pictus
from pictus.annotate.queues import shown_steps
from pictus.annotate.queues.gold_steps import gold
from pictus.annotate.queues.plan_steps import plan
from pictus.annotate.queues.queue_steps import queue
from pictus.errors import UserError
from pictus.records import Concept, Duplicate, Label, Picture, Presence, Source, Suspect
from pictus.tables import table_of

Fill = Callable[..., dict[str, str]]


def known(project: pictus.Project) -> dict[tuple[str, str], str]:
    found = rows(project, "SELECT concept_id, image_id, known FROM questions WHERE known <> ''")
    return {(row.concept_id, row.image_id): row.known for row in found}


def test_an_experts_file_becomes_known_answers_that_the_desk_mixes_in(world: pictus.Project, tmp_path: Path) -> None:
    ids = claimed(world, 60)
    plan(world)
    path = tmp_path / "expert.csv"
    path.write_text("image,concept,answer\n" + f"{ids[0]},owl,yes\n{ids[1]},owl,no\n{ids[2]},wren,no\n")
    outcome = gold(world, (path,))
    assert (outcome.summary["marked"], outcome.summary["yes"], outcome.summary["no"]) == (3, 1, 2)
    assert known(world) == {("owl", ids[0]): "yes", ("owl", ids[1]): "no", ("wren", ids[2]): "no"}
    states = {row.image_id: row.state for row in rows(world, "SELECT image_id, state FROM questions WHERE known <> ''")}
    assert states == {ids[0]: "accepted", ids[1]: "rejected", ids[2]: "rejected"}
    assert next(iter(queue(world))).waiting == 58
    assert gold(world, (path,)).summary["marked"] == 0
    plan(world)
    assert known(world)[("owl", ids[0])] == "yes", "planning again forgets nothing"
    desk = desk_of(world)
    person = someone(desk)
    seen: set[str] = set()
    while (page := desk.next_page(person, concept_id="owl")) is not None:
        seen |= {desk.picture(person, page.page_id, item.position) for item in page.items}
        desk.submit(person, page.page_id, 1, all_of(page), 30)
    assert {ids[0], ids[1]} & seen


def test_known_answers_that_contradict_or_say_nothing_are_refused(
    project: pictus.Project, fill: Fill, tmp_path: Path
) -> None:
    fill(project, {"owl/1.jpg": "owl"})
    path = tmp_path / "expert.csv"
    path.write_text("image,concept,answer\nowl/1.jpg,owl,yes\nowl/1.jpg,owl,unsure\nowl/7.jpg,owl,no\n")
    with pytest.raises(pictus.UserError) as error:
        gold(project, (path,))
    assert "unsure" in error.value.what
    assert "no picture 'owl/7.jpg'" in error.value.what
    assert known(project) == {}


def sure(project: pictus.Project, *pairs: tuple[str, str, float, str]) -> None:
    found = [Presence(*pair[:3], 3, 3, 1.0, pair[3], "dawid-skene", "") for pair in pairs]
    project.tables.append("presences", table_of("presences", found))


WORLD = [
    Concept("thing", ("thing",)), Concept("animal", ("animal",), parents=("thing",)),
    Concept("bird", ("bird",), parents=("animal",)), Concept("owl", ("owl",), parents=("bird",), is_class=True),
    Concept("wren", ("wren",), parents=("bird",), is_class=True), Concept("tool", ("tool",), parents=("thing",)),
    *(Concept(one, (one,), parents=("tool",), is_class=True) for one in ("axe", "saw")),
]  # fmt: skip


@pytest.fixture
def tree(project: pictus.Project) -> pictus.Project:
    project.tables.replace("concepts", table_of("concepts", WORLD))
    pictures = [Picture(image_id(f"owl{number}"), "s", 0, 1, 9, 9, "jpeg", "RGB", "") for number in range(40)]
    project.tables.append("images", table_of("images", pictures))
    return project


def test_what_is_settled_beyond_doubt_gives_yes_and_no(tree: pictus.Project) -> None:
    ids = [image_id(f"owl{number}") for number in range(40)]
    sure(
        tree, *((one, "owl", 0.9995, "accepted") for one in ids[:4]), (ids[4], "owl", 0.0001, "rejected"),
        (ids[5], "owl", 0.99, "accepted"), *((one, "wren", 0.9999, "accepted") for one in ids[10:13]),
        *((one, "axe", 0.9999, "accepted") for one in ids[20:23]),
    )  # fmt: skip
    sources = [Source(ids[at], f"/{at}", "url", concept, "", "", "", "")
               for at, concept in ((0, "owl"), (10, "wren"), (11, "owl"), (20, "axe"), (30, "saw"))]  # fmt: skip
    tree.tables.append("sources", table_of("sources", sources))
    tree.tables.append("suspects", table_of("suspects", [Suspect(ids[12], "wren", "owl", 0.1, "m", "")]))
    plan(tree)
    outcome = gold(tree, settled=0.999, many=3)
    found = {(one.concept_id, one.image_id): (one.answer, one.source) for one in outcome}
    owls = {image for (concept, image), (answer, _) in found.items() if concept == "owl" and answer == "yes"}
    assert len(owls) == 3
    assert owls < set(ids[:4])
    nos = {image: source for (concept, image), (answer, source) in found.items() if concept == "owl" and answer == "no"}
    # settled no; of the wrens only the one that nothing calls an owl; anybody would know an axe there for a control
    assert nos == {ids[4]: "settled 0.999", ids[10]: "control: surely wren"}
    assert ("saw", "yes") not in {(concept, answer) for (concept, _), (answer, _) in found.items()}
    assert outcome.summary["without"] == ["axe", "saw"]
    assert outcome.problems[0] == "without a known yes: 1 concept (saw)"
    assert outcome.problems[1].startswith("with known yes alone: 1 concept (axe); ")
    assert gold(tree, settled=0.999, many=3).summary["marked"] == 0


def test_what_is_wrong_in_an_experts_file_says_what_to_do(project: pictus.Project, tmp_path: Path) -> None:
    project.tables.replace("concepts", table_of("concepts", WORLD))
    path = tmp_path / "expert.csv"
    path.write_text("image,concept,answer\nnix.jpg,owl,yes\n")
    with pytest.raises(UserError) as raised:
        gold(project, (path,))
    assert raised.value.fix == "correct the rows, or collect the pictures first"


def test_a_known_no_is_never_of_what_stands_on_pictures_together(tree: pictus.Project) -> None:
    ids = [image_id(f"owl{number}") for number in range(40)]
    sure(tree, (ids[0], "owl", 0.9999, "accepted"), *((one, "axe", 0.9999, "accepted") for one in ids[10:13]),
         *((one, "saw", 0.9999, "accepted") for one in ids[12:15]))  # fmt: skip
    sources = [Source(one, one, "url", "axe", "", "", "", "") for one in ids[10:13]]
    tree.tables.append("sources", table_of("sources", [*sources, Source(ids[0], "/", "url", "owl", "", "", "", "")]))
    plan(tree)
    assert {one.answer for one in gold(tree, settled=0.999)} == {"yes"}, "a saw may lie beside an axe; no owl does"


def test_once_people_are_at_work_no_example_becomes_a_known_answer(tree: pictus.Project) -> None:
    ids = sorted(image_id(f"owl{number}") for number in range(40))
    sure(tree, *((one, "owl", 0.9999, "accepted") for one in ids), *((one, "axe", 0.0001, "rejected") for one in ids))
    labels = [Label(one, "owl", 0.9999, 4, "accepted", "", "") for one in ids]
    tree.tables.append("labels", table_of("labels", labels))
    sources = [Source(one, one, "url", concept, "", "", "", "") for one in ids for concept in ("owl", "axe")]
    tree.tables.append("sources", table_of("sources", sources))
    plan(tree)
    assert {one.image_id for one in gold(tree, settled=0.999, many=2)} == set(ids[:2]), "nobody has seen any yet"
    with tree.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE questions SET known = ''"))
        connection.execute(
            sa.text("INSERT INTO examples (concept_id, image_id, chosen_at) VALUES ('owl', :one, '')"), {"one": ids[17]}
        )
        connection.execute(sa.text(
            "INSERT INTO pages (page_id, annotator, kind, concept_id, state, leased_at, expires_at, items, revision,"
            " seconds, submitted_at) VALUES ('p', 'ada', 'grid', 'owl', 'leased', '', '', 1, 0, 0, '')"
        ))  # fmt: skip
    found = gold(tree, settled=0.999, many=3)
    assert {one.image_id for one in found} == {ids[16], ids[18], ids[19]}
    assert {one.answer for one in found} == {"yes", "no"}


def test_a_label_of_a_list_alone_is_not_known(tree: pictus.Project) -> None:
    ids = [image_id(f"owl{number}") for number in range(2)]
    labels = [Label(one, "owl", 0.9999, votes, "accepted", "", "") for one, votes in zip(ids, (1, 4), strict=True)]
    tree.tables.append("labels", table_of("labels", labels))
    tree.tables.append("sources", table_of("sources", [Source(one, one, "url", "owl", "", "", "", "") for one in ids]))
    plan(tree)
    assert [one.image_id for one in gold(tree, settled=0.999)] == [ids[1]]


def test_a_question_that_somebody_holds_is_not_marked_yet(tree: pictus.Project, tmp_path: Path) -> None:
    ids = [image_id(f"owl{number}") for number in range(2)]
    tree.tables.append("sources", table_of("sources", [Source(one, one, "url", "owl", "", "", "", "") for one in ids]))
    plan(tree)
    with tree.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE questions SET leases = 1 WHERE image_id = :one"), {"one": ids[0]})
    path = tmp_path / "expert.csv"
    path.write_text("image,concept,answer\n" + "".join(f"{one},owl,yes\n" for one in ids))
    assert gold(tree, (path,)).summary["marked"] == 1
    assert known(tree) == {("owl", ids[1]): "yes"}


def test_where_gold_comes_from_must_be_said(tree: pictus.Project) -> None:
    for files, settled in (((), 0.0), ((Path("x.csv"),), 0.999)):
        with pytest.raises(pictus.UserError, match="Say where"):
            gold(tree, files, settled=settled)
    with pytest.raises(pictus.UserError, match="is not between"):
        gold(tree, settled=0.5)


def test_what_experts_of_an_audit_agree_on_is_known(tree: pictus.Project) -> None:
    ids = [image_id(f"owl{number}") for number in range(5)]
    tree.tables.append("sources", table_of("sources", [Source(one, one, "url", "owl", "", "", "", "") for one in ids]))
    plan(tree)
    said = [(ids[0], "rex", "best"), (ids[0], "sue", "present"), (ids[1], "rex", "no"), (ids[2], "rex", "no"),
            (ids[2], "sue", "best"), (ids[3], "rex", "unsure")]  # fmt: skip
    with tree.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO answers (page_id, revision, position, question_id, kind, concept_id, image_id, mark_id,"
                " role, known, annotator, answer, data, seconds, answered_at) VALUES (:page, 1, 0, 0, 'audit', 'owl',"
                " :image, 0, 'ask', '', :who, :answer, '{}', 0, '')"
            ),
            [{"page": f"{who}{one}", "image": one, "who": who, "answer": answer} for one, who, answer in said],
        )
    gold(tree, settled=0.999)
    assert known(tree) == {("owl", ids[0]): "yes", ("owl", ids[1]): "no"}


def test_what_is_unsure_or_said_both_ways_is_told_with_its_line(
    project: pictus.Project, fill: Fill, tmp_path: Path
) -> None:
    fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl"})
    path = tmp_path / "labels.csv"
    path.write_text("image,label\nowl/1.jpg,owl\nowl/2.jpg,unsure\n")
    with pytest.raises(UserError) as told:
        gold(project, (path,))
    assert "labels.csv line 3: what is unsure is not known" in told.value.what
    path.write_text("image,concept,answer\nowl/1.jpg,owl,yes\nowl/1.jpg,owl,no\n")
    with pytest.raises(UserError) as told:
        gold(project, (path,))
    assert "labels.csv line 3: both yes and no for" in told.value.what
    assert known(project) == {}


def test_fewer_known_answers_than_none_are_refused(tree: pictus.Project) -> None:
    with pytest.raises(UserError, match="less than none"):
        gold(tree, settled=0.999, many=-1)


def duplicates(project: pictus.Project, *groups: tuple[str, str]) -> None:
    rows = [Duplicate(one, f"g{number}", one == pair[0], "near", 1, pair[0], "", 0.9, "")
            for number, pair in enumerate(groups) for one in pair]  # fmt: skip
    project.tables.append("duplicates", table_of("duplicates", rows))


def test_what_was_shown_as_an_example_once_is_left_out_for_good_and_rows_of_files_are_named(
    tree: pictus.Project, tmp_path: Path
) -> None:
    ids = sorted(image_id(f"owl{number}") for number in range(40))
    sure(tree, *((one, "owl", 0.9999, "accepted") for one in ids[:4]))
    tree.tables.append("sources", table_of("sources", [Source(one, one, "url", "owl", "", "", "", "") for one in ids]))
    plan(tree)
    desk = desk_of(tree)
    ada = someone(desk)
    page = desk.next_page(ada)
    assert page is not None
    desk.give_back(ada, page.page_id)
    for one in (ids[0], ids[2]):  # as `served` of a card does
        shown_steps.keep(tree, "owl", one)
        shown_steps.keep(tree, "owl", one)
    assert {one.image_id for one in gold(tree, settled=0.999)} == {ids[1], ids[3]}
    path = tmp_path / "expert.csv"
    path.write_text("image,concept,answer\n" + f"{ids[0]},owl,yes\n{ids[1]},owl,yes\n")
    outcome = gold(tree, (path,))
    assert [one.image_id for one in outcome] == [ids[1]]
    assert outcome.problems[0] == f"left out: expert.csv line 2: {ids[0][:12]} may have been seen as an example"
    assert known(tree) == {("owl", one): "yes" for one in (ids[1], ids[3])}


def test_no_near_duplicate_of_what_is_asked_or_known_becomes_known(tree: pictus.Project, tmp_path: Path) -> None:
    ids = sorted(image_id(f"owl{number}") for number in range(40))
    sure(tree, *((one, "owl", 0.9999, "accepted") for one in (*ids[:3], ids[4])))
    duplicates(tree, (ids[0], ids[20]), (ids[1], ids[2]), (ids[21], ids[22]))
    sources = [Source(one, one, "url", "owl", "", "", "", "") for one in ids[20:23]]
    tree.tables.append("sources", table_of("sources", sources))
    plan(tree)
    rows(tree, "UPDATE questions SET state = 'accepted' WHERE image_id < :first RETURNING 1", first=ids[20])
    found = {one.image_id for one in gold(tree, settled=0.999)}
    assert found == {ids[1], ids[4]}, "one of two alike; none beside one that is asked"
    path = tmp_path / "expert.csv"
    path.write_text(f"image,concept,answer\n{ids[21]},owl,yes\n{ids[0]},owl,yes\n{ids[2]},owl,yes\n")
    outcome = gold(tree, (path,))
    assert [line.rpartition(": ")[2].partition(" ")[2] for line in outcome.problems[:3]] == [
        "has a near-duplicate that is asked or known"
    ] * 3
    assert set(known(tree)) == {("owl", ids[1]), ("owl", ids[4])}


def test_a_plan_asks_about_no_near_duplicate_of_a_known_answer(tree: pictus.Project, tmp_path: Path) -> None:
    ids = sorted(image_id(f"owl{number}") for number in range(6))
    tree.tables.append("sources", table_of("sources", [Source(one, one, "url", "owl", "", "", "", "") for one in ids]))
    path = tmp_path / "expert.csv"
    path.write_text(f"image,concept,answer\n{ids[0]},owl,yes\n{ids[2]},owl,yes\n")
    duplicates(tree, (ids[0], ids[1]))
    gold(tree, (path,))
    assert plan(tree).summary["waiting"] == 3
    duplicates(tree, (ids[2], ids[3]))  # found when it is in the queue
    planned = plan(tree)
    assert (planned.summary["waiting"], planned.summary["twins"]) == (2, 1)
    assert "1 parked (near-duplicates of known answers)" in planned.headline
    assert plan(tree).summary["waiting"] == 2
