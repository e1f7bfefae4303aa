from __future__ import annotations

import json
from pathlib import Path

import pytest

import pictus
from pictus.journey import Goal, first_command
from pictus.project import Project, bare
from pictus.records import Concept, Label, Picture, Source, Split, Vote
from pictus.tables import table_of

IMAGE = "a" * 64
GOALS: tuple[Goal, ...] = ("pictures", "votes", "labels", "split", "release", "run")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return pictus.new(tmp_path / "birds")


def begins(project: Project) -> list[str]:
    """The stage and verb told for each goal."""
    return [" ".join(first_command(project, goal).split()[1:3]) for goal in GOALS]


def test_every_goal_is_told_the_first_step_that_is_missing(project: Project) -> None:
    tables = project.tables
    assert begins(project) == ["taxonomy import"] * 6
    tables.replace("concepts", table_of("concepts", [Concept("owl", ("owl",), is_class=True)]))
    assert begins(project) == ["collect add"] * 6
    tables.append("images", table_of("images", [Picture(IMAGE, "pictures-00000.tar", 0, 1, 1, 1, "png", "RGB", "")]))
    assert begins(project) == ["collect add"] + ["annotate import"] * 5
    project.journal.add_votes([Vote(IMAGE, "ada", "", "owl", "labels.csv", "2026-01-01T00:00:00Z")])
    assert begins(project)[2:] == ["annotate settle"] * 4
    label = Label(IMAGE, "owl", 0.95, 1, "accepted", "majority", "2026-01-01T00:00:00Z")
    tables.replace("labels", table_of("labels", [label]))
    assert begins(project)[2:] == ["annotate settle"] + ["release split"] * 3
    tables.replace("splits", table_of("splits", [Split(IMAGE, "train", "owl", IMAGE)]))
    assert begins(project)[4:] == ["release cut"] * 2


def test_what_came_before_the_last_thing_done_is_not_asked_for(project: Project) -> None:
    label = Label(IMAGE, "owl", 0.95, 1, "accepted", "majority", "2026-01-01T00:00:00Z")
    project.tables.replace("labels", table_of("labels", [label]))
    assert begins(project)[3:] == ["release split"] * 3


def test_folders_are_proposed_as_votes_only_where_they_claim_something(project: Project) -> None:
    tables = project.tables
    tables.replace("concepts", table_of("concepts", [Concept("owl", ("owl",), is_class=True)]))
    tables.append("images", table_of("images", [Picture(IMAGE, "pictures-00000.tar", 0, 1, 1, 1, "png", "RGB", "")]))
    assert "--from-folders" not in first_command(project, "votes")
    tables.append("sources", table_of("sources", [Source(IMAGE, "/owl/1.png", "folder", "owl", "", "", "", "")]))
    assert "--from-folders" in first_command(project, "votes")


def test_a_run_needs_a_release_and_an_unfinished_one_goes_first(project: Project) -> None:
    (project.releases_dir / "1.0.0").mkdir(parents=True)
    (project.releases_dir / "1.0.0" / "manifest.json").write_text("{}")
    assert first_command(project, "run") == "pictus train run --release 1.0.0 --recipe auto"
    for name, status in (("done", "finished"), ("half", "running")):
        (project.models_dir / name).mkdir(parents=True)
        (project.models_dir / name / "run.json").write_text(json.dumps({"status": status}))
    assert first_command(project, "run") == "pictus train resume half"


def test_of_several_releases_training_picks_the_newest_by_itself_and_of_several_runs_the_last_begun_goes_on(
    project: Project,
) -> None:
    for version in ("2.0.0", "1.0.1"):
        (project.releases_dir / version).mkdir(parents=True)
        (project.releases_dir / version / "manifest.json").write_text("{}")
    assert first_command(project, "run") == "pictus train run --recipe auto"
    for name, at in (("second", "2026-02-01T00:00:00Z"), ("first", "2026-01-01T00:00:00Z")):
        (project.models_dir / name).mkdir(parents=True)
        (project.models_dir / name / "run.json").write_text(json.dumps({"status": "running", "started_at": at}))
    assert first_command(project, "run") == "pictus train resume second"


def test_a_bare_folder_without_a_release_proposes_a_project(tmp_path: Path) -> None:
    assert "pictus new NAME" in first_command(bare(tmp_path), "run")
    assert list(tmp_path.iterdir()) == []
