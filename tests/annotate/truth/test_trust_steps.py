"""What annotate skills and annotate trust read from pages: on rows as the desk writes them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from tests.annotate.conftest import image_id

from pictus import annotate
from pictus.annotate.review.record_steps import everybody, record_of
from pictus.project import Project
from pictus.records import Vote
from pictus.registry import STEPS

Fill = Callable[..., dict[str, str]]

PEOPLE, PAGES, PER_PAGE = 7, 5, 24


def work_off(project: Project, ids: list[str], seed: int = 0) -> None:
    """Seven people on five pages of 24: p0 always says yes in no time, p1 marks the first row, p2 copies p3."""
    rng = np.random.default_rng(seed)
    truth = rng.random(len(ids)) < 0.5
    votes: list[Vote] = []
    rows: dict[str, list[dict[str, Any]]] = {"pages": [], "answers": [], "annotators": [], "questions": []}
    copied: dict[str, bool] = {}
    for who in (3, 0, 1, 2, 4, 5, 6):
        name = f"p{who}"
        rows["annotators"].append({"name": name})
        for page in range(PAGES):
            page_id = f"{name}-{page}"
            seconds = 2.0 if who == 0 else 30.0 + float(rng.uniform(-10, 10))
            of = [page * PER_PAGE + place for place in rng.permutation(PER_PAGE).tolist()]
            golds = of[:4]
            rows["pages"].append({"page_id": page_id, "name": name, "seconds": seconds, "items": PER_PAGE + 2,
                                  "repeats": 2, "sames": 0 if who == 4 else 2})  # fmt: skip
            for position, number in enumerate(of):
                is_yes = bool(truth[number]) ^ bool(rng.random() < 0.15)
                is_yes = {0: True, 1: position < 6, 2: copied.get(ids[number], is_yes)}.get(who, is_yes)
                if who == 3:
                    copied[ids[number]] = is_yes
                known = ("no", "yes")[int(truth[number])] if number in golds and page < 3 else ""
                rows["answers"].append({"page_id": page_id, "position": position, "image_id": ids[number],
                                        "name": name, "answer": ("no", "yes")[is_yes], "known": known})  # fmt: skip
                votes.append(Vote(ids[number], name, "owl", ("no", "yes")[is_yes], f"page:{page_id}", ""))
    for number in range(60):
        rows["questions"].append({"image_id": ids[number], "known": ("no", "yes")[int(truth[number])]})
    with project.journal.transaction() as connection:
        for name, statement in STATEMENTS.items():
            connection.execute(sa.text(statement), rows[name])
    project.journal.add_votes(votes)


STATEMENTS = {
    "annotators": "INSERT INTO annotators (name, role, state, reason, quota, invitation, made_at)"
    " VALUES (:name, 'annotator', 'active', '', 0, '', '')",
    "pages": "INSERT INTO pages (page_id, kind, concept_id, annotator, state, revision, leased_at, expires_at,"
    " submitted_at, seconds, items, repeats, sames) VALUES (:page_id, 'grid', 'owl', :name, 'submitted', 1, '', '', '',"
    " :seconds, :items, :repeats, :sames)",
    "answers": "INSERT INTO answers (page_id, revision, position, question_id, kind, concept_id, image_id, mark_id,"
    " role, known, annotator, answer, data, seconds, answered_at) VALUES (:page_id, 1, :position, 0, 'grid', 'owl',"
    " :image_id, 0, 'ask', :known, :name, :answer, '', 1, '')",
    "questions": "INSERT INTO questions (kind, concept_id, image_id, mark_id, state, priority, reason, votes, leases,"
    " wanted, posterior, score, fold, known) VALUES ('grid', 'owl', :image_id, 0, 'open', 0, '', 0, 0, 1, 0, 0, '',"
    " :known)",
}


@pytest.fixture
def worked(world: Project) -> Project:
    work_off(world, [f"{number:064x}" for number in range(PAGES * PER_PAGE)])
    return world


def test_trust_lists_who_looks_as_if_not_looking_the_worst_first_and_what_can_be_done(worked: Project) -> None:
    outcome = annotate.trust(worked)
    seen = {(one.annotator, one.sign) for one in outcome}
    assert {("p0", "too-fast"), ("p0", "constant"), ("p1", "position"), ("p2", "copied"), ("p4", "unlike")} <= seen
    assert not {name for name, _ in seen} & {"p5", "p6"}
    assert next(iter(outcome)).annotator in {"p0", "p1"}
    assert outcome.next[0] == f"pictus annotate pause {next(iter(outcome)).annotator} --reason WHY"
    assert not STEPS["annotate trust"].changes
    json.dumps(outcome.summary, allow_nan=False)
    alpha = outcome.summary["agreement"]["yes/no"]["alpha"]
    assert alpha[1] < alpha[0] < alpha[2]
    assert outcome.summary["agreement"]["which"]["alpha"] == [None, None, None]
    assert [row["concept_id"] for row in outcome.summary["concepts"]] == ["owl"]
    assert "5 annotators of 7" in outcome.headline or "6 annotators of 7" in outcome.headline


def test_skills_tell_known_answers_repeats_pace_and_signs(worked: Project) -> None:
    found = {one.annotator: one for one in annotate.skills(worked)}
    honest, constant = found["p5"], found["p0"]
    assert honest.n_known == 60
    assert 0.7 < (honest.known_low or 0) < (honest.known_accuracy or 0) < (honest.known_high or 0) <= 1
    assert (honest.n_repeats, honest.consistency) == (10, 1.0)
    assert 0.5 < (honest.pace_s or 0) < 2
    assert honest.looks == ()
    assert constant.known_accuracy == pytest.approx(0.5, abs=0.15)
    assert {"constant", "too-fast"} <= set(constant.looks)
    assert found["p4"].consistency == 0


def test_a_project_of_files_alone_has_no_pages_and_says_so(project: Project, fill: Fill) -> None:
    (one, two) = fill(project, {"1.jpg": "", "2.jpg": ""}).values()
    everybody = [(image, f"p{who}") for image in (one, two) for who in range(3)]
    project.journal.add_votes([Vote(image, name, "owl", "yes", "f", "") for image, name in everybody])
    outcome = annotate.trust(project)
    assert list(outcome) == []
    assert outcome.headline.startswith("0 annotators of 3 with a sign")
    (first, *_) = annotate.skills(project)
    assert (first.n_known, first.known_accuracy, first.consistency, first.pace_s) == (0, None, None, None)
    assert first.looks == ()


def test_names_of_one_link_that_nobody_contradicts_are_listed(world: Project) -> None:
    with world.journal.transaction() as connection:
        connection.execute(
            sa.text("INSERT INTO tokens VALUES (:link, 'link', '', 'annotator', 6, 0, '', '', '')"), {"link": "c" * 64}
        )
        connection.execute(
            sa.text(STATEMENTS["annotators"].replace("0, '', ''", "0, :link, ''")),
            [{"name": name, "link": "c" * 64} for name in ("r1", "r2", "r3")],
        )
    rows = [(f"{number:064x}", name) for number in range(260) for name in ("r1", "r2", "r3")]
    world.journal.add_votes([Vote(image, name, "owl", "no", f"page:{name}", "") for image, name in rows])
    outcome = annotate.trust(world)
    assert [(one.annotator, one.sign) for one in outcome] == [("r1", "ring"), ("r2", "ring"), ("r3", "ring")]
    assert outcome.problems[0].startswith("r1: looks like one with r2, r3, who came by the same link: of one mind on")
    assert outcome.next[0] == "pictus annotate pause r1 --reason WHY"
    assert next(iter(annotate.skills(world))).looks == ("ring",)


def test_unsure_is_no_wrong_answer_to_a_known_picture(worked: Project) -> None:
    before = {one.annotator: one for one in annotate.skills(worked)}["p5"]
    worked.journal.add_votes([Vote(f"{number:064x}", "p5", "owl", "unsure", "page:p5#2", "") for number in range(20)])
    after = {one.annotator: one for one in annotate.skills(worked)}["p5"]
    assert (before.n_known, after.n_known) == (60, 40)
    assert after.known_accuracy == pytest.approx(before.known_accuracy, abs=0.1)


def test_who_looks_at_people_and_votes_waits_for_nobody_who_writes(birds: Project) -> None:
    ids = [image_id(f"owl{number}") for number in range(PAGES * PER_PAGE)]
    work_off(birds, ids)
    with birds.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE pages SET submitted_at = '2026-01-01T00:00:00Z'"))
    with birds.journal.transaction() as connection:
        connection.execute(sa.text("UPDATE annotators SET reason = 'x'"))
        assert len(list(annotate.skills(birds))) == len(everybody(birds)) == PEOPLE
        assert list(annotate.trust(birds))
        assert record_of(birds, "p5").pages == PAGES
        assert list(annotate.history(birds, ids[0]))
