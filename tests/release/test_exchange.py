"""Exports come back to the same digest; plain folders of others come in."""

from __future__ import annotations

import csv
import json
import shutil
import tarfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import pictus
from pictus import release
from pictus.release.exchange import exported_rows
from pictus.release.packing import file_sum
from pictus.releases import content_digest, open_release, released_pictures

Fill = Callable[..., list[str]]
Format = Literal["imagefolder", "webdataset"]
FORMATS: tuple[Format, ...] = ("imagefolder", "webdataset")


@pytest.fixture
def version(project: pictus.Project, fill: Fill, two_classes: list[tuple[str, str]]) -> str:
    fill(two_classes, groups={0: 0, 1: 0})
    release.split(project, seed=7)
    release.cut(project, "1.0.0", description="Two kinds, drawn", creator="the tests")
    return "1.0.0"


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_comes_back_to_the_same_digest_with_every_fact(
    project: pictus.Project, version: str, tmp_path: Path, form: Format
) -> None:
    release.export(project, version, tmp_path / "out", format=form)
    other = pictus.new(tmp_path / "other")
    outcome = release.import_(other, tmp_path / "out", "3.0.0")
    one, two = open_release(project.releases_dir / version), open_release(other.releases_dir / "3.0.0")
    assert one.digest == two.digest == outcome.summary["digest"]
    assert list(released_pictures(one)) == list(released_pictures(two))  # shard, offset and all: packed in one order
    assert one.concepts == two.concepts
    assert two.manifest["description"] == "Two kinds, drawn"
    assert two.manifest["history"] == one.manifest["history"]
    release.verify(other, "3.0.0")


def test_a_release_folder_comes_in_under_another_version(project: pictus.Project, version: str) -> None:
    release.import_(project, project.releases_dir / version, "1.0.1")
    outcome = release.diff(project, "1.0.0", "1.0.1")
    assert outcome.summary["same_digest"] is True


def changed(root: Path, column: str, value: object, *, sums: bool = True) -> None:
    """Set a column of a release's rows; `sums`: and put the new sum and digest into its manifest."""
    manifest = json.loads((root / "manifest.json").read_text())
    path = root / "pictures.parquet"
    rows = pq.read_table(path)
    kind = rows.schema.field(column)
    rows = rows.set_column(rows.column_names.index(column), kind, pa.array([value] * rows.num_rows, kind.type))
    for one in (path, root / "manifest.json"):
        one.chmod(0o644)
    pq.write_table(rows, path)
    if sums:
        manifest["files"][path.name] = file_sum(path)
        manifest["digest"] = content_digest(rows, tuple(sorted(set(rows.column("concept_id").to_pylist()))))
        (root / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("posterior", float("nan"), "the posterior nan is not from 0 to 1"),
        ("posterior", 1.5, "the posterior 1.5 is not from 0 to 1"),
        ("split", "../../x", "'../../x' is no split"),
    ],
)
def test_rows_that_say_nonsense_are_not_imported(
    project: pictus.Project, version: str, tmp_path: Path, *, column: str, value: object, message: str
) -> None:
    root = project.releases_dir / version
    changed(root, column, value)
    with pytest.raises(pictus.UserError, match=message):
        release.import_(pictus.new(tmp_path / "other"), root)
    with pytest.raises(pictus.UserError, match=column):
        release.verify(project, version)


def test_rows_that_are_not_those_of_the_manifest_are_not_imported(
    project: pictus.Project, version: str, tmp_path: Path
) -> None:
    changed(project.releases_dir / version, "licence", "all mine", sums=False)
    with pytest.raises(pictus.UserError, match=r"pictures\.parquet is not the file .* its sum differs"):
        release.import_(pictus.new(tmp_path / "other"), project.releases_dir / version)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("column", ["split", "concept_id", "key"])
def test_an_export_never_writes_outside_its_folder(
    project: pictus.Project, version: str, tmp_path: Path, form: Format, column: str
) -> None:
    changed(project.releases_dir / version, column, "../../evil")
    with pytest.raises(pictus.UserError, match=r"'\.\./\.\./evil' cannot be"):
        release.export(project, version, tmp_path / "a" / "out", format=form)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize(
    ("field", "value"), [("format", "1e999"), ("version", '"../../v"'), ("history", "[1]"), ("name", "[]")]
)
def test_a_paper_with_a_wrong_field_is_told_by_its_name(
    project: pictus.Project, version: str, tmp_path: Path, field: str, value: str
) -> None:
    release.export(project, version, tmp_path / "out", format="imagefolder")
    paper = json.loads((tmp_path / "out/release.json").read_text())
    (tmp_path / "out/release.json").write_text(json.dumps({**paper, field: "PLACE"}).replace('"PLACE"', value))
    with pytest.raises(pictus.UserError, match=rf"release\.json cannot be read \(.*{field}"):
        release.import_(pictus.new(tmp_path / "other"), tmp_path / "out")


@pytest.mark.parametrize("form", FORMATS)
def test_the_version_is_that_of_the_export_and_a_second_import_changes_nothing(
    project: pictus.Project, version: str, tmp_path: Path, form: Format
) -> None:
    release.export(project, version, tmp_path / "out", format=form)
    other = pictus.new(tmp_path / "other")
    assert release.import_(other, tmp_path / "out").summary["version"] == "1.0.0"
    before = {path: path.stat().st_mtime_ns for path in other.releases_dir.rglob("*")}
    for given in ("", "1.0.0"):
        again = release.import_(other, tmp_path / "out", given)
        assert again.headline.startswith("1.0.0 is here already: the digest of ")
        assert again.next[0] == "pictus train run --release 1.0.0 --recipe auto"
    assert {path: path.stat().st_mtime_ns for path in other.releases_dir.rglob("*")} == before
    assert [event.event for event in other.journal.events()].count("release_imported") == 1
    twin = release.import_(other, tmp_path / "out", "1.1.0")
    assert twin.problems[0] == "its digest is identical to that of release 1.0.0: the same content twice"


def test_another_content_under_a_taken_version_is_refused_with_a_command_that_works(
    project: pictus.Project, version: str, tmp_path: Path, plain: Path
) -> None:
    release.export(project, version, tmp_path / "out")
    other = pictus.new(tmp_path / "other")
    with pytest.raises(pictus.UserError, match="does not say which version") as error:
        release.import_(other, plain)
    path, named = error.value.fix.removeprefix("pictus release import ").split()
    release.import_(other, Path(path), named)
    assert named == "1.0.0"
    with pytest.raises(pictus.UserError, match=r"Release 1\.0\.0 exists already with other content") as error:
        release.import_(other, tmp_path / "out")
    path, named = error.value.fix.removeprefix("pictus release import ").split()
    assert release.import_(other, Path(path), named).summary["version"] == "1.1.0"


def test_the_image_folder_is_what_other_loaders_expect(project: pictus.Project, version: str, tmp_path: Path) -> None:
    outcome = release.export(project, version, tmp_path / "out")
    assert outcome.summary["files"] == 50 + 3
    found = Counter((path.parts[-3], path.parts[-2]) for path in tmp_path.glob("out/*/*/*.jpg"))
    assert found == {
        ("train", "n02"): 24, ("train", "n03"): 16, ("val", "n02"): 3, ("val", "n03"): 2,
        ("test", "n02"): 3, ("test", "n03"): 2,
    }  # fmt: skip
    with (tmp_path / "out/metadata.csv").open() as opened:
        rows = list(csv.DictReader(opened))
    assert all((tmp_path / "out" / row["file_name"]).stat().st_size == int(row["size"]) for row in rows)
    with (tmp_path / "out/classes.csv").open() as opened:
        assert [row["name"] for row in csv.DictReader(opened)] == ["dog", "cat"]


def test_torchvision_numbers_the_classes_as_we_do(
    project: pictus.Project, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = pytest.importorskip("torchvision.datasets")
    release.export(project, version, tmp_path / "out")
    found = datasets.ImageFolder(str(tmp_path / "out/val"))
    assert found.class_to_idx == {"n02": 0, "n03": 1}
    labels = {picture.key: picture.label for picture in released_pictures(open_release(project.releases_dir / version))}
    assert all(labels[Path(path).name] == label for path, label in found.samples)


def test_the_webdataset_has_whole_samples_in_every_shard(
    project: pictus.Project, version: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pictus.release import webdataset

    opened = open_release(project.releases_dir / version)
    (tmp_path / "out").mkdir()
    from pictus.progress import Silent

    with Silent().track("test", None) as meter:
        webdataset.write(opened, tmp_path / "out", meter, max_bytes=20_000)
    shards = sorted(path.name for path in tmp_path.glob("out/*.tar"))
    assert shards[:2] == ["test-000000.tar", "train-000000.tar"]
    assert "train-000001.tar" in shards
    by_id = {picture.image_id: picture for picture in released_pictures(opened)}
    seen = set()
    for name in shards:
        with tarfile.open(tmp_path / "out" / name) as shard:
            names = shard.getnames()
            assert len(names) % 3 == 0
            for key in {member.partition(".")[0] for member in names}:
                label, facts = (shard.extractfile(f"{key}.{ending}") for ending in ("cls", "json"))
                assert label is not None
                assert facts is not None
                assert int(label.read()) == by_id[key].label
                assert json.loads(facts.read())["split"] == name.partition("-")[0]
                seen.add(key)
    assert seen == set(by_id)
    assert webdataset.load(tmp_path / "out").rows.num_rows == 50


@pytest.mark.parametrize("form", FORMATS)
def test_an_export_that_was_changed_is_refused(
    project: pictus.Project, version: str, tmp_path: Path, form: Format
) -> None:
    release.export(project, version, tmp_path / "out", format=form)
    paper = tmp_path / "out/release.json"
    paper.write_text(paper.read_text().replace(open_release(project.releases_dir / version).digest, "0" * 64))
    with pytest.raises(pictus.UserError, match="was changed since it was exported"):
        release.import_(project, tmp_path / "out", "2.0.0")
    assert not (project.releases_dir / "2.0.0").exists()


def test_pictures_changed_or_lost_in_an_export_are_all_told(
    project: pictus.Project, version: str, tmp_path: Path
) -> None:
    release.export(project, version, tmp_path / "out")
    one, two, *_ = sorted(tmp_path.glob("out/train/n02/*.jpg"))
    one.write_bytes(one.read_bytes()[:-3])
    two.unlink()
    with pytest.raises(pictus.UserError, match="2 bad rows") as error:
        release.import_(project, tmp_path / "out", "2.0.0")
    assert one.stem in error.value.what
    assert two.stem in error.value.what


def test_bad_lines_of_the_metadata_are_all_told(project: pictus.Project, version: str, tmp_path: Path) -> None:
    release.export(project, version, tmp_path / "out")
    metadata = tmp_path / "out/metadata.csv"
    lines = metadata.read_text().splitlines()
    lines[1] = "short,line"
    lines[2] = "../../outside.jpg," + lines[2].split(",", 1)[1]
    metadata.write_text("\n".join(lines) + "\n")
    with pytest.raises(pictus.UserError, match="2 bad rows") as error:
        release.import_(project, tmp_path / "out", "2.0.0")
    assert "line 2:" in error.value.what
    assert "line 3:" in error.value.what


def test_an_export_never_writes_into_a_folder_in_use(project: pictus.Project, version: str, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(pictus.UserError, match="not an empty folder"):
        release.export(project, version, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_what_a_killed_export_left_is_cleaned_by_the_next(
    project: pictus.Project, version: str, tmp_path: Path
) -> None:
    left = tmp_path / ".out.part/train"
    left.mkdir(parents=True)
    (left / "half.jpg").write_bytes(b"half")
    release.export(project, version, tmp_path / "out")
    assert not left.exists()
    assert not list(tmp_path.rglob("half.jpg"))


# -- folders of others ------------------------------------------------------------------------------


@pytest.fixture
def plain(tmp_path: Path, make_jpeg: Callable[..., bytes]) -> Path:
    """train: 4 dogs, 3 of an unknown kind; validation: 2 and 1."""
    root = tmp_path / "plain"
    number = 0
    wanted = {"train/dog": 4, "train/Red Kite": 3, "validation/dog": 2, "validation/Red Kite": 1}
    for folder, count in wanted.items():
        (root / folder).mkdir(parents=True)
        for _ in range(count):
            (root / folder / f"{number}.jpg").write_bytes(make_jpeg(20, 20, seed=number))
            number += 1
    return root


def test_a_plain_folder_with_splits_becomes_a_release(project: pictus.Project, fill: Fill, plain: Path) -> None:
    fill([])  # the taxonomy: 'dog' is n02 under n01
    outcome = release.import_(project, plain, "1.0.0")
    assert {name: outcome.summary[name] for name in ("train", "val", "test")} == {"train": 7, "val": 3, "test": 0}
    opened = open_release(project.releases_dir / "1.0.0")
    assert opened.classes == ("Red-Kite", "n02")
    assert {concept.concept_id for concept in opened.concepts} == {"Red-Kite", "n01", "n02"}
    assert {picture.address.partition("/")[0] for picture in released_pictures(opened)} == {"dog", "Red Kite"}
    release.verify(project)


def test_a_plain_folder_without_splits_is_split(
    project: pictus.Project, tmp_path: Path, make_jpeg: Callable[..., bytes]
) -> None:
    for number in range(20):
        folder = tmp_path / "plain" / ("ant" if number % 2 else "bee")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{number}.jpg").write_bytes(make_jpeg(20, 20, seed=number))
    outcome = release.import_(project, tmp_path / "plain", "1.0.0")
    assert {name: outcome.summary[name] for name in ("train", "val", "test")} == {"train": 16, "val": 2, "test": 2}


def test_what_is_wrong_in_a_plain_folder_is_told_and_the_rest_comes_in(
    project: pictus.Project, plain: Path
) -> None:
    dogs, kites = plain / "train/dog", plain / "train/Red Kite"
    (dogs / "no-picture.jpg").write_text("<html>not found</html>")
    (dogs / "notes.txt").write_text("passed over")
    (dogs / ".hidden").write_bytes(b"passed over")
    shutil.copy(dogs / "0.jpg", kites / "same-as-dog.jpg")
    shutil.copy(dogs / "1.jpg", plain / "validation/dog/leak.jpg")
    shutil.copy(dogs / "2.jpg", dogs / "twice.jpg")
    outcome = release.import_(project, plain, "1.0.0")
    assert len(outcome.problems) == 4
    assert "2 concepts taken over: the project had none" in outcome.problems
    assert any("no-picture.jpg: left out: not-an-image" in one for one in outcome.problems)
    assert any("several classes, left out" in one and "same-as-dog.jpg" in one for one in outcome.problems)
    assert any("several splits, kept in val" in one and "leak.jpg" in one for one in outcome.problems)
    assert outcome.summary["pictures"] == 9  # of 10, without the one in two classes
    assert (outcome.summary["train"], outcome.summary["val"]) == (5, 4)


def test_a_file_that_ends_too_early_is_told_and_left_out_of_an_import(project: pictus.Project, plain: Path) -> None:
    path = plain / "train/dog/0.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    outcome = release.import_(project, plain, "1.0.0")
    assert outcome.summary["pictures"] == 9
    assert any("dog/0.jpg: left out: truncated" in one for one in outcome.problems)


def test_a_folder_without_pictures_says_how_to_lay_them_out(project: pictus.Project, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(pictus.UserError, match="holds no pictures") as error:
        release.import_(project, tmp_path / "empty", "1.0.0")
    assert "SPLIT/CLASS" in error.value.fix
    (tmp_path / "empty/kind").mkdir()
    (tmp_path / "empty/kind/x.jpg").write_bytes(b"")
    with pytest.raises(pictus.UserError, match=r"no usable picture in .*, of 1 file"):
        release.import_(project, tmp_path / "empty", "1.0.0")
    with pytest.raises(pictus.UserError, match="is not a folder"):
        release.import_(project, tmp_path / "nowhere", "1.0.0")


def test_a_stranger_beside_split_folders_is_told(project: pictus.Project, plain: Path) -> None:
    (plain / "extra").mkdir()
    with pytest.raises(pictus.UserError, match="extra/ is neither train, val nor test"):
        release.import_(project, plain, "1.0.0")


def test_an_export_reads_rows_as_they_are_asked(
    project: pictus.Project, fill: Callable[..., list[str]], two_classes: list[tuple[str, str]]
) -> None:
    fill(two_classes)
    release.split(project, seed=7)
    release.cut(project, "1.0.0")
    opened = open_release(project.releases_dir / "1.0.0")
    rows = exported_rows(opened, "val")
    assert next(iter(rows))["split"] == "val"
    assert len(list(rows)) == 4, "an iterator: of five, the first was taken"
    assert sum(1 for _ in exported_rows(opened)) == 50
