"""What users get wrong, and what machines do to them: one clear message, nothing lost, the next run resumes."""

from __future__ import annotations

import io
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import pictus
from pictus import annotate, clean, collect, release, taxonomy
from pictus.records import Check, Verdict

PICTUS = (sys.executable, "-m", "pictus.cli")

LIMITED = """
import resource, runpy, signal, sys
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
most = int(sys.argv.pop(1))
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
runpy.run_module("pictus.cli", run_name="__main__")
"""
"""Pictus with files of so many bytes at most: a write fails in the middle, as on a full disk."""


Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


@pytest.fixture
def run(shell: Run) -> Run:
    """run(project, "clean", "check"): what the command says and ends with; `limit` bytes are the most that a file has,
    in a process of its own.
    """

    def run(project: pictus.Project, *words: str, limit: int = 0) -> Done:
        if not limit:
            return shell(*words, at=project.root)
        return subprocess.run([sys.executable, "-c", LIMITED, str(limit), *words], cwd=project.root,
                              capture_output=True, text=True, timeout=120, check=False)  # fmt: skip

    return run


def bomb(width: int = 30_000, height: int = 30_000) -> bytes:
    """A PNG of 900 million pixels in a few hundred bytes: its header is true, its data is one row of zeros."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def saved(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()


def odd_pictures(folder: Path, make_jpeg: Callable[..., bytes]) -> None:
    folder.mkdir()
    plain = Image.open(io.BytesIO(make_jpeg(96, 64, seed=1))).convert("RGB")
    other = Image.open(io.BytesIO(make_jpeg(96, 64, seed=2))).convert("RGB")
    (folder / "good.jpg").write_bytes(make_jpeg(96, 64, seed=3))
    (folder / "text.jpg").write_text("<html>404</html>")
    (folder / "empty.jpg").write_bytes(b"")
    (folder / "cut.jpg").write_bytes(make_jpeg(96, 64, seed=4)[:-600])
    (folder / "bomb.png").write_bytes(bomb())
    (folder / "cmyk.jpg").write_bytes(saved(plain.convert("CMYK"), "JPEG"))
    deep = (np.asarray(other.convert("L"), dtype=np.uint16) * 257).astype(np.uint16)
    (folder / "deep.png").write_bytes(saved(Image.fromarray(deep), "PNG"))
    (folder / "moving.gif").write_bytes(saved(plain, "GIF", save_all=True, append_images=[other], duration=50))
    exif = Image.Exif()
    exif[0x0112] = 6
    (folder / "turned.jpg").write_bytes(saved(other, "JPEG", exif=exif))


def test_odd_and_broken_pictures_are_recorded_and_the_run_goes_on(
    project: pictus.Project, run: Run, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    odd_pictures(tmp_path / "odd", make_jpeg)
    done = run(project, "collect", "add", str(tmp_path / "odd"))
    assert done.returncode == 0, done.stderr
    failures = project.tables.read("fetches", where="cause != 'ok'").to_pylist()
    causes = {Path(row["address"]).name: row["cause"] for row in failures}
    assert causes["text.jpg"] == "not-an-image"
    assert causes["bomb.png"] == "too-many-pixels"
    assert "empty.jpg" in causes
    assert run(project, "clean").returncode == 0
    address = {row["image_id"]: Path(row["address"]).name for row in project.tables.read("sources").to_pylist()}
    checks = {address[check.image_id]: check for check in project.tables.records("checks", Check)}
    assert set(checks) | set(causes) == {path.name for path in (tmp_path / "odd").iterdir()}
    if "cut.jpg" in checks:
        assert checks["cut.jpg"].cause == "truncated"
    assert (checks["turned.jpg"].width, checks["turned.jpg"].height) == (64, 96)
    assert checks["moving.gif"].is_animated
    for name in ("cmyk.jpg", "deep.png", "good.jpg"):
        assert checks[name].cause == "", name
    verdicts = {address[row.image_id]: row for row in project.tables.records("verdicts", Verdict)}
    assert verdicts["good.jpg"].verdict == "keep"


def test_an_empty_folder_is_said(project: pictus.Project, run: Run, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    done = run(project, "collect", "add", str(tmp_path / "nothing"))
    assert done.returncode == 1
    assert "no picture" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_one_picture_goes_as_far_as_one_picture_can(
    project: pictus.Project, run: Run, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    place = tmp_path / "in" / "owl" / "1.jpg"
    place.parent.mkdir(parents=True)
    place.write_bytes(make_jpeg())
    for words in (
        ["taxonomy", "import", "--folders", str(tmp_path / "in")],
        ["collect", "add", str(tmp_path / "in"), "--by-folder"],
        ["clean"],
        ["annotate", "import", "--from-folders"],
        ["annotate", "settle"],
        ["release", "split", "--seed", "7"],
        ["release", "cut", "1.0.0"],
        ["search", "index", "--run", "classical"],
        ["search", "query", "--text", "owl"],
        ["search", "query", "--image", str(place)],
    ):
        done = run(project, *words)
        assert done.returncode == 0, f"{words}: {done.stderr[-1500:]}"
    done = run(project, "train", "run", "--release", "1.0.0", "--recipe", "small-cnn")
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "fix:" in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["clean", "check"], ["clean", "dedupe"], ["clean", "screen"], ["annotate", "settle"],
        ["annotate", "import", "--from-folders"], ["release", "split"], ["release", "cut", "1.0.0"],
        ["release", "verify"], ["train", "run"], ["evaluate", "run"], ["serve", "export"], ["search", "index"],
        ["search", "query", "--text", "owl"], ["taxonomy", "show"], ["taxonomy", "queries"],
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_step_too_early_says_what_comes_first(project: pictus.Project, run: Run, words: list[str]) -> None:
    done = run(project, *words)
    assert "Traceback" not in done.stderr, done.stderr
    assert done.returncode in (0, 1)
    assert "pictus " in done.stderr, "it says what to type"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("picture,name\na.jpg,owl\n", "image"),
        ("image,label\n1.jpg,dragon\n", "dragon"),
        ("image,label\nnowhere.jpg,owl\n", "nowhere.jpg"),
        ("", "empty"),
        ("\x00\x01\x02", "labels.csv"),
    ],
)
def test_a_bad_label_file_is_one_message(
    project: pictus.Project, run: Run, tmp_path: Path, make_jpeg: Callable[..., bytes], *, text: str, part: str
) -> None:
    (tmp_path / "in" / "owl").mkdir(parents=True)
    (tmp_path / "in" / "owl" / "1.jpg").write_bytes(make_jpeg())
    taxonomy.import_(project, folders=tmp_path / "in")
    collect.add(project, (tmp_path / "in",), by_folder=True)
    (tmp_path / "labels.csv").write_text(text)
    done = run(project, "annotate", "import", str(tmp_path / "labels.csv"))
    assert done.returncode == 1
    assert part in done.stderr
    assert "Traceback" not in done.stderr
    assert project.journal.vote_count() == 0


def test_a_file_size_limit_stands_for_a_full_disk(
    project: pictus.Project, run: Run, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    (tmp_path / "in").mkdir()
    for seed in range(40):
        (tmp_path / "in" / f"{seed}.jpg").write_bytes(make_jpeg(300, 200, seed=seed))
    done = run(project, "collect", "add", str(tmp_path / "in"), limit=200_000)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "fix:" in done.stderr
    again = run(project, "collect", "add", str(tmp_path / "in"))
    assert again.returncode == 0, again.stderr
    assert project.tables.count("images") == 40
    verify_bytes(project)


@pytest.mark.parametrize("words", [["clean", "check"], ["annotate", "settle"]], ids=" ".join)
def test_a_disk_full_from_the_start_is_said_and_the_next_run_goes_on(
    project: pictus.Project, run: Run, tmp_path: Path, make_jpeg: Callable[..., bytes], words: list[str]
) -> None:
    """Files of at most 1,000 bytes: neither the lock's note, nor the database's side files, nor a table fits."""
    (tmp_path / "in" / "owl").mkdir(parents=True)
    (tmp_path / "in" / "owl" / "1.jpg").write_bytes(make_jpeg())
    taxonomy.import_(project, folders=tmp_path / "in")
    collect.add(project, (tmp_path / "in",), by_folder=True)
    clean.check(project)
    clean.screen(project)
    project.tables.drop("checks")
    annotate.import_(project, from_folders=True)
    project.journal.engine.dispose()
    done = run(project, *words, limit=1_000)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr, done.stderr[-2000:]
    assert "disk is full" in done.stderr
    again = run(project, *words)
    assert again.returncode == 0, again.stderr


def test_a_damaged_journal_is_one_message(project: pictus.Project, run: Run) -> None:
    for number in range(200):
        project.journal.log("collect", "pictures_added", subject=str(number))
    project.journal.engine.dispose()
    path = project.root / "journal.sqlite"
    path.write_bytes(path.read_bytes()[:4096] + b"\xff" * (path.stat().st_size - 4096))
    for words in (["status"], ["annotate", "settle"]):
        done = run(project, *words)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False), done.stderr[-2000:]
        assert f"is damaged: {path}" in done.stderr
        assert "restore it from a copy" in done.stderr


def verify_bytes(project: pictus.Project) -> None:
    import hashlib

    from pictus import shards

    for row in project.tables.read("images").to_pylist():
        found = shards.read(project.shards_dir, row["shard"], row["offset"], row["size"])
        assert hashlib.sha256(found).hexdigest() == row["image_id"]


def test_kills_at_many_points_lose_nothing_and_double_nothing(
    project: pictus.Project, run: Run, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    """SIGKILL each long step a few times at growing delays, then run it once more to its end."""
    for seed in range(240):
        place = tmp_path / "in" / ("owl" if seed % 2 else "wren") / f"{seed}.jpg"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(make_jpeg(128, 96, seed=seed))
    taxonomy.import_(project, folders=tmp_path / "in")
    steps = (
        ["collect", "add", str(tmp_path / "in"), "--by-folder"],
        ["clean", "check"],
        ["clean", "dedupe"],
        ["clean", "screen"],
        ["annotate", "import", "--from-folders"],
        ["annotate", "settle"],
        ["release", "split", "--seed", "7"],
        ["release", "cut", "1.0.0"],
    )
    for words in steps:
        for delay_s in (0.35, 0.7):
            kill_after(project, words, delay_s)
        done = run(project, *words)
        repeated = "1.0.0" in done.stderr and words[:2] == ["release", "cut"]  # the killed one had finished
        assert done.returncode == 0 or repeated, f"{words}: {done.stderr[-1500:]}"
    ids = project.tables.read("images", ["image_id"]).column("image_id").to_pylist()
    assert len(ids) == len(set(ids)) == 240
    assert project.tables.count("checks") == project.tables.count("verdicts") == 240
    assert project.journal.vote_count() == 240
    verify_bytes(project)
    assert run(project, "release", "verify", "1.0.0").returncode == 0


def kill_after(project: pictus.Project, words: list[str], delay_s: float) -> None:
    with subprocess.Popen([*PICTUS, *words], cwd=project.root, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                          start_new_session=True) as step:  # fmt: skip
        time.sleep(delay_s)
        if step.poll() is None:
            os.killpg(step.pid, signal.SIGKILL)


def test_python_and_shell_write_the_same_verdicts(
    project: pictus.Project, run: Run, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    (tmp_path / "in" / "owl").mkdir(parents=True)
    for seed in range(12):
        (tmp_path / "in" / "owl" / f"{seed}.jpg").write_bytes(make_jpeg(seed=seed))
    other = pictus.new(tmp_path / "other")
    for one in (project, other):
        taxonomy.import_(one, folders=tmp_path / "in")
    collect.add(project, (tmp_path / "in",), by_folder=True)
    clean.check(project)
    clean.dedupe(project)
    clean.screen(project)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    release.split(project, seed=3)
    for words in (
        ["collect", "add", str(tmp_path / "in"), "--by-folder"],
        ["clean"],
        ["annotate", "import", "--from-folders"],
        ["annotate", "settle"],
        ["release", "split", "--seed", "3"],
    ):
        assert run(other, *words).returncode == 0
    for name in ("checks", "splits"):
        rows, others = (one.tables.read(name).to_pylist() for one in (project, other))
        assert sorted(rows, key=str) == sorted(others, key=str)
