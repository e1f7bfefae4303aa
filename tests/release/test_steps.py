"""The verbs of release, from split to import, on a project with real bytes."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from PIL import Image

import pictus
from pictus import release
from pictus.records import Check, Label, Verdict, Vote
from pictus.release.packing import pack
from pictus.releases import find_release, open_release, versions
from pictus.tables import table_of

Fill = Callable[..., list[str]]
Kinds = list[tuple[str, str]]


@pytest.fixture
def cut_release(project: pictus.Project, fill: Fill, two_classes: Kinds) -> Path:
    """1.0.0 of 30 dogs and 20 cats; pictures 0 and 1 are one duplicate group."""
    fill(two_classes, groups={0: 0, 1: 0})
    release.split(project, seed=7)
    release.cut(project, "1.0.0")
    return project.releases_dir / "1.0.0"


def splits_of(project: pictus.Project) -> dict[str, str]:
    rows = project.tables.read("splits")
    return dict(zip(rows.column("image_id").to_pylist(), rows.column("split").to_pylist(), strict=True))


def checked(image_id: str, cause: str) -> Check:
    return Check(image_id, cause, 24, 16, 0, 0, 0, 0, 0, 1.5, False, "", 0, 0, bytes(32), 0)


# -- split ------------------------------------------------------------------------------------------


def test_split_divides_each_class_and_says_what_to_type_next(
    project: pictus.Project, fill: Fill, two_classes: Kinds
) -> None:
    fill(two_classes, groups={0: 0, 1: 0, 2: 0})
    outcome = release.split(project, seed=7)
    # 30 dogs at .8/.1/.1 are 24/3/3, 20 cats 16/2/2; the group of three fits into any of them.
    assert {name: outcome.summary[name] for name in ("train", "val", "test")} == {"train": 40, "val": 5, "test": 5}
    assert outcome.summary["groups"] == 1
    assert outcome.next == ("pictus release cut 1.0.0",)
    assert [(line.name, line.train, line.val, line.test) for line in outcome] == [("dog", 24, 3, 3), ("cat", 16, 2, 2)]
    rows = project.tables.read("splits").to_pylist()
    keeper = next(row["group_id"] for row in rows if row["image_id"] != row["group_id"])
    group = [row["split"] for row in rows if row["group_id"] == keeper]
    assert (len(group), len(set(group))) == (3, 1)


def test_split_again_keeps_and_redo_forgets(project: pictus.Project, fill: Fill, two_classes: Kinds) -> None:
    fill(two_classes)
    release.split(project, seed=7)
    first = splits_of(project)
    fill([("n02", "dog")] * 20, first=100)
    outcome = release.split(project, seed=8)
    again = splits_of(project)
    assert {image_id: again[image_id] for image_id in first} == first
    assert (outcome.summary["kept"], outcome.summary["pictures"]) == (50, 70)
    release.split(project, seed=8, redo=True)
    assert {image_id: splits_of(project)[image_id] for image_id in first} != first


def test_split_honours_given_folders(project: pictus.Project, fill: Fill) -> None:
    image_ids = fill([("n02", "train/dog")] * 20 + [("n02", "val/dog")] * 10)
    release.split(project, given=("val=test",), train=0.9, val=0.1, test=0)
    found = splits_of(project)
    assert {found[image_id] for image_id in image_ids[20:]} == {"test"}
    assert Counter(found[image_id] for image_id in image_ids[:20]) == {"train": 18, "val": 2}
    with pytest.raises(pictus.UserError, match="under a folder nowhere"):
        release.split(project, given=("nowhere=test",))


def test_a_later_draw_goes_on_as_the_last_one(project: pictus.Project, fill: Fill) -> None:
    fill([("n02", "train/dog")] * 20 + [("n02", "val/dog")] * 10)
    release.split(project, seed=7, given=("val=test",), train=0.9, val=0.1, test=0)
    new = fill([("n02", "train/dog")] * 20 + [("n02", "val/dog")] * 2, first=100)
    outcome = release.split(project)
    found = splits_of(project)
    assert Counter(found[image_id] for image_id in new) == {"train": 18, "val": 2, "test": 2}
    assert (outcome.summary["seed"], outcome.summary["given"]) == (7, ["val=test"])
    outcome = release.split(project, redo=True)
    assert (outcome.summary["seed"], outcome.summary["given"]) == (0, [])
    assert Counter(splits_of(project).values()) == {"train": 42, "val": 5, "test": 5}  # 52 at .8/.1/.1: 41.6, 5.2, 5.2


def test_the_settings_of_a_draw_outlive_a_kill_before_the_journal_hears_of_it(
    project: pictus.Project, fill: Fill, two_classes: Kinds, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(two_classes)
    release.split(project, seed=1)

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(project.journal), "log", killed)
        with pytest.raises(KeyboardInterrupt):
            release.split(project, seed=2, train=0.6, val=0.2, test=0.2, redo=True)
    outcome = release.split(project)
    assert (outcome.summary["seed"], outcome.summary["shares"]["train"]) == (2, 0.6)


def test_a_group_over_given_splits_is_told_and_may_be_cut(project: pictus.Project, fill: Fill) -> None:
    fill([("n02", "train/dog")] * 20 + [("n02", "val/dog")] * 10, groups={0: 0, 25: 0})
    outcome = release.split(project, given=("val=test", "train=train"), train=1, val=0, test=0)
    assert outcome.summary["torn_groups"] == 1
    assert any("1 duplicate group lies in several splits" in problem for problem in outcome.problems)
    cut = release.cut(project, "1.0.0")
    assert cut.summary["torn_groups"] == 1
    assert "In more than one split: 1 duplicate group" in (project.releases_dir / "1.0.0/datasheet.md").read_text()
    release.verify(project, "1.0.0")


def test_dropped_and_unsettled_pictures_are_not_split(
    project: pictus.Project, fill: Fill, two_classes: Kinds, drop: Callable[[str], None]
) -> None:
    image_ids = fill(two_classes)
    drop(image_ids[0])
    unsettled = Label(image_ids[1], "n02", 0.5, 1, "unsettled", "one-coin", "2026-01-01T00:00:00Z")
    project.tables.upsert("labels", table_of("labels", [unsettled]))
    release.split(project)
    assert set(splits_of(project)) == set(image_ids[2:])


def test_before_there_is_something_to_split_it_says_what_to_type(project: pictus.Project, fill: Fill) -> None:
    with pytest.raises(pictus.UserError) as error:
        release.split(project)
    assert "pictus taxonomy import" in error.value.fix
    fill([("n02", "dog")])
    project.tables.drop("labels")
    with pytest.raises(pictus.UserError) as error:
        release.split(project)
    assert error.value.fix.endswith("pictus annotate import labels.csv")
    project.journal.add_votes([Vote("a" * 64, "ada", "", "n02", "labels.csv", "2026-01-01T00:00:00Z")])
    with pytest.raises(pictus.UserError) as error:
        release.cut(project, "1.0.0")
    assert error.value.fix == "pictus annotate settle"


def test_all_dropped_or_none_accepted_is_told_apart(
    project: pictus.Project, fill: Fill, drop: Callable[[str], None]
) -> None:
    (image_id,) = fill([("n02", "dog")])
    drop(image_id)
    with pytest.raises(pictus.UserError, match="all 1 labelled pictures were dropped"):
        release.split(project)
    label = Label(image_id, "n02", 0.5, 1, "rejected", "one-coin", "2026-01-01T00:00:00Z")
    project.tables.replace("labels", table_of("labels", [label]))
    with pytest.raises(pictus.UserError, match="of 1 label none is accepted"):
        release.split(project)


# -- cut --------------------------------------------------------------------------------------------


def test_a_release_needs_no_pictus_to_be_read(cut_release: Path) -> None:
    pictures = pq.read_table(cut_release / "pictures.parquet").to_pylist()
    assert len(pictures) == 50
    for row in pictures:
        with (cut_release / row["shard"]).open("rb") as shard:
            shard.seek(row["offset"])
            jpeg = shard.read(row["size"])
        assert hashlib.sha256(jpeg).hexdigest() == row["image_id"]
        assert Image.open(io.BytesIO(jpeg)).size == (row["width"], row["height"])
    with tarfile.open(cut_release / "shards/pictures-00000.tar") as shard:
        assert sorted(shard.getnames()) == sorted(row["key"] for row in pictures)
    concepts = pq.read_table(cut_release / "concepts.parquet").to_pylist()
    assert [(row["concept_id"], row["label"]) for row in concepts] == [("n01", -1), ("n02", 0), ("n03", 1)]


def test_the_manifest_names_every_file_and_all_are_read_only(cut_release: Path) -> None:
    manifest = json.loads((cut_release / "manifest.json").read_text())
    present = {path.relative_to(cut_release).as_posix() for path in cut_release.rglob("*") if path.is_file()}
    assert present == {*manifest["files"], "manifest.json"}
    for name, facts in manifest["files"].items():
        assert hashlib.sha256((cut_release / name).read_bytes()).hexdigest() == facts["sha256"]
    assert all((cut_release / name).stat().st_mode & 0o222 == 0 for name in present)
    assert manifest["counts"]["splits"] == {"train": 40, "val": 5, "test": 5}
    assert manifest["counts"]["by_class"]["n03"] == {"train": 16, "val": 2, "test": 2}
    assert manifest["history"]["split"]["seed"] == 7
    assert manifest["history"]["classes_without_pictures"] == ["n04"]


def test_licences_are_counted_and_nothing_tells_of_this_machine(cut_release: Path) -> None:
    with (cut_release / "licences.csv").open() as opened:
        found = {row["licence"]: int(row["pictures"]) for row in csv.DictReader(opened)}
    assert found == {"CC0-1.0": 25, "unknown": 25}
    everything = b"".join(path.read_bytes() for path in cut_release.rglob("*") if path.is_file())
    assert b"/secret/place" not in everything
    addresses = pq.read_table(cut_release / "pictures.parquet").column("address").to_pylist()
    assert {address.rpartition("/")[0] for address in addresses} == {"dog", "cat"}


def test_pictures_of_all_classes_are_mixed(cut_release: Path) -> None:
    concepts = pq.read_table(cut_release / "pictures.parquet").column("concept_id").to_pylist()
    changes = sum(one != after for one, after in pairwise(concepts))
    assert changes > 12  # 30 and 20 shuffled change 24 times on average, sorted by class once


def test_the_same_project_gives_the_same_digest_however_packed(
    project: pictus.Project, cut_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pictus.release.steps.pack", partial(pack, max_shard_bytes=4096))
    outcome = release.cut(project, "1.0.1")
    assert len(list((project.releases_dir / "1.0.1/shards").iterdir())) > 3
    assert outcome.summary["digest"] == open_release(cut_release).digest
    release.verify(project, "1.0.1")


def test_a_version_is_checked_and_never_overwritten(project: pictus.Project, cut_release: Path) -> None:
    before = (cut_release / "manifest.json").read_bytes()
    with pytest.raises(pictus.UserError, match="exists already") as error:
        release.cut(project, "1.0.0")
    assert error.value.fix == "pictus release cut 1.1.0"
    with pytest.raises(pictus.UserError, match="not a version"):
        release.cut(project, "one")
    assert (cut_release / "manifest.json").read_bytes() == before


def test_cut_before_split_and_with_pictures_that_came_later(
    project: pictus.Project, fill: Fill, two_classes: Kinds
) -> None:
    fill(two_classes)
    with pytest.raises(pictus.UserError) as error:
        release.cut(project, "1.0.0")
    assert error.value.fix == "pictus release split --seed 7"
    release.split(project)
    fill([("n02", "dog")] * 3, first=100)
    with pytest.raises(pictus.UserError, match="3 labelled pictures without a split"):
        release.cut(project, "1.0.0")


def test_a_group_found_after_the_draw_must_be_brought_together_first(
    project: pictus.Project, fill: Fill, two_classes: Kinds
) -> None:
    from pictus.records import Duplicate

    fill(two_classes)
    release.split(project)
    found = splits_of(project)
    one = next(image_id for image_id, split in found.items() if split == "train")
    other = next(image_id for image_id, split in found.items() if split == "test")
    members = [Duplicate(image_id, one, image_id == one, "near", 3, "", "test") for image_id in (one, other)]
    project.tables.append("duplicates", table_of("duplicates", members))
    with pytest.raises(pictus.UserError, match="1 duplicate group lies in several splits"):
        release.cut(project, "1.0.0")
    outcome = release.split(project)
    assert outcome.summary["moved_groups"] == 1
    assert splits_of(project)[one] == "test"
    release.cut(project, "1.0.0")


def test_all_damaged_pictures_are_told_and_nothing_is_left(
    project: pictus.Project, fill: Fill, two_classes: Kinds
) -> None:
    image_ids = fill(two_classes)
    release.split(project)
    rows = {row["image_id"]: row for row in project.tables.read("images").to_pylist()}
    with (project.shards_dir / "pictures-00000.tar").open("r+b") as shard:
        for image_id in image_ids[3:5]:
            shard.seek(rows[image_id]["offset"] + 100)
            shard.write(b"\0\0\0\0")
    with pytest.raises(pictus.UserError, match="2 bad rows") as error:
        release.cut(project, "1.0.0")
    assert all(image_id in error.value.what for image_id in image_ids[3:5])
    assert "restore the shards" in error.value.fix
    assert list(project.releases_dir.iterdir()) == []


def test_a_label_outside_the_taxonomy_is_told(project: pictus.Project, fill: Fill) -> None:
    fill([("n02", "dog")] * 5 + [("n77", "wolf")] * 5)
    release.split(project)
    with pytest.raises(pictus.UserError, match="class 'n77' is not in the taxonomy"):
        release.cut(project, "1.0.0")


def test_a_picture_that_cannot_be_decoded_is_left_out_and_told_though_nobody_ever_measured_it(
    project: pictus.Project, fill: Fill
) -> None:
    image_ids = fill([("n02", "dog")] * 20, broken=[4, 11])
    release.split(project)
    outcome = release.cut(project, "1.0.0")
    released = open_release(project.releases_dir / "1.0.0").pictures.column("image_id").to_pylist()
    assert set(released) == set(image_ids) - {image_ids[4], image_ids[11]}
    assert outcome.summary["undecodable"] == 2
    assert "2 labelled pictures left out, not decodable (2 truncated): pictus clean" in outcome.problems


def test_a_picture_measured_as_broken_is_left_out_and_told_though_no_screen_dropped_it(
    project: pictus.Project, fill: Fill
) -> None:
    image_ids = fill([("n02", "dog")] * 20, broken=[4])
    project.tables.append("checks", table_of("checks", [checked(image_ids[4], "truncated")]))
    outcome = release.split(project)
    assert set(splits_of(project)) == set(image_ids) - {image_ids[4]}
    assert "1 labelled picture left out, not decodable (1 truncated): pictus clean" in outcome.problems
    cut = release.cut(project, "1.0.0")
    assert (cut.summary["pictures"], cut.summary["undecodable"]) == (19, 1)


def test_a_release_of_undecodable_pictures_alone_is_refused(project: pictus.Project, fill: Fill) -> None:
    fill([("n02", "dog")] * 3, broken=[0, 1, 2])
    release.split(project)
    with pytest.raises(pictus.UserError, match="none of 3 labelled pictures can be decoded"):
        release.cut(project, "1.0.0")
    assert versions(project.releases_dir) == []


def test_pictures_that_no_screen_has_seen_are_told_in_headline_problems_and_datasheet(
    project: pictus.Project, fill: Fill
) -> None:
    early = fill([("n02", "dog")] * 20)
    kept = [Verdict(image_id, "keep", "", "", 0, 0, "2026-01-01T00:00:00Z") for image_id in early]
    project.tables.append("verdicts", table_of("verdicts", kept))
    assert not any("screened" in problem for problem in release.split(project).problems)
    assert release.cut(project, "1.0.0").summary["unscreened"] == 0
    fill([("n02", "dog")] * 3, first=100)
    told = "3 pictures never screened, duplicates included: pictus clean"
    assert told in release.split(project).problems
    cut = release.cut(project, "1.1.0")
    assert told in cut.problems
    assert "3 never screened" in cut.headline.splitlines()[0]
    assert "3 pictures of this release were never screened" in (project.releases_dir / "1.1.0/datasheet.md").read_text()


def test_a_full_disk_is_told_before_anything_is_written(
    project: pictus.Project, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    import shutil
    from types import SimpleNamespace

    fill([("n02", "dog")] * 5)
    release.split(project)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100))
    with pytest.raises(pictus.UserError, match="MB free"):
        release.cut(project, "1.0.0")
    assert versions(project.releases_dir) == []


def test_a_disk_that_fills_up_on_the_way_leaves_nothing(
    project: pictus.Project, fill: Fill, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill([("n02", "dog")] * 5)
    release.split(project)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(pictus.UserError, match="disk is full"):
        release.cut(project, "1.0.0")
    assert list(project.releases_dir.iterdir()) == []


def test_the_number_is_held_against_the_convention(
    project: pictus.Project, cut_release: Path, fill: Fill, drop: Callable[[str], None]
) -> None:
    fill([("n03", "cat")] * 4, first=100)
    release.split(project)
    assert not [one for one in release.cut(project, "1.1.0").problems if "convention" in one]
    drop(project.tables.read("splits").column("image_id")[0].as_py())
    outcome = release.cut(project, "1.2.0")
    assert any("since 1.1.0: 1 removed; by convention that is a new MAJOR version" in one for one in outcome.problems)
    assert any("1.2.0 is newer" in one for one in release.cut(project, "1.0.5").problems)
    assert find_release(project).version == "1.2.0"


def test_a_kill_leaves_no_release_and_the_next_cut_cleans_up(
    project: pictus.Project, fill: Fill, two_classes: Kinds
) -> None:
    fill(two_classes)
    release.split(project)
    program = (
        "import sys, time, pictus; from pictus import release; from pictus.release import packing\n"
        "whole = packing.why_unreadable\n"
        "def slow(*rest): time.sleep(0.2); return whole(*rest)\n"
        "packing.why_unreadable = slow; release.cut(pictus.open(sys.argv[1]), '1.0.0')"
    )
    running = subprocess.Popen([sys.executable, "-c", program, project.root])
    part = project.releases_dir / ".1.0.0.part"
    deadline = time.monotonic() + 60
    while not (part / "shards").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    with pytest.raises(pictus.UserError, match="is working on 'release'"):
        release.cut(project, "2.0.0")
    running.send_signal(signal.SIGKILL)
    running.wait()
    assert part.exists()
    assert versions(project.releases_dir) == []
    assert release.cut(project, "1.0.0").summary["pictures"] == 50
    assert [path.name for path in project.releases_dir.iterdir()] == ["1.0.0"]
    release.verify(project)


def test_every_change_is_in_the_journal(project: pictus.Project, cut_release: Path) -> None:
    events = {event.event: event for event in project.journal.events()}
    assert events["pictures_split"].data["seed"] == 7
    assert events["release_cut"].subject == "1.0.0"
    assert events["release_cut"].data["digest"] == open_release(cut_release).digest


# -- verify, diff, list -----------------------------------------------------------------------------


def spoil(path: Path, position: int = 0, data: bytes = b"\xff\xff") -> None:
    path.chmod(0o644)
    with path.open("r+b") as opened:
        opened.seek(position)
        opened.write(data)


def test_a_whole_release_verifies(project: pictus.Project, cut_release: Path) -> None:
    assert release.verify(project).summary["pictures"] == 50
    assert release.verify(project, "1.0.0", quick=True).summary["quick"] is True
    assert release.verify(pictus.Project(cut_release.parent, "bare"), str(cut_release)).summary["version"] == "1.0.0"


def test_one_changed_picture_is_named(project: pictus.Project, cut_release: Path) -> None:
    row = pq.read_table(cut_release / "pictures.parquet").to_pylist()[10]
    spoil(cut_release / row["shard"], row["offset"] + 50)
    with pytest.raises(pictus.UserError) as error:
        release.verify(project, "1.0.0")
    assert "2 findings" in error.value.what  # the shard's sum, and the one picture
    assert f"{row['shard']} {row['image_id']} changed" in error.value.what
    release.verify(project, "1.0.0", quick=True)  # does not look into shards


@pytest.mark.parametrize("name", ["licences.csv", "datasheet.md", "pictures.parquet", "concepts.parquet"])
def test_a_changed_file_is_found_even_quickly(project: pictus.Project, cut_release: Path, name: str) -> None:
    spoil(cut_release / name, 6)
    with pytest.raises(pictus.UserError, match=f"{name} sha256"):
        release.verify(project, "1.0.0", quick=True)


def test_missing_and_foreign_files_are_found(project: pictus.Project, cut_release: Path) -> None:
    (cut_release / "shards/pictures-00000.tar").unlink()
    (cut_release / "notes.txt").write_text("added later")
    with pytest.raises(pictus.UserError) as error:
        release.verify(project, "1.0.0")
    assert "shards/pictures-00000.tar missing" in error.value.what
    assert "notes.txt unlisted" in error.value.what


def test_a_relabelled_row_is_found_though_the_sums_were_adjusted(project: pictus.Project, cut_release: Path) -> None:
    table = pq.read_table(cut_release / "pictures.parquet")
    rows = table.to_pylist()
    rows[0]["concept_id"] = "n03" if rows[0]["concept_id"] == "n02" else "n02"
    path = cut_release / "pictures.parquet"
    path.chmod(0o644)
    import pyarrow as pa

    pq.write_table(pa.Table.from_pylist(rows, schema=table.schema), path)
    manifest = json.loads((cut_release / "manifest.json").read_text())
    manifest["files"]["pictures.parquet"] = {
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(), "size": path.stat().st_size
    }  # fmt: skip
    (cut_release / "manifest.json").chmod(0o644)
    (cut_release / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(pictus.UserError) as error:
        release.verify(project, "1.0.0", quick=True)
    for expected in ("digest", "counts: by_class", f"{rows[0]['image_id']} label"):
        assert expected in error.value.what


def test_a_manifest_cannot_point_outside(project: pictus.Project, cut_release: Path) -> None:
    manifest = json.loads((cut_release / "manifest.json").read_text())
    manifest["files"]["../../pictus.toml"] = {"sha256": "0" * 64, "size": 1}
    (cut_release / "manifest.json").chmod(0o644)
    (cut_release / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(pictus.UserError, match="unsafe-path"):
        release.verify(project, "1.0.0")


def test_diff_tells_added_removed_relabelled_moved(
    project: pictus.Project, cut_release: Path, fill: Fill, drop: Callable[[str], None]
) -> None:
    rows = {row["image_id"]: row for row in pq.read_table(cut_release / "pictures.parquet").to_pylist()}
    dogs = [image_id for image_id, row in rows.items() if row["concept_id"] == "n02" and row["split"] == "train"]
    fill([("n03", "cat")] * 2, first=100)
    drop(dogs[0])
    label = Label(dogs[1], "n03", 0.99, 9, "accepted", "one-coin", "2026-01-01T00:00:00Z")
    project.tables.upsert("labels", table_of("labels", [label]))
    release.split(project)
    moved = project.tables.read("splits", where=f"image_id = '{dogs[2]}'").to_pylist()[0]
    import pyarrow as pa

    project.tables.upsert("splits", pa.Table.from_pylist([{**moved, "split": "test"}]))
    release.cut(project, "2.0.0")
    outcome = release.diff(project, "1.0.0", "2.0.0")
    found = {(change.change, change.image_id): (change.before, change.after) for change in outcome}
    assert found["removed", dogs[0]] == ("train/n02", "")
    assert found["relabelled", dogs[1]] == ("n02", "n03")
    assert found["moved", dogs[2]] == ("train", "test")
    assert {kind: outcome.summary[kind] for kind in ("added", "removed", "relabelled", "moved")} == {
        "added": 2, "removed": 1, "relabelled": 1, "moved": 1,
    }  # fmt: skip
    assert outcome.summary["by_class"] == {"n02": [30, 28], "n03": [20, 23]}
    same = release.diff(project, "1.0.0", str(cut_release))
    assert (same.summary["same_digest"], list(same)) == (True, [])


def test_list_shows_each_release_in_order(project: pictus.Project, cut_release: Path) -> None:
    release.cut(project, "1.0.1")
    lines = list(release.list_(project))
    assert [(line.version, line.pictures, line.classes, line.train) for line in lines] == [
        ("1.0.0", 50, 2, 40), ("1.0.1", 50, 2, 40),
    ]  # fmt: skip


def test_list_of_nothing_says_what_to_type(project: pictus.Project) -> None:
    outcome = release.list_(project)
    assert outcome.headline == "0 releases"
    assert outcome.next[0].startswith("pictus taxonomy import")


def test_mostly_unsettled_labels_are_told_by_split_and_cut(
    project: pictus.Project, fill: Fill, two_classes: Kinds
) -> None:
    ids = fill(two_classes)
    release.split(project, seed=7)
    assert not any("unsettled" in problem for problem in release.cut(project, "1.0.0").problems)
    doubtful = [Label(one, "n02", 0.8, 1, "unsettled", "one-coin", "") for one in ids[:40]]
    project.tables.upsert("labels", table_of("labels", doubtful))
    words = "40 labels are unsettled and stay out, more than the 10 that come in: pictus annotate settle says why"
    assert release.split(project).problems[0] == words
    assert words in release.cut(project, "2.0.0").problems
