"""What every format has in common: recognised by content, the same boxes from nine of them, hostile files refused."""

from __future__ import annotations

import io
import json
import lzma
import zipfile
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import pictus
from pictus import annotate
from pictus.annotate.exchange.formats.contents import FORMATS, Drawn
from pictus.annotate.exchange.formats.documents import bundle_of
from pictus.annotate.exchange.formats.known import recognised
from pictus.errors import UserError

Shelve = Callable[..., dict[str, str]]

NINE = {
    "coco_format_v1": "coco", "coco_format_v2": "coco", "cvat_format": "cvat", "imagenet_format": "voc",
    "labelme_format": "labelme", "openimages_format": "boxes", "pascalvoc_format": "voc", "tfrecord_format": "tfrecord",
    "yolo_format": "yolo",
}  # fmt: skip

CLASSES = (
    "person", "cat", "boat", "car", "pottedplant", "bicycle", "dog", "bus", "motorbike", "tvmonitor", "train", "horse",
    "aeroplane", "sofa", "chair", "bird", "bottle", "sheep", "diningtable", "cow",
)  # fmt: skip


def voc_sizes(folder: Path) -> dict[str, tuple[int, int]]:
    items = [item for item in FORMATS.get("labelme").read(bundle_of(folder)) if isinstance(item, Drawn)]  # type: ignore[misc]
    return {item.picture: item.size for item in items}


@pytest.mark.real_data
def test_nine_formats_of_the_same_boxes_give_the_same_boxes(
    detection_formats: Path, tmp_path: Path, shelve: Shelve, kept: Callable[..., list[Any]]
) -> None:
    sizes = voc_sizes(detection_formats / "labelme_format")
    found: dict[str, list[tuple[str, str, tuple[float, ...]]]] = {}
    for name, expected in NINE.items():
        bundle = bundle_of(detection_formats / name)
        known = recognised(bundle)
        assert known is not None
        assert known.name == expected
        project = pictus.new(tmp_path / name)
        shelve(project, sizes, CLASSES)
        chosen = "voc-edges" if expected == "voc" else ""
        outcome = annotate.import_(project, (detection_formats / name,), format=chosen)
        assert outcome.summary["marks"] == 273
        assert {mark.annotator for mark in kept(project)} == {f"source:{name}"}
        found[name] = sorted((mark.image_id, mark.concept_id, tuple(mark.shape["box"])) for mark in kept(project))
    truth = found["pascalvoc_format"]
    for name, boxes in found.items():
        assert [box[:2] for box in boxes] == [box[:2] for box in truth]
        sides = [(one[2], other[2]) for one, other in zip(boxes, truth, strict=True)]
        assert max(abs(a - b) for one, other in sides for a, b in zip(one, other, strict=True)) <= 0.5, name


@pytest.mark.real_data
def test_vocs_own_files_are_read_by_vocs_own_rule(detection_formats: Path) -> None:
    read = FORMATS.get("voc").read
    edges = FORMATS.get("voc-edges").read
    assert read is not None
    assert edges is not None
    own = bundle_of(detection_formats / "pascalvoc_format")
    pairs = list(zip(read(own), edges(own), strict=True))
    assert len(pairs) == 273
    for by_rule, as_is in pairs:
        assert isinstance(by_rule, Drawn)
        assert isinstance(as_is, Drawn)
        x1, y1, x2, y2 = as_is.shape["box"]
        assert by_rule.shape["box"] == [x1 - 1, y1 - 1, x2, y2]
    exported = bundle_of(detection_formats / "imagenet_format")  # by CVAT, which puts the edges in
    assert list(read(exported)) == list(edges(exported))


@pytest.mark.real_data
def test_boxes_without_area_are_told_and_may_be_left_out(
    blood_cells: Path, project: pictus.Project, shelve: Shelve
) -> None:
    shelve(project, {f"BloodImage_{n:05}.jpg": (640, 480) for n in range(411)}, ("RBC", "WBC", "Platelets"))
    with pytest.raises(UserError, match="2 bad rows") as raised:
        annotate.import_(project, (blood_cells,))
    assert "BloodImage_00338.xml line 158: a box without area: 0 × 0" in raised.value.what
    assert annotate.import_(project, (blood_cells,), skip_bad=True).summary["marks"] == 4886
    assert annotate.import_(project, (blood_cells,), skip_bad=True).summary["marks"] == 0


def write(tmp_path: Path, name: str, data: str | bytes) -> Path:
    path = tmp_path / name
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


LAUGHS = '<?xml version="1.0"?>\n<!DOCTYPE lolz [<!ENTITY lol "lol">' + "".join(
    f'<!ENTITY lol{n} "{f"&lol{n - 1 if n > 1 else str()};" * 10}">' for n in range(1, 10)
)

HOSTILE: dict[str, tuple[str, str | bytes, str]] = {
    "billion laughs": ("a.xml", LAUGHS + "]>\n<annotations><image name='&lol9;'/></annotations>", "document type"),
    "an external entity": (
        "a.xml", '<!DOCTYPE a [<!ENTITY e SYSTEM "file:///etc/passwd">]><annotation><filename>&e;</filename></annotation>',
        "document type",
    ),
    "deep XML": ("a.xml", "<annotations>" + "<image>" * 100, "nested more than"),
    "deep JSON": ("a.json", '{"images": ' + "[" * 100_000, "nested too deep"),
    "JSON deeper than shapes are": ("a.json", '{"images": [' + "[" * 200 + "]" * 200 + "]}", "nested more than 100"),
    "a number that is none": ("a.json", '{"images": [{"id": NaN}], "annotations": []}', "NaN is no number"),
    "infinity": ("a.json", '{"images": [{"id": -Infinity}], "annotations": []}', "-Infinity is no number"),
    "a number without end": ("a.json", '{"images": [{"id": ' + "9" * 5000 + "}]}", "cannot be read as JSON"),
    "JSON cut short": ("a.json", '{"images": [{"id": 1}, {"id"', "cannot be read as JSON"),
    "no UTF-8": ("a.json", b'{"images": [{"id": "\xff\xfe"}]}', "not UTF-8"),
    "XML cut short": ("a.xml", "<annotations><image name='1.jpg'>", "cannot be read as XML"),
    "an xz that grows without end": (
        "a.json.xz", lzma.compress(b'{"images": [' + b" " * (70 * 2**20)), "times its size"
    ),
    "an xz that is none": ("a.json.xz", b"\xfd7zXZ\x00" + b"\x00" * 50, "cannot be read"),
    "a record of another size": ("a.tfrecord", b"\x10" + b"\x00" * 30, "no TFRecord"),
}  # fmt: skip


@pytest.mark.parametrize("what", HOSTILE)
def test_hostile_files_are_refused_in_plain_words(
    what: str, tmp_path: Path, project: pictus.Project, shelve: Shelve, kept: Callable[..., list[Any]]
) -> None:
    name, data, told = HOSTILE[what]
    shelve(project, {"1.jpg": (100, 100)})
    with pytest.raises(UserError, match=told):
        annotate.import_(project, (write(tmp_path, name, data),))
    assert kept(project) == []


def test_an_archive_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("annotations.xml", b"<annotations>" + b" " * (80 * 2**20))
    with pytest.raises(UserError, match="times its size"):
        bundle_of(write(tmp_path, "a.zip", buffer.getvalue()))


def test_names_in_an_archive_lead_nowhere(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("../../etc/annotations.xml", "<annotations/>")
        archive.writestr("pictures/1.jpg", b"\xff\xd8")
    bundle = bundle_of(write(tmp_path, "a.zip", buffer.getvalue()))
    assert [document.name for document in bundle.documents] == ["a.zip/../../etc/annotations.xml"]
    assert bundle.documents[0].read(100) == b"<annotations/>"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.zip"]


def test_a_link_in_a_folder_is_not_followed(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    write(folder, "1.xml", "<annotation/>")
    (folder / "2.xml").symlink_to("/etc/passwd")
    assert [document.name for document in bundle_of(folder).documents] == ["1.xml"]


def test_what_is_no_known_format_names_those_there_are(tmp_path: Path, project: pictus.Project, shelve: Shelve) -> None:
    shelve(project, {"1.jpg": (100, 100)})
    with pytest.raises(UserError, match="no format is recognised") as raised:
        annotate.import_(project, (write(tmp_path, "a.json", json.dumps({"hello": 1})),))
    assert "coco, cvat, hits" in raised.value.fix
    with pytest.raises(UserError, match="no format 'cocoo'") as raised:
        annotate.import_(project, (tmp_path / "a.json",), format="cocoo")
    assert "coco" in raised.value.fix


def test_a_broken_format_of_another_package_is_told_once_and_files_are_recognised(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, monkeypatch: pytest.MonkeyPatch
) -> None:
    point = metadata.EntryPoint("aaa", "no_such_module_at_all:FORMAT", "pictus.formats")
    monkeypatch.setattr(metadata, "entry_points", lambda *, group: (point,) if group == "pictus.formats" else ())
    shelve(project, {"1.jpg": (20, 10)})
    path = tmp_path / "a.csv"
    path.write_text("image,label,xmin,ymin,xmax,ymax\n1.jpg,owl,1,1,5,5\n", encoding="utf-8")
    outcome = annotate.import_(project, (path,))
    assert outcome.summary["marks"] == 1
    assert len(outcome.problems) == 1
    assert "format 'aaa' of no_such_module_at_all:FORMAT cannot be imported" in outcome.problems[0]
    assert annotate.export(project, tmp_path / "m.csv", what="marks").summary["rows"] == 1
    with pytest.raises(UserError, match="'aaa' of no_such_module_at_all:FORMAT cannot be imported"):
        annotate.import_(project, (path,), format="aaa")
    (tmp_path / "b.json").write_text("{}", encoding="utf-8")
    with pytest.raises(UserError, match=r"no format is recognised in it\. The format 'aaa'"):
        annotate.import_(project, (tmp_path / "b.json",))
