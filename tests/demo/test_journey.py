"""The whole journey on a tiny world: the table, the report, a second run, a kill, wrong folders."""

from __future__ import annotations

import json
import re
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

import pictus
from pictus import annotate
from pictus.demo import acts, journey, run_demo
from pictus.demo.acts import FULL, SMALL, Scale
from pictus.demo.journey import DemoResult
from pictus.demo.mess import FAILURES, HOSTS, Mixture
from pictus.errors import UserError
from pictus.project import Project

pytest.importorskip("torch")
pytest.importorskip("onnxruntime")

TINY = Scale(SMALL.concepts[:3], Mixture(good=16, wrong=2, duplicate=4, poor=4, broken=1, failed=4), epochs=2, fresh=1)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> DemoResult:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journey, "SMALL", TINY)
        return run_demo(tmp_path_factory.mktemp("journey") / "demo", small=True)


def test_the_opening_counts_what_was_drawn(result: DemoResult) -> None:
    bad = 3 * (TINY.mixture.total - TINY.mixture.good)
    assert f"3 concepts and {3 * TINY.mixture.total} candidate pictures, {bad} of them bad on purpose" in result.opening


def test_every_failure_is_recorded_with_its_cause(result: DemoResult) -> None:
    facts = result.facts["collect"]
    assert facts["causes_right"] == facts["doomed"] == 3 * TINY.mixture.failed
    assert facts["surprises"] == {}
    assert set(facts["causes"]) <= set(FAILURES.values())


def test_no_duplicate_group_is_cut_and_the_crowd_is_right(result: DemoResult) -> None:
    assert result.facts["release"]["cut_groups"] == 0
    assert result.facts["clean"]["duplicates"]["recall"][0] > 0.7
    assert result.facts["annotate"]["precision"][0] > 0.9
    # A twentieth of a concept's pictures, and four at least, are asked of ten people: much of so small a world.
    assert result.facts["annotate"]["votes"] < result.facts["annotate"]["fixed_10"] * 0.7


def test_the_crowd_worked_at_the_desk_and_experts_audited_it(result: DemoResult) -> None:
    facts, project = result.facts["annotate"], pictus.open(result.folder)
    assert facts["desk"]["pictures"] == facts["votes"], "every answer was given by somebody who had fetched the picture"
    assert facts["desk"]["unknown"] == 0
    assert facts["roles"]["gold"] > 0
    people = {worker.name: worker for worker in annotate.people(project)}
    assert {"ada", "dr-finch"} <= set(people)
    assert sum(worker.questions for worker in people.values()) == facts["votes"] + facts["audit"]["drawn"]
    assert facts["audit"]["answered"] == facts["audit"]["drawn"] == facts["accepted"]
    assert abs(facts["audit"]["presence"]["estimate"] - facts["precision"][0]) < 0.05  # an expert may slip
    waiting = [heap for heap in annotate.queue(project) if heap.waiting]
    assert waiting == []


def test_the_table_has_a_line_for_every_stage(result: DemoResult) -> None:
    text = result.as_text()
    for stage in ("collect", "clean", "annotate", "release", "train", "evaluate", "challenge", "serve", "search"):
        assert re.search(rf"^  {stage}\s+\S", text, re.MULTILINE), stage
    assert str(result.report) in text
    assert json.loads(json.dumps(result.as_json()))["rows"]


def test_the_report_needs_nothing_from_elsewhere(result: DemoResult) -> None:
    page = result.report.read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert not re.findall(r"(?:src|href)=\"(?!data:|#)[^\"]*\"", page)
    assert "url(" not in page
    assert "<script" not in page
    assert page.count("data:image/webp;base64,") > 100
    assert str(Path.home()) not in page
    for heading in (
        "Found and true",
        "What was thrown out",
        "The same picture twice",
        "Where people disagreed",
        "Find me one",
    ):
        assert heading in page


def test_a_second_run_plays_nothing_again(result: DemoResult, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_stage: object) -> dict[str, object]:
        raise AssertionError

    monkeypatch.setattr(journey, "SMALL", TINY)
    monkeypatch.setattr(journey, "ACTS", tuple((name, never) for name, _ in journey.ACTS))
    assert run_demo(result.folder, small=True).rows == result.rows


def test_another_seed_or_size_in_the_same_folder_is_refused(result: DemoResult) -> None:
    with pytest.raises(UserError, match="holds the small demo of seed 7"):
        run_demo(result.folder, small=True, seed=8)
    with pytest.raises(UserError, match="holds the small demo"):
        run_demo(result.folder)


def test_a_folder_with_other_things_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letters.txt").write_text("dear", encoding="utf-8")
    with pytest.raises(UserError, match="wants a folder of its own"):
        run_demo(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["letters.txt"]


def test_a_project_of_ones_own_is_refused(tmp_path: Path) -> None:
    from pictus.demo.tree import CONCEPTS
    from pictus.tables import table_of

    project = pictus.new(tmp_path / "birds")
    project.tables.append("concepts", table_of("concepts", CONCEPTS))
    with pytest.raises(UserError, match="a project of its own"):
        run_demo(project.root)


@pytest.mark.slow
def test_a_web_that_does_not_answer_is_told_and_the_act_is_not_done(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def nobody(_folder: Path) -> Iterator[dict[str, str]]:
        yield dict.fromkeys(HOSTS, "http://127.0.0.1:9")  # the discard port: nothing listens

    monkeypatch.setattr(acts, "serving", nobody)
    monkeypatch.setattr(journey, "SMALL", replace(TINY, mixture=Mixture(3, 0, 0, 0, 0, 1)))
    with pytest.raises(UserError, match=r"did not answer as it should.*refused"):
        run_demo(tmp_path / "demo", small=True)
    assert list(json.loads((tmp_path / "demo" / journey.LEDGER).read_text(encoding="utf-8"))["acts"]) == ["world"]


def test_a_damaged_ledger_is_told(result: DemoResult, tmp_path: Path) -> None:

    root = pictus.new(tmp_path / "demo").root
    (root / journey.LEDGER).write_text("{", encoding="utf-8")
    with pytest.raises(UserError, match="damaged"):
        run_demo(root, small=True)


_PROGRAM = """
import sys
from dataclasses import replace
from pathlib import Path
from pictus.demo import journey, run_demo
from pictus.demo.acts import SMALL
from pictus.demo.mess import Mixture
journey.SMALL = replace(SMALL, concepts=SMALL.concepts[:3], mixture=Mixture(16, 2, 4, 4, 1, 4), epochs=2, fresh=1)
if __name__ == "__main__":
    run_demo(Path(sys.argv[1]), small=True)
"""


def _killed_when(command: list[str], is_time: Callable[[], bool]) -> None:
    """Start it, and kill it as soon as that holds."""
    running = subprocess.Popen(command)
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and running.poll() is None and not is_time():
        time.sleep(0.05)
    running.send_signal(signal.SIGKILL)
    running.wait()


def _has_begun(act: str, folder: Path) -> bool:
    """A moment after the act before has ended."""
    names, ledger = [name for name, _ in journey.ACTS], folder / journey.LEDGER
    before = set(names[: names.index(act)])
    if ledger.exists() and before <= set(json.loads(ledger.read_text(encoding="utf-8"))["acts"]):
        time.sleep(0.1)
        return True
    return False


def _votes(project: Project) -> list[tuple[str, ...]]:
    columns = ["annotator", "image_id", "question", "answer"]
    return [tuple(row.values()) for row in project.journal.votes().select(columns).to_pylist()]


@pytest.mark.slow
def test_killed_again_and_again_it_ends_exactly_where_an_unbroken_run_ends(result: DemoResult, tmp_path: Path) -> None:
    """Another folder, other ports, pictures that come in another order: the same people answer the same."""
    program, folder = tmp_path / "program.py", tmp_path / "demo"
    program.write_text(_PROGRAM, encoding="utf-8")
    for act in ("world", "collect", "train", "search"):
        _killed_when([sys.executable, str(program), str(folder)], partial(_has_begun, act, folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journey, "SMALL", TINY)
        again = run_demo(folder, small=True)
    assert _votes(pictus.open(folder)) == _votes(pictus.open(result.folder))
    for stage, keys in (
        ("collect", ("arrived", "causes_right")),
        ("clean", ("kept",)),
        ("annotate", ("accepted", "votes", "roles", "desk", "skills")),
        ("release", ("pictures", "digest")),
    ):
        assert [again.facts[stage][key] for key in keys] == [result.facts[stage][key] for key in keys], stage
    audits = [one.facts["annotate"]["audit"]["presence"] for one in (again, result)]  # the rest tells when it was
    assert audits[0] == audits[1]


@pytest.mark.slow
def test_killed_while_people_answer_it_ends_with_nearly_the_same_labels(result: DemoResult, tmp_path: Path) -> None:
    """Everybody comes back in another order and sits in front of the page they held: who answers what is another."""
    program, folder = tmp_path / "program.py", tmp_path / "demo"
    program.write_text(_PROGRAM, encoding="utf-8")

    def have_some_answered() -> bool:
        try:
            with closing(sqlite3.connect(f"file:{folder / 'journal.sqlite'}?mode=ro", uri=True)) as journal:
                pages = journal.execute("SELECT count(*) FROM pages WHERE state = 'submitted'").fetchone()[0]
        except sqlite3.OperationalError:  # not there yet, or being made
            return False
        return bool(pages >= 10)

    _killed_when([sys.executable, str(program), str(folder)], have_some_answered)
    assert "annotate" not in json.loads((folder / journey.LEDGER).read_text(encoding="utf-8"))["acts"]
    _killed_when([sys.executable, str(program), str(folder)], partial(_has_begun, "release", folder))
    assert "annotate" in json.loads((folder / journey.LEDGER).read_text(encoding="utf-8"))["acts"]
    project = pictus.open(folder)
    assert not [heap for heap in annotate.queue(project) if heap.waiting]
    accepted = set(project.tables.read("labels", ["image_id"], where="status = 'accepted'").column(0).to_pylist())
    unbroken = pictus.open(result.folder).tables.read("labels", ["image_id"], where="status = 'accepted'")
    assert len(accepted ^ set(unbroken.column(0).to_pylist())) <= 5  # of about 50


def test_the_whole_world_is_as_large_as_promised() -> None:
    assert len(FULL.concepts) >= 24
    assert len(FULL.concepts) * FULL.mixture.total >= 4_000
    assert FULL.annotators >= 20
