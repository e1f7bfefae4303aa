"""clean match: described once, compared once, the same rows however they came, and dedupe takes them."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pytest
from PIL import Image, ImageOps

from pictus.clean import check, dedupe, match, match_steps
from pictus.errors import UserError
from pictus.project import Project
from pictus.records import Duplicate
from pictus.tables import SCHEMAS

MakeJpeg = Callable[..., bytes]
Fill = Callable[[Iterable[bytes]], list[str]]

pytest.importorskip("cv2", reason="the extra 'vision' is not installed")


def saved(image: Image.Image, quality: int = 88) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def photos(make_jpeg: MakeJpeg) -> list[bytes]:
    return [make_jpeg(320, 240, seed=seed) for seed in range(5)]


@pytest.fixture(scope="module")
def copies(photos: list[bytes]) -> list[bytes]:
    """A crop by a quarter, a quarter turn, a mirror image and a framed one, of the first four photographs."""
    images = [Image.open(io.BytesIO(photo)).convert("RGB") for photo in photos]
    return [
        saved(images[0].crop((50, 20, 290, 200))),
        saved(images[1].transpose(Image.Transpose.ROTATE_90)),
        saved(ImageOps.mirror(images[2])),
        saved(ImageOps.expand(images[3], 30, "black")),
    ]


def rows_of(project: Project) -> list[dict[str, object]]:
    rows: list[dict[str, object]] = project.tables.read("likenesses").to_pylist()
    return sorted(rows, key=lambda row: (str(row["image_id"]), str(row["other_id"])))


def test_likenesses_that_were_taken_away_are_found_again(
    project: Project, fill: Fill, photos: list[bytes], copies: list[bytes]
) -> None:
    fill([photos[0], copies[0]])
    check(project)
    match(project)
    before = rows_of(project)
    assert before
    project.tables.drop("likenesses")
    assert match(project).summary["compared"] == 2
    assert rows_of(project) == before
    assert match(project).summary["compared"] == 0


def test_crops_turned_mirrored_and_framed_copies_are_found_and_no_others(
    project: Project, fill: Fill, photos: list[bytes], copies: list[bytes]
) -> None:
    ids = fill([*photos, *copies])
    check(project)
    outcome = match(project, workers=1)
    found = {(row.image_id, row.other_id): row for row in outcome}
    assert set(found) == {(ids[5 + at], ids[at]) for at in range(4)}
    assert [found[ids[5 + at], ids[at]].relation for at in range(4)] == ["crop", "turned", "turned", "crop"]
    assert outcome.summary["relations"] == {"crop": 2, "turned": 2}
    assert outcome.headline.startswith("4 likenesses (2 turned, 2 crop, 0 edit) among 9 pictures; 9 of them new")
    assert all("windows are the same" in json.loads(row.detail)["words"] for row in outcome)
    event = project.journal.events()[0]
    assert (event.event, event.data["relations"]) == ("likenesses_found", {"crop": 2, "turned": 2})
    dedupe(project)
    grouped = {row.image_id: row for row in project.tables.records("duplicates", Duplicate)}
    for at, relation in enumerate(("crop", "turned", "turned", "crop")):
        copy, photo = grouped[ids[5 + at]], grouped[ids[at]]
        assert copy.group_id == photo.group_id
        assert relation in {copy.relation, photo.relation}


def test_only_what_is_new_is_described_and_compared_and_the_rows_are_those_of_a_whole_search(
    project: Project, fill: Fill, photos: list[bytes], copies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill([*photos, copies[0]])
    check(project)
    assert match(project, workers=1).summary["described"] == 6
    fill(copies[1:])
    check(project)
    outcome = match(project, workers=1)
    assert (outcome.summary["described"], outcome.summary["compared"]) == (3, 3)
    apart = rows_of(project)
    version = project.tables.version("likenesses")
    again = match(project, workers=1)
    assert (again.summary["compared"], again.summary["likenesses"]) == (0, 4)
    assert project.tables.version("likenesses") == version
    for name in ("matched", "likenesses"):
        project.tables.drop(name)
    monkeypatch.setattr(match_steps, "CHUNK", 4)
    monkeypatch.setattr(match_steps, "_PAIRS", 2)
    assert match(project, workers=1).summary["compared"] == 9
    assert rows_of(project) == apart


def test_a_search_that_was_stopped_goes_on_where_it_was(
    project: Project, fill: Fill, photos: list[bytes], copies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill([*photos, *copies])
    check(project)
    monkeypatch.setattr(match_steps, "CHUNK", 2)
    append = project.tables.append
    commits = []

    def stopped(name: str, rows: pa.Table) -> None:
        if name == "matched":
            commits.append(rows.num_rows)
            if len(commits) == 4:  # its likenesses are written, that they are is not
                raise KeyboardInterrupt
        append(name, rows)

    with monkeypatch.context() as patch:
        patch.setattr(project.tables, "append", stopped)
        with pytest.raises(KeyboardInterrupt):
            match(project, workers=1)
    assert project.tables.count("matched") == 6
    outcome = match(project, workers=1)
    assert (outcome.summary["described"], outcome.summary["compared"]) == (0, 3)
    assert len(rows_of(project)) == len({(row["image_id"], row["other_id"]) for row in rows_of(project)}) == 4


def test_features_in_another_order_are_compared_anew(
    project: Project, fill: Fill, photos: list[bytes], copies: list[bytes]
) -> None:
    fill([*photos[:2], *copies[:2]])
    check(project)
    match(project, workers=1)
    before = rows_of(project)
    project.tables.drop("features")
    assert match(project, workers=1).summary["compared"] == 0, "the same pictures in the same order"
    assert rows_of(project) == before
    project.tables.replace("features", project.tables.read("features").slice(1))
    assert match(project, workers=1).summary["compared"] == 4
    assert {frozenset((row["image_id"], row["other_id"])) for row in rows_of(project)} == {
        frozenset((row["image_id"], row["other_id"])) for row in before
    }


def test_several_processes_give_the_rows_of_one(
    project: Project, fill: Fill, photos: list[bytes], copies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill([*photos[:2], *copies[:2]])
    check(project)
    match(project, workers=1)
    tables = ("features", "likenesses", "matched")
    alone = [project.tables.read(name) for name in tables]
    monkeypatch.setattr(match_steps, "_PAIRS", 1)
    monkeypatch.setattr("pictus.engine.TASK_ROWS", 2)
    for name in tables:
        project.tables.drop(name)
    match(project, workers=2)
    assert [project.tables.read(name) for name in tables] == alone


def test_small_pictures_are_found_turned_and_counted_as_left_to_the_hashes(
    project: Project, fill: Fill, make_jpeg: MakeJpeg
) -> None:
    small = [make_jpeg(32, 32, seed=seed, quality=95) for seed in range(4)]
    turned = saved(Image.open(io.BytesIO(small[2])).transpose(Image.Transpose.ROTATE_270), quality=95)
    ids = fill([*small, turned])
    check(project)
    outcome = match(project, workers=1)
    assert [(row.image_id, row.other_id, row.relation) for row in outcome] == [(ids[4], ids[2], "turned")]
    assert outcome.summary["without_features"] == 5
    assert "5 too small or too plain, left to the hashes" in outcome.headline


def test_broken_pictures_and_copies_of_equal_pixels_are_left_out(
    project: Project, fill: Fill, photos: list[bytes]
) -> None:
    exif = Image.Exif()
    exif[0x010E] = "a caption"
    plain = Image.open(io.BytesIO(photos[0])).convert("RGB")
    buffers = [io.BytesIO(), io.BytesIO()]
    plain.save(buffers[0], "PNG")
    plain.save(buffers[1], "PNG", compress_level=1)
    fill([buffers[0].getvalue(), b"<html>", photos[1][:1000], buffers[1].getvalue()])
    check(project)
    assert match(project, workers=1).summary["pictures"] == 1


def test_what_is_not_measured_is_told(project: Project, fill: Fill, photos: list[bytes]) -> None:
    with pytest.raises(UserError, match="measured") as caught:
        match(project)
    assert caught.value.fix == "pictus clean check"
    fill(photos[:2])
    check(project)
    fill(photos[2:])
    outcome = match(project, workers=1)
    assert outcome.problems == ("3 pictures not measured yet: pictus clean check",)
    check(project)
    assert match(project, workers=1).problems == ()


def test_without_the_extra_it_says_what_to_install(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(UserError, match="cv2") as caught:
        match(project)
    assert "pictus[vision]" in caught.value.fix


def test_proofs_of_a_chunk_that_was_stopped_are_not_made_again(
    project: Project, fill: Fill, photos: list[bytes], copies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill([*photos, *copies])
    check(project)
    monkeypatch.setattr(match_steps, "_PAIRS", 1)
    prove = match_steps.prove_batch
    proved: list[pa.RecordBatch] = []

    def counted(shards_dir: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
        proved.append(batch)
        return prove(shards_dir, batch)

    def stopped(shards_dir: Path, batch: pa.RecordBatch) -> pa.RecordBatch:
        if len(proved) == 2:
            raise KeyboardInterrupt
        return counted(shards_dir, batch)

    with monkeypatch.context() as patch:
        patch.setattr(match_steps, "prove_batch", stopped)
        with pytest.raises(KeyboardInterrupt):
            match(project, workers=1)
    monkeypatch.setattr(match_steps, "prove_batch", counted)
    pairs = match(project, workers=1).summary["candidates"]
    assert len(proved) == pairs > 2, "each pair once, in both runs together"
    assert len(rows_of(project)) == 4
    assert not (project.cache_dir / "match").exists()


def test_likenesses_of_other_features_are_dropped_even_when_that_is_stopped(
    project: Project, fill: Fill, photos: list[bytes], copies: list[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill([*photos[:2], *copies[:2]])
    check(project)
    match(project, workers=1)
    project.tables.replace("features", project.tables.read("features").slice(1))
    project.tables.append("likenesses", pa.Table.from_pylist(
        [{"image_id": "x", "other_id": "y", "relation": "crop", "similarity": 1.0, "detail": ""}],
        schema=SCHEMAS["likenesses"],
    ))  # fmt: skip
    drop = project.tables.drop

    def stopped(name: str) -> None:
        drop(name)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(project.tables, "drop", stopped)
        with pytest.raises(KeyboardInterrupt):
            match(project, workers=1)
    match(project, workers=1)
    assert "x" not in {row["image_id"] for row in rows_of(project)}


def pairs_of(*names: tuple[str, str]) -> pa.RecordBatch:
    """Candidate pairs of pictures without corners, as the look-up gives them."""
    kinds = ("image_points", "image_codes", "other_points", "other_codes", "mirrored_points", "mirrored_codes")
    places = {f"{side}_{column}": value for side in ("image", "other")
              for column, value in (("shard", "s"), ("offset", 0), ("size", 1))}  # fmt: skip
    rows = [{"ways": [0], "image_id": one, "other_id": other, **places, **dict.fromkeys(kinds, b"")}
            for one, other in names]  # fmt: skip
    return pa.RecordBatch.from_pylist(rows)


def test_after_some_candidates_that_fail_the_less_likely_ones_of_a_picture_are_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried = []
    monkeypatch.setattr("pictus.clean.alignment.fit", lambda *given: tried.append(given))
    many = [("aa", f"{number}") for number in range(20)]
    assert match_steps.prove_batch(tmp_path, pairs_of(*many, ("bb", "0"))).num_rows == 0
    assert len(tried) == match_steps.MOST_MISSED + 1, "each picture has its own"


def test_the_pairs_of_one_picture_are_never_cut_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(match_steps, "_PAIRS", 3)
    batch = pairs_of(*[(name, str(number)) for name in "abcd" for number in range(2)], ("e", "0"))
    parts = match_steps._cut(pa.Table.from_batches([batch]))
    assert ["".join(part.column("image_id").to_pylist()) for part in parts] == ["aabb", "ccdd", "e"]
    assert [part.num_rows for part in match_steps._cut(pa.Table.from_batches([batch.slice(0, 0)]))] == [0]


def test_how_many_pairs_were_looked_at_is_told(
    project: Project, fill: Fill, photos: list[bytes], copies: list[bytes]
) -> None:
    fill([photos[0], copies[0]])
    check(project)
    notes: list[str] = []

    class Meter:
        def advance(self, count: int = 1) -> None:
            pass

        def say(self, note: str) -> None:
            notes.append(note)

    class Progress:
        @contextmanager
        def track(self, label: str, total: int | None) -> Iterator[Meter]:
            yield Meter()

    match(replace(project, progress=Progress()), workers=1)
    assert notes == ["looking for pairs", "1 of 1 pair looked at"]
