from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import pictus
from pictus import annotate
from pictus.errors import UserError
from pictus.project import Project
from pictus.records import Label, Split, Vote
from pictus.registry import STEPS
from pictus.tables import table_of

Fill = Callable[..., dict[str, str]]

PICTURES = {f"photos/{name}/{number}.jpg": name for name in ("owl", "wren") for number in range(6)}


def rises(*values: float | None) -> bool:
    """Whether all are known and none is below the one before it."""
    known = [value for value in values if value is not None]
    return len(known) == len(values) and known == sorted(known)


def write(tmp_path: Path, text: str, name: str = "labels.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def statuses(project: Project) -> dict[str, str]:
    return {label.image_id: label.status for label in project.tables.records("labels", Label)}


def test_truth_has_its_steps() -> None:
    assert {name for name in STEPS if name.startswith("annotate ")} >= {
        "annotate import", "annotate settle", "annotate skills",
    }  # fmt: skip
    assert not STEPS["annotate skills"].changes


def test_folders_become_labels(project: Project, fill: Fill) -> None:
    ids = fill(project, PICTURES)
    outcome = annotate.import_(project, from_folders=True)
    assert outcome.summary["added"] == len(PICTURES)
    assert {vote.annotator for vote in outcome} == {"source:folder"}
    settled = annotate.settle(project)
    found = {label.image_id: (label.concept_id, label.status) for label in settled}
    assert found == {ids[path]: (claim, "accepted") for path, claim in PICTURES.items()}
    assert settled.summary["accepted"] == 12
    assert settled.problems == ()
    json.dumps(settled.summary, allow_nan=False)


def test_a_list_of_labels_is_read_by_file_name(project: Project, fill: Fill, tmp_path: Path) -> None:
    ids = fill(project, dict.fromkeys(("a/1.jpg", "a/2.jpg", "b/3.jpg"), ""))
    path = write(tmp_path, f"Image,Class\n1.jpg,Owl\na/2.jpg,jenny_wren\n{ids['b/3.jpg']},fish\n")
    outcome = annotate.import_(project, (path,))
    assert {(vote.image_id, vote.answer) for vote in outcome} == {
        (ids["a/1.jpg"], "owl"), (ids["a/2.jpg"], "wren"), (ids["b/3.jpg"], "fish"),
    }  # fmt: skip
    annotate.settle(project)
    assert set(statuses(project).values()) == {"accepted"}


def test_crowd_votes_accept_reject_and_leave_open(project: Project, fill: Fill, tmp_path: Path) -> None:
    ids = fill(project, dict.fromkeys(("1.jpg", "2.jpg", "3.jpg"), ""))
    rows = [f"p{person},1.jpg,owl,yes" for person in range(6)] + [f"p{person},2.jpg,owl,no" for person in range(6)]
    rows += ["p0,3.jpg,owl,yes", "p1,3.jpg,owl,no", "p2,3.jpg,owl,maybe"]
    path = write(tmp_path, "worker,image,question,answer\n" + "\n".join(rows) + "\n", "votes.csv")
    annotate.import_(project, (path,))
    for method in ("dawid-skene", "one-coin", "majority"):
        outcome = annotate.settle(project, method=method)
        assert statuses(project) == {
            ids["1.jpg"]: "accepted", ids["2.jpg"]: "rejected", ids["3.jpg"]: "unsettled",
        }, method  # fmt: skip
        assert {label.method for label in outcome} == {method}
    assert outcome.summary["votes_per_picture"] == 5


def test_settling_again_replaces_and_gives_the_same(project: Project, fill: Fill) -> None:
    fill(project, PICTURES)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    before = project.tables.read("labels").drop(["settled_at"])
    annotate.settle(project)
    assert project.tables.read("labels").drop(["settled_at"]).equals(before)
    assert [event.event for event in project.journal.events(limit=2)] == ["labels_settled", "labels_settled"]


def test_importing_again_adds_nothing_and_a_corrected_file_supersedes(
    project: Project, fill: Fill, tmp_path: Path
) -> None:
    ids = fill(project, dict.fromkeys(("1.jpg", "2.jpg"), ""))
    path = write(tmp_path, "image,label\n1.jpg,owl\n2.jpg,owl\n")
    assert annotate.import_(project, (path,)).summary["added"] == 2
    again = annotate.import_(project, (path,))
    assert (again.summary["added"], again.summary["already_there"]) == (0, 2)
    assert list(again) == []
    write(tmp_path, "image,label\n1.jpg,owl\n2.jpg,wren\n")
    assert annotate.import_(project, (path,)).summary["added"] == 1
    assert project.journal.votes(ids["2.jpg"]).column("answer").to_pylist() == ["wren"]
    write(tmp_path, "image,label\n1.jpg,owl\n2.jpg,owl\n")  # back to the first version
    back = annotate.import_(project, (path,))
    assert back.summary["added"] == 1
    assert [vote.answer for vote in back] == ["owl"]
    assert project.journal.votes(ids["2.jpg"]).column("answer").to_pylist() == ["owl"]
    assert [vote.answer for vote in project.journal.history(ids["2.jpg"])] == ["owl", "wren", "owl"]


def test_several_files_count_as_one_and_the_last_answer_wins(project: Project, fill: Fill, tmp_path: Path) -> None:
    fill(project, {"1.jpg": ""})
    first = write(tmp_path, "worker,image,answer\nada,1.jpg,owl\n", "one.csv")
    second = write(tmp_path, "worker,image,answer\nada,1.jpg,wren\n", "two.tsv".replace("tsv", "csv"))
    for _ in range(2):
        outcome = annotate.import_(project, (first, second))
    assert outcome.summary["added"] == 0
    assert project.journal.votes().column("answer").to_pylist() == ["wren"]
    assert project.journal.vote_count() == 1


def test_all_bad_rows_of_all_files_are_told_and_nothing_is_stored(project: Project, fill: Fill, tmp_path: Path) -> None:
    fill(project, dict.fromkeys(("a/1.jpg", "b/1.jpg", "2.jpg"), ""))
    one = write(tmp_path, "image,label\n2.jpg,owll\n1.jpg,owl\n2.jpg,owl\n", "one.csv")
    two = write(tmp_path, "image,label\nnowhere.jpg,dragon\n", "two.csv")
    with pytest.raises(UserError) as error:
        annotate.import_(project, (one, two))
    assert "one.csv, two.csv: 3 bad rows" in error.value.what
    assert "one.csv line 2: class 'owll' is not in the taxonomy (did you mean owl?)" in error.value.what
    assert "one.csv line 3: '1.jpg' means 2 pictures: /home/ada/a/1.jpg, /home/ada/b/1.jpg" in error.value.what
    assert "two.csv line 2: class 'dragon' is not in the taxonomy; no picture 'nowhere.jpg'" in error.value.what
    assert "--skip-bad" in error.value.fix
    assert "pictus taxonomy add" in error.value.fix
    assert project.journal.vote_count() == 0


def test_unknown_pictures_can_be_left_out_but_wrong_classes_cannot(
    project: Project, fill: Fill, tmp_path: Path
) -> None:
    fill(project, {"1.jpg": ""})
    path = write(tmp_path, "image,label\n1.jpg,owl\nnowhere.jpg,owl\n")
    with pytest.raises(UserError) as error:
        annotate.import_(project, (path,))
    assert "--skip-unknown" in error.value.fix
    outcome = annotate.import_(project, (path,), skip_unknown=True)
    assert (outcome.summary["added"], outcome.summary["left_out"]) == (1, 1)
    assert "nowhere.jpg" in outcome.problems[0]
    write(tmp_path, "image,label\n1.jpg,dragon\nnowhere.jpg,owl\n")
    with pytest.raises(UserError, match="1 bad row"):
        annotate.import_(project, (path,), skip_unknown=True)
    write(tmp_path, "image,label\nnowhere.jpg,owl\n")
    with pytest.raises(UserError, match="no row is about a picture"):
        annotate.import_(project, (path,), skip_unknown=True)


def test_bad_rows_are_told_in_the_order_of_the_file_and_can_all_be_left_out(
    project: Project, fill: Fill, tmp_path: Path
) -> None:
    fill(project, {"1.jpg": ""})
    path = write(tmp_path, "image,label\nnowhere.jpg,owl\n1.jpg,dragon\n1.jpg,owl\n1.jpg\nno.jpg,owl\n")
    with pytest.raises(UserError) as error:
        annotate.import_(project, (path,))
    lines = [line.split(":")[0].strip() for line in error.value.what.splitlines()[1:]]
    assert lines == ["labels.csv line 2", "labels.csv line 3", "labels.csv line 5", "labels.csv line 6"]
    with pytest.raises(UserError, match="2 bad rows"):
        annotate.import_(project, (path,), skip_unknown=True)
    outcome = annotate.import_(project, (path,), skip_bad=True)
    assert (outcome.summary["added"], outcome.summary["left_out"], outcome.summary["rows"]) == (1, 4, 5)
    assert outcome.problems[0].startswith("4 rows left out: labels.csv line 2")
    kept = project.journal.events()[0].data["rows_left_out"]
    assert [row.split(":")[0] for row in kept] == lines
    assert "dragon" in kept[1]


def test_a_file_of_bad_rows_only_says_what_is_wrong_with_them(project: Project, fill: Fill, tmp_path: Path) -> None:
    fill(project, {"1.jpg": ""})
    path = write(tmp_path, "image,label\n1.jpg,zebra\n")
    with pytest.raises(UserError, match="no row can be used: 1 bad row") as error:
        annotate.import_(project, (path,), skip_bad=True)
    assert "'zebra' is not in the taxonomy" in error.value.what


def test_a_huge_cell_is_not_echoed_whole(project: Project, fill: Fill, tmp_path: Path) -> None:
    fill(project, {"1.jpg": ""})
    path = write(tmp_path, f"image,label\n1.jpg,{'x' * 300_000}\n{'y' * 300_000},owl\n1.jpg,owl,{'z' * 300_000}\n")
    with pytest.raises(UserError, match="3 bad rows") as error:
        annotate.import_(project, (path,))
    assert len(error.value.what) < 1000
    assert "(300,000 characters)" in error.value.what


def test_yes_no_answers_may_share_one_question(project: Project, fill: Fill, tmp_path: Path) -> None:
    fill(project, {"1.jpg": ""})
    path = write(tmp_path, "worker,image,answer\nada,1.jpg,1\nbob,1.jpg,0\n")
    annotate.import_(project, (path,), question="jenny wren")
    votes = project.journal.votes().to_pylist()
    assert [(vote["question"], vote["answer"]) for vote in votes] == [("wren", "yes"), ("wren", "no")]
    with pytest.raises(UserError, match="dragon"):
        annotate.import_(project, (path,), question="dragon")


def test_spammers_are_named_and_do_not_decide(project: Project, fill: Fill, tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(60)]
    ids = fill(project, dict.fromkeys(names, ""))
    rows = []
    for number, name in enumerate(names):
        truth = "yes" if number % 3 else "no"
        rows += [f"good{person},{name},owl,{truth}" for person in range(5)]
        rows += [f"spam{person},{name},owl,yes" for person in range(3)]
    annotate.import_(project, (write(tmp_path, "worker,image,question,answer\n" + "\n".join(rows)),))
    outcome = annotate.settle(project)
    assert sorted(outcome.summary["suspected"]) == [f"spam{person}" for person in range(3)]
    assert sum("seems to answer without looking" in problem for problem in outcome.problems) == 3
    assert all((statuses(project)[ids[name]] == "accepted") == (number % 3 > 0) for number, name in enumerate(names))
    found = list(annotate.skills(project))
    assert [skill.is_suspected for skill in found] == [True] * 3 + [False] * 5
    assert all(rises(skill.low, skill.accuracy, skill.high) for skill in found)
    assert rises(0.95, found[-1].accuracy)


def test_skills_that_nothing_is_known_of_are_none_and_the_next_step_is_told(
    project: Project, fill: Fill, tmp_path: Path
) -> None:
    ids = fill(project, {f"owl/{number}.jpg": "owl" for number in range(4)})
    annotate.import_(project, from_folders=True)
    before = annotate.skills(project)
    (alone,) = before
    assert (alone.n_votes, alone.n_compared) == (4, 0)
    assert {getattr(alone, name) for name in ("accuracy", "low", "high", "skill", "skill_low", "skill_high")} == {None}
    assert before.summary["mean_accuracy"] is None
    assert before.next == ("pictus annotate settle",)
    annotate.settle(project)
    assert annotate.skills(project).next == ("pictus release split --seed 7",)
    project.tables.replace("splits", table_of("splits", [Split(one, "train", "", one) for one in ids.values()]))
    assert annotate.skills(project).next == ()


def test_skill_stays_within_its_bounds_where_all_say_the_same(project: Project, fill: Fill, tmp_path: Path) -> None:
    names = [f"{number}.jpg" for number in range(12)]
    fill(project, dict.fromkeys(names, ""))
    rows = [f"{who},{name},{'wren' if who == 'cy' else 'owl'}" for name in names for who in ("ada", "bob", "cy", "di")]
    annotate.import_(project, (write(tmp_path, "worker,image,answer\n" + "\n".join(rows)),))
    for method in ("majority", "one-coin", "dawid-skene"):
        found = {one.annotator: one for one in annotate.skills(project, method=method)}
        for one in found.values():
            assert rises(0, one.low, one.accuracy, one.high, 1)
            assert one.skill is None or rises(-1, one.skill_low, one.skill, one.skill_high, 1)
        assert rises(found["cy"].accuracy, found["ada"].accuracy)


def test_a_folder_is_never_called_a_spammer(project: Project, fill: Fill, tmp_path: Path) -> None:
    fill(project, {f"owl/{number}.jpg": "owl" for number in range(40)})
    annotate.import_(project, from_folders=True)
    said = ["yes", "no"] * 20
    rows = [f"p{person},{number}.jpg,owl,{said[number]}" for number in range(40) for person in range(3)]
    annotate.import_(project, (write(tmp_path, "worker,image,question,answer\n" + "\n".join(rows)),))
    outcome = annotate.settle(project)
    assert (outcome.summary["accepted"], outcome.summary["rejected"]) == (20, 20)
    assert outcome.summary["suspected"] == []


def test_pictures_claimed_twice_and_claims_of_unknown_concepts_are_told(project: Project, fill: Fill) -> None:
    ids = fill(project, {"owl/1.jpg": "owl", "wren/2.jpg": "wren", "old/3.jpg": "gone"})
    from pictus.records import Source
    from pictus.tables import table_of

    project.tables.append(
        "sources", table_of("sources", [Source(ids["owl/1.jpg"], "/b/wren/1.jpg", "folder", "wren", "", "", "", "")])
    )
    outcome = annotate.import_(project, from_folders=True)
    assert (outcome.summary["torn"], outcome.summary["left_out"]) == (1, 1)
    assert len(outcome.problems) == 2
    annotate.settle(project)
    assert statuses(project) == {ids["owl/1.jpg"]: "unsettled", ids["wren/2.jpg"]: "accepted"}


def test_votes_for_a_concept_taken_from_the_taxonomy_are_told(project: Project, fill: Fill) -> None:
    fill(project, PICTURES)
    annotate.import_(project, from_folders=True)
    project.tables.delete("concepts", "concept_id = 'wren'")
    assert "wren" in annotate.settle(project).problems[0]


@pytest.mark.parametrize("case", ["nothing", "both", "question with folders", "no pictures", "no claims"])
def test_what_cannot_be_imported_says_what_to_type(project: Project, fill: Fill, tmp_path: Path, case: str) -> None:
    path = write(tmp_path, "image,label\n1.jpg,owl\n")
    if case != "no pictures":
        fill(project, {"1.jpg": ""})
    files = (path,) if case in {"both", "no pictures"} else ()
    folders = case in {"both", "question with folders", "no claims"}
    with pytest.raises(UserError) as error:
        annotate.import_(project, files, from_folders=folders, question="owl" if "question" in case else "")
    assert "pictus " in error.value.fix


def test_settling_without_votes_or_with_a_wrong_option_says_what_to_type(project: Project, fill: Fill) -> None:
    for step in (annotate.settle, annotate.skills):
        with pytest.raises(UserError, match="no votes") as error:
            step(project)
        assert "pictus taxonomy import" in error.value.fix  # the first thing an empty project lacks
    fill(project, {"owl/1.jpg": "owl"})
    with pytest.raises(UserError) as error:
        annotate.settle(project)
    assert "pictus annotate import --from-folders" in error.value.fix
    with pytest.raises(UserError, match="method 'majorty'") as error:
        annotate.settle(project, method="majorty")
    assert "majority" in error.value.fix
    for threshold in (0.5, 1, 90, float("nan")):
        with pytest.raises(UserError, match="between"):
            annotate.settle(project, threshold=threshold)


def test_a_second_process_is_told_who_is_at_work(project: Project, fill: Fill) -> None:
    fill(project, PICTURES)
    with project.lock("annotate"), pytest.raises(UserError, match="annotate"):
        annotate.import_(project, from_folders=True)


def test_killed_while_storing_the_import_starts_over_and_doubles_nothing(
    project: Project, fill: Fill, tmp_path: Path
) -> None:
    names = [f"{number:04}.jpg" for number in range(2000)]
    fill(project, dict.fromkeys(names, ""))
    path = write(tmp_path, "image,label\n" + "\n".join(f"{name},owl" for name in names))
    program = """
import os, signal, sys
from pathlib import Path
import pictus
from pictus import annotate, journal
insert = journal._insert_by_rows
def killed(connection, votes):
    insert(connection, votes.slice(0, 1000))
    os.kill(os.getpid(), signal.SIGKILL)
journal._insert_by_rows = killed
annotate.import_(pictus.open(sys.argv[1]), (Path(sys.argv[2]),))
"""
    command = [sys.executable, "-c", program, str(project.root), str(path)]
    assert subprocess.run(command, timeout=60, check=False).returncode == -signal.SIGKILL
    assert pictus.open(project.root).journal.vote_count() == 0
    assert annotate.import_(project, (path,)).summary["added"] == 2000
    assert project.journal.vote_count() == 2000


def test_votes_keep_where_they_were_read(project: Project, fill: Fill, tmp_path: Path) -> None:
    fill(project, {"1.jpg": ""})
    vote = next(iter(annotate.import_(project, (write(tmp_path, "image,label\n1.jpg,owl\n"),))))
    assert isinstance(vote, Vote)
    assert vote.source.startswith("labels.csv@")
    assert vote.annotator == "source:labels.csv"
    assert vote.voted_at.endswith("Z")


def test_places_that_contradict_each_other_unsettle_only_what_they_speak_of(project: Project, fill: Fill) -> None:
    """Two folders that name one picture unlike say nothing of the pictures that only one of them has."""
    fill(project, {f"photos/owl/{number}.jpg": "owl" for number in range(30)})
    fill(project, {f"photos/owl/{number}.jpg": "wren" for number in range(5)}, kind="parquet")
    annotate.import_(project, from_folders=True)
    outcome = annotate.settle(project)
    assert (outcome.summary["accepted"], outcome.summary["unsettled"]) == (25, 5)
    assert outcome.problems[0] == "5 of 30 labels unsettled: no posterior reaches 0.9"
    assert outcome.problems[1].startswith("votes contradict each other on 5 pictures (")
    assert outcome.next == ("pictus release split",)


def test_labels_that_are_mostly_unsettled_say_why_and_are_not_released(
    project: Project, fill: Fill, tmp_path: Path
) -> None:
    fill(project, {f"photos/{number}.jpg": "" for number in range(6)})
    rows = [f"ann,{number}.jpg,owl" for number in range(6)] + ["bob,0.jpg,wren"]
    annotate.import_(project, (write(tmp_path, "\n".join(["worker,image,label", *rows])),))
    outcome = annotate.settle(project)
    assert outcome.summary["unsettled"] == 6
    told = "\n".join(outcome.problems)
    assert "6 of 6 labels unsettled" in told
    assert "contradict each other on 1 picture (" in told
    assert "5 unsettled pictures have a single vote" in told
    assert "--method majority takes the votes as they are and would accept 5 of them" in told
    assert outcome.next[0] == "pictus annotate settle --method majority"
    assert not any("release" in command for command in outcome.next)
    plainly = annotate.settle(project, method="majority")
    assert plainly.summary["accepted"] == 5
    assert plainly.next == ("pictus release split",)
