"""The loop of boxes at the desk, and what is settled from it, from masks and from points; on both databases."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from tests.annotate.conftest import image_id
from tests.annotate.desks import START, Clock, desk_of, put_questions, rows, someone

import pictus
from pictus.annotate.desk.desk_steps import Desk
from pictus.annotate.shapes import drawn_steps, settled_again, shape_steps
from pictus.annotate.tasks import Given, Page, Person
from pictus.errors import UserError
from pictus.records import Label, Verdict
from pictus.tables import table_of

FIRST, SECOND = [10.0, 20.0, 110.0, 220.0], [300.0, 40.0, 420.0, 160.0]


def asked(desk: Desk, who: Person, kind: str) -> Page:
    page = desk.next_page(who, kind=kind)
    assert page is not None, f"{who.name} is asked no {kind}"
    return page


def say(
    desk: Desk, who: Person, kind: str, answer: str, *, box: list[float] | None = None, clock: Clock | None = None
) -> Page:
    page = asked(desk, who, kind)
    if clock:
        clock.wait(30)
    data: Mapping[str, Any] = {"shapes": [{"box": box, "tool": "drag"}]} if box else {}
    given = [Given(item.position, answer, data) for item in page.items]
    desk.submit(who, page.page_id, page.revision + 1, given, 20)
    return page


def loop_of_two(world: pictus.Project) -> tuple[Desk, Person, Person]:
    """Draw, bad, drawn again, good, missing, one more, good, covered: one picture with two boxes."""
    put_questions(world, 1, kind="box", wanted=1)
    clock = Clock()
    desk = desk_of(world, clock)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    for who, kind, answer, box in (
        (ada, "box", "box", [0.0, 0.0, 500.0, 400.0]), (bob, "box-quality", "bad", None), (ada, "box", "box", FIRST),
        (bob, "box-quality", "good", None), (bob, "box-coverage", "missing", None), (bob, "box", "box", SECOND),
        (ada, "box-quality", "good", None), (ada, "box-coverage", "covered", None),
    ):  # fmt: skip
        say(desk, who, kind, answer, box=box, clock=clock)
    return desk, ada, bob


def test_the_loop_runs_until_somebody_says_covered(world: pictus.Project) -> None:
    desk, ada, bob = loop_of_two(world)
    for who in (ada, bob):
        for kind in ("box", "box-quality", "box-coverage"):
            assert desk.next_page(who, kind=kind) is None
    replaced = {row.mark_id: row.replaces for row in rows(world, "SELECT mark_id, replaces FROM marks")}
    assert replaced == {1: 0, 2: 1, 3: 0}, "only what was found bad is replaced"


def test_nobody_verifies_a_box_of_their_own(world: pictus.Project) -> None:
    put_questions(world, 1, kind="box", wanted=1)
    desk = desk_of(world)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    say(desk, ada, "box", "box", box=FIRST)
    assert desk.next_page(ada, kind="box-quality") is None
    page = say(desk, bob, "box-quality", "good")
    assert [mark["shape"]["box"] for mark in page.items[0].marks] == [FIRST]
    assert desk.next_page(ada, kind="box-coverage") is None


def test_a_page_shows_the_boxes_there_are_and_the_bad_one_to_be_drawn_again(world: pictus.Project) -> None:
    put_questions(world, 1, kind="box", wanted=1)
    desk = desk_of(world)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    say(desk, ada, "box", "box", box=FIRST)
    say(desk, bob, "box-quality", "good")
    say(desk, bob, "box-coverage", "missing")
    again = asked(desk, bob, "box")
    assert [(mark["state"], mark["by"]) for mark in again.items[0].marks] == [("accepted", "person")]
    drawn = [Given(0, "box", {"shapes": [{"box": SECOND}]})]
    desk.submit(bob, again.page_id, 1, drawn, 20)
    say(desk, ada, "box-quality", "bad")
    page = asked(desk, ada, "box")
    assert [(mark["shape"]["box"], mark["state"]) for mark in page.items[0].marks] == [
        (SECOND, "rejected"), (FIRST, "accepted")
    ]  # fmt: skip
    assert "name" not in json.dumps([dict(mark) for mark in page.items[0].marks])


def test_what_is_drawn_wrongly_is_refused_and_nothing_is_kept(world: pictus.Project) -> None:
    put_questions(world, 1, kind="box", wanted=1)
    desk = desk_of(world)
    ada = someone(desk)
    page = asked(desk, ada, "box")
    for shape in ({"box": [0, 0, 700, 50]}, {"box": [5, 5, 5, 50]}, {"box": [0, 0, float("inf"), 9]}, {}, 7):
        with pytest.raises(UserError, match="0: This box cannot be"):
            desk.submit(ada, page.page_id, 1, [Given(0, "box", {"shapes": [shape]})], 20)
    with pytest.raises(UserError, match="nothing is drawn"):
        desk.submit(ada, page.page_id, 1, [Given(0, "box", {})], 20)
    assert rows(world, "SELECT COUNT(*) FROM marks")[0][0] == 0


def test_the_loop_is_settled_into_boxes_with_who_drew_and_who_verified(world: pictus.Project) -> None:
    loop_of_two(world)
    outcome = shape_steps.shapes_(world)
    found = [((box.x1, box.y1, box.x2, box.y2), box.status, box.drawn_by, box.verified_by) for box in outcome]
    assert found == [
        ((0.0, 0.0, 500.0, 400.0), "rejected", ("ada",), ("bob",)),
        ((10.0, 20.0, 110.0, 220.0), "accepted", ("ada",), ("bob",)),
        ((300.0, 40.0, 420.0, 160.0), "accepted", ("bob",), ("ada",)),
    ]
    summary = outcome.summary
    assert (summary["boxes"], summary["boxes_rejected"], summary["covered"], summary["pictures"]) == (2, 1, 1, 1)
    # Eight pages of 20 s for two good boxes.
    assert summary["seconds_per_box"] == 80.0
    # Good: 2 of 3 answers and 4 of 5 before = 6 to 2; a verifier is right 9 times in 10: odds 3 × 9 = 27.
    assert summary["share_tight"] == pytest.approx(27 / 28, abs=1e-4)
    again = shape_steps.shapes_(world)
    assert again.summary == summary
    covered = world.tables.read("box_coverage").to_pylist()
    assert [(row["coverage"], row["n_boxes"], row["n_covered"]) for row in covered] == [("covered", 2, 1)]


def test_nothing_drawn_is_told(world: pictus.Project) -> None:
    with pytest.raises(UserError, match="Nobody has drawn"):
        shape_steps.shapes_(world)
    with pytest.raises(UserError, match="threshold"):
        shape_steps.shapes_(world, threshold=0.5)


def test_only_the_latest_revision_of_a_page_counts(world: pictus.Project) -> None:
    put_questions(world, 1, kind="box", wanted=1)
    desk = desk_of(world)
    ada = someone(desk)
    page = say(desk, ada, "box", "box", box=FIRST)
    desk.submit(ada, page.page_id, 2, [Given(0, "box", {"shapes": [{"box": SECOND}]})], 20)
    assert [(box.x1, box.status) for box in shape_steps.shapes_(world)] == [(300.0, "unsettled")]
    desk.submit(ada, page.page_id, 3, [Given(0, "none", {})], 20)
    outcome = shape_steps.shapes_(world)
    assert list(outcome) == []
    assert outcome.summary["undecided"] == 1, "accepted, and yet nobody finds one"


def put_mark(
    project: pictus.Project, kind: str, who: str, shape: Mapping[str, Any], place: int, *, picture: str = "owl0"
) -> None:
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO marks (kind, image_id, concept_id, annotator, shape, source, place, replaces, made_at)"
                " VALUES (:kind, :image, 'owl', :who, :shape, 'file:boxes.json', :place, 0, :at)"
            ),
            {"kind": kind, "image": image_id(picture), "who": who, "shape": json.dumps(shape), "place": place,
             "at": START},
        )  # fmt: skip


def test_boxes_of_a_file_are_verified_before_anything_is_drawn(world: pictus.Project) -> None:
    put_mark(world, "box", "source:boxes.json", {"box": FIRST}, 0)
    put_mark(world, "box", "model:run-1", {"box": SECOND}, 1)
    assert shape_steps.marked(world, "box").to_pylist() == [{"image_id": image_id("owl0"), "concept_id": "owl"}]
    assert [box.reason for box in shape_steps.shapes_(world)] == ["a proposal that nobody verified"] * 2
    assert shape_steps.ask_on(world) == 2
    assert shape_steps.ask_on(world) == 0, "asked once"
    desk = desk_of(world)
    ada = someone(desk)
    page = asked(desk, ada, "box-quality")
    given = [Given(item.position, "good" if item.marks[0]["shape"]["box"] == FIRST else "bad") for item in page.items]
    desk.submit(ada, page.page_id, 1, given, 20)
    redrawn = asked(desk, ada, "box")
    assert [mark["by"] for mark in redrawn.items[0].marks] == ["proposal", "proposal"]
    desk.submit(ada, redrawn.page_id, 1, [Given(0, "none")], 20)
    say(desk, ada, "box-coverage", "covered")
    outcome = shape_steps.shapes_(world)
    assert [(box.x1, box.status) for box in outcome] == [(10.0, "accepted"), (300.0, "rejected")]
    assert outcome.summary["covered"] == 1


def test_plan_puts_proposals_to_their_verification_and_not_to_drawing(world: pictus.Project) -> None:
    from pictus.annotate.queues.plan_steps import plan

    put_mark(world, "box", "model:run-1", {"box": FIRST}, 0)
    accepted = [
        {"image_id": image_id(f"owl{number}"), "concept_id": "owl", "posterior": 1.0, "n_votes": 3,
         "status": "accepted", "method": "majority", "settled_at": START}
        for number in range(2)
    ]  # fmt: skip
    world.tables.replace("labels", pa.Table.from_pylist(accepted))
    outcome = plan(world, kind="box")
    assert outcome.summary["waiting"] == 2
    kinds = {row.image_id: row.kind for row in rows(world, "SELECT kind, image_id FROM questions")}
    assert kinds == {image_id("owl0"): "box-quality", image_id("owl1"): "box"}


def test_what_several_people_drew_alone_is_merged(world: pictus.Project) -> None:
    for place, who in enumerate(("ada", "bob", "eve")):
        put_mark(world, "box", who, {"box": [side + place for side in FIRST]}, place)
    put_mark(world, "box", "eve", {"box": SECOND}, 3)
    shared, alone = list(shape_steps.shapes_(world))
    assert (shared.method, shared.n_drew, shared.n_looked, shared.status) == ("consensus", 3, 3, "accepted")
    assert shared.x1 == pytest.approx(11, abs=0.3)
    assert 0 < shared.spread < 5
    assert (alone.n_drew, alone.status) == (1, "rejected")
    assert alone.reason == "1 of 3 people drew it"


def test_masks_of_several_people_become_one_and_points_too(world: pictus.Project) -> None:
    square = [[100, 100, 200, 100, 200, 200, 100, 200]]
    for place, who in enumerate(("ada", "bob", "eve")):
        moved = [[value + place for value in square[0]]]
        put_mark(world, "mask", who, {"polygons": moved}, place)
        points = {"skeleton": "beak,tail", "points": [[50 + place, 60, 2], [150, 160 + place, 1]]}
        put_mark(world, "points", who, points, 10 + place)
    put_mark(world, "mask", "ada", {"polygons": [[400, 300, 450, 300, 450, 350]]}, 20)
    summary = shape_steps.shapes_(world).summary
    assert (summary["masks"], summary["keypoints"], summary["disagreements"]) == (2, 1, 0)
    shared, single = world.tables.read("masks").to_pylist()
    assert (shared["n_drew"], shared["method"], single["method"]) == (3, "staple", "drawn")
    assert 9_700 < shared["area"] < 10_300
    one = world.tables.read("keypoints").to_pylist()[0]
    assert one["points"][0] == pytest.approx(51, abs=0.5)
    assert one["points"][2::3] == [2.0, 1.0]


def test_what_paused_people_said_of_boxes_is_left_out_and_told(world: pictus.Project) -> None:
    loop_of_two(world)
    with world.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE annotators SET state = 'paused' WHERE name = 'bob'"))
    outcome = shape_steps.shapes_(world)
    # Bob verified the first two boxes; Ada said good of the third.
    assert [box.status for box in outcome] == ["unsettled", "unsettled", "accepted"]
    assert outcome.problems[0] == "left out, their people are paused: 4 answers"


def test_a_ruling_that_the_picture_does_not_show_it_rejects_what_was_drawn(world: pictus.Project) -> None:
    loop_of_two(world)
    with world.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO rulings (image_id, concept_id, ruling, reviewer, reason, batch, ruled_at)"
                " VALUES (:image, 'owl', 'is-not', 'rev', '', '', :at)"
            ),
            {"image": image_id("owl0"), "at": START},
        )
    assert {(box.status, box.method) for box in shape_steps.shapes_(world)} == {("rejected", "ruling")}


def test_a_picture_with_too_many_boxes_is_not_asked_about_any_more(world: pictus.Project) -> None:
    for place in range(30):
        put_mark(world, "box", "model:run-1", {"box": [place * 10, 0, place * 10 + 9, 9]}, place)
    shape_steps.ask_on(world)
    desk = desk_of(world)
    ada = someone(desk)
    for _ in range(2):
        page = asked(desk, ada, "box-quality")
        desk.submit(ada, page.page_id, 1, [Given(item.position, "bad") for item in page.items], 20)
    assert desk.next_page(ada, kind="box") is None
    shape_steps.shapes_(world)
    assert world.tables.read("box_coverage").to_pylist()[0]["coverage"] == "undecided"


def test_tables_match_their_records() -> None:
    for name, kind in (
        ("boxes", "Box"), ("box_coverage", "BoxCoverage"), ("masks", "Mask"), ("keypoints", "Keypoints")
    ):  # fmt: skip
        record = getattr(__import__("pictus.records", fromlist=[kind]), kind)
        assert table_of(name, []).schema.names == list(record.__dataclass_fields__)


def test_what_a_paused_person_drew_counts_only_where_another_verified_it(world: pictus.Project) -> None:
    desk = desk_of(world)
    for who in ("ada", "bob"):
        someone(desk, who)
    square = {"polygons": [[100, 100, 200, 100, 200, 200, 100, 200]]}
    put_mark(world, "mask", "bob", square, 0)
    put_mark(world, "mask", "ada", square, 1, picture="owl1")
    put_mark(world, "points", "bob", {"skeleton": "point", "points": [[5, 5, 2]]}, 2)
    assert shape_steps.shapes_(world).summary["masks"] == 2
    with world.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE annotators SET state = 'paused' WHERE name = 'bob'"))
    outcome = shape_steps.shapes_(world)
    assert (outcome.summary["masks"], outcome.summary["keypoints"]) == (1, 0)
    assert outcome.problems[0] == "left out, their people are paused: 2 drawings"


def test_a_page_handed_in_again_takes_its_first_drawing_back_everywhere(world: pictus.Project, tmp_path: Any) -> None:
    from pictus.annotate.exchange.exchange_steps import export
    from pictus.annotate.shapes import marks
    from pictus.annotate.tasks import KINDS

    put_questions(world, 1, kind="box", wanted=1)
    desk = desk_of(world)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    page = say(desk, ada, "box", "box", box=FIRST)
    say(desk, bob, "box-quality", "good")
    desk.submit(ada, page.page_id, 2, [Given(0, "box", {"shapes": [{"box": SECOND}]})], 20)
    with world.journal.transaction() as connection:
        standing = marks.standing(connection, KINDS.get("box"), "owl", image_id("owl0"))
        shown = marks.shown(connection, KINDS.get("box-coverage"), "owl", [(image_id("owl0"), 0)])
    assert standing.rounds == 1
    assert shown == [()], "the first was found good, and was taken back"
    assert export(world, tmp_path / "m.json", format="coco", what="marks").summary["rows"] == 1
    desk.submit(ada, page.page_id, 3, [Given(0, "none")], 20)
    assert shape_steps.marked(world, "box").num_rows == 0


def test_a_third_person_says_who_of_two_is_right(world: pictus.Project) -> None:
    put_questions(world, 1, kind="box", wanted=1)
    desk = desk_of(world)
    ada, bob, cyd = someone(desk, "ada"), someone(desk, "bob"), someone(desk, "cyd")
    say(desk, ada, "box", "box", box=FIRST)
    say(desk, cyd, "box-quality", "good")
    say(desk, bob, "box-coverage", "missing")
    say(desk, ada, "box", "none")
    for torn in (bob, ada):
        assert desk.next_page(torn, kind="box-coverage") is None, f"{torn.name} has said it already"
    say(desk, cyd, "box-coverage", "covered")
    assert shape_steps.shapes_(world).summary["covered"] == 1


def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[set[tuple[str, str]] | None]:
    """Which pictures each settling reads; None for all."""
    found: list[set[tuple[str, str]] | None] = []
    read = drawn_steps.drawn

    def noting(project: pictus.Project, keys: set[tuple[str, str]] | None = None) -> drawn_steps.Drawn:
        found.append(None if keys is None else set(keys))
        return read(project, keys)

    monkeypatch.setattr(drawn_steps, "drawn", noting)
    return found


def settled_tables(world: pictus.Project) -> dict[str, list[dict[str, Any]]]:
    return {name: world.tables.read(name).drop_columns(["settled_at"]).to_pylist() for name in shape_steps.TABLES}


def test_only_pictures_with_something_new_are_settled_again_and_the_tables_are_as_of_all(
    world: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    def square(left: int, top: int = 100) -> dict[str, Any]:
        return {"polygons": [[left, top, left + 90, top, left + 90, top + 90, left, top + 90]]}

    owl = {name: (image_id(name), "owl") for name in ("owl0", "owl1", "owl2")}
    put_mark(world, "mask", "ada", square(10), 0)
    put_mark(world, "mask", "bob", square(300), 1)
    put_mark(world, "mask", "ada", square(50), 2, picture="owl1")
    put_mark(world, "mask", "bob", square(52), 3, picture="owl1")  # one thing of two people: weighed with all others
    put_mark(world, "mask", "ada", square(10), 4, picture="owl2")
    shape_steps.shapes_(world)
    seen = looked_at(monkeypatch)
    assert shape_steps.shapes_(world).headline.endswith("; nothing new since the last time")
    assert seen == []
    put_mark(world, "points", "ada", {"skeleton": "point", "points": [[5, 5, 2]]}, 5, picture="owl2")
    shape_steps.shapes_(world)
    assert seen == [{owl["owl2"]}]
    put_mark(world, "mask", "eve", square(12), 6, picture="owl2")
    shape_steps.shapes_(world)
    assert seen[1:] == [{owl["owl2"]}, {owl["owl1"], owl["owl2"]}]
    again = settled_tables(world)
    shape_steps.shapes_(world, whole=True)
    assert seen[3:] == [None]
    assert settled_tables(world) == again
    world.tables.replace("masks", table_of("masks", []))
    shape_steps.shapes_(world)
    assert seen[4:] == [None], "a table that is not as the last settling left it is settled whole"
    assert settled_tables(world) == again
    shape_steps.shapes_(world, threshold=0.95)
    assert seen[5:] == [None], "another threshold is another settling"


def say_of(world: pictus.Project, mark: int, who: str, answer: str, picture: str, *, known: str = "") -> None:
    with world.journal.transaction() as connection:
        number = connection.execute(sa.text("SELECT COUNT(*) FROM answers")).scalar_one()
        connection.execute(
            sa.text(
                "INSERT INTO answers (page_id, revision, position, question_id, kind, concept_id, image_id, mark_id,"
                " role, known, annotator, answer, data, seconds, answered_at) VALUES (:page, 1, 0, 0, 'box-quality',"
                " 'owl', :image, :mark, :role, :known, :who, :answer, '{}', 8, :at)"
            ),
            {"page": f"p{number}", "image": image_id(picture), "mark": mark, "role": "gold" if known else "ask",
             "known": known, "who": who, "answer": answer, "at": START},
        )  # fmt: skip


def close_to(found: dict[str, list[dict[str, Any]]], whole: dict[str, list[dict[str, Any]]]) -> bool:
    """The same tables, but for probabilities of boxes within the tolerance that is stated."""
    near = [abs(a.pop("posterior") - b.pop("posterior")) for a, b in zip(found["boxes"], whole["boxes"], strict=True)]
    return found == whole and max(near, default=0.0) <= settled_again.MOVED


def test_settled_bit_by_bit_or_as_a_whole_is_the_same(world: pictus.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    seen = looked_at(monkeypatch)
    people, pictures = ("ada", "bob", "eve"), ("owl0", "owl1", "owl2", "owl3")
    place = 0
    for at in range(40):
        picture, who = pictures[int(rng.integers(4))], people[int(rng.integers(3))]
        x, y = (float(value) for value in rng.integers(0, 200, 2))
        shape: dict[str, Any]
        for kind, shape in (
            ("box", {"box": [x, y, x + 150, y + 150]}),
            ("mask", {"polygons": [[x, y, x + 150, y, x + 150, y + 150]]}),
            ("points", {"skeleton": "point", "points": [[x / 20, y / 20, 2]]}),
        ):
            put_mark(world, kind, who if at % 3 else "model:run-1", shape, place, picture=picture)
            place += 1
        say_of(world, 3 * at + 1, who, "good" if rng.random() < 0.7 else "bad", picture)
        say_of(world, 0, who, "good", picture, known="good" if rng.random() < 0.8 else "bad")
        if at % 4 == 3:
            shape_steps.shapes_(world)
            before = settled_tables(world)
            shape_steps.shapes_(world, whole=True)
            assert close_to(before, settled_tables(world)), f"after {at + 1}"
    assert sum(keys is not None for keys in seen) >= 9, "most were settled bit by bit"


def test_a_verifier_found_worse_moves_boxes_on_pictures_where_nothing_is_new(
    world: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_mark(world, "box", "model:run-1", {"box": FIRST}, 0)
    put_mark(world, "box", "model:run-1", {"box": SECOND}, 1, picture="owl1")
    say_of(world, 1, "ada", "good", "owl0")
    say_of(world, 2, "bob", "good", "owl1")
    shape_steps.shapes_(world)
    for _ in range(5):
        say_of(world, 2, "ada", "bad", "owl1", known="good")
    seen = looked_at(monkeypatch)
    shape_steps.shapes_(world)
    assert seen[-1] == {(image_id("owl0"), "owl"), (image_id("owl1"), "owl")}
    # Right 9 + 0 times of 10 + 5: odds 6 / 1 (both boxes good, and 4 to 1 before) times 0.6 / 0.4.
    assert sorted(box.posterior for box in shape_steps.shapes_(world)) == pytest.approx([9 / 10, 54 / 55])


def test_rows_that_another_server_commits_late_are_not_overlooked(
    world: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_mark(world, "box", "model:run-1", {"box": FIRST}, 0)
    put_mark(world, "box", "model:run-1", {"box": SECOND}, 1)
    with world.journal.transaction() as connection:
        late = connection.execute(sa.text("SELECT * FROM marks WHERE mark_id = 1")).mappings().one()
        connection.execute(sa.text("DELETE FROM marks WHERE mark_id = 1"))
    assert shape_steps.shapes_(world).summary["boxes_unsettled"] == 1
    with world.journal.transaction() as connection:
        names = ", ".join(map(str, late))
        override = "OVERRIDING SYSTEM VALUE " if connection.dialect.name == "postgresql" else ""
        connection.execute(
            sa.text(f"INSERT INTO marks ({names}) {override}VALUES ({', '.join(f':{name}' for name in late)})"),
            dict(late),
        )
    seen = looked_at(monkeypatch)
    assert shape_steps.shapes_(world).summary["boxes_unsettled"] == 2
    assert seen == [None]


def test_a_page_of_verified_boxes_asks_once_for_each_picture_whether_one_is_missing(world: pictus.Project) -> None:
    for place in range(8):  # four on each of two pictures
        box = {"box": [place * 20, 0, place * 20 + 15, 30]}
        put_mark(world, "box", "model:run-1", box, place, picture=f"owl{place % 2}")
    shape_steps.ask_on(world)
    desk = desk_of(world)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    page = asked(desk, ada, "box-quality")
    assert len(page.items) == 8
    bad = min(item.position for item in page.items if item.marks[0]["shape"]["box"][0] == 20)  # on owl1
    given = [Given(item.position, "bad" if item.position == bad else "good") for item in page.items]
    desk.submit(ada, page.page_id, 1, given, 20)
    query = "SELECT kind, image_id, mark_id FROM questions WHERE state = 'open'"
    found = sorted((row.kind, row.image_id) for row in rows(world, query))
    assert found == [("box", image_id("owl1")), ("box-coverage", image_id("owl0"))], "one for each picture"
    say(desk, bob, "box", "none")
    covering = asked(desk, bob, "box-coverage")
    assert len(covering.items) == 2, "and for the second once its bad box is dealt with"
    assert shape_steps.ask_on(world) == 0


def test_a_loop_rests_while_its_picture_is_dropped_and_goes_on_when_it_is_restored(world: pictus.Project) -> None:
    from pictus.annotate.queues.plan_steps import plan

    (image,) = put_questions(world, 1, kind="box", wanted=1)
    world.tables.append("labels", table_of("labels", [Label(image, "owl", 0.99, 3, "accepted", "", "")]))
    dropped = table_of("verdicts", [Verdict(image, "drop", "blurred", "", 0.0, 0.0, "")])
    desk = desk_of(world)
    ada, bob = someone(desk, "ada"), someone(desk, "bob")
    for who, kind, answer, box in (
        (ada, "box", "box", FIRST), (bob, "box-quality", "bad", None), (ada, "box", "box", SECOND),
        (bob, "box-quality", "good", None), (bob, "box-coverage", "covered", None),
    ):  # fmt: skip
        world.tables.replace("verdicts", dropped)
        assert plan(world, kind="box").summary["waiting"] == 0
        assert desk.next_page(who, kind=kind) is None
        world.tables.replace("verdicts", dropped[:0])
        assert plan(world, kind="box").summary["waiting"] == 1, kind
        say(desk, who, kind, answer, box=box)
