"""The whole journey on a tiny world: the table, the report, a second run, a kill, wrong folders."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import pictus
from pictus import annotate
from pictus.demo import acts, journey, run_demo
from pictus.demo.acts import FULL, SMALL, Scale
from pictus.demo.journey import DemoResult
from pictus.demo.mess import FAILURES, HOSTS, Mixture
from pictus.errors import UserError

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


@pytest.mark.slow
def test_killed_again_and_again_it_ends_where_an_unbroken_run_ends(result: DemoResult, tmp_path: Path) -> None:
    program, folder = tmp_path / "program.py", tmp_path / "demo"
    program.write_text(_PROGRAM, encoding="utf-8")
    for act in ("world", "collect", "train", "search"):  # killed a moment after the act before has ended
        running = subprocess.Popen([sys.executable, str(program), str(folder)])
        names = [name for name, _ in journey.ACTS]
        before = set(names[: names.index(act)])
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and running.poll() is None:
            ledger = folder / journey.LEDGER
            if ledger.exists() and before <= set(json.loads(ledger.read_text(encoding="utf-8"))["acts"]):
                time.sleep(0.4)
                break
            time.sleep(0.05)
        running.send_signal(signal.SIGKILL)
        running.wait()
    done = subprocess.run([sys.executable, str(program), str(folder)], check=False, timeout=300)
    assert done.returncode == 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(journey, "SMALL", TINY)
        again = run_demo(folder, small=True)
    for key in ("arrived", "causes_right"):
        assert again.facts["collect"][key] == result.facts["collect"][key]
    # Who is lent which page hangs on when people come, so that a label or two of fifty may end otherwise.
    assert again.facts["annotate"]["accepted"] == pytest.approx(result.facts["annotate"]["accepted"], abs=3)
    assert again.facts["annotate"]["votes"] == pytest.approx(result.facts["annotate"]["votes"], abs=30)
    assert again.facts["release"]["pictures"] == pytest.approx(result.facts["release"]["pictures"], abs=3)


def test_the_whole_world_is_as_large_as_promised() -> None:
    assert len(FULL.concepts) >= 24
    assert len(FULL.concepts) * FULL.mixture.total >= 4_000
    assert FULL.annotators >= 20
