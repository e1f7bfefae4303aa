from __future__ import annotations

import io
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import pictus
from pictus import models, serve
from pictus.errors import UserError
from pictus.project import bare
from pictus.serve import steps
from pictus.serve.bundle import Bundle, Parity, open_bundle


@pytest.fixture
def root(served: Path, tmp_path: Path) -> Path:
    """A copy of the exported world, to be changed."""
    return Path(shutil.copytree(served, tmp_path / "world"))


def no_torch(*_: Any, **__: Any) -> Any:
    message = "the network was loaded"
    raise AssertionError(message)


@pytest.fixture
def exports(bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Exporting takes seconds: the graph of models/first is kept, everything around it is real."""
    done: list[str] = []

    def kept(*_: Any) -> bytes:
        done.append("exported")
        return bundle.graph

    monkeypatch.setattr("pictus.graphs.graph_of", kept)
    return done


def test_export_says_how_close_it_is_and_keeps_the_event(root: Path, exports: list[str]) -> None:
    (root / "pictus.toml").write_text('name = "birds"\nformat = 1\n')
    project = pictus.open(root)
    outcome = serve.export(project, run="first")
    assert (outcome.summary["n_drawn"], outcome.summary["n_real"]) == (32, 12)
    assert outcome.summary["greatest_difference"] < 1e-5
    assert "first guesses equal" in outcome.headline
    (event,) = project.journal.events("first")
    assert (event.stage, event.event) == ("serve", "run_exported")
    (record,) = outcome
    assert open_bundle(Path(record.path)).run == "first"


def test_a_release_that_is_named_must_exist(root: Path) -> None:
    with pytest.raises(UserError, match=r"no release '2\.0\.0'"):
        serve.export(bare(root), release="2.0.0")


def test_a_bundle_that_does_not_follow_its_network_is_not_written(
    root: Path, exports: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(root / "bundles")
    monkeypatch.setattr(steps, "parity", lambda *_, **_k: Parity(32, 12, 0.02, 1e-4, 3))
    with pytest.raises(UserError, match=r"does not follow the network: probabilities differ by up to 0\.02"):
        serve.export(bare(root))
    assert not (root / "bundles/first").exists()


def test_predict_files_and_folders(root: Path, make_jpeg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_run", no_torch)  # the bundle is enough
    photos = root / "photos"
    (photos / "deep").mkdir(parents=True)
    (photos / "a.jpg").write_bytes(make_jpeg(50, 40, 1))
    (photos / "deep/b.JPG").write_bytes(make_jpeg(50, 40, 2))
    (photos / "notes.txt").write_text("not looked at in a folder")
    (photos / "broken.jpg").write_bytes(b"not a picture")
    (root / "strange").write_bytes(make_jpeg(50, 40, 3))
    outcome = serve.predict(bare(root), (photos, root / "strange"), top=2)
    found = list(outcome)
    assert [Path(one.path).name for one in found] == ["a.jpg", "broken.jpg", "b.JPG", "strange"]
    assert outcome.summary == {"run": "first", "pictures": 4, "failed": 1}
    good, broken = found[0], found[1]
    assert good.name in ("dog", "cat", "axe", "saw")
    assert len(good.guesses) == len(good.probabilities) == 2
    assert good.probability == good.probabilities[0] >= good.probabilities[1]
    assert (broken.guesses, broken.cause.split(":")[0]) == ((), "not-an-image")
    assert outcome.problems == (f"{photos / 'broken.jpg'}: {broken.cause}",)


def test_a_missing_file_is_told_and_the_others_are_looked_at(root: Path, make_jpeg: Any) -> None:
    a, missing, b = root / "a.jpg", root / "missing.jpg", root / "b.jpg"
    for seed, path in enumerate((a, b)):
        path.write_bytes(make_jpeg(50, 40, seed))
    outcome = serve.predict(bare(root), (a, missing, b))
    assert [(Path(one.path).name, one.cause.partition(":")[0]) for one in outcome] == [
        ("a.jpg", ""), ("missing.jpg", "not-found"), ("b.jpg", "")
    ]  # fmt: skip
    assert outcome.summary == {"run": "first", "pictures": 3, "failed": 1}
    assert outcome.problems == (f"{missing}: not-found: there is no such file",)


def test_people_read_names_and_programs_get_the_concepts_too(root: Path, make_jpeg: Any) -> None:
    for seed in range(52):
        (root / f"{seed:02}.jpg").write_bytes(make_jpeg(20, 20, seed))
    outcome = serve.predict(bare(root), tuple(root / f"{seed:02}.jpg" for seed in range(52)), top=2)
    first = next(iter(outcome))
    assert dict(zip(first.guesses, first.names, strict=True)).items() <= {
        "n02": "dog", "n03": "cat", "n05": "axe", "n06": "saw"
    }.items()  # fmt: skip
    lines = outcome.headline.splitlines()
    shares = ", ".join(f"{name} {share:.1%}" for name, share in zip(first.names, first.probabilities, strict=True))
    assert lines[:2] == ["first looked at 52 pictures", f"{root / '00.jpg'}  {shares}"]
    assert lines[-1] == "… and 2 more; --jsonl gives all"
    assert "n0" not in outcome.headline.replace(str(root), "")


def test_any_number_may_use_a_bundle_at_once(root: Path, make_jpeg: Any) -> None:
    (root / "a.jpg").write_bytes(make_jpeg(50, 40, 1))
    with bare(root / "bundles").lock("serve"):  # as another process holds it while it exports another run
        assert serve.predict(bare(root), (root / "a.jpg",)).summary["failed"] == 0
        shutil.rmtree(root / "bundles/first")
        with pytest.raises(UserError, match="is working on 'serve'"):
            serve.predict(bare(root), (root / "a.jpg",))


def test_predict_agrees_with_evaluation_s_preparation(root: Path, make_jpeg: Any) -> None:
    (root / "a.jpg").write_bytes(make_jpeg(90, 50, 4))
    (found,) = serve.predict(bare(root), (root / "a.jpg",), top=4)
    run = models.open_run(root / "models/first")
    logits = models.predict_logits(models.load_run(run, device="cpu"), run, [(root / "a.jpg").read_bytes()])
    best = [run.classes[label] for label in (-logits[0]).argsort(kind="stable")]
    assert list(found.guesses) == best


def test_bad_calls_are_told(root: Path) -> None:
    with pytest.raises(UserError, match=r"Not found: .*x\.jpg, .*y\.jpg"):
        serve.predict(bare(root), (root / "x.jpg", root / "y.jpg"))
    (root / "empty").mkdir()
    with pytest.raises(UserError, match="no picture to look at"):
        serve.predict(bare(root), (root / "empty",))
    with pytest.raises(UserError, match="asks for no guess"):
        serve.predict(bare(root), (root / "pictus.toml",), top=0)
    with pytest.raises(UserError, match="no run 'frist'"):
        serve.predict(bare(root), (root / "empty", root / "models/first/run.json"), run="frist")


def test_the_first_use_exports_and_other_weights_export_again(
    root: Path, exports: list[str], make_jpeg: Any, make_run: Any
) -> None:
    (root / "a.jpg").write_bytes(make_jpeg(50, 40, 1))
    (root / "bundles/first/bundle.json").unlink()  # as a kill leaves it: the card is written last
    (root / "bundles/first/model.onnx").write_bytes(b"half a graph")
    shutil.rmtree(root / "releases")
    for _ in range(2):
        serve.predict(bare(root), (root / "a.jpg",))
    assert exports == ["exported"]
    parity = open_bundle(root / "bundles/first").parity
    assert (parity.n_drawn, parity.n_real) == (32, 0)  # without a release drawn pictures are enough
    shutil.rmtree(root / "models/first")
    make_run(root / "models/first", seed=5)
    # the kept graph is that of other weights now: the export is tried again, and refused
    with pytest.raises(UserError, match="does not follow the network"):
        serve.predict(bare(root), (root / "a.jpg",))
    assert exports == ["exported"] * 2


def test_a_bundle_folder_is_enough(root: Path, tmp_path: Path, make_jpeg: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(models, "load_run", no_torch)
    alone = tmp_path / "alone"
    shutil.copytree(root / "bundles/first", alone / "bundles/first")
    (alone / "a.jpg").write_bytes(make_jpeg(50, 40, 1))
    program = "import sys; sys.modules['torch'] = None; from pictus.cli import main; main()"  # torch is not installed
    command = [sys.executable, "-c", program, "serve", "predict", "a.jpg", "--run", "bundles/first", "--json"]
    told = subprocess.run(command, cwd=alone, capture_output=True, text=True, timeout=60, check=False)
    assert json.loads(told.stdout)["summary"] == {"run": "first", "pictures": 1, "failed": 0}, told.stderr
    by_path = list(serve.predict(bare(alone), (alone / "a.jpg",), run=str(alone / "bundles/first")))
    assert by_path == list(serve.predict(bare(alone), (alone / "a.jpg",), run="first"))


def test_a_port_in_use_is_told_before_anything_else(root: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"Port {port} on 127.0.0.1 is in use") as caught:
            serve.start(bare(root), port=port)
        assert f"--port {port + 1}" in caught.value.fix
    with pytest.raises(UserError, match="cannot be listened on"):
        serve.start(bare(root), host="203.0.113.1")
    with pytest.raises(UserError, match="There is no port 70000"):
        serve.start(bare(root), port=70_000)


@pytest.fixture
def server(root: Path) -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """A real server process on a free port -> its address."""
    command = [sys.executable, "-m", "pictus.cli", "serve", "start", "--run", "first", "--port", "0", "--json"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    line = process.stderr.readline()
    found = re.search(r"http://127\.0\.0\.1:\d+", line)
    assert found, line + process.stderr.read()
    try:
        yield found[0], process
    finally:
        process.kill()
        process.communicate()


def test_start_answers_and_ends_with_ctrl_c(server: Any, make_jpeg: Any) -> None:
    address, process = server
    request = urllib.request.Request(f"{address}/predict", data=make_jpeg(50, 40, 1))
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = json.loads(response.read())
    assert answer["run"] == "first"
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert process.returncode == 0, errors
    assert json.loads(output)["summary"]["requests"] == 1


@pytest.mark.browser
def test_a_picture_dropped_on_the_page_is_recognised(server: Any, root: Path, make_jpeg: Any) -> None:
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or "/usr/bin/chromium"
    if not Path(chromium).exists():
        pytest.skip("Chromium is not installed (Debian: chromium)")
    (root / "a.jpg").write_bytes(make_jpeg(80, 60, 1))
    (root / "a.txt").write_text("not a picture")
    flags = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=flags)
        for width in (1280, 400):
            page = browser.new_page(viewport={"width": width, "height": 800})
            problems: list[str] = []
            page.on("pageerror", lambda error, told=problems: told.append(str(error)))
            page.goto(server[0])
            page.set_input_files("#file", root / "a.jpg")
            page.wait_for_selector("#guesses li >> nth=3")
            assert page.inner_text("#guesses").count("%") == 4
            assert page.evaluate("document.documentElement.scrollWidth") == width
            page.set_input_files("#file", root / "a.txt")
            page.wait_for_selector("#guesses .error")
            assert "not-an-image" in page.inner_text("#guesses")
            assert problems == []
        browser.close()


def test_a_run_that_was_stopped_is_told_wherever_it_serves(root: Path, exports: list[str], make_jpeg: Any) -> None:
    card = json.loads((root / "models/first" / "run.json").read_text())
    stopped = {"status": "running", "results": {"epochs": 2, "epochs_planned": 18}}
    (root / "models/first" / "run.json").write_text(json.dumps(card | stopped))
    (root / "a.jpg").write_bytes(make_jpeg(50, 40, 1))
    told = ("first is not the finished model, stopped at epoch 2 of 18: pictus train resume first",)
    exported = serve.export(bare(root), run="first")
    assert exported.problems == told
    assert "of first (stopped at epoch 2 of 18)" in exported.headline
    predicted = serve.predict(bare(root), (root / "a.jpg",), run="first")
    assert predicted.problems == told
    assert predicted.headline.startswith("first (stopped at epoch 2 of 18) looked at 1 picture")


def test_where_no_picture_can_be_used_the_causes_are_the_error(root: Path, make_jpeg: Any) -> None:
    jpeg = make_jpeg(50, 40, 1)
    (root / "notes.jpg").write_bytes(b"these are my notes")
    (root / "half.jpg").write_bytes(jpeg[: len(jpeg) // 2])
    (root / "half.bmp").write_bytes(bitmap()[:-31])
    files = tuple(root / name for name in ("notes.jpg", "half.jpg", "half.bmp"))
    with pytest.raises(UserError) as caught:
        serve.predict(bare(root), files)
    first, *causes = caught.value.what.splitlines()
    assert first == "None of the 3 pictures can be used:"
    words = [cause.partition(": ")[2].partition(":")[0] for cause in causes]
    assert words == ["not-an-image", "truncated", "truncated"]
    assert caught.value.fix == "give JPEG, PNG or WebP files that open in a picture viewer"
    for word in ("Error", "b'", 'b"', "processed"):
        assert word not in caught.value.what


def bitmap() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (40, 30), (200, 30, 30)).save(buffer, "BMP")
    return buffer.getvalue()
