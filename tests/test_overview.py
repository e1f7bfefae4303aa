from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
import sqlalchemy as sa

import pictus
from pictus import overview
from pictus.errors import UserError
from pictus.models import find_run
from pictus.project import Project
from pictus.records import Attempt, Check, Concept, Label, Picture, Source, Verdict, Vote
from pictus.tables import table_of

IMAGE = "a" * 64


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return pictus.new(tmp_path / "birds")


def put_release(project: Project, version: str = "1.0.0") -> None:
    """Its digest is its version."""
    folder = project.releases_dir / version
    folder.mkdir(parents=True)
    card = {"format": 1, "name": "x", "version": version, "digest": version, "counts": {"pictures": 1, "classes": 3}}
    (folder / "manifest.json").write_text(json.dumps(card | {"files": {}}))


def put_run(
    project: Project, name: str, status: str, *, has_weights: bool = False, at: str = "", release: str = "1.0.0",
    results: dict[str, int] | None = None,
) -> None:  # fmt: skip
    folder = project.models_dir / name
    folder.mkdir(parents=True)
    seen = {"size": 8, "resize": 8, "mean": [0, 0, 0], "std": [1, 1, 1]}
    card = {"format": 1, "name": name, "model": "m", "classes": ["a"], "class_names": ["a"], "preprocessing": seen,
            "release": {"version": release, "digest": release}, "results": results or {}}  # fmt: skip
    (folder / "run.json").write_text(json.dumps(card | {"status": status, "started_at": at, "finished_at": at}))
    if has_weights:
        (folder / "model.safetensors").write_bytes(b"")


def attempt(address: str, cause: str) -> Attempt:
    return Attempt(address, "url", cause, "", "", "", 0, 1, 0, 0.0, "", "", "2026-01-01T00:00:00Z")


def note(project: Project, stage: str) -> overview.StageStatus:
    return next(row for row in overview.status(project) if row.stage == stage)


def test_a_project_with_nothing_but_a_release_goes_on_to_training_not_to_collecting(project: Project) -> None:
    put_release(project)
    outcome = overview.status(project)
    assert outcome.next == ("pictus train run --release 1.0.0 --recipe auto",)
    assert "no pictures but those released" in outcome.headline
    assert note(project, "release").note == "1.0.0 (1 picture, 3 classes)"
    put_run(project, "first", "finished")
    assert overview.status(project).next == ("pictus evaluate run --run first",)
    found = project.models_dir / "first/evaluations/1.0.0-test/results.json"
    found.parent.mkdir(parents=True)
    found.write_text("{}")
    assert overview.status(project).next == ("pictus serve start --run first", "pictus web")


def test_a_damaged_release_or_run_does_not_hide_the_rest(project: Project) -> None:
    put_release(project)
    (project.releases_dir / "1.0.0/manifest.json").write_text("{")
    put_run(project, "first", "finished")
    (project.models_dir / "first/run.json").write_text("{")
    assert "pictus release verify 1.0.0" in note(project, "release").note
    assert overview.status(project).summary["runs"] == []


def test_only_runs_with_weights_count_as_models_and_the_others_can_be_resumed(project: Project) -> None:
    put_release(project)
    put_run(project, "half", "running")
    outcome = overview.status(project)
    assert (outcome.summary["runs"], outcome.summary["unfinished_runs"]) == ([], ["half"])
    assert "models 0" in outcome.headline
    assert outcome.next == ("pictus train resume half",)
    assert outcome.problems == ("run half is unfinished, resume with pictus train resume half",)
    put_run(project, "kept", "running", has_weights=True)
    assert overview.status(project).summary["runs"] == ["kept"]
    put_run(project, "done", "finished", has_weights=True)
    row = note(project, "train")
    assert (row.done, row.waiting) == (2, 2)
    assert row.note == "kept, done"
    assert overview.status(project).next == ("pictus evaluate run --run done",)


def test_the_newest_release_is_the_highest_version_and_the_newest_run_the_one_that_finished_last(
    project: Project,
) -> None:
    put_release(project, "2.0.0")
    put_release(project, "1.0.1")  # a correction of the older one, cut later
    assert overview.status(project).next == ("pictus train run --release 2.0.0 --recipe auto",)
    assert note(project, "release").note.startswith("1.0.1, 2.0.0 (")
    put_run(project, "late", "finished", at="2026-02-01T00:00:00Z", release="2.0.0")
    put_run(project, "early", "finished", at="2026-01-01T00:00:00Z")  # its card was written again: copied, say
    put_run(project, "kept", "running", has_weights=True, at="2026-03-01T00:00:00Z")
    put_run(project, "older", "running", at="2026-02-20T00:00:00Z")
    outcome = overview.status(project)
    assert outcome.summary["runs"] == ["kept", "early", "late"]
    assert outcome.summary["unfinished_runs"] == ["older", "kept"]
    assert outcome.next == ("pictus evaluate run --run late",)
    assert find_run(project).name == "late"


def test_a_stopped_run_is_resumed_before_it_is_evaluated(project: Project) -> None:
    put_release(project)
    put_run(project, "half", "running", has_weights=True, results={"epochs": 2, "epochs_planned": 18})
    outcome = overview.status(project)
    assert outcome.next == ("pictus train resume half",)
    (problem,) = outcome.problems
    assert problem == "run half is unfinished (stopped at epoch 2 of 18), resume with pictus train resume half"


def test_a_newer_release_without_a_model_is_trained_on_next(project: Project) -> None:
    put_release(project)
    put_run(project, "first", "finished")
    found = project.models_dir / "first/evaluations/1.0.0-test/results.json"
    found.parent.mkdir(parents=True)
    found.write_text("{}")
    assert overview.status(project).next == ("pictus serve start --run first", "pictus web")
    put_release(project, "1.1.0")
    assert overview.status(project).next == ("pictus train run --release 1.1.0 --recipe auto",)
    put_run(project, "second", "running", has_weights=True, release="1.1.0")
    assert overview.status(project).next == ("pictus train resume second",)
    shutil.rmtree(project.models_dir / "second")
    put_run(project, "second", "finished", at="2026-02-01T00:00:00Z", release="1.1.0")
    assert overview.status(project).next == ("pictus evaluate run --run second",), "first alone was evaluated"


def test_a_picture_without_a_verdict_waits_for_clean_however_often_it_was_measured(project: Project) -> None:
    tables = project.tables
    tables.replace("concepts", table_of("concepts", [Concept("owl", ("owl",), is_class=True)]))
    pictures = [Picture(one * 64, "pictures-00000.tar", 0, 1, 1, 1, "png", "RGB", "") for one in "abc"]
    tables.append("images", table_of("images", pictures))
    checks = [Check(one * 64, "", 1, 1, 0, 0, 0, 0, 0, 1, False, "", 0, 0, bytes(32), 0) for one in "abc"]
    tables.append("checks", table_of("checks", checks))
    assert (note(project, "clean").done, note(project, "clean").waiting) == (0, 3)
    assert note(project, "clean").note == "3 measured, none screened"
    tables.append("verdicts", table_of("verdicts", [Verdict("a" * 64, "keep", "", "", 0, 0, "")]))
    assert (note(project, "clean").done, note(project, "clean").waiting) == (1, 2)
    assert overview.status(project).next == ("pictus clean",)


def test_where_every_label_is_rejected_status_asks_for_votes_not_for_settling_again(project: Project) -> None:
    tables = project.tables
    tables.replace("concepts", table_of("concepts", [Concept("owl", ("owl",), is_class=True)]))
    picture = Picture(IMAGE, "pictures-00000.tar", 0, 1, 1, 1, "png", "RGB", "")
    tables.append("images", table_of("images", [picture]))
    check = Check(IMAGE, "", 1, 1, 0, 0, 0, 0, 0, 1, False, "", 0, 0, bytes(32), 0)
    tables.append("checks", table_of("checks", [check]))
    tables.append("verdicts", table_of("verdicts", [Verdict(IMAGE, "keep", "", "", 0, 0, "")]))
    project.journal.add_votes([Vote(IMAGE, "ada", "owl", "no", "web", "2026-01-01T00:00:00Z")])
    assert overview.status(project).next == ("pictus annotate settle",)
    tables.append("labels", table_of("labels", [Label(IMAGE, "owl", 0.99, 1, "rejected", "one-coin", "")]))
    outcome = overview.status(project)
    assert outcome.summary["rejected"] == 1
    assert outcome.next == ("pictus annotate import MORE-VOTES.csv    (then pictus annotate settle)",
                            "pictus annotate plan")  # fmt: skip


def test_a_pictures_history_tells_what_each_run_guessed(project: Project) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = project.tables
    tables.append("images", table_of("images", [Picture(IMAGE, "pictures-00000.tar", 0, 1, 1, 1, "png", "RGB", "")]))
    folder = project.models_dir / "first/evaluations/1.0.0-test"
    folder.mkdir(parents=True)
    row = {"image_id": IMAGE, "cause": "", "guesses": ["owl", "wren"], "probabilities": [0.75, 0.25]}
    broken = {"image_id": IMAGE, "cause": "truncated", "guesses": [], "probabilities": []}
    pq.write_table(pa.Table.from_pylist([row, broken]), folder / "predictions.parquet")
    told = [(moment.what, moment.why) for moment in overview.show(project, IMAGE)]
    assert told == [("seen by first", "owl 0.75, wren 0.25"), ("seen by first", "not usable: truncated")]


def test_an_address_that_failed_twice_is_one_and_one_that_came_at_last_is_none(project: Project) -> None:
    def told(*attempts: Attempt) -> tuple[int, str]:
        project.tables.append("fetches", table_of("fetches", attempts))
        return overview.status(project).summary["failed"], note(project, "collect").note

    assert told(attempt("http://a/1", "timeout"), attempt("http://a/2", "timeout")) == (2, "2 addresses failed")
    assert told(attempt("http://a/1", "timeout"), attempt("http://a/2", "ok")) == (1, "1 address failed")
    assert told(attempt("http://a/1", "unchanged")) == (0, "")


def test_one_of_a_thing_is_told_in_the_singular(project: Project) -> None:
    project.tables.replace("concepts", table_of("concepts", [Concept("owl", ("owl",), is_class=True)]))
    picture = Picture(IMAGE, "pictures-00000.tar", 0, 1, 1, 1, "png", "RGB", "")
    project.tables.append("images", table_of("images", [picture]))
    assert note(project, "taxonomy").note == "1 class"
    assert overview.status(project).next == ("pictus clean",)


def collected(project: Project, *found: tuple[str, str]) -> None:
    """Pictures with these (image_id, address)."""
    ids = dict.fromkeys(image_id for image_id, _ in found)
    pictures = [Picture(one, "pictures-00000.tar", 0, 1, 1, 1, "png", "RGB", "") for one in ids]
    project.tables.append("images", table_of("images", pictures))
    sources = [Source(image_id, address, "file", "", "", "", "", "2026-01-01") for image_id, address in found]
    project.tables.append("sources", table_of("sources", sources))


def test_a_picture_is_known_by_the_end_of_its_address(project: Project) -> None:
    a, b, c = "a" * 64, "b" * 64, "c" * 64
    web = "https://photos.test/owl/5.jpg?size=big"
    collected(project, (a, "/data/owl/1.jpg"), (b, "/data/wren/1.jpg"), (b, "/copy/it's.jpg"))
    collected(project, (c, "/x.zip!/wren/2.png"), (c, web))
    for text, wanted in (
        ("owl/1.jpg", a), ("owl/1", a), ("./wren/1.jpg", b), ("it's.jpg", b), ("2.png", c), (web, c), ("5.jpg", c),
    ):  # fmt: skip
        assert overview.find_image(project, text) == wanted, text
    with pytest.raises(UserError, match=r"'1\.jpg' means 2 pictures: /data/owl/1\.jpg, /data/wren/1\.jpg") as caught:
        overview.find_image(project, "1.jpg")
    assert caught.value.fix == "type more of the path"
    with pytest.raises(UserError, match=r"no picture '\.jpg'"):
        overview.find_image(project, ".jpg")


def test_a_file_that_is_here_is_the_picture_with_its_bytes_or_its_address(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    photo, changed = tmp_path / "photo.jpg", tmp_path / "changed.jpg"
    photo.write_bytes(b"bytes")
    changed.write_bytes(b"written to since it was collected")
    image_id = hashlib.sha256(b"bytes").hexdigest()
    collected(project, (image_id, "/elsewhere/1.jpg"), (IMAGE, str(changed)), ("b" * 64, "/other/changed.jpg"))
    monkeypatch.chdir(tmp_path)
    assert overview.show(project, str(photo)).summary["image_id"] == image_id
    assert overview.show(project, "photo.jpg").summary["image_id"] == image_id
    assert overview.show(project, "changed.jpg").summary["image_id"] == IMAGE


def test_history_speaks_of_concepts_by_name_and_keeps_their_ids_for_programs(project: Project) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    tables = project.tables
    tables.replace("concepts", table_of("concepts", [Concept("x29", ("dalmatian",), is_class=True)]))
    collected(project, (IMAGE, "/a.jpg"))
    tables.append("labels", table_of("labels", [Label(IMAGE, "x29", 0.99, 1, "accepted", "one-coin", "")]))
    project.journal.add_votes([
        Vote(IMAGE, "ada", "x29", "yes", "web", "2026-01-01T00:00:00Z"),
        Vote(IMAGE, "bob", "", "x29", "web", "2026-01-01T00:00:01Z"),
    ])  # fmt: skip
    folder = project.models_dir / "first/evaluations/1.0.0-test"
    folder.mkdir(parents=True)
    row = {"image_id": IMAGE, "cause": "", "guesses": ["x29", "gone"], "probabilities": [0.75, 0.25]}
    pq.write_table(pa.Table.from_pylist([row]), folder / "predictions.parquet")
    outcome = overview.show(project, IMAGE)
    assert "label dalmatian (0.990, 1 vote)" in outcome.headline
    told = [(moment.what, moment.why, moment.concepts) for moment in outcome if moment.stage != "collect"]
    assert told == [
        ("vote of ada", "is it dalmatian? yes", ("x29",)),
        ("vote of bob", "dalmatian", ("x29",)),
        ("accepted dalmatian", "posterior 0.990 from 1 vote by one-coin", ("x29",)),
        ("seen by first", "dalmatian 0.75, gone 0.25", ("x29", "gone")),
    ]


def test_status_tells_the_latest_audit_that_was_answered_what_waits_and_who_is_at_work(project: Project) -> None:
    def audited(n: int, share: float) -> None:
        presence = {"estimate": share, "low": share - 0.003, "high": share + 0.002, "n": n}
        project.journal.log("annotate", "labels_audited", "labels", audit_id="0001-labels", presence=presence)

    assert "labelled 0   " in overview.status(project).headline
    audited(1500, 0.994)
    audited(0, 0.0)  # the next one is drawn, and nobody has answered yet
    assert "labelled 0 (99.4 %, CI 99.1-99.6)   " in overview.status(project).headline
    with project.journal.transaction() as connection:
        connection.execute(sa.text("INSERT INTO heaps VALUES ('grid', 'owl', 'open', 1, '', 120)"))
        for name, until in (("ada", "9999-01-01T00:00:00Z"), ("bob", "2026-01-01T00:00:00Z")):
            connection.execute(sa.text(
                "INSERT INTO pages (page_id, kind, concept_id, annotator, state, revision, leased_at, expires_at,"
                " submitted_at, seconds) VALUES (:name, 'grid', 'owl', :name, 'leased', 0, '', :until, '', 0)"
            ), {"name": name, "until": until})  # fmt: skip
    assert note(project, "annotate").note == "0 votes, 120 questions waiting, 1 person at work"
    assert overview.status(project).summary["questions_waiting"] == 120
