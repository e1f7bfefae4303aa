"""`annotate plan`: what comes into the queue, in which order, and that planning again doubles and disturbs nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa

import pictus
from pictus.annotate.plan_steps import plan

Fill = Callable[..., dict[str, str]]


def questions(project: pictus.Project, where: str = "true") -> list[dict[str, Any]]:
    with project.journal.engine.connect() as connection:
        rows = connection.execute(sa.text(f"SELECT * FROM questions WHERE {where} ORDER BY question_id")).all()
        return [row._asdict() for row in rows]


def test_every_claim_that_nobody_has_checked_is_asked_once(project: pictus.Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "owl/2.jpg": "owl", "wren/1.jpg": "wren", "x.jpg": ""})
    outcome = plan(project)
    assert outcome.summary["added"] == 3
    found = {(row["concept_id"], row["image_id"]) for row in questions(project)}
    assert found == {("owl", ids["owl/1.jpg"]), ("owl", ids["owl/2.jpg"]), ("wren", ids["wren/1.jpg"])}
    assert all(row["state"] == "open" and row["votes"] == row["leases"] == 0 for row in questions(project))
    assert questions(project)[0]["reason"].startswith("starving: 0 of 500 accepted; nobody has looked")
    assert {heap.concept_id: heap.waiting for heap in outcome} == {"owl": 2, "wren": 1}
