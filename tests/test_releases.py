"""A release folder opens with tar, Parquet and JSON alone."""

from __future__ import annotations

import hashlib
import itertools
import json
import random
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pictus
from pictus.releases import (
    MANIFEST,
    PICTURES,
    PictureReader,
    class_names,
    content_digest,
    find_release,
    open_release,
    released_pictures,
    split_rows,
    version_key,
    versions,
)

MakeRelease = Callable[..., Path]


@pytest.fixture
def folder(tmp_path: Path, make_release: MakeRelease, make_jpeg: Callable[..., bytes]) -> Path:
    """Eight pictures: train has two dogs, two cats, one axe, one saw; val a dog and a cat."""
    wanted = [("train", one) for one in ("n02", "n02", "n03", "n03", "n05", "n06")] + [("val", "n02"), ("val", "n03")]
    pictures = [(split, concept, make_jpeg(16, 16, seed=seed)) for seed, (split, concept) in enumerate(wanted)]
    return make_release(tmp_path / "releases" / "1.0.0", pictures)


def test_classes_are_sorted_and_a_label_is_the_position(folder: Path) -> None:
    release = open_release(folder)
    assert release.classes == ("n02", "n03", "n05", "n06")
    assert class_names(release) == ("dog", "cat", "axe", "saw")
    for picture in released_pictures(release):
        assert release.classes[picture.label] == picture.concept_id
    assert {concept.concept_id for concept in release.concepts} >= {"n01", "n04"}  # the ancestors come along


def test_split_rows_and_a_split_that_is_not_there(folder: Path) -> None:
    release = open_release(folder)
    assert split_rows(release, "train").num_rows == 6
    assert split_rows(release, "all").num_rows == 8
    with pytest.raises(pictus.UserError, match="no pictures in split 'test'") as error:
        split_rows(release, "test")
    assert error.value.fix == "one of: train, val, all"


def test_the_reader_gives_the_bytes_from_many_threads(folder: Path) -> None:
    release = open_release(folder)
    reader, wrong = PictureReader(release), []

    def read_all() -> None:
        for picture in itertools.islice(itertools.cycle(released_pictures(release)), 200):
            found = reader.read(picture.shard, picture.offset, picture.size)
            if hashlib.sha256(found).hexdigest() != picture.image_id:
                wrong.append(picture.image_id)

    threads = [threading.Thread(target=read_all) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_the_reader_never_leaves_the_release(folder: Path) -> None:
    (folder.parent / "other.tar").write_bytes(b"secret")
    with pytest.raises(pictus.UserError, match="not the name of a shard"):
        PictureReader(open_release(folder)).read("../other.tar", 0, 6)


def test_a_release_opens_without_lance_sql_or_torch(folder: Path) -> None:
    program = (
        "import sys; from pictus.releases import *; r = open_release(sys.argv[1]); p = next(released_pictures(r));"
        "assert len(PictureReader(r).read(p.shard, p.offset, p.size)) == p.size;"
        "print([n for n in ('lance', 'sqlalchemy', 'torch', 'PIL', 'httpx') if n in sys.modules])"
    )
    command = [sys.executable, "-c", program, str(folder)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert found.stdout.strip() == "[]"


def test_find_takes_the_newest_a_version_or_a_folder(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, folder.parent / "1.10.0")
    shutil.copytree(folder, folder.parent / "1.9.0")
    (folder.parent / "not-a-version").mkdir()
    project = pictus.Project(tmp_path, "here")
    assert versions(project.releases_dir) == ["1.0.0", "1.9.0", "1.10.0"]
    assert find_release(project).root.name == "1.10.0"
    assert find_release(project, "1.9.0").root.name == "1.9.0"
    assert find_release(project, folder).root == folder
    assert find_release(pictus.Project(folder, "inside")).root == folder
    with pytest.raises(pictus.UserError, match=r"no release '1\.9\.1'") as error:
        find_release(project, "1.9.1")
    assert "1.9.0" in error.value.fix


def test_no_release_yet_says_what_to_type(tmp_path: Path) -> None:
    with pytest.raises(pictus.UserError, match="no release") as error:
        find_release(pictus.Project(tmp_path, "empty"))
    assert "pictus new NAME" in error.value.fix
    with pytest.raises(pictus.UserError, match="no release") as error:
        find_release(pictus.new(tmp_path / "birds"))
    assert "pictus taxonomy import" in error.value.fix


def test_a_damaged_release_is_told_not_traced(folder: Path) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    cases = {"not json": "{", "newer": json.dumps({**manifest, "format": 99}), "lacking": json.dumps({"format": 1})}
    for name, text in cases.items():
        (folder / MANIFEST).write_text(text)
        with pytest.raises(pictus.UserError):
            open_release(folder)
        assert name
    (folder / MANIFEST).write_text(json.dumps(manifest))
    (folder / "pictures.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(pictus.UserError, match=r"pictures\.parquet cannot be read"):
        open_release(folder)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("format", "1e999"), ("format", "true"), ("version", '"../../v"'), ("version", "[]"), ("name", "null"),
        ("name", '"\\ud800"'), ("digest", "7"), ("history", "[1]"), ("counts", '"x"'), ("counts", '{"pictures": "x"}'),
        ("counts", '{"splits": []}'), ("counts", '{"splits": {"train": 1e999}}'), ("files", '{"a": {"sha256": 1}}'),
    ],
)  # fmt: skip
def test_a_manifest_with_a_wrong_field_is_told_by_its_name(folder: Path, field: str, value: str) -> None:
    manifest = json.loads((folder / MANIFEST).read_text())
    (folder / MANIFEST).write_text(json.dumps({**manifest, field: "PLACE"}).replace('"PLACE"', value))
    with pytest.raises(pictus.UserError, match=rf"is damaged: manifest\.json cannot be read \(.*{field}"):
        open_release(folder)


def test_a_manifest_nested_without_end_is_told(folder: Path) -> None:
    (folder / MANIFEST).write_text("[" * 100_000)
    with pytest.raises(pictus.UserError, match="is damaged"):
        open_release(folder)


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [("offset", -5, "a picture has the offset -5"), ("size", -1, "a picture has the size -1"),
     ("shard", "a\0b", "names a shard"), ("shard", "a" * 300, "names a shard")],
)  # fmt: skip
def test_places_that_no_shard_has_are_told_when_it_opens(
    folder: Path, column: str, value: object, told: str
) -> None:
    rows = pq.read_table(folder / "pictures.parquet")
    changed = [{**row, column: value} for row in rows.to_pylist()]
    pq.write_table(pa.Table.from_pylist(changed, schema=rows.schema), folder / "pictures.parquet")
    with pytest.raises(pictus.UserError, match=told):
        open_release(folder)


def test_a_missing_shard_is_told_when_it_opens(folder: Path) -> None:
    (folder / "shards/pictures-00000.tar").unlink()
    with pytest.raises(pictus.UserError, match="1 of its shards are missing"):
        open_release(folder)


@pytest.mark.parametrize("shard", ["../outside.tar", "/outside.tar"])
def test_a_shard_outside_the_release_is_none(folder: Path, shard: str) -> None:
    (folder.parent / "outside.tar").write_bytes((folder / "shards/pictures-00000.tar").read_bytes())
    rows = pq.read_table(folder / "pictures.parquet").to_pylist()
    place = shard if shard[0] != "/" else f"{folder.parent}{shard}"
    moved = pa.Table.from_pylist([{**row, "shard": place} for row in rows], PICTURES)
    pq.write_table(moved, folder / "pictures.parquet")
    with pytest.raises(pictus.UserError, match="1 of its shards are missing"):
        open_release(folder)


def test_a_folder_that_is_no_release(tmp_path: Path) -> None:
    with pytest.raises(pictus.UserError, match="is not a release"):
        open_release(tmp_path)
    with pytest.raises(pictus.UserError, match="does not exist"):
        open_release(tmp_path / "nowhere")


def test_versions_sort_as_semver_says() -> None:
    # The example of semver.org 2.0.0 §11.4, and numbers that text would sort wrongly.
    ordered = [
        "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11",
        "1.0.0-rc.1", "1.0.0", "1.9.0", "1.10.0", "2.0.0",
    ]  # fmt: skip
    assert sorted(random.Random(1).sample(ordered, len(ordered)), key=version_key) == ordered


@pytest.mark.parametrize(
    "text", ["", "1", "1.0", "v1.0.0", "01.0.0", "1.0.0-", "1.0.0-01", "1.0.0+build", "1.0.0/..", "१.0.0"]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(pictus.UserError, match=r"MAJOR\.MINOR\.PATCH"):
        version_key(text)


@given(st.permutations(range(8)))
def test_the_digest_does_not_depend_on_order_or_packing(order: list[int]) -> None:
    import pyarrow as pa

    rows = [{"image_id": f"{n:064x}", "split": "train", "concept_id": f"n{n % 2}", "offset": n} for n in range(8)]
    one = content_digest(pa.Table.from_pylist(rows), ("n0", "n1"))
    assert content_digest(pa.Table.from_pylist([{**rows[n], "offset": 0} for n in order]), ("n0", "n1")) == one
    moved = [{**rows[0], "split": "test"}, *rows[1:]]
    assert content_digest(pa.Table.from_pylist(moved), ("n0", "n1")) != one
    assert content_digest(pa.Table.from_pylist(rows), ("n0", "n1", "n2")) != one


def test_the_digest_is_the_documented_sum() -> None:
    import pyarrow as pa

    rows = pa.table({"image_id": ["b" * 64, "a" * 64], "split": ["val", "train"], "concept_id": ["n2", "n1"]})
    text = f"{'a' * 64}\ttrain\tn1\n{'b' * 64}\tval\tn2\nclass\tn1\nclass\tn2\n"
    assert content_digest(rows, ("n1", "n2")) == hashlib.sha256(text.encode()).hexdigest()
