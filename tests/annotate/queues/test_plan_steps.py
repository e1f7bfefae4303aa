"""`annotate plan`: what comes into the queue, in which order, and that planning again doubles and disturbs nothing."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.annotate.desks import all_of, desk_of, emptied, someone

import pictus
from pictus.annotate.queues import evidence, queue_rows
from pictus.annotate.queues.plan_steps import plan
from pictus.records import Concept, Duplicate, Label, Picture, Presence, Source, Suspect, Verdict, Vote
from pictus.tables import SCHEMAS, table_of

Fill = Callable[..., dict[str, str]]


def questions(project: pictus.Project, where: str = "true") -> list[dict[str, Any]]:
    with project.journal.engine.connect() as connection:
        rows = connection.execute(sa.text(f"SELECT * FROM questions WHERE {where} ORDER BY question_id")).all()
        return [row._asdict() for row in rows]


def states(project: pictus.Project, image_ids: list[str]) -> list[str]:
    found = {row["image_id"]: row["state"] for row in questions(project)}
    return [found[one] for one in image_ids]


def change(project: pictus.Project, statement: str, **values: object) -> None:
    with project.journal.transaction() as connection:
        connection.execute(sa.text(statement), values)


def cast(project: pictus.Project, image_id: str, *answers: str, concept: str = "owl") -> None:
    names = ("ada", "bob", "cyd", "dan")
    project.journal.add_votes(
        Vote(image_id, name, concept, answer, "test", "2026-01-01T00:00:00Z")
        for name, answer in zip(names, answers, strict=False)
    )


def accepted(project: pictus.Project, image_id: str, concept: str, posterior: float, votes: int = 2) -> None:
    row = Label(image_id, concept, posterior, votes, "accepted", "dawid-skene", "2026-01-01T00:00:00Z")
    project.tables.upsert("labels", table_of("labels", [row]))


def reasons(project: pictus.Project) -> dict[str, str]:
    return {row["image_id"]: row["reason"] for row in questions(project)}


def test_every_claim_that_nobody_has_checked_is_asked_once(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl", "wren/1.jpg": "wren", "x.jpg": ""})
    outcome = plan(project)
    assert outcome.summary["added"] == 3
    found = {(row["concept_id"], row["image_id"]) for row in questions(project)}
    assert found == {("owl", ids["owl/1.jpg"]), ("owl", ids["owl/2.jpg"]), ("wren", ids["wren/1.jpg"])}
    assert all(row["state"] == "open" and row["votes"] == row["leases"] == 0 for row in questions(project))
    assert questions(project)[0]["reason"].startswith("starving: 0 accepted so far; nobody has looked")
    assert {heap.concept_id: heap.waiting for heap in outcome} == {"owl": 2, "wren": 1}


def test_what_is_asked_first_does_not_hang_on_what_came_first(tmp_path: Path, fill: Fill) -> None:
    """From the web pictures come as fast as each host is: the same set must be asked about in the same order."""
    paths = {f"owl/{number}.jpg": "owl" for number in range(9)} | {"wren/1.jpg": "wren"}
    found = []
    for name, order in (("one", 1), ("other", -1)):
        project = pictus.new(tmp_path / name)
        fill(project, dict(list(paths.items())[::order]))
        plan(project)
        found.append([(row["concept_id"], row["image_id"]) for row in questions(project)])
        project.journal.engine.dispose()
    assert found[0] == found[1]
    assert len(found[0]) == len(paths)


def test_planning_again_changes_nothing(project: pictus.Project, fill: Fill) -> None:
    fill(project, {f"owl/{number}.jpg": "owl" for number in range(9)})
    plan(project)
    before = questions(project)
    again = plan(project)
    assert questions(project) == before
    assert (again.summary["added"], again.summary["changed"]) == (0, 0)


def test_open_questions_are_looked_up_together(
    project: pictus.Project, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each look-up costs an index of all pictures: one by one a hundred thousand would take an hour."""
    fill(project, {f"owl/{number}.jpg": "owl" for number in range(60)})
    plan(project)
    numbers, calls = evidence._numbers, []

    def counted(*given: Any) -> Any:
        calls.append(given)
        return numbers(*given)

    monkeypatch.setattr(evidence, "_numbers", counted)
    plan(project)
    assert len(calls) < 30


def test_what_is_new_is_added_and_what_is_known_since_changes_the_priority(
    project: pictus.Project, fill: Fill
) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl"})
    plan(project)
    fill(project, {"owl/3.jpg": "owl"})
    cast(project, ids["owl/1.jpg"], "yes", "no")
    outcome = plan(project)
    assert (outcome.summary["added"], outcome.summary["changed"]) == (1, 1)
    assert "disputed: 1 yes, 1 no" in reasons(project)[ids["owl/1.jpg"]]
    first = max(questions(project), key=lambda row: row["priority"])
    assert first["image_id"] == ids["owl/1.jpg"]


def test_a_dropped_picture_is_left_out_and_comes_back_when_it_is_restored(
    project: pictus.Project, fill: Fill
) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl"})
    plan(project)
    drop = Verdict(ids["owl/1.jpg"], "drop", "blurred", "", 0.0, 0.0, "")
    project.tables.replace("verdicts", table_of("verdicts", [drop]))
    assert plan(project).summary["parked"] == 1
    assert [row["state"] for row in questions(project)] == ["parked", "open"]
    assert plan(project).summary["waiting"] == 1
    project.tables.replace("verdicts", table_of("verdicts", [drop])[:0])
    assert plan(project).summary["waiting"] == 2


def test_pages_that_are_out_stay_as_they_are(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl"})
    plan(project)
    change(project, "UPDATE questions SET leases = 1, votes = 2, wanted = 4, posterior = 0.6, fold = 'x' WHERE"
                    " image_id = :one", one=ids["owl/1.jpg"])  # fmt: skip
    members = [Duplicate(one, ids["owl/1.jpg"], True, "near", 3, "", "") for one in ids.values()]
    project.tables.replace("duplicates", table_of("duplicates", members))
    cast(project, ids["owl/1.jpg"], "yes", "no")
    drop = Verdict(ids["owl/1.jpg"], "drop", "blurred", "", 0.0, 0.0, "")
    plan(project)
    held, free = (next(row for row in questions(project) if row["image_id"] == one) for one in ids.values())
    kept = ("state", "leases", "votes", "wanted", "posterior", "fold")
    assert tuple(held[name] for name in kept) == ("open", 1, 2, 4, 0.6, "x")
    assert free["fold"] == ids["owl/1.jpg"]
    project.tables.replace("verdicts", table_of("verdicts", [drop]))
    assert plan(project).summary["parked"] == 0


def test_closed_questions_stay_closed(project: pictus.Project, fill: Fill) -> None:
    fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl"})
    plan(project)
    change(project, "UPDATE questions SET state = 'accepted'")
    before = questions(project)
    assert plan(project).summary["waiting"] == 0
    assert questions(project) == before


def test_what_people_decided_is_not_asked(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl", "owl/3.jpg": "owl"})
    cast(project, ids["owl/1.jpg"], "yes", "yes")
    accepted(project, ids["owl/1.jpg"], "owl", 0.99)
    accepted(project, ids["owl/2.jpg"], "owl", 0.95, votes=1)  # by its folder alone
    change(project, "INSERT INTO rulings (image_id, concept_id, ruling, reviewer, reason, batch, ruled_at) VALUES"
                    " (:one, 'owl', 'is-not', 'rex', '', '', '')", one=ids["owl/3.jpg"])  # fmt: skip
    plan(project, enough=10)
    assert [row["image_id"] for row in questions(project)] == [ids["owl/2.jpg"]]
    assert questions(project)[0]["reason"].startswith("starving: 2 of 10 accepted; nobody has looked")


def settled_at(project: pictus.Project, image_id: str, status: str, posterior: float) -> None:
    row = Presence(image_id, "owl", posterior, 2, 2, 1.0, status, "dawid-skene", "2026-01-01T00:00:00Z")
    project.tables.upsert("presences", table_of("presences", [row]))


def ruled(project: pictus.Project, image_id: str, ruling: str) -> None:
    change(project, "INSERT INTO rulings (image_id, concept_id, ruling, reviewer, reason, batch, ruled_at) VALUES"
                    " (:one, 'owl', :ruling, 'rex', '', '', '')", one=image_id, ruling=ruling)  # fmt: skip


def test_what_was_settled_or_ruled_on_since_is_parked_and_comes_back_when_that_goes(
    project: pictus.Project, fill: Fill
) -> None:
    ids = sorted(fill(project, {f"owl/{number}.jpg": "owl" for number in range(4)}).values())
    plan(project)
    cast(project, ids[0], "yes", "yes")  # imported
    settled_at(project, ids[0], "accepted", 0.99)
    ruled(project, ids[1], "is-not")
    outcome = plan(project)
    assert (outcome.summary["answered"], outcome.summary["parked"], outcome.summary["waiting"]) == (2, 0, 2)
    assert "2 parked (settled or ruled on since)" in outcome.headline
    assert states(project, ids) == ["parked", "parked", "open", "open"]
    assert plan(project).summary["answered"] == 0
    ruled(project, ids[1], "withdrawn")
    settled_at(project, ids[0], "unsettled", 0.6)
    outcome = plan(project)
    assert (outcome.summary["answered"], outcome.summary["waiting"]) == (0, 4)


def test_what_the_desk_has_begun_is_left_to_its_rule_unless_somebody_ruled(
    project: pictus.Project, fill: Fill
) -> None:
    ids = sorted(fill(project, {f"owl/{number}.jpg": "owl" for number in range(4)}).values())
    plan(project)
    change(project, "UPDATE questions SET votes = 2")
    change(project, "UPDATE questions SET leases = 1 WHERE image_id = :one", one=ids[2])
    cast(project, ids[0], "yes", "yes")  # one of the first pictures of `dynamic`, which ten people are to see
    settled_at(project, ids[0], "accepted", 0.99)
    ruled(project, ids[1], "is")
    ruled(project, ids[2], "is")  # somebody holds it
    cast(project, ids[3], "yes", "no")
    settled_at(project, ids[3], "unsettled", 0.5)
    assert plan(project).summary["answered"] == 1
    assert states(project, ids) == ["open", "parked", "open", "open"]
    assert "asked 2 persons so far" in reasons(project)[ids[0]], "and says so"


def test_reasons_are_true_after_settling_also_where_somebody_holds_the_question(
    project: pictus.Project, fill: Fill
) -> None:
    ids = sorted(fill(project, {f"owl/{number}.jpg": "owl" for number in range(3)}).values())
    plan(project)
    change(project, "UPDATE questions SET votes = 2, leases = 1 WHERE image_id = :one", one=ids[0])
    cast(project, ids[0], "yes", "yes")
    settled_at(project, ids[0], "accepted", 0.99)
    for one in ids:  # what folders claim is settled too, as labels
        accepted(project, one, "owl", 0.95, 1)
    (heap,) = plan(project)
    assert heap.waiting == 3
    assert heap.reason == "starving: 3 accepted so far; 2 that nobody has looked at"
    assert reasons(project)[ids[0]].startswith("starving: 3 accepted so far; asked 2 persons so far")
    ruled(project, ids[1], "is")
    ruled(project, ids[2], "is")
    (heap,) = plan(project)
    assert (heap.waiting, heap.reason) == (1, "starving: 3 accepted so far")


def test_a_suspect_among_labels_that_never_were_at_the_desk_is_asked(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl"})
    cast(project, ids["owl/1.jpg"], "yes", "yes")
    accepted(project, ids["owl/1.jpg"], "owl", 0.99)
    project.tables.replace(
        "suspects", table_of("suspects", [Suspect(ids["owl/1.jpg"], "owl", "wren", 0.1, "first", "")])
    )
    plan(project)
    assert {(row["concept_id"], row["state"]) for row in questions(project)} == {("owl", "open"), ("wren", "open")}
    again = plan(project).summary
    assert (again["added"], again["changed"], again["reopened"], again["answered"]) == (0, 0, 0, 0)


def test_a_plan_about_some_concepts_speaks_of_those(project: pictus.Project, fill: Fill) -> None:
    fill(project, {"owl/1.jpg": "owl", "wren/1.jpg": "wren", "wren/2.jpg": "wren"})
    plan(project)
    outcome = plan(project, concept=("owl",))
    assert (outcome.summary["waiting"], outcome.summary["concepts"]) == (1, 1)
    assert "wren" not in outcome.headline


def test_near_duplicates_share_a_fold(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl", "owl/3.jpg": "owl"})
    members = [Duplicate(ids[path], ids["owl/1.jpg"], path == "owl/1.jpg", "near", 3, "", "")
               for path in ("owl/1.jpg", "owl/2.jpg")]  # fmt: skip
    project.tables.replace("duplicates", table_of("duplicates", members))
    plan(project)
    folds = {row["image_id"]: row["fold"] for row in questions(project)}
    assert folds == {ids["owl/1.jpg"]: ids["owl/1.jpg"], ids["owl/2.jpg"]: ids["owl/1.jpg"], ids["owl/3.jpg"]: ""}


def test_a_suspect_is_asked_again_once(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl"})
    cast(project, ids["owl/1.jpg"], "yes", "yes")
    accepted(project, ids["owl/1.jpg"], "owl", 0.99)
    change(
        project,
        "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes, leases, wanted,"
        " posterior, score, fold, known) VALUES ('grid', 'owl', :one, 0, 'accepted', 1, 'old', 2, 0, 2, 0.99, 0, '',"
        " '')", one=ids["owl/1.jpg"],
    )  # fmt: skip
    doubt = Suspect(ids["owl/1.jpg"], "owl", "wren", 0.1, "first", "")
    project.tables.replace("suspects", table_of("suspects", [doubt]))
    assert plan(project).summary["reopened"] == 1
    by_concept = {row["concept_id"]: row for row in questions(project)}
    assert by_concept["owl"]["state"] == "open"
    assert by_concept["owl"]["wanted"] == 3
    assert "suspect: looks like wren" in by_concept["owl"]["reason"]
    assert by_concept["wren"]["state"] == "open"
    change(project, "UPDATE questions SET state = 'accepted', votes = 3 WHERE concept_id = 'owl'")
    assert plan(project).summary["reopened"] == 0


def test_what_the_desk_closed_and_settling_left_open_is_asked_again_once(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl"})
    plan(project)
    cast(project, ids["owl/1.jpg"], "yes")
    cast(project, ids["owl/2.jpg"], "yes")
    change(project, "UPDATE questions SET state = 'accepted', votes = 1")
    settled_at(project, ids["owl/1.jpg"], "unsettled", 0.8)
    settled_at(project, ids["owl/2.jpg"], "accepted", 0.95)
    assert plan(project).summary["reopened"] == 1
    (again,) = questions(project, "state = 'open'")
    assert (again["image_id"], again["wanted"]) == (ids["owl/1.jpg"], 2)
    assert again["reason"].startswith("unsettled: ")
    assert plan(project).summary["changed"] == 0
    change(project, "UPDATE questions SET state = 'accepted', votes = 2")
    assert plan(project).summary["reopened"] == 0


def test_what_only_people_who_are_paused_decided_is_asked_again(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl"})
    plan(project)
    cast(project, ids["owl/1.jpg"], "yes")
    cast(project, ids["owl/2.jpg"], "yes", "yes")
    change(project, "UPDATE questions SET state = 'accepted', votes = 1")
    name = project.journal.votes(ids["owl/1.jpg"]).column("annotator")[0].as_py()
    change(project, "INSERT INTO annotators (name, role, state, reason, quota, invitation, made_at)"
           " VALUES (:name, 'annotator', 'paused', '', 0, '', '')", name=name)  # fmt: skip
    assert plan(project).summary["reopened"] == 1
    assert [row["image_id"] for row in questions(project, "state = 'open'")] == [ids["owl/1.jpg"]]


def test_the_models_word_is_the_score_and_its_doubt_a_reason(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl"})
    rows = pa.table({
        "image_id": list(ids.values()), "concept_id": ["owl", "owl"], "outlier": [0.5, 0.5], "suspect_id": ["wren", ""],
        "margin": [0.1, -0.9], "twin_id": ["", ""], "similarity": [0.0, 0.0], "model": ["classical", "classical"],
    }, schema=SCHEMAS["relevance"])  # fmt: skip
    project.tables.replace("relevance", rows)
    plan(project)
    scores = {row["image_id"]: (row["score"], row["reason"]) for row in questions(project, "concept_id = 'owl'")}
    assert scores[ids["owl/1.jpg"]][0] == pytest.approx(0.45)
    assert "the model is unsure: 0.45" in scores[ids["owl/1.jpg"]][1]
    assert scores[ids["owl/2.jpg"]][0] == pytest.approx(0.95)
    assert "unsure" not in scores[ids["owl/2.jpg"]][1]


def test_hard_cases_of_production_are_asked_first(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "a.jpg": "", "b.jpg": "", "c.jpg": ""})
    folder = project.root / "predictions"
    folder.mkdir()
    lines = [
        {"path": "a.jpg", "guesses": ["wren", "owl"], "probabilities": [0.4, 0.35]},
        {"image_id": ids["owl/1.jpg"], "guesses": ["owl"], "probabilities": [0.7]},
        {"path": "far.jpg", "guesses": ["owl"], "probabilities": [0.7]},
        {"image_id": ids["b.jpg"], "guesses": ["wren"], "probabilities": [0.99]}, {"path": "x"},
        {"image_id": ids["c.jpg"], "guesses": ["wren"], "probabilities": [0.99], "wanted": True},  # train active's
    ]  # fmt: skip
    (folder / "today.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\nnot json\n")
    outcome = plan(project)
    assert outcome.problems[0] == f"3 hard cases of 1 file in {folder}"
    assert "not in the project" in outcome.problems[1]
    assert "2 lines there without guesses" in outcome.problems[2]
    hard = {(row["image_id"], row["concept_id"]) for row in questions(project, "priority > 5")}
    assert hard == {(ids["a.jpg"], "wren"), (ids["owl/1.jpg"], "owl"), (ids["c.jpg"], "wren")}
    assert all(row["reason"].startswith("production:") for row in questions(project, "priority > 5"))


def test_at_most_so_many_of_each_concept_the_least_alike_first(project: pictus.Project, fill: Fill) -> None:
    ids = list(fill(project, {f"owl/{number}.jpg": "owl" for number in range(12)}).values())
    vectors = np.zeros((12, 4), np.float32)
    vectors[:, 0] = 1
    vectors[7], vectors[3] = (0, 1, 0, 0), (0, 0, 1, 0)
    table = pa.table({"image_id": ids, "embedding": pa.FixedSizeListArray.from_arrays(vectors.ravel(), 4)})
    project.tables.append("embeddings_classical", table)
    assert plan(project, most=3).summary["waiting"] == 3  # of the ten that are alike one
    assert {row["image_id"] for row in questions(project)} == {ids[0], ids[7], ids[3]}
    assert all("unlike the others" in row["reason"] for row in questions(project))
    assert plan(project, most=3).summary["added"] == 0


def test_only_named_or_starving_concepts(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "wren/1.jpg": "wren", "fish/1.jpg": "fish"})
    accepted(project, ids["fish/1.jpg"], "fish", 0.95, votes=1)
    assert plan(project, concept=("bird of Minerva",)).summary["added"] == 1
    plan(project, starving=True, enough=1)
    assert {row["concept_id"] for row in questions(project)} == {"owl", "wren"}
    plan(project)
    assert {row["concept_id"] for row in questions(project)} == {"owl", "wren", "fish"}


def test_many_labels_are_asked_from_the_top_of_the_tree(project: pictus.Project) -> None:
    many = [Concept(f"b{number}", (f"b{number}",), parents=("bird",), is_class=True) for number in range(40)]
    concepts = [Concept("bird", ("bird",)), *many, Concept("fish", ("fish",), is_class=True)]
    project.tables.replace("concepts", table_of("concepts", concepts))
    ids = [f"{number:064x}" for number in range(3)]
    images = [Picture(one, "pictures-00000.tar", 0, 1, 1, 1, "jpeg", "RGB", "") for one in ids]
    project.tables.append("images", table_of("images", images))
    assert plan(project, labels="many").summary["added"] == 6
    assert {(row["concept_id"], row["image_id"]) for row in questions(project)} == {
        (concept, one) for concept in ("bird", "fish") for one in ids
    }


def test_a_yes_at_the_desk_opens_the_children_and_a_no_closes_them(project: pictus.Project) -> None:
    leaves = [
        Concept(f"{group}{number}", (f"{group}{number}",), parents=(group,), is_class=True)
        for group in ("bird", "tool") for number in range(40)
    ]  # fmt: skip
    concepts = [Concept("bird", ("bird",)), Concept("tool", ("tool",)), *leaves]
    project.tables.replace("concepts", table_of("concepts", concepts))
    images = [Picture("a" * 64, "pictures-00000.tar", 0, 1, 9, 9, "jpeg", "RGB", "")]
    project.tables.append("images", table_of("images", images))
    assert plan(project, labels="many").summary["added"] == 2
    desk = desk_of(project)
    for name in ("ada", "bob", "cyd"):
        person = someone(desk, name)
        for concept, said in (("bird", "yes"), ("tool", "no")):
            page = desk.next_page(person, concept_id=concept)
            desk.submit(person, "" if page is None else page.page_id, 1, all_of(page, said), 30)
    states = {row["concept_id"]: row["state"] for row in questions(project)}
    assert (states.pop("bird"), states.pop("tool")) == ("accepted", "rejected")
    assert states == {f"bird{number}": "open" for number in range(40)}
    plan(project, labels="many")
    again = questions(project)
    assert [row["state"] for row in again] == [states.get(row["concept_id"], row["state"]) for row in again]
    assert len(again) == 42
    plan(project, labels="many")
    assert questions(project) == again


def test_the_more_telling_question_comes_first_and_says_how_much_it_answers(project: pictus.Project) -> None:
    many = [Concept(f"b{number}", (f"b{number}",), parents=("bird",), is_class=True) for number in range(40)]
    concepts = [Concept("bird", ("bird",)), *many, Concept("fish", ("fish",), is_class=True)]
    project.tables.replace("concepts", table_of("concepts", concepts))
    images = [Picture("a" * 64, "pictures-00000.tar", 0, 1, 9, 9, "jpeg", "RGB", "")]
    project.tables.append("images", table_of("images", images))
    first, second = plan(project, labels="many")
    assert (first.concept_id, second.concept_id) == ("bird", "fish")
    reason = next(iter(questions(project, "concept_id = 'bird'")))["reason"]
    assert reason == "a no answers 40 classes; nobody has looked"


def test_what_is_accepted_and_not_drawn_is_drawn(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl"})
    assert "no accepted picture" in plan(project, kind="box").problems[0]
    accepted(project, ids["owl/1.jpg"], "owl", 0.95)
    assert plan(project, kind="box").summary["added"] == 1
    only = questions(project)[0]
    assert (only["kind"], only["image_id"], only["wanted"]) == ("box", ids["owl/1.jpg"], 1)
    assert only["reason"].startswith("starving: 0 drawn so far; nobody has looked")


def test_the_highest_heap_comes_first_and_says_why(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "wren/1.jpg": "wren"})
    cast(project, ids["wren/1.jpg"], "yes", "no", concept="wren")
    heaps = list(plan(project))
    assert [heap.concept_id for heap in heaps] == ["wren", "owl"]
    assert heaps[0].reason == "starving: 0 accepted so far; 1 disputed"
    assert heaps[0].priority > heaps[1].priority


def test_a_heap_that_the_desk_closed_stays_closed(project: pictus.Project, fill: Fill) -> None:
    fill(project, {"owl/1.jpg": "owl"})
    plan(project)
    change(project, "UPDATE heaps SET state = 'unpicturable'")
    plan(project)
    with project.journal.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT state FROM heaps")).scalars().all() == ["unpicturable"]


def test_nothing_to_ask_says_what_to_type(project: pictus.Project, fill: Fill) -> None:
    with pytest.raises(pictus.UserError, match="no concepts") as error:
        plan(project)
    assert "taxonomy import" in error.value.fix
    fill(project, {"x.jpg": ""})
    assert "claims a concept" in plan(project).problems[0]
    with pytest.raises(pictus.UserError, match="0 or more"):
        plan(project, most=-1)
    with pytest.raises(pictus.UserError, match="draws"):
        plan(project, kind="box", labels="many")


claims = st.lists(
    st.tuples(st.integers(0, 12), st.sampled_from(["owl", "wren", "fish"])), min_size=1, max_size=25
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(claims, min_size=1, max_size=3), most=st.sampled_from([0, 3]))
def test_whatever_comes_in_whenever_each_pair_is_asked_once_and_planning_again_is_idle(
    tmp_path_factory: pytest.TempPathFactory, rounds: list[list[tuple[int, str]]], most: int
) -> None:
    project = pictus.new(tmp_path_factory.mktemp("any") / "p")
    concepts = [Concept(one, (one,), is_class=True) for one in ("owl", "wren", "fish")]
    project.tables.replace("concepts", table_of("concepts", concepts))
    ids = [f"{number:064x}" for number in range(13)]
    images = [Picture(one, "pictures-00000.tar", 0, 1, 1, 1, "jpeg", "RGB", "") for one in ids]
    project.tables.append("images", table_of("images", images))
    claimed: set[tuple[str, str]] = set()
    for batch in rounds:
        rows = [Source(ids[number], f"{number}/{concept}", "url", concept, "", "", "", "") for number, concept in batch]
        project.tables.append("sources", table_of("sources", rows))
        claimed |= {(concept, ids[number]) for number, concept in batch}
        plan(project, most=most)
        before = questions(project)
        assert plan(project, most=most).summary["added"] == 0
        assert questions(project) == before
    pairs = [(row["concept_id"], row["image_id"]) for row in questions(project)]
    assert len(pairs) == len(set(pairs))
    assert set(pairs) <= claimed
    if not most:
        assert set(pairs) == claimed
    project.journal.engine.dispose()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def any_project(request: pytest.FixtureRequest, tmp_path: Path) -> pictus.Project:
    if request.param == "sqlite":
        return pictus.new(tmp_path / "birds")
    return pictus.new(tmp_path / "birds", database_url=emptied(request.getfixturevalue("postgres_server")))


def test_both_databases_keep_the_same_queue(any_project: pictus.Project, fill: Fill) -> None:
    ids = fill(any_project, {f"owl/{number}.jpg": "owl" for number in range(30)})
    assert plan(any_project).summary["added"] == 30
    assert plan(any_project).summary["changed"] == 0
    cast(any_project, ids["owl/4.jpg"], "yes", "no")
    outcome = plan(any_project)
    assert (outcome.summary["added"], outcome.summary["changed"]) == (0, 1)
    drop = Verdict(ids["owl/1.jpg"], "drop", "blurred", "", 0.0, 0.0, "")
    any_project.tables.replace("verdicts", table_of("verdicts", [drop]))
    outcome = plan(any_project)
    assert (outcome.summary["parked"], outcome.summary["waiting"]) == (1, 29)
    any_project.journal.engine.dispose()


@pytest.mark.postgres
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rounds=st.lists(claims, min_size=1, max_size=3))
def test_on_postgresql_too_planning_again_is_idle(
    tmp_path_factory: pytest.TempPathFactory, postgres_server: str, rounds: list[list[tuple[int, str]]]
) -> None:
    project = pictus.new(tmp_path_factory.mktemp("any") / "p", database_url=emptied(postgres_server))
    concepts = [Concept(one, (one,), is_class=True) for one in ("owl", "wren", "fish")]
    project.tables.replace("concepts", table_of("concepts", concepts))
    ids = [f"{number:064x}" for number in range(13)]
    images = [Picture(one, "pictures-00000.tar", 0, 1, 1, 1, "jpeg", "RGB", "") for one in ids]
    project.tables.append("images", table_of("images", images))
    for batch in rounds:
        rows = [Source(ids[number], f"{number}/{concept}", "url", concept, "", "", "", "") for number, concept in batch]
        project.tables.append("sources", table_of("sources", rows))
        plan(project)
        before = questions(project)
        assert plan(project).summary["added"] == plan(project).summary["changed"] == 0
        assert questions(project) == before
    claimed = {(concept, ids[number]) for batch in rounds for number, concept in batch}
    assert {(row["concept_id"], row["image_id"]) for row in questions(project)} == claimed
    assert len(questions(project)) == len(claimed)
    project.journal.engine.dispose()


def test_a_plan_that_was_killed_is_finished_by_the_next(
    any_project: pictus.Project, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(any_project, {f"owl/{number}.jpg": "owl" for number in range(25)})
    monkeypatch.setattr(queue_rows, "LARGE", 10)
    with monkeypatch.context() as patch:
        name = "_by_copy" if any_project.journal.engine.dialect.name == "postgresql" else "_by_rows"
        insert, calls = getattr(queue_rows, name), []

        def killed(*given: Any) -> int:
            calls.append(insert(*given))
            if len(calls) == 2:
                raise KeyboardInterrupt
            return int(calls[-1])

        patch.setattr(queue_rows, name, killed)
        with pytest.raises(KeyboardInterrupt):
            plan(any_project)
    assert len(questions(any_project)) == 10, "the batch that was being written is undone, the one before stays"
    assert plan(any_project).summary["added"] == 15
    assert len({row["image_id"] for row in questions(any_project)}) == len(questions(any_project)) == 25
    any_project.journal.engine.dispose()


def test_people_go_on_while_a_plan_is_made(
    world: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_rows, "BATCH", 20)
    ids = world.tables.read("images", ["image_id"]).column("image_id").to_pylist()
    sources = [Source(one, f"/{at}", "url", "owl", "", "", "", "") for at, one in enumerate(ids)]
    world.tables.append("sources", table_of("sources", sources))
    plan(world)
    failed: list[BaseException] = []

    def planning() -> None:
        try:
            for enough in range(100, 108):  # each time another priority, so that every row is written
                plan(world, enough=enough)
        except BaseException as error:  # noqa: BLE001  handed to the test
            failed.append(error)

    thread = threading.Thread(target=planning)
    thread.start()
    desk = desk_of(world)
    for name in ("ada", "bob", "cyd"):
        person = someone(desk, name)
        while (page := desk.next_page(person)) is not None:
            desk.submit(person, page.page_id, 1, all_of(page), 30)
    thread.join()
    assert failed == []
    assert {(row["votes"], row["leases"], row["state"]) for row in questions(world)} == {(3, 0, "accepted")}
    with world.journal.engine.connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM votes")).scalar() == 3 * len(ids)
        assert connection.execute(sa.text("SELECT waiting FROM heaps")).scalars().all() == [0]
