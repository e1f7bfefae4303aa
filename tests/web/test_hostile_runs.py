"""Pages of runs whose files somebody else wrote: each of them is shown, or a line says why not, and the others are."""

from __future__ import annotations

import json
import os
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient
from tests.web.test_runs import evaluated, live, make_run, mistaken

import pictus
from pictus import models, run_files
from pictus.web import runs
from pictus.web.server import build_app

DEEP, HUGE = "[" * 200_000, 10**400
ADDRESSES = ("/runs", "/runs/bad", "/runs/bad/live", "/api/train/card?run=bad", "/api/train/list")
EPOCH = {"kind": "epoch", "epoch": 1, "step": 1, "train_top1": 0.5, "val_top1": 0.5, "val_top5": 1, "is_best": True}
STEP = {"kind": "step", "step": 1, "loss": 1.0, "lr": 0.1}
NUMBERS: dict[str, object] = dict.fromkeys(
    ("step", "steps", "epochs", "steps_per_epoch", "loss", "lr", "pictures_per_s", "wait_share", "memory_bytes",
     "gpu_bytes", "left_s", "elapsed_s"), 1
) | {"history": []}  # fmt: skip
ROW = {"image_id": "f" * 64, "guess_name": "owl", "probability": 0.9, "truth_names": ["cup"]}
SHARE = {"estimate": 0.5, "low": 0.4, "high": 0.6}


def surest(rows: object, **told: object) -> str:
    return json.dumps({"epoch": 1, "pictures": 40, "mistakes": 3, "surest": rows} | told)


def scores(top1: object, n: object = 20) -> str:
    return json.dumps({"n": n, "version": "1.0.0", "split": "test", "top1": top1, "top5": SHARE})


def line(told: dict[str, object]) -> str:
    return json.dumps(told) + "\n"


FILES: dict[str, tuple[str, str | bytes]] = {
    "an epoch without a score": ("metrics.jsonl", line({name: EPOCH[name] for name in EPOCH if name != "val_top1"})),
    "an epoch without is_best": ("metrics.jsonl", line({name: EPOCH[name] for name in EPOCH if name != "is_best"})),
    "a log that is no UTF-8": ("metrics.jsonl", b'{"kind": "epoch", "epoch": 1, "x": "\xff"}\n'),
    "a text as score": ("metrics.jsonl", line(EPOCH | {"val_top1": "x"})),
    "a score of 7": ("metrics.jsonl", line(EPOCH | {"val_top1": 7})),
    "a score that is none": ("metrics.jsonl", line(EPOCH | {"val_top1": float("nan")})),
    "an endless epoch": ("metrics.jsonl", line(EPOCH | {"epoch": float("inf")})),
    "epoch 0": ("metrics.jsonl", line(EPOCH | {"epoch": 0})),
    "further scores as a list": ("metrics.jsonl", line(EPOCH | {"val_others": ["a"]})),
    "a deep log": ("metrics.jsonl", '{"kind": "epoch", "x": ' + DEEP + "\n"),
    "a list in the log": ("metrics.jsonl", '["kind", {"kind": "epoch"}]\n'),
    "a step of 400 digits": ("metrics.jsonl", line(STEP | {"step": HUGE})),
    "a loss of 400 digits": ("metrics.jsonl", line(STEP | {"loss": HUGE})),
    "a rate that is almost nothing": ("metrics.jsonl", line(STEP | {"lr": 1e-320})),
    "a deep live.json": ("live.json", DEEP),
    "live.json of 400 digits": ("live.json", json.dumps(NUMBERS | {"step": HUGE})),
    "live.json beyond all": ("live.json", json.dumps(NUMBERS | {"left_s": 1e308, "epochs": 1e308})),
    "a large live.json": ("live.json", json.dumps(NUMBERS | {"history": [[1, 2, 0.5, 3]] * 100_000})),
    "a deep lock": ("locks/train.lock", DEEP),
    "a lock without end": ("locks/train.lock", '{"pid": 1e999}'),
    "a lock of 31 digits": ("locks/train.lock", json.dumps({"pid": 10**30})),
    "a deep results.json": ("evaluations/x/results.json", DEEP),
    "a text as result": ("evaluations/x/results.json", scores(dict.fromkeys(SHARE, "x"))),
    "a result of 400 digits": ("evaluations/x/results.json", scores(SHARE | {"estimate": HUGE})),
    "results of 400 digits of pictures": ("evaluations/x/results.json", scores(SHARE, HUGE)),
    "no mistakes": ("mistakes.json", surest(None)),
    "a number of mistakes": ("mistakes.json", surest(5)),
    "more than sure": ("mistakes.json", surest([ROW | {"probability": 1e308}])),
    "mistakes of 400 digits": ("mistakes.json", surest([ROW], epoch=HUGE)),
    "deep mistakes": ("mistakes.json", '{"surest":' * 5000),
    "half a sign": ("mistakes.json", surest([ROW | {"guess_name": "\ud800"}])),
}
CARDS = {
    "pictures in words": {"pictures": {"val": "many"}}, "no pictures": {"pictures": {"val": None}},
    "fewer than none": {"pictures": {"val": -5}}, "pictures of 400 digits": {"pictures": {"val": HUGE, "train": 1}},
    "only training pictures": {"pictures": {"train": 3}}, "a text as parameters": {"parameters": "x"},
    "parameters of 400 digits": {"parameters": HUGE}, "a rate of 400 digits": {"recipe": {"lr": HUGE}},
    "results of 400 digits": {"results": {"wall_s": HUGE, "best_epoch": 1, "val_top1": HUGE, "val_top5": 1}},
    "a score without the other": {"results": {"best_epoch": 1, "val_top1": 0.5}},
    "half a sign": {"recipe_name": "\ud800"}, "no classes": {"classes": []},
}  # fmt: skip


def statuses(project: pictus.Project) -> dict[str, int]:
    with TestClient(build_app(project), base_url="http://127.0.0.1", raise_server_exceptions=False) as browser:
        found = {address: browser.get(address) for address in ADDRESSES}
    assert "/runs/good" in found["/runs"].text
    return {address: answer.status_code for address, answer in found.items()}


@pytest.mark.parametrize("case", FILES)
def test_a_file_of_a_run_that_is_of_another_form_takes_no_page_away(project: pictus.Project, case: str) -> None:
    make_run(project, "good", epochs=2)
    root = make_run(project, "bad", epochs=1, status="running")
    name, text = FILES[case]
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    found = statuses(project)
    assert found["/runs"] == 200
    assert max(found.values()) <= 400, found


@pytest.mark.parametrize("case", CARDS)
def test_a_card_that_is_of_another_form_takes_no_page_away(project: pictus.Project, case: str) -> None:
    make_run(project, "good", epochs=2)
    root = make_run(project, "bad", epochs=1)
    card = json.loads((root / "run.json").read_text())
    (root / "run.json").write_text(json.dumps(card | {"environment": {"cores": 1}} | CARDS[case]))
    found = statuses(project)
    assert found["/runs"] == 200
    assert max(found.values()) <= 400, found


def test_a_run_that_cannot_be_shown_is_a_line_that_says_why(project: pictus.Project) -> None:
    make_run(project, "good", epochs=2)
    make_run(project, "bad", epochs=0, tail=line(EPOCH | {"val_top1": 7}))
    found = runs.pages(project)
    assert [page.run.name for page in found.pages] == ["good"]
    assert [one.name for one in found.broken] == ["bad"]
    assert "metrics.jsonl is damaged: val_top1 is '7', not a share" in found.broken[0].why


def test_a_folder_whose_name_is_no_utf8_is_a_line(project: pictus.Project) -> None:
    make_run(project, "good", epochs=2)
    try:
        make_run(project, os.fsdecode(b"bad\xff"), epochs=1)
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    with TestClient(build_app(project), base_url="http://127.0.0.1") as browser:
        assert "bad\\udcff" in browser.get("/runs").text
        assert browser.get("/").status_code == 200


def test_a_lock_of_nobody_is_not_of_a_run_at_work(project: pictus.Project) -> None:
    root = make_run(project, "young", epochs=1, status="running")
    (root / "locks").mkdir()
    for pid in (-1, 0, True, "1"):
        (root / "locks" / "train.lock").write_text(json.dumps({"pid": pid}))
        assert not runs.pages(project).pages[0].is_working, pid


@pytest.mark.parametrize("name", ["live.json", "mistakes.json", "locks/train.lock", "metrics.jsonl"])
def test_a_pipe_is_not_waited_for(project: pictus.Project, name: str) -> None:
    make_run(project, "good", epochs=1)
    root = make_run(project, "bad", epochs=1, status="running")
    (root / "locks").mkdir()
    (root / name).unlink(missing_ok=True)
    os.mkfifo(root / name)
    assert statuses(project)["/runs/bad"] == 200


def test_results_are_read_once_until_they_change(
    project: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = make_run(project, "first", epochs=1)
    evaluated(root)
    assert runs.pages(project).pages[0].evaluations[0].n == 20
    asked: list[str] = []

    def read(path: Path, most_bytes: int) -> object:
        asked.append(path.name)
        return run_files.read(path, most_bytes)

    monkeypatch.setattr(runs, "read", read)
    runs.pages(project)
    assert "results.json" not in asked
    (root / "evaluations" / "1.0.0-test" / "results.json").write_text(scores(SHARE, 2000))
    assert runs.pages(project).pages[0].evaluations[0].n == 2000
    assert asked.count("results.json") == 1


def test_no_report_is_a_link_out_of_the_run(project: pictus.Project, tmp_path: Path) -> None:
    root = make_run(project, "first", epochs=1)
    evaluated(root)
    (tmp_path / "secret").write_text("secret")
    (root / "evaluations" / "1.0.0-test" / "report.html").unlink()
    (root / "evaluations" / "1.0.0-test" / "report.html").symlink_to(tmp_path / "secret")
    with TestClient(build_app(project), base_url="http://127.0.0.1") as browser:
        assert browser.get("/runs/first/1.0.0-test").status_code == 404


@pytest.mark.parametrize("name", ["a b", "a?b", "a#b", "a%b", 'q"uote'])
def test_links_lead_to_runs_of_any_name(project: pictus.Project, name: str) -> None:
    root = make_run(project, name, epochs=1, status="running")
    live(root)
    mistaken(root, "f" * 64)
    evaluated(root)
    with TestClient(build_app(project), base_url="http://127.0.0.1") as browser:
        for page in (browser.get("/runs").text, browser.get("/runs/" + quote(name, safe="")).text):
            for part in page.split('="/runs/')[1:]:
                address = "/runs/" + part.partition('"')[0].partition("#")[0]
                expected = 404 if "/pictures/" in address else 200
                answer = browser.get(address)
                assert answer.status_code == expected, address
                assert "No such run" not in answer.text


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 1}', DEEP], ids=["cut off", "a list", "empty", "deep"])
def test_a_broken_card_is_named_and_the_other_runs_are_listed(project: pictus.Project, text: str) -> None:
    make_run(project, "good", epochs=2)
    (make_run(project, "bad", epochs=1) / "run.json").write_text(text)
    with TestClient(build_app(project), base_url="http://127.0.0.1") as browser:
        answer = browser.get("/api/train/list")
    assert answer.status_code == 200
    assert [row["name"] for row in answer.json()["records"]] == ["good"]
    (problem,) = answer.json()["problems"]
    assert "bad/run.json" in problem


def test_a_card_without_end_is_not_read(project: pictus.Project, monkeypatch: pytest.MonkeyPatch) -> None:
    root = make_run(project, "bad", epochs=1)
    monkeypatch.setattr(models, "_MOST_BYTES", 100)
    with pytest.raises(pictus.UserError, match="more than 0 MiB"):
        models.open_run(root)


def test_a_card_that_states_next_to_nothing_is_listed(project: pictus.Project) -> None:
    root = make_run(project, "bad", epochs=1)
    stated = ("format", "model", "classes", "class_names", "preprocessing")
    card = json.loads((root / "run.json").read_text())
    (root / "run.json").write_text(json.dumps({name: card[name] for name in stated}))
    make_run(project, "good", epochs=2)
    assert set(statuses(project).values()) == {200}


@pytest.mark.parametrize("hosts", [frozenset({"127.0.0.1"}), frozenset()], ids=["here", "open to others"])
def test_a_card_is_asked_for_beside_a_folder_whose_name_is_no_utf8(
    project: pictus.Project, hosts: frozenset[str]
) -> None:
    make_run(project, "good", epochs=2)
    try:
        make_run(project, os.fsdecode(b"bad\xff"), epochs=1)
    except OSError:
        pytest.skip("this file system has only names in UTF-8")
    with TestClient(build_app(project, hosts), base_url="http://127.0.0.1", raise_server_exceptions=False) as browser:
        for name in (b"bad%FF", b"nothing", b"bad%5Cudcff"):
            answer = browser.get(f"/api/train/card?run={name.decode()}")
            assert 400 <= answer.status_code < 500, name
            assert answer.json()["error"]["what"]
        assert browser.get("/api/train/card?run=good").status_code == 200
