"""Real pictures, at their real sizes and in their real oddity."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from pictus import Project, collect
from pictus.records import Concept
from pictus.shards import verify
from pictus.tables import table_of

RealData = Callable[[str], Path]

pytestmark = pytest.mark.real_data


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as lines:
        return list(csv.DictReader(lines))


def know(project: Project, names: set[str]) -> None:
    concepts = [Concept(name, (name,), is_class=True) for name in sorted(names)]
    project.tables.append("concepts", table_of("concepts", concepts))


def test_240_photos_of_imagenet_come_in_with_the_sizes_of_their_manifest(
    project: Project, real_data: RealData
) -> None:
    folder = real_data("imagenet_photos_240")
    outcome = collect.add(project, (folder / "imagenet_photos_240.tar",))
    assert (outcome.summary["added"], outcome.summary["failed"]) == (240, 0)
    images = project.tables.read("images")
    assert list(verify(project.shards_dir, images)) == []
    columns = ("width", "height", "mode")
    found = Counter(zip(*(images.column(name).to_pylist() for name in columns), strict=True))
    manifest = rows(folder / "manifest.csv")
    assert found == Counter((int(row["width"]), int(row["height"]), row["mode"]) for row in manifest)


def test_the_seven_byte_duplicates_of_tiny_imagenet_are_found(project: Project, real_data: RealData) -> None:
    folder = real_data("tiny_imagenet_subset")
    manifest = rows(folder / "manifest.csv")
    know(project, {row["wnid"] for row in manifest})
    outcome = collect.add(project, (folder / "tiny_imagenet_subset.tar.xz",), by_folder=True)
    assert outcome.summary["found"] == 19_900
    assert (outcome.summary["added"], outcome.summary["again"], outcome.summary["failed"]) == (19_893, 7, 0)
    sources = project.tables.read("sources", ["address", "concept_id"]).to_pylist()
    claimed = {row["address"].partition("!/")[2]: row["concept_id"] for row in sources}
    assert claimed == {row["path"]: row["wnid"] for row in manifest}


def test_odd_and_corrupt_files_are_recorded(project: Project, real_data: RealData) -> None:
    folder = real_data("near_duplicates")
    outcome = collect.add(project, (folder,))
    assert outcome.summary["added"] + outcome.summary["again"] + outcome.summary["failed"] == outcome.summary["found"]
    formats = set(project.tables.read("images", ["format"]).column("format").to_pylist())
    assert {"jpeg", "png", "webp", "gif", "tiff", "ppm"} <= formats
    failed = {attempt.address.rpartition("/")[2] for attempt in collect.status(project)}
    assert failed <= {"ukbench09268_corrupt.jpg"}


@pytest.mark.slow
def test_60_000_pictures_of_cifar_10_come_in(project: Project, real_data: RealData) -> None:
    folder = real_data("cifar10")
    manifest = rows(folder / "index.csv")
    know(project, {row["label_name"] for row in manifest})
    outcome = collect.add(project, (folder / "cifar10_jpeg_60000.tar.xz",), by_folder=True)
    assert (outcome.summary["added"], outcome.summary["failed"]) == (60_000, 0)
    assert collect.status(project).summary["concepts"] == Counter(row["label_name"] for row in manifest)
