"""`annotate suspects`: from a run's evaluations, or from neighbours."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.annotate.runs import Fill, evaluated, filled, words

import pictus
from pictus.annotate.queues.suspect_steps import suspects
from pictus.records import Label, Relevance, Verdict
from pictus.tables import table_of


def test_what_a_run_doubts_is_a_suspect_with_its_reason(project: pictus.Project, fill: Fill) -> None:
    ids = filled(project, fill)
    evaluated(project, words(ids))
    outcome = suspects(project)
    (one,) = outcome
    assert (one.image_id, one.given_id, one.suggested_id, one.model) == (ids[2], "owl", "wren", "first")
    assert one.quality == pytest.approx((1 + 0.05 - 0.95) / 2)
    assert one.reason == "first says wren 95 %, owl 5 %"
    assert (outcome.summary["looked_at"], outcome.summary["method"]) == (11, "confident learning")
    assert project.journal.events(event="labels_suspected")[0].subject == "first"


def test_what_the_run_learned_from_tells_nothing(project: pictus.Project, fill: Fill) -> None:
    ids = filled(project, fill)
    evaluated(project, words(ids), split="train")
    with pytest.raises(pictus.UserError, match="no model to ask") as error:
        suspects(project)
    assert "evaluate run" in error.value.fix
    with pytest.raises(pictus.UserError, match="not evaluated"):
        suspects(project, run="first")


def test_labels_that_were_corrected_and_pictures_that_were_dropped_are_left_out(
    project: pictus.Project, fill: Fill
) -> None:
    ids = filled(project, fill)
    rows = words(ids)
    rows[4] = (ids[4], "owl", ["wren", "owl"], [0.96, 0.04], 0.04)
    evaluated(project, rows)
    assert len(list(suspects(project))) == 2
    corrected = Label(ids[2], "wren", 0.99, 3, "accepted", "", "")
    project.tables.append("labels", table_of("labels", [corrected]))
    assert [one.image_id for one in suspects(project)] == [ids[4]]
    project.tables.append("verdicts", table_of("verdicts", [Verdict(ids[4], "drop", "blurred", "", 0.0, 0.0, "")]))
    assert list(suspects(project)) == []


def test_a_picture_that_was_changed_for_the_release_is_found_again(project: pictus.Project, fill: Fill) -> None:
    ids = filled(project, fill)
    rows = words(ids)
    rows[2] = ("f" * 64, *rows[2][1:])
    evaluated(project, rows)
    released = project.releases_dir / "1.0.0" / "pictures.parquet"
    released.parent.mkdir(parents=True)
    table = pa.table({"image_id": ["f" * 64, ids[0]], "origin_id": [ids[2], ids[0]], "changes": ["faces blurred", ""]})
    pq.write_table(table, released)
    assert [one.image_id for one in suspects(project)] == [ids[2]]


def test_without_a_run_the_neighbours_are_asked(project: pictus.Project, fill: Fill) -> None:
    ids = filled(project, fill)
    rows = [Relevance(one, "owl" if at < 6 else "wren", 0.5, "", -0.8, "", 0.0, "classical")
            for at, one in enumerate(ids)]  # fmt: skip
    rows[1] = Relevance(ids[1], "owl", 0.5, "wren", 0.4, "", 0.0, "classical")
    project.tables.append("relevance", table_of("relevance", rows))
    outcome = suspects(project)
    (one,) = outcome
    assert (one.image_id, one.suggested_id, one.model) == (ids[1], "wren", "classical")
    assert one.quality == pytest.approx(0.3)
    assert outcome.summary["method"] == "nearest neighbours"


def test_only_so_many_of_the_worst(project: pictus.Project, fill: Fill) -> None:
    ids = filled(project, fill)
    rows = words(ids)
    rows[4] = (ids[4], "owl", ["wren", "owl"], [0.99, 0.01], 0.01)
    evaluated(project, rows)
    assert [one.image_id for one in suspects(project, most=1)] == [ids[4]]
    with pytest.raises(pictus.UserError, match="less than none"):
        suspects(project, most=-1)
