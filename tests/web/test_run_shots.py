from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from markupsafe import escape
from starlette.testclient import TestClient

import pictus
from pictus import annotate, collect, models, release, taxonomy
from pictus.errors import NotThereError
from pictus.models import Preprocessing, Run
from pictus.releases import Release, open_release
from pictus.web import run_shots
from pictus.web.server import build_app


@pytest.fixture
def released(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> pictus.Project:
    for index in range(12):
        place = tmp_path / "in" / ("owl" if index % 2 else "cup")
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{index}.jpg").write_bytes(make_jpeg(160, 120, seed=index))
    project = pictus.new(tmp_path / "birds")
    taxonomy.import_(project, folders=tmp_path / "in")
    collect.add(project, (tmp_path / "in",), by_folder=True)
    annotate.import_(project, from_folders=True)
    annotate.settle(project)
    release.split(project, seed=1)
    release.cut(project, "1.0.0")
    return project


def first_of(path: Path) -> str:
    found: str = pq.read_table(path / "pictures.parquet").column("image_id")[0].as_py()
    return found


def a_run(project: pictus.Project, path: Path, image_id: str) -> Run:
    """A run that says it was trained on the release in `path`, and shows one of its pictures."""
    root = project.models_dir / "first"
    root.mkdir(parents=True)
    card = {
        "format": 1, "status": "finished", "model": "small-cnn", "classes": ["a"], "class_names": ["a"],
        "preprocessing": {"size": 32, "resize": 32, "mean": [0, 0, 0], "std": [1, 1, 1]},
        "release": {"path": str(path), "digest": json.loads((path / "manifest.json").read_text())["digest"]},
    }  # fmt: skip
    (root / "run.json").write_text(json.dumps(card))
    row = {"image_id": image_id, "guess_name": "a", "probability": 0.9, "truth_names": ["a"]}
    (root / "mistakes.json").write_text(json.dumps({"epoch": 1, "pictures": 4, "mistakes": 1, "surest": [row]}))
    return Run(root, "first", "small-cnn", ("a",), ("a",), Preprocessing(32, 32), card)


def test_a_picture_of_a_release_elsewhere_is_shown(released: pictus.Project, tmp_path: Path) -> None:
    shutil.copytree(released.releases_dir / "1.0.0", tmp_path / "copy")
    image_id = first_of(tmp_path / "copy")
    run = a_run(released, tmp_path / "copy", image_id)
    assert "was not begun in this project" in run_shots.problem(released, run), "anybody can write a card"
    with pytest.raises(NotThereError, match="was not begun in this project"):
        run_shots.thumbnail(released, run, image_id)
    released.journal.log("train", "run_started", "first")
    assert run_shots.problem(released, run) == ""
    assert run_shots.thumbnail(released, run, image_id).read_bytes().startswith(b"\xff\xd8")


@pytest.mark.parametrize(
    ("stated", "why"),
    [({"path": "s3://bucket/1.0.0"}, "lies in a store"), ({"path": "gone", "version": "../../copy"}, "any more"),
     ({"path": "gone", "version": "3.0.0"}, "any more"), ({"path": "releases/1.0.0", "digest": "0"}, "is not the one"),
     ({"path": "a\0b", "version": ""}, "any more"), ({"path": "models"}, "is not here"),
     ({"path": "a" * 400, "version": ""}, "any more")],
    ids=["in a store", "a way out", "gone", "another", "no path", "no release", "too long"],
)  # fmt: skip
def test_why_no_picture_can_be_shown_is_one_line(
    released: pictus.Project, tmp_path: Path, stated: dict[str, str], why: str
) -> None:
    shutil.copytree(released.releases_dir / "1.0.0", tmp_path / "copy")
    run = a_run(released, released.releases_dir / "1.0.0", "f" * 64)
    (run.root / "run.json").write_text(json.dumps(run.card | {"release": run.card["release"] | stated}))
    found = run_shots.problem(released, models.open_run(run.root))
    assert why in found
    assert "\n" not in found
    with TestClient(build_app(released), base_url="http://127.0.0.1") as browser:
        page = browser.get("/runs/first").text
    assert str(escape(found)) in page
    assert "<img" not in page
    assert "labelled a" in page


def test_a_release_that_does_not_fit_is_opened_once_until_it_changes(
    released: pictus.Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = released.releases_dir / "1.0.0"
    image_id = first_of(folder)
    run = a_run(released, folder, image_id)
    opened: list[Path] = []

    def counted(path: Path) -> Release:
        opened.append(path)
        return open_release(path)

    monkeypatch.setattr(run_shots, "open_release", counted)
    whole = (folder / "manifest.json").read_text()
    digest = json.loads(whole)["digest"]
    (folder / "manifest.json").write_text(whole.replace(digest, "0" * len(digest)) + " ")
    assert {run_shots.problem(released, run) for _ in range(3)} == {
        "Release 1.0.0 here is not the one that run 'first' was trained on."
    }
    assert len(opened) == 1
    (folder / "manifest.json").write_text(whole)
    shard = next((folder / "shards").iterdir())
    shard.rename(folder / shard.name)
    for _ in range(2):
        assert "of its shards are missing" in run_shots.problem(released, run)
    assert len(opened) == 2
    (folder / shard.name).rename(shard)
    assert [run_shots.problem(released, run) for _ in range(2)] == ["", ""], "it was put back"
    assert len(opened) == 3


def test_pictures_of_the_project_are_shown_whatever_became_of_the_release(released: pictus.Project) -> None:
    image_id = first_of(released.releases_dir / "1.0.0")
    a_run(released, released.releases_dir / "1.0.0", image_id)
    shutil.rmtree(released.releases_dir / "1.0.0")
    with TestClient(build_app(released), base_url="http://127.0.0.1") as browser:
        page = browser.get("/runs/first").text
        assert f'src="/thumbnails/160/{image_id}"' in page
        assert browser.get(f"/thumbnails/160/{image_id}").status_code == 200
    assert "any more" not in page


def test_a_picture_under_the_name_of_another_is_neither_shown_nor_kept(
    released: pictus.Project, tmp_path: Path
) -> None:
    shutil.copytree(released.releases_dir / "1.0.0", tmp_path / "copy")
    table = pq.read_table(tmp_path / "copy" / "pictures.parquet")
    ids = table.column("image_id").to_pylist()
    swapped = pa.array([ids[1], ids[0], *ids[2:]])
    table = table.set_column(table.schema.get_field_index("image_id"), "image_id", swapped)
    pq.write_table(table, tmp_path / "copy" / "pictures.parquet")
    released.journal.log("train", "run_started", "first")
    with pytest.raises(NotThereError, match="other bytes"):
        run_shots.thumbnail(released, a_run(released, tmp_path / "copy", ids[0]), ids[0])
    assert not list((released.cache_dir / "thumbnails").rglob("*.jpg"))
