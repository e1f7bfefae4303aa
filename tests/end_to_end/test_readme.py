"""What the README tells a newcomer to type works, in that order, on a folder of pictures."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image

REPOSITORY = Path(__file__).parent.parent.parent
README = (REPOSITORY / "README.md").read_text(encoding="utf-8")
PICTUS = [sys.executable, "-m", "pictus.cli"]

pytest.importorskip("torch", reason="the extra 'train' is not installed")
pytest.importorskip("onnxruntime", reason="the extra 'serve' is not installed")


def blocks(language: str = "") -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.DOTALL | re.MULTILINE)


def commands(block: str) -> list[str]:
    lines = (line.partition("  #")[0].strip() for line in block.splitlines())
    return [line for line in lines if line.startswith("pictus ")]


def paint(path: Path, hue: tuple[int, int, int], generator: np.random.Generator) -> None:
    """A blob of a colour on noise: two classes that a small network tells apart in seconds."""
    pixels = generator.integers(60, 200, (96, 96, 3)).astype(np.float64)
    y, x = generator.integers(20, 76, 2)
    ys, xs = np.mgrid[:96, :96]
    inside = (ys - y) ** 2 + (xs - x) ** 2 < generator.integers(12, 24) ** 2
    pixels[inside] = 0.3 * pixels[inside] + 0.7 * np.array(hue)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(np.uint8)).save(path, quality=92)


def test_the_walk_of_the_readme_runs_as_written(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for index in range(60):
        paint(tmp_path / "photos" / "owl" / f"{index}.jpg", (220, 40, 40), generator)
        paint(tmp_path / "photos" / "wren" / f"{index}.jpg", (40, 60, 220), generator)
    walk = commands(next(block for block in blocks() if "pictus new birds" in block))
    assert walk[0] == "pictus new birds && cd birds"
    assert len(walk) >= 12
    run(["new", "birds"], tmp_path)
    project = tmp_path / "birds"
    for command in walk[1:]:
        words = command.split()[1:]
        if words[:2] == ["train", "run"]:
            run([*words, "--set", "epochs=30"], project)  # enough for two colours; by itself it takes minutes
        elif words[:2] == ["serve", "start"]:
            predict_over_http(project, tmp_path / "photos" / "owl" / "0.jpg")
        elif words[:2] == ["annotate", "serve"]:
            sign_in_by_a_link(words, project)
        else:
            run(words, project)
    status = json.loads(run(["status", "--json"], project))["summary"]
    assert status["collected"] == status["labelled"] == 120
    results = json.loads(next(project.glob("models/*/evaluations/*/results.json")).read_text())
    assert results["top1"]["estimate"] > 0.6, "two colours are told apart"


def run(words: list[str], folder: Path) -> str:
    done = subprocess.run([*PICTUS, *words], cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"pictus {' '.join(words)}: {done.stderr[-2000:]}"
    return done.stdout


def predict_over_http(project: Path, picture: Path) -> None:
    server = subprocess.Popen(
        [*PICTUS, "serve", "start", "--port", "0"], cwd=project, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )  # fmt: skip
    try:
        address = wait_for_address(server)
        answer = httpx.post(f"{address}/predict", content=picture.read_bytes(), headers={"content-type": "image/jpeg"})
        assert answer.status_code == 200, answer.text
        assert answer.json()["guesses"][0]["name"] in ("owl", "wren")
        assert "pictus" in httpx.get(f"{address}/metrics").text
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)


def sign_in_by_a_link(words: list[str], project: Path) -> None:
    """One of the twelve comes in and is given a page."""
    server = subprocess.Popen([*PICTUS, *words, "--port", "0"], cwd=project, stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        links = [server.stdout.readline().strip() for _ in range(13)]  # the owner's first
        origin, _, token = links[1].partition("/join/")
        with httpx.Client(base_url=origin, headers={"x-pictus": "desk"}) as browser:
            assert browser.post("/desk/join", json={"token": token, "name": "ada"}).status_code == 200
            page = browser.post("/desk/next", json={}).json()["page"]
        assert page["concept"]["name"] in ("owl", "wren")
        assert len(page["items"]) > 12
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=30)


def wait_for_address(server: "subprocess.Popen[str]") -> str:
    assert server.stderr is not None
    deadline = time.monotonic() + 120
    said = ""
    while time.monotonic() < deadline:
        line = server.stderr.readline()
        said += line
        if match := re.search(r"http://[\w.:\[\]]+", line):
            return match[0]
        if not line and server.poll() is not None:
            break
    pytest.fail(f"the server printed no address: {said}")


def test_a_release_opens_as_the_readme_shows(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> None:
    pytest.importorskip("pandas", reason="pandas is not installed")
    import pictus
    from pictus import annotate, collect, release, taxonomy

    for index in range(12):
        place = tmp_path / "photos" / ("owl" if index % 2 else "wren") / f"{index}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(make_jpeg(seed=index))
    project = pictus.new(tmp_path / "birds")
    taxonomy.import_(project, folders=tmp_path / "photos")
    collect.add(project, (tmp_path / "photos",), by_folder=True)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    release.split(project, seed=7)
    release.cut(project, "1.0.0")
    block = next(block for block in blocks("python") if "read_parquet" in block)
    program = block + "\nimport hashlib; assert hashlib.sha256(jpeg).hexdigest() == row.image_id\n"
    subprocess.run([sys.executable, "-W", "ignore", "-c", program], cwd=project.root, check=True, timeout=120)


def test_every_page_the_readme_links_exists() -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", README):
        assert (REPOSITORY / target).exists(), target
