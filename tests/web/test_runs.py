from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import pictus
from pictus import models
from pictus.train.kept import card as cards
from pictus.web import runs
from pictus.web.server import build_app

EVIL = "<script>alert(1)</script>"


def make_run(project: pictus.Project, name: str, *, epochs: int, status: str = "finished", tail: str = "") -> Path:
    """A run folder as `train run` writes it, without weights."""
    root = project.models_dir / name
    root.mkdir(parents=True)
    card = {
        "format": 1, "name": name, "status": status, "model": "small-cnn", "recipe_name": "small-cnn",
        "recipe": {"lr": 0.25, "note": EVIL}, "release": {"version": "1.0.0"}, "classes": ["a", "b"],
        "class_names": ["owl", "cup"], "started_at": f"2026-01-0{epochs % 9}T00:00:00Z", "finished_at": "",
        "results": {}, "pictures": {"train": 10, "val": 40},
        "preprocessing": {"size": 32, "resize": 32, "mean": [0, 0, 0], "std": [1, 1, 1]},
    }  # fmt: skip
    (root / "run.json").write_text(json.dumps(card))
    lines: list[dict[str, Any]] = []
    for epoch in range(1, epochs + 1):
        lines += [
            {"kind": "step", "step": epoch, "epoch": epoch, "loss": 1.0, "lr": 0.1},
            {"kind": "epoch", "epoch": epoch, "step": epoch, "lr": 0.1, "train_loss": 1.0, "train_top1": 0.5,
             "val_loss": 1.0, "val_top1": epoch / 10, "val_top5": 1.0, "is_best": epoch != 3},
        ]  # fmt: skip
    (root / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines) + tail)
    return root


def evaluated(root: Path, name: str = "1.0.0-test", text: str = "") -> None:
    folder = root / "evaluations" / name
    folder.mkdir(parents=True)
    share = {"estimate": 0.5, "low": 0.4, "high": 0.6}
    found = {"n": 20, "version": "1.0.0", "split": "test", "top1": share, "top5": share}
    (folder / "results.json").write_text(text or json.dumps(found))
    (folder / "report.html").write_text(f"<!doctype html><title>report</title>{EVIL}")


@pytest.fixture
def browser(project: pictus.Project) -> Iterator[TestClient]:
    with TestClient(build_app(project), base_url="http://127.0.0.1") as client:
        yield client


def test_scores_are_those_of_the_best_epoch(project: pictus.Project) -> None:
    make_run(project, "first", epochs=3)
    page = runs.pages(project).pages[0]
    assert (page.n_epochs, page.best_epoch, page.top1.estimate) == (3, 2, 0.2)  # epoch 3 is not the best
    assert page.top1.low < 0.2 < page.top1.high


def test_a_line_that_is_still_being_written_is_left_for_later(project: pictus.Project) -> None:
    make_run(project, "first", epochs=2, status="running", tail='{"kind": "epoch", "epoch": 3, "val_t')
    assert runs.pages(project).pages[0].n_epochs == 2


def test_a_run_before_its_first_epoch_is_shown(project: pictus.Project, browser: TestClient) -> None:
    make_run(project, "young", epochs=0, status="running")
    assert "pictus train resume young" in browser.get("/runs").text
    assert "No epoch has ended yet" in browser.get("/runs/young").text


def test_the_newest_run_comes_first_with_its_curve_and_report(project: pictus.Project, browser: TestClient) -> None:
    make_run(project, "old", epochs=1)
    evaluated(make_run(project, "young", epochs=4))
    text = browser.get("/runs").text
    assert text.index("/runs/young") < text.index("/runs/old")
    assert text.count("<svg") == 2
    assert '"/runs/young/1.0.0-test"' in text
    assert "pictus evaluate run --run old" in text
    page = browser.get("/runs/young").text
    assert "0.25" in page
    assert EVIL not in page
    assert "&lt;script&gt;" in page


def test_a_report_is_opened_in_a_sandbox(project: pictus.Project, browser: TestClient) -> None:
    evaluated(make_run(project, "first", epochs=1))
    answer = browser.get("/runs/first/1.0.0-test")
    assert answer.status_code == 200
    assert "<title>report" in answer.text
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("sandbox;")
    assert "default-src 'none'" in policy
    assert "allow-scripts" not in policy
    assert "script-src" not in policy
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_what_a_run_has_forgotten_is_linked_and_no_link_leads_out(
    project: pictus.Project, browser: TestClient, tmp_path: Path
) -> None:
    page = make_run(project, "first", epochs=1) / "forgetting.html"
    assert "/forgetting" not in browser.get("/runs/first").text
    assert browser.get("/runs/first/forgetting").status_code == 404
    page.write_text("<p>lost")
    assert 'href="/runs/first/forgetting"' in browser.get("/runs/first").text
    answer = browser.get("/runs/first/forgetting")
    assert answer.text == "<p>lost"
    assert answer.headers["content-security-policy"].startswith("sandbox;")
    (tmp_path / "secret").write_text("secret")
    page.unlink()
    page.symlink_to(tmp_path / "secret")
    assert "/forgetting" not in browser.get("/runs/first").text
    assert browser.get("/runs/first/forgetting").status_code == 404


@pytest.mark.parametrize(
    "path", ["/runs/none", "/runs/none/1.0.0-test", "/runs/first/none", "/runs/first/..%2f..%2frun.json", "/runs/../x"]
)
def test_only_what_is_there_is_opened(project: pictus.Project, browser: TestClient, path: str) -> None:
    evaluated(make_run(project, "first", epochs=1))
    assert browser.get(path).status_code == 404


def test_a_damaged_evaluation_says_so_and_hides_no_other(project: pictus.Project, browser: TestClient) -> None:
    root = make_run(project, "first", epochs=1)
    evaluated(root, "1.0.0-test", text="{")
    evaluated(root, "1.0.0-val")
    text = browser.get("/runs").text
    assert "results.json" in text
    assert "/runs/first/1.0.0-val" in text


@pytest.mark.parametrize("line", ['{"kind": "epoch", "epoch": ', '{"kind": "epoch", "epoch": 2, "train_top1": 0.5}'])
def test_a_damaged_log_is_named(project: pictus.Project, line: str) -> None:
    root = make_run(project, "first", epochs=1, tail=line + "\n")
    with pytest.raises(pictus.UserError, match=r"metrics\.jsonl is damaged"):
        runs.page(models.open_run(root))


HELD: list[int] = []
"""Locks that tests hold, as a process does that trains."""


@pytest.fixture(autouse=True)
def _let_go() -> Iterator[None]:
    yield
    while HELD:
        os.close(HELD.pop())


def live(root: Path, **told: Any) -> None:
    """What a process that trains writes beside the run, and the lock that it holds."""
    found = {
        "format": 1, "step": 25, "steps": 60, "steps_per_epoch": 10, "epochs": 6, "loss": 1.5, "lr": 0.1,
        "best_epoch": 2, "best_top1": 0.2, "pictures_per_s": 123.4, "wait_share": 0.25, "memory_bytes": 1.5e9,
        "gpu_bytes": 0, "elapsed_s": 90.0, "left_s": 120.0, "history": [[1, 100, 0.5, 1e9], [2, 120, 0.25, 1e9]],
    } | told  # fmt: skip
    (root / "live.json").write_text(json.dumps(found))
    (root / "locks").mkdir(exist_ok=True)
    (root / "locks" / "train.lock").write_text(json.dumps({"pid": os.getpid(), "since": ""}))
    HELD.append(os.open(root / "locks" / "train.lock", os.O_RDONLY))
    fcntl.flock(HELD[-1], fcntl.LOCK_EX)


def mistaken(root: Path, image_id: str, guess: str = "owl") -> None:
    row = {"image_id": image_id, "guess": "a", "guess_name": guess, "probability": 0.98, "truth": ["b"],
           "truth_names": ["cup"], "truth_probability": 0.01}  # fmt: skip
    found = {"format": 1, "epoch": 2, "split": "val", "pictures": 40, "mistakes": 1, "surest": [row]}
    (root / "mistakes.json").write_text(json.dumps(found))


def test_a_run_that_trains_tells_its_pace_and_what_it_is_wrong_about(
    project: pictus.Project, browser: TestClient
) -> None:
    root = make_run(project, "young", epochs=2, status="running")
    live(root)
    mistaken(root, "f" * 64, EVIL)
    page = browser.get("/runs/young").text
    for words in ("Training", '3 <span class="dim">of 6', ">123<", "25.0\xa0%", "1.5 GB", "2.0 min", ">top-1 kept"):
        assert words in page, words
    assert page.count("<svg") == 5, "loss, scores, rate, pace, waiting"
    assert "is not in this project any more" in page, "its release: no picture can be shown"
    assert f'<span class="id">{"f" * 16}</span>' in page
    assert EVIL not in page
    assert 'data-live="/runs/young/live"' in page
    assert 'data-live="/runs/young/live"' in browser.get("/runs").text


def test_of_a_finished_run_all_epochs_are_told_and_which_one_is_kept(
    project: pictus.Project, browser: TestClient
) -> None:
    root = make_run(project, "done", epochs=3)
    live(root, step=25, epochs=3)  # the minutes were over within the third
    mistaken(root, "f" * 64)
    page = browser.get("/runs/done").text
    assert '<dd>3 <span class="dim">of 3' in page
    assert "kept are those" not in page, "those of epoch 2, after which they are told"
    (root / "mistakes.json").write_text((root / "mistakes.json").read_text().replace('"epoch": 2', '"epoch": 3'))
    page = browser.get("/runs/done").text
    assert "after epoch 3" in page
    assert "The weights kept are those of epoch 2" in page


def test_only_what_is_new_is_sent(project: pictus.Project, browser: TestClient) -> None:
    root = make_run(project, "young", epochs=2, status="running")
    live(root)
    first = browser.get("/runs/young/live").json()
    assert first["is_working"] is True
    assert set(first["parts"]) == set(runs.PARTS)
    again = browser.get("/runs/young/live", params={"mark": first["mark"]}).json()
    assert again == first | {"parts": {}}
    (root / "locks" / "train.lock").write_text("")  # it ended
    last = browser.get("/runs/young/live", params={"mark": first["mark"]}).json()
    assert last["is_working"] is False
    assert "pictus train resume young" in last["parts"]["now"]


def test_page_and_list_agree_on_whether_a_run_is_at_work_right_after_a_kill_too(project: pictus.Project) -> None:
    run = models.open_run(make_run(project, "young", epochs=1, status="running"))
    live(run.root)
    lock = run.root / "locks" / "train.lock"
    for holder in (json.dumps({"pid": os.getpid()}), '{"pid": 4194999}', "{"):  # here, on another machine, half written
        lock.write_text(holder)
        assert (runs.is_working(run), cards.status(run)) == (True, cards.RUNNING), holder
    os.close(HELD.pop())  # killed: the system frees the lock, whoever has the number now
    for holder in ('{"pid": 4194999}', json.dumps({"pid": os.getpid()}), "{", ""):
        lock.write_text(holder)  # live.json is of a moment ago
        assert (runs.is_working(run), cards.status(run)) == (False, cards.UNFINISHED), holder


def test_running_unfinished_and_finished_runs_are_told_apart(project: pictus.Project, browser: TestClient) -> None:
    make_run(project, "done", epochs=1)
    live(make_run(project, "stopped", epochs=2, status="running"))
    os.close(HELD.pop())
    live(make_run(project, "young", epochs=2, status="running"))
    page = browser.get("/runs").text
    order = ("1 training", ">young<", "1 unfinished", ">stopped<", "1 finished", ">done<")
    places = [page.index(words) for words in order]
    assert places == sorted(places)
    assert '<progress value="25" max="60"' in page
    assert "stopped at epoch 2 of 6" in page
    assert "pictus train resume stopped" in page
    assert "pictus train resume young" not in page


def test_the_votes_of_neighbours_are_called_by_their_name(project: pictus.Project, browser: TestClient) -> None:
    root = make_run(project, "simclr", epochs=2)
    card = json.loads((root / "run.json").read_text()) | {"is_classifier": False}
    (root / "run.json").write_text(json.dumps(card))
    for path in ("/runs", "/runs/simclr"):
        page = browser.get(path).text
        assert "kNN top-1" in page
        assert "pictus train probe --network simclr" in page
        assert "<dt>top-1" not in page


def test_a_run_that_has_no_card_yet_is_being_prepared(project: pictus.Project, browser: TestClient) -> None:
    root = project.models_dir / "young"
    root.mkdir(parents=True)
    with replace(project, root=root).lock("train"):
        answer = browser.get("/runs/young")
    assert answer.status_code == 404
    assert "Being prepared" in answer.text
    assert "No such run" in browser.get("/runs/young").text, "it ended"
    (root / "locks" / "train.lock").write_text(json.dumps({"pid": os.getpid()}))
    assert "No such run" in browser.get("/runs/young").text, "it was killed"


def test_a_broken_card_does_not_tell_where_the_project_lies(project: pictus.Project, browser: TestClient) -> None:
    (make_run(project, "torn", epochs=1) / "run.json").write_text("{")
    for path in ("/runs", "/runs/torn"):
        page = browser.get(path).text
        assert "models/torn/run.json is not a run card" in page
        assert str(project.root) not in page


def test_several_labels_to_a_picture_have_their_own_score_and_few_classes_no_top5(
    project: pictus.Project, browser: TestClient
) -> None:
    root = make_run(project, "many", epochs=1, status="running")
    line = json.loads((root / "metrics.jsonl").read_text().splitlines()[-1]) | {"val_others": {"map": 0.625, "x": "no"}}
    (root / "metrics.jsonl").write_text(json.dumps(line) + "\n")
    live(root)
    page = browser.get("/runs/many").text
    assert "mAP, validation</dt><dd>62.5\xa0%" in page
    assert "top-5" not in page


def test_a_run_that_diverges_is_followed(project: pictus.Project, browser: TestClient) -> None:
    live(make_run(project, "young", epochs=2, status="running"), loss=float("nan"))
    page = browser.get("/runs/young").text
    assert "not a number" in page
    assert ">123<" in page


@pytest.mark.parametrize("text", ["", "{", "[]", '{"step": "x"}', '{"surest": [3]}'])
def test_a_page_does_without_what_is_damaged(project: pictus.Project, browser: TestClient, text: str) -> None:
    root = make_run(project, "young", epochs=2, status="running")
    for name in ("live.json", "mistakes.json"):
        (root / name).write_text(text)
    assert browser.get("/runs/young").status_code == 200


def test_a_picture_of_the_release_is_shown_only_where_the_run_names_it(
    project: pictus.Project, browser: TestClient
) -> None:
    root = make_run(project, "young", epochs=1)
    mistaken(root, "f" * 64)
    answer = browser.get(f"/runs/young/pictures/{'f' * 64}")
    assert answer.status_code == 404
    assert "release" in answer.text
    assert browser.get("/runs/none/pictures/x").status_code == 404


def test_others_read_the_card_of_a_run_of_the_project_and_of_no_folder(project: pictus.Project, tmp_path: Path) -> None:
    make_run(project, "young", epochs=1)
    with TestClient(build_app(project, frozenset()), base_url="http://192.0.2.1") as browser:
        assert browser.get("/api/train/card", params={"run": "young"}).status_code == 200
        assert browser.get("/api/train/card", params={"run": str(project.models_dir / "young")}).status_code == 400
