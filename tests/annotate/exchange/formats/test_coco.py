"""COCO: what its fields become, real files, corrected files, and a large one in bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import annotate
from pictus.annotate.exchange.formats import coco
from pictus.annotate.exchange.formats.contents import Bad, Drawn
from pictus.annotate.exchange.formats.documents import bundle_of
from pictus.annotate.shapes import rle
from pictus.errors import UserError

Shelve = Callable[..., dict[str, str]]
Read = Callable[[pictus.Project], Any]

IMAGES = [{"id": 7, "file_name": "1.jpg", "width": 20, "height": 10}]
CATEGORIES = [{"id": 3, "name": "owl"}, {"id": 4, "name": "wren", "keypoints": ["beak", "tail"], "skeleton": [[1, 2]]}]


def write(tmp_path: Path, annotations: list[Any], name: str = "a.json", **more: Any) -> Path:
    path = tmp_path / name
    whole = {"images": IMAGES, "annotations": annotations, "categories": CATEGORIES, **more}
    path.write_text(json.dumps(whole), encoding="utf-8")
    return path


def note(**fields: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": 7, "category_id": 3, "iscrowd": 0, **fields}


def test_each_field_becomes_the_shape_it_means(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    shelve(project, {"1.jpg": (20, 10)})
    runs = [50, 20, 130]  # down the columns: 20 pixels are columns 5 and 6
    annotations = [
        note(bbox=[1, 2, 3, 4], segmentation=[]),
        note(bbox=[1, 2, 3, 4], segmentation=[[1, 2, 4, 2, 4, 6, 1, 6]]),
        note(bbox=[1, 2, 3, 4], segmentation=[[1, 2, 4, 2, 4, 6]]),
        note(segmentation={"size": [10, 20], "counts": runs}, iscrowd=1),
        note(category_id=4, bbox=[0, 0, 5, 5], keypoints=[1, 1, 2, 0, 0, 0], attributes={"pose": "up"}),
    ]
    outcome = annotate.import_(project, (write(tmp_path, annotations),))
    marks = kept(project)
    assert [mark.shape for mark in marks[:3]] == [
        {"box": [1, 2, 4, 6]}, {"box": [1, 2, 4, 6]}, {"polygons": [[1, 2, 4, 2, 4, 6]], "box": [1, 2, 4, 6]},
    ]  # fmt: skip
    assert rle.box(rle.from_json(marks[3].shape)) == (5, 0, 7, 10)
    assert marks[3].shape["words"] == {"iscrowd": "1"}
    assert (marks[4].kind, marks[4].concept_id) == ("points", "cwren")
    assert marks[4].shape == {
        "skeleton": "wren", "names": ["beak", "tail"], "points": [[1, 1, 2], [0, 0, 0]], "words": {"pose": "up"},
    }  # fmt: skip
    assert marks[5].shape == {"box": [0, 0, 5, 5], "words": {"pose": "up"}}
    assert outcome.summary["marks"] == 6
    assert {mark.source for mark in marks} == {f"file:a.json@{bundle_of(tmp_path / 'a.json').digest}"}


def test_every_bad_annotation_is_told_and_nothing_is_stored(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    shelve(project, {"1.jpg": (20, 10)})
    bad: list[tuple[Any, str]] = [
        (note(image_id=8, bbox=[1, 2, 3, 4]), "no picture has the id '8'"),
        (note(category_id=9, bbox=[1, 2, 3, 4]), "no category has the id '9'"),
        (note(bbox=[1, 2, 0, 4]), "a box without area"), (note(bbox=[1, 2, "x", 4]), "'x' is no number"),
        (note(bbox=[1, 2, True, 4]), "'True' is no number"), (note(bbox=[1e9, 2, 3, 4]), "no number within"),
        (note(), "neither a box nor a mask"), (note(segmentation=[[1, 2, 3, 4]]), "a polygon of 2 points"),
        (note(segmentation={"size": [10, 20], "counts": [3]}), "its runs make 3 px"),
        (note(segmentation={"size": [9, 20], "counts": [180]}), "it is 20 × 9 px, the picture 20 × 10"),
        (note(segmentation={"size": [10, 20], "counts": "~"}), "no mask"),
        (note(bbox=[50, 2, 3, 4]), "outside the picture"),
        (note(keypoints=[1, 1, 3]), "visibility 3"), (note(keypoints=[1, 1]), "not x, y, v"), ("owl", "no 'image_id'"),
    ]  # fmt: skip
    path = write(tmp_path, [note(bbox=[1, 2, 3, 4]), *(one for one, _ in bad)])
    with pytest.raises(UserError, match=f"{len(bad)} bad rows") as raised:
        annotate.import_(project, (path,))
    for number, (_, told) in enumerate(bad, start=1):
        line = next(one for one in raised.value.what.splitlines() if f"annotations[{number}]" in one)
        assert told in line
    assert kept(project) == []
    assert annotate.import_(project, (path,), skip_bad=True).summary["marks"] == 1


def test_a_corrected_file_adds_only_what_is_new(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    shelve(project, {"1.jpg": (20, 10)})
    same = note(bbox=[1, 2, 3, 4])
    annotate.import_(project, (write(tmp_path, [same, same]),))
    assert len(kept(project)) == 2  # twice in one file is twice
    again = annotate.import_(project, (write(tmp_path, [same, same]),))
    assert (again.summary["marks"], again.summary["already_there"]) == (0, 2)
    corrected = annotate.import_(project, (write(tmp_path, [note(bbox=[0, 0, 1, 1]), same]),))
    assert (corrected.summary["marks"], corrected.summary["already_there"]) == (1, 1)


def test_rows_that_were_left_out_come_in_when_they_can(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    shelve(project, {"1.jpg": (20, 10)})
    two = [*IMAGES, {"id": 8, "file_name": "2.jpg"}]
    path = write(tmp_path, [note(image_id=8, bbox=[1, 2, 3, 4]), note(bbox=[1, 2, 3, 4])], images=two)
    assert annotate.import_(project, (path,), skip_unknown=True).summary["marks"] == 1
    shelve(project, {"2.jpg": (20, 10)})
    assert annotate.import_(project, (path,)).summary["marks"] == 1
    assert len({mark.image_id for mark in kept(project)}) == 2


def test_a_shape_that_reaches_over_the_edge_is_cut_there(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    shelve(project, {"1.jpg": (20, 10)})
    outcome = annotate.import_(project, (write(tmp_path, [note(bbox=[-3, -0.2, 30, 5])]),))
    assert kept(project)[0].shape == {"box": [0, 0, 20, 4.8]}
    assert outcome.problems == ("cut at the picture's edge, beyond which they reached: 1 shape",)


@pytest.mark.real_data
def test_real_coco_files_are_read_whole(real_data: Callable[[str], Path]) -> None:
    folder = real_data("metric_fixtures") / "faster_coco_eval"
    expected = {
        "dataset/cocoapi/instances_val2014_100.json": (839, 9), "keypoints_dataset/gt_dataset.json": (25, 1),
        "lvis_dataset/lvis_val_100.json": (977, 0),
    }  # fmt: skip
    for name, counts in expected.items():
        items = list(coco.read(bundle_of(folder / name)))
        assert not any(isinstance(item, Bad) for item in items)
        drawn = [item for item in items if isinstance(item, Drawn)]
        assert (len(drawn), sum("iscrowd" in item.shape.get("words", {}) for item in drawn)) == counts


def test_a_large_file_is_read_piece_by_piece(tmp_path: Path) -> None:
    path = tmp_path / "large.json"
    with path.open("w", encoding="utf-8") as out:
        out.write('{"images": [{"id": 7, "file_name": "1.jpg"}], "annotations": [')
        ring = [value for at in range(60) for value in (at, at * at % 91)]
        for number in range(20_000):
            out.write(("," if number else "") + json.dumps(note(id=number, segmentation=[ring])))
        out.write('], "categories": [{"id": 3, "name": "owl"}]}')
    assert path.stat().st_size > 9_000_000
    tracemalloc.start()
    try:
        count = sum(isinstance(item, Drawn) for item in coco.read(bundle_of(path)))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 20_000
    assert peak < 8 * 2**20
