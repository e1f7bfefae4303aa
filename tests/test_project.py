from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import pictus
from pictus.errors import UserError
from pictus.project import CONFIG_NAME, safe_name, write_text
from pictus.records import Label
from pictus.tables import table_of


def test_a_new_project_opens_from_inside_its_folders(tmp_path: Path) -> None:
    project = pictus.new(tmp_path / "birds")
    (project.root / "deep" / "er").mkdir(parents=True)
    assert pictus.open(project.root / "deep" / "er") == project
    assert project.name == "birds"


def test_making_a_project_twice_is_refused(tmp_path: Path) -> None:
    pictus.new(tmp_path / "birds")
    with pytest.raises(pictus.UserError, match="is a project already"):
        pictus.new(tmp_path / "birds")


def test_no_project_here_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(pictus.UserError, match="no Pictus project") as caught:
        pictus.open(tmp_path)
    assert "pictus new" in caught.value.fix


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = 'a'", "is not a project file"),
        ("name = [", "is not a project file"),
        ("name='a'\nformat=99", "has format 99"),
    ],
)
def test_a_damaged_or_newer_config_is_said(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / CONFIG_NAME).write_text(text)
    with pytest.raises(pictus.UserError, match=message):
        pictus.open(tmp_path)


def test_a_second_process_is_told_who_works_on_the_stage(project: pictus.Project) -> None:
    program = (
        "import sys, pictus\n"
        "project = pictus.open(sys.argv[1])\n"
        "try:\n"
        "    with project.lock('clean'): print('in')\n"
        "except pictus.UserError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(project.root)]
    with project.lock("clean"):
        out = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout
    assert f"Process {os.getpid()}" in out
    assert "is working on 'clean'" in out
    assert subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout == "in\n"


def test_a_killed_holder_frees_its_lock(project: pictus.Project) -> None:
    program = (
        "import sys, time, pictus\n"
        "with pictus.open(sys.argv[1]).lock('clean'):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    command = [sys.executable, "-c", program, str(project.root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        holder.kill()
    with project.lock("clean"):
        assert True


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "card.json"
    write_text(target, "old")

    def refuse(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(pictus.UserError, match="No space left"):
        write_text(target, "new")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".hidden", "a b", "x" * 101, "ü"])
def test_names_that_are_not_one_path_component_are_refused(name: str) -> None:
    with pytest.raises(pictus.UserError, match="cannot be a version"):
        safe_name(name, "version")


def test_an_emptied_journal_of_a_labelled_project_is_told_and_not_taken_for_a_new_one(project: pictus.Project) -> None:
    (project.root / "journal.sqlite").touch()
    assert project.journal.vote_count() == 0, "nothing says that there ever were votes"
    project.journal.engine.dispose()
    project.tables.append("labels", table_of("labels", [Label("a" * 64, "owl", 0.9, 1, "accepted", "one-coin", "")]))
    for left in project.root.glob("journal.sqlite*"):
        left.write_bytes(b"")
    with pytest.raises(UserError, match=r"journal\.sqlite is empty, but the project has labels") as error:
        _ = pictus.open(project.root).journal
    assert "restore it from a copy" in error.value.fix
    assert (project.root / "journal.sqlite").stat().st_size == 0, "nothing is written into it"
