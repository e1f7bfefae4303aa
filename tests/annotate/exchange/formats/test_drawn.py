"""CVAT, VOC, YOLO and LabelMe: what their fields become, and what has no place here."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import annotate
from pictus.annotate.shapes import rle
from pictus.errors import UserError

Shelve = Callable[..., dict[str, str]]
Read = Callable[[pictus.Project], Any]

CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations><version>1.1</version>
<meta><task><name>t</name><assignee><username>ada</username></assignee></task></meta>
<image id="0" name="owl/1.jpg" width="20" height="10">
{body}
</image></annotations>
"""


def cvat(tmp_path: Path, body: str, name: str = "annotations.xml") -> Path:
    path = tmp_path / name
    path.write_text(CVAT.format(body=body), encoding="utf-8")
    return path


def test_cvats_shapes_and_words_are_kept(project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read) -> None:
    shelve(project, {"owl/1.jpg": (20, 10)})
    body = """
<box label="owl" source="manual" occluded="1" xtl="1.5" ytl="2" xbr="4" ybr="6" z_order="0">
  <attribute name="sex">female &amp; old</attribute></box>
<polygon label="owl" source="auto" occluded="0" points="1,2;4,2;4.25,6"/>
<points label="owl" occluded="0" points="1,2;3,4"/>
<mask label="wren" rle="1, 2, 1, 2" left="5" top="3" width="3" height="2"/>
<skeleton label="wren"><points label="beak" outside="0" occluded="0" points="1,1"/>
  <points label="tail" outside="0" occluded="1" points="2,2"/><points label="eye" outside="1" points="0,0"/></skeleton>
"""
    annotate.import_(project, (cvat(tmp_path, body),))
    box, polygon, points, mask, skeleton = kept(project)
    assert box.shape == {"box": [1.5, 2, 4, 6], "words": {"sex": "female & old", "occluded": "1"}}
    assert (box.annotator, polygon.annotator) == ("ada", "model:cvat")
    assert polygon.shape == {"polygons": [[1, 2, 4, 2, 4.25, 6]]}
    assert points.shape == {"skeleton": "owl", "points": [[1, 2, 2], [3, 4, 2]]}
    # row by row in the box of 3 × 2 at 5, 3: .XX and .XX
    assert rle.decode(rle.from_json(mask.shape)).nonzero()[0].tolist() == [3, 3, 4, 4]
    assert rle.decode(rle.from_json(mask.shape)).nonzero()[1].tolist() == [6, 7, 6, 7]
    assert skeleton.shape == {
        "skeleton": "wren", "names": ["beak", "tail", "eye"], "points": [[1, 1, 2], [2, 2, 1], [0, 0, 0]],
    }  # fmt: skip


def test_cvats_tags_are_answers(project: pictus.Project, tmp_path: Path, shelve: Shelve, said: Read) -> None:
    ids = shelve(project, {"owl/1.jpg": (20, 10)})
    annotate.import_(project, (cvat(tmp_path, '<tag label="owl" source="manual"/>'),))
    assert said(project) == {(ids["owl/1.jpg"], "ada", "", "cowl")}
    two = cvat(tmp_path, '<tag label="owl"/><tag label="wren"/>', "two.xml")
    annotate.import_(project, (two,))
    assert {vote[2:] for vote in said(project)} == {("", "cowl"), ("cowl", "yes"), ("cwren", "yes")}


def test_what_cvat_has_and_we_have_not_is_told(project: pictus.Project, tmp_path: Path, shelve: Shelve) -> None:
    shelve(project, {"owl/1.jpg": (20, 10)})
    body = """<ellipse label="owl" cx="1" cy="1" rx="1" ry="1"/>
<polyline label="owl" points="1,1;2,2"/>
<box label="owl" rotation="30" xtl="1" ytl="2" xbr="4" ybr="6"/>
<mask label="owl" rle="1, 2" left="5" top="3" width="3" height="2"/>
<mask label="owl" rle="6" left="19" top="3" width="3" height="2"/>
<polygon label="owl" points="1;2"/>"""
    with pytest.raises(UserError, match="6 bad rows") as raised:
        annotate.import_(project, (cvat(tmp_path, body),))
    told = raised.value.what
    for words in (
        "annotations.xml line 5: an ellipse", "line 6: a polyline", "line 7: a box that is turned",
        "line 8: run lengths of 3 pixels for a mask of 3 × 2", "line 9: a mask that reaches beyond its picture",
        "line 10: points '1;2' are not x,y;x,y",
    ):  # fmt: skip
        assert words in told


def test_cvats_archive_is_read_as_it_is(project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read) -> None:
    shelve(project, {"owl/1.jpg": (20, 10)})
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("annotations.xml", CVAT.format(body='<box label="owl" xtl="1" ytl="2" xbr="4" ybr="6"/>'))
        archive.writestr("images/owl/1.jpg", b"\xff\xd8")
    (tmp_path / "task.zip").write_bytes(buffer.getvalue())
    outcome = annotate.import_(project, (tmp_path / "task.zip",))
    assert outcome.summary["marks"] == 1
    assert kept(project)[0].source.startswith("file:task.zip@")


VOC = """<annotation><filename>1.jpg</filename><source><database>{database}</database></source>
<size><width>20</width><height>10</height><depth>3</depth></size>
<object><name>owl</name><pose>Left</pose><truncated>1</truncated><difficult>0</difficult>
<bndbox><xmin>{xmin}</xmin><ymin>1</ymin><xmax>20</xmax><ymax>10</ymax></bndbox></object></annotation>
"""


@pytest.mark.parametrize(
    ("database", "chosen", "box"),
    [
        ("The VOC2007 Database", "", [0, 0, 20, 10]), ("Unknown", "", [1, 1, 20, 10]),
        ("Unknown", "voc-inclusive", [0, 0, 20, 10]), ("The VOC2007 Database", "voc-edges", [1, 1, 20, 10]),
    ],
)  # fmt: skip
def test_vocs_pixels_are_counted_from_one_where_voc_counted_them(
    *, database: str, chosen: str, box: list[float], project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    shelve(project, {"1.jpg": (20, 10)})
    path = tmp_path / "1.xml"
    path.write_text(VOC.format(database=database, xmin=1), encoding="utf-8")
    annotate.import_(project, (path,), format=chosen)
    assert [mark.shape for mark in kept(project)] == [{"box": box, "words": {"pose": "Left", "truncated": "1"}}]


def test_one_pixel_is_a_box_in_voc_and_none_between_edges(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    shelve(project, {"1.jpg": (20, 10)})
    path = tmp_path / "1.xml"
    path.write_text(VOC.format(database="The VOC2012 Database", xmin=20), encoding="utf-8")
    annotate.import_(project, (path,))
    assert kept(project)[0].shape["box"] == [19, 0, 20, 10]
    with pytest.raises(UserError, match="a box without area"):
        annotate.import_(project, (path,), format="voc-edges")


def test_yolos_lines_become_boxes_and_polygons(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read
) -> None:
    shelve(project, {"owl/1.jpg": (200, 100)})
    labels = tmp_path / "set" / "labels" / "train" / "owl"
    labels.mkdir(parents=True)
    (tmp_path / "set" / "data.yaml").write_text("names:\n  0: owl\n  1: wren\n", encoding="utf-8")
    beside = {"categories": [{"id": 0, "name": "owl"}], "info": {}}  # as Label Studio exports YOLO
    (tmp_path / "set" / "notes.json").write_text(json.dumps(beside), encoding="utf-8")
    lines = ["0 0.5 0.5 0.2 0.4", "1 0.5 0.5 0.2 0.4 0.875", "1 0 0 0.5 0 0.5 0.5"]
    (labels / "1.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    annotate.import_(project, (tmp_path / "set",))
    assert [(mark.concept_id, mark.shape) for mark in kept(project)] == [
        ("cowl", {"box": [80, 30, 120, 70]}), ("cwren", {"box": [80, 30, 120, 70], "words": {"score": "0.875"}}),
        ("cwren", {"polygons": [[0, 0, 100, 0, 100, 50]]}),
    ]  # fmt: skip
    (labels / "1.txt").write_text("7 0.5 0.5 0.2 0.4\n0 0.5 0.5 0.2\n0 nan 0.5 0.2 0.4\n", encoding="utf-8")
    with pytest.raises(UserError, match="3 bad rows") as raised:
        annotate.import_(project, (tmp_path / "set",))
    assert "labels/train/owl/1.txt line 1: class '7' is none of 2 names" in raised.value.what
    (tmp_path / "set" / "data.yaml").write_text("a: &a [x]\nnames: *a\n", encoding="utf-8")
    with pytest.raises(UserError, match="uses anchors"):
        annotate.import_(project, (tmp_path / "set",))


def test_labelmes_shapes_are_read(project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read) -> None:
    shelve(project, {"1.jpg": (20, 10)})
    shapes = [
        {"label": "owl", "shape_type": "rectangle", "points": [[4, 6], [1, 2]], "flags": {"hidden": True}},
        {"label": "owl", "shape_type": "polygon", "points": [[1, 2], [4, 2], [4, 6]]},
        {"label": "owl", "shape_type": "point", "points": [[1, 2]]},
        {"label": "owl", "shape_type": "circle", "points": [[1, 2], [3, 4]]},
    ]
    whole = {"imagePath": "..\\photos\\1.jpg", "imageWidth": 20, "imageHeight": 10, "imageData": None, "shapes": shapes}
    (tmp_path / "1.json").write_text(json.dumps(whole), encoding="utf-8")
    with pytest.raises(UserError, match=r"1.json shapes\[3\]: a shape of the type 'circle'"):
        annotate.import_(project, (tmp_path / "1.json",))
    annotate.import_(project, (tmp_path / "1.json",), skip_bad=True)
    assert [mark.shape for mark in kept(project)] == [
        {"box": [1, 2, 4, 6], "words": {"hidden": "True"}}, {"polygons": [[1, 2, 4, 2, 4, 6]]},
        {"skeleton": "point", "points": [[1, 2, 2]]},
    ]  # fmt: skip


def test_an_outline_that_would_fill_a_memory_is_refused(
    project: pictus.Project, tmp_path: Path, shelve: Shelve
) -> None:
    shelve(project, {"owl/1.jpg": (20_000, 10_000)})
    to_and_fro = ";".join(f"{20_000 * (at % 2)},{at % 10_000}" for at in range(1_000))
    path = tmp_path / "annotations.xml"
    body = f'<polygon label="owl" points="{to_and_fro}"/>'
    path.write_text(CVAT.format(body=body).replace('width="20" height="10"', 'width="20000" height="10000"'), "utf-8")
    with pytest.raises(UserError, match="runs to and fro over the whole picture"):
        annotate.import_(project, (path,))
