"""`annotate audit`: a sample goes to experts at the desk, and their answers come back as precision with intervals."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
from tests.annotate.conftest import image_id
from tests.annotate.desks import desk_of, pictures_of, put_questions, rows, someone

import pictus
from pictus.annotate.queues.audit_steps import audit, audited
from pictus.annotate.tasks import Given
from pictus.records import Label, Picture, Presence, Verdict, Vote
from pictus.tables import table_of

Fill = Callable[..., dict[str, str]]


def labelled(project: pictus.Project, count: int = 30, concept: str = "owl") -> list[str]:
    ids = [image_id(f"owl{number}") for number in range(count)]
    labels = [Label(one, concept, 0.99, 3, "accepted", "dawid-skene", "") for one in ids]
    project.tables.append("labels", table_of("labels", labels))
    return ids


def answer(project: pictus.Project, image_ids: list[str], said: str, *, who: str = "rex", concept: str = "owl") -> None:
    with project.journal.transaction() as connection:
        connection.execute(
            sa.text(
                "INSERT INTO answers (page_id, revision, position, question_id, kind, concept_id, image_id, mark_id,"
                " role, known, annotator, answer, data, seconds, answered_at) VALUES (:page, 1, :position, 0, 'audit',"
                " :concept, :image, 0, 'ask', '', :who, :said, '{}', 0, '')"
            ),
            [{"page": f"{who}{said}{one}", "position": at, "concept": concept, "image": one, "who": who, "said": said}
             for at, one in enumerate(image_ids)],
        )  # fmt: skip


def drawn(project: pictus.Project) -> list[str]:
    return [row.image_id for row in rows(project, "SELECT image_id FROM audit_items ORDER BY audit_id, position")]


def test_experts_are_asked_at_the_desk_and_their_word_is_the_report(world: pictus.Project) -> None:
    labelled(world)
    outcome = audit(world, "draw", many=10, seed=3)
    assert outcome.summary["population"] == 30
    assert len(set(drawn(world))) == 10
    desk = desk_of(world)
    assert desk.next_page(someone(desk, "ada"), kind="audit") is None, "annotators are no auditors"
    rex = someone(desk, "rex", "reviewer")
    page = desk.next_page(rex, kind="audit")
    assert page is not None
    assert set(pictures_of(desk, page, rex)) == set(drawn(world))
    said = ["best"] * 8 + ["present", "no"]
    answers = [Given(item.position, one) for item, one in zip(page.items, said, strict=True)]
    desk.submit(rex, page.page_id, 1, answers, 60)
    report = audit(world, "report")
    assert report.summary["presence"]["words"] == "90.0 %, 95 % CI 59.6-98.2, n = 10"
    assert report.summary["best"]["estimate"] == 0.8
    assert report.problems == ()
    assert next(iter(report)).name == "all"
    kept = json.loads((world.root / "audits" / f"{report.summary['audit_id']}.json").read_text())
    assert kept["presence"]["wrong"] == 1
    assert kept["concepts"][1]["concept_id"] == "owl"
    event = world.journal.events(event="labels_audited")[0]
    assert event.subject == "labels"
    assert event.data["presence"]["estimate"] == 0.9


def test_who_voted_on_a_picture_does_not_audit_it(birds: pictus.Project) -> None:
    ids = labelled(birds, 12)
    audit(birds, "draw", many=12)
    desk = desk_of(birds)
    rex = someone(desk, "rex", "reviewer")
    put_questions(birds, 6, wanted=1)
    page = desk.next_page(rex, kind="grid")
    assert page is not None
    desk.submit(rex, page.page_id, 1, [Given(item.position, "yes") for item in page.items], 60)
    voted = set(pictures_of(desk, page, rex))
    page = desk.next_page(rex, kind="audit")
    assert page is not None
    assert voted
    assert not set(pictures_of(desk, page, rex)) & voted
    answer(birds, ids, "best", who="rex")  # as if it had slipped through
    assert audit(birds, "report").summary["not_independent"] == len(voted)
    assert any("left out: its auditor had voted" in one for one in audit(birds, "report").problems)


def test_a_vote_of_a_file_counts_as_having_voted(birds: pictus.Project) -> None:
    ids = labelled(birds, 4)
    audit(birds, "draw", many=4)
    birds.journal.add_votes([
        Vote(ids[0], "rex", "owl", "yes", "f", ""), Vote(ids[1], "rex", "", "owl", "f", ""),
        Vote(ids[2], "rex", "wren", "no", "f", ""),
    ])  # fmt: skip
    answer(birds, ids, "best")
    report = audit(birds, "report")
    assert report.summary["not_independent"] == 2
    assert report.summary["answered"] == 2


def test_several_experts_decide_by_majority_and_their_disagreement_is_told(birds: pictus.Project) -> None:
    ids = labelled(birds, 4)
    audit(birds, "draw", many=4, experts=3)
    assert {row.wanted for row in rows(birds, "SELECT wanted FROM questions WHERE kind = 'audit'")} == {3}
    for who in ("rex", "sue", "tom"):
        answer(birds, ids[:3], "best", who=who)
    answer(birds, ids[3:], "no", who="rex")
    answer(birds, ids[3:], "best", who="sue")
    report = audit(birds, "report")
    assert (report.summary["disputed"], report.summary["several_experts"], report.summary["unsure"]) == (1, 4, 1)
    assert report.summary["presence"]["n"] == 3
    assert report.summary["presence_if_unsure_is_wrong"]["estimate"] == 0.75
    assert any("experts disagree on 1 of 4 labels" in one for one in report.problems)
    answer(birds, ids[3:], "no", who="tom")
    assert audit(birds, "report").summary["presence"]["estimate"] == 0.75


def test_the_latest_answer_of_an_expert_counts(birds: pictus.Project) -> None:
    ids = labelled(birds, 2)
    audit(birds, "draw", many=2)
    answer(birds, ids, "no")
    answer(birds, ids, "best")
    assert audit(birds, "report").summary["presence"]["estimate"] == 1


def test_each_concept_has_its_share_and_its_own_interval(birds: pictus.Project, fill: Fill) -> None:
    owls = labelled(birds, 20)
    wrens = [image_id(f"owl{number}") for number in range(100, 104)]
    birds.tables.append("labels", table_of("labels", [Label(one, "wren", 0.9, 3, "accepted", "", "") for one in wrens]))
    audit(birds, "draw", many=8, each=4)
    weights = {row.concept_id: row.weight for row in rows(birds, "SELECT concept_id, weight FROM audit_items")}
    assert weights == {"owl": 5.0, "wren": 1.0}
    answer(birds, owls, "best")
    answer(birds, wrens, "no", concept="wren")
    report = audit(birds, "report")
    # 20 owls right and 4 wrens wrong: 20 / 24, although half of the sample was wrong
    assert report.summary["presence"]["estimate"] == pytest.approx(20 / 24)
    by_concept = {row.concept_id: row for row in report}
    assert (by_concept["wren"].presence, by_concept["owl"].presence) == (0, 1)
    assert [row.concept_id for row in report] == ["", "wren", "owl"]
    assert by_concept["owl"].presence_exact_low == pytest.approx(0.025 ** (1 / 4))


def test_selection_frequency_stands_beside_the_precision(birds: pictus.Project) -> None:
    ids = labelled(birds, 4)
    presences = [Presence(one, "owl", 0.99, 10, yes, yes / 10, "accepted", "", "")
                 for one, yes in zip(ids, (10, 10, 8, 4), strict=True)]  # fmt: skip
    birds.tables.append("presences", table_of("presences", presences))
    audit(birds, "draw", many=4)
    answer(birds, ids[:3], "best")
    answer(birds, ids[3:], "no")
    selection = audit(birds, "report").summary["selection"]
    assert selection["mean"] == 0.8
    assert [(band["from"], band["pictures"], band["presence"]["estimate"]) for band in selection["bands"]] == [
        (0.0, 1, 0.0), (0.5, 0, None), (0.7, 1, 1.0), (0.9, 0, None), (1.0, 2, 1.0)
    ]  # fmt: skip


def test_a_second_audit_keeps_the_answers_of_the_first(birds: pictus.Project) -> None:
    ids = labelled(birds, 5)
    audit(birds, "draw", many=5)
    answer(birds, ids, "best")
    second = audit(birds, "draw", many=5, seed=9, experts=2)
    report = audit(birds, "report")
    assert report.summary["audit_id"] == second.summary["audit_id"]
    assert report.summary["answered"] == 5
    assert {row.wanted for row in rows(birds, "SELECT wanted FROM questions WHERE kind = 'audit'")} == {2}


def test_dropped_pictures_and_open_labels_are_not_drawn(birds: pictus.Project) -> None:
    ids = labelled(birds, 5)
    birds.tables.append("verdicts", table_of("verdicts", [Verdict(ids[0], "drop", "blurred", "", 0.0, 0.0, "")]))
    other = Label(image_id("owl99"), "owl", 0.6, 1, "unsettled", "", "")
    birds.tables.append("labels", table_of("labels", [other]))
    assert audit(birds, "draw", many=99).summary["many"] == 4
    assert set(drawn(birds)) == set(ids[1:])


def test_the_same_seed_draws_the_same_whatever_the_order_of_the_table(birds: pictus.Project) -> None:
    labelled(birds, 30)
    audit(birds, "draw", many=6, seed=5)
    first = drawn(birds)
    table = birds.tables.read("labels")
    birds.tables.replace("labels", table.take(list(reversed(range(table.num_rows)))))
    with birds.journal.transaction() as connection:
        connection.execute(sa.text("DELETE FROM audit_items"))
        connection.execute(sa.text("DELETE FROM audits"))
    audit(birds, "draw", many=6, seed=5)
    assert drawn(birds) == first


def test_an_audit_done_elsewhere_is_taken_in_once(project: pictus.Project, fill: Fill, tmp_path: Path) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl", "wren/1.jpg": "wren"})
    path = tmp_path / "expert.csv"
    path.write_text("image,concept,answer,expert\nowl/1.jpg,owl,best,sue\nowl/2.jpg,bird of Minerva,no,sue\n")
    outcome = audited(project, (path,))
    assert outcome.summary["added"] == 2
    assert outcome.summary["presence"]["estimate"] == 0.5
    assert audited(project, (path,)).summary["added"] == 0
    assert len(rows(project, "SELECT * FROM audits")) == 1
    labels = [Label(one, "owl", 0.99, 3, "accepted", "", "") for one in list(ids.values())[:2]]
    project.tables.append("labels", table_of("labels", labels))
    audit(project, "draw", many=2, seed=1)
    assert audit(project, "report").summary["answered"] == 2, "what is known of a pair serves the next audit"


def test_every_bad_row_of_a_file_is_told(project: pictus.Project, fill: Fill, tmp_path: Path) -> None:
    fill(project, {"owl/1.jpg": "owl"})
    path = tmp_path / "expert.csv"
    path.write_text("image,concept,answer\nowl/1.jpg,owl,best\nowl/9.jpg,eagle,perhaps\n")
    with pytest.raises(pictus.UserError) as error:
        audited(project, (path,))
    assert "line 2: nobody is named" in error.value.what
    assert "line 3: no picture 'owl/9.jpg' in the project; 'eagle' is no concept" in error.value.what
    assert "'perhaps' is none of best, present, no, unsure" in error.value.what
    assert rows(project, "SELECT * FROM answers") == []


def test_what_cannot_be_drawn_says_what_to_type(project: pictus.Project, fill: Fill) -> None:
    with pytest.raises(pictus.UserError, match="No audit") as error:
        audit(project, "report")
    assert "annotate audit draw" in error.value.fix
    with pytest.raises(pictus.UserError, match="no accepted labels"):
        audit(project, "draw")
    with pytest.raises(pictus.UserError, match="1 or more"):
        audit(project, "draw", many=0)
    with pytest.raises(pictus.UserError, match="--seed -1"):
        audit(project, "draw", seed=-1)
    with pytest.raises(pictus.UserError, match="release"):
        audit(project, "draw", of="9.9.9")


def test_a_release_is_audited_by_what_its_pictures_are_in_the_project(
    project: pictus.Project, make_release: Callable[..., Path], make_jpeg: Callable[..., bytes], tmp_path: Path
) -> None:
    pictures = [("train", concept, make_jpeg(seed=at)) for at, concept in enumerate(["n02", "n03", "n05", "n06"])]
    folder = make_release(tmp_path / "release", pictures)
    with pytest.raises(pictus.UserError, match="No picture of release"):
        audit(project, "draw", of=str(folder))
    ids = [hashlib.sha256(data).hexdigest() for _, _, data in pictures]
    found = [Picture(one, "pictures-00000.tar", 0, 1, 9, 9, "jpeg", "RGB", "") for one in ids[:3]]
    project.tables.append("images", table_of("images", found))
    outcome = audit(project, "draw", of=str(folder))
    assert (outcome.summary["audit_id"], outcome.summary["population"]) == ("0001-release", 3)
    assert set(drawn(project)) == set(ids[:3])
    answer(project, ids[:1], "best", concept="n02")
    assert audit(project, "report").summary["presence"]["n"] == 1
    assert project.journal.events(event="labels_audited")[0].subject == str(folder)


def test_labels_of_a_file_that_were_not_drawn_are_told_and_not_counted(birds: pictus.Project, tmp_path: Path) -> None:
    ids = labelled(birds, 4)
    audit(birds, "draw", many=2)
    path = tmp_path / "expert.csv"
    path.write_text("image,concept,answer,expert\n" + "".join(f"{one},owl,best,sue\n" for one in ids))
    outcome = audited(birds, (path,))
    assert (outcome.summary["added"], outcome.summary["answered"], outcome.summary["beside"]) == (4, 2, 2)
    assert outcome.problems[0] == "2 labels of the file not in 0001-labels, and so not counted"
