"""Label Studio's export as it comes: several annotators, predictions, percents, brush masks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pictus
from pictus import annotate
from pictus.annotate.exchange.formats.figures import WrongFigureError
from pictus.annotate.exchange.formats.run_lengths import from_label_studio, to_label_studio
from pictus.annotate.shapes import rle
from pictus.errors import UserError

Shelve = Callable[..., dict[str, str]]
Read = Callable[[pictus.Project], Any]

THEIRS = [0, 0, 0, 24, 57, 27, 252, 96, 22, 255, 231, 0, 0]
"""The mask below, all four channels alike, as label-studio-sdk's encode_rle packed it."""

MASK = np.array([[0, 1, 1], [1, 0, 0]], np.bool_)


def result(kind: str, size: tuple[int, int] = (200, 100), **value: Any) -> dict[str, Any]:
    return {"type": kind, "original_width": size[0], "original_height": size[1], "value": value}


def write(tmp_path: Path, *tasks: Any, name: str = "export.json") -> Path:
    path = tmp_path / name
    path.write_text(json.dumps(tasks), encoding="utf-8")
    return path


def test_brush_masks_are_packed_as_label_studio_packs_them() -> None:
    assert np.array_equal(from_label_studio(THEIRS, 3, 2), MASK)
    generator = np.random.default_rng(0)
    for height, width in ((1, 1), (7, 300), (64, 64), (513, 400)):
        for share in (0.0, 0.01, 0.5, 1.0):
            mask = generator.random((height, width)) < share
            assert np.array_equal(from_label_studio(to_label_studio(mask), width, height), mask)


@pytest.mark.parametrize(
    ("packed", "width", "told"),
    [
        (THEIRS[:5], 3, "ends in the middle"), (THEIRS, 4, "24 bytes for a picture of 4 × 2"),
        ([300], 3, "list of bytes"), (10**12, 3, "list of bytes"),
        ("no", 3, "list of bytes"), (None, 3, "list of bytes"),
    ],
)  # fmt: skip
def test_a_brush_mask_that_is_none_is_told(packed: Any, width: int, told: str) -> None:
    with pytest.raises(WrongFigureError, match=told):
        from_label_studio(packed, width, 2)


def test_answers_of_several_annotators_become_votes(
    project: pictus.Project, tmp_path: Path, shelve: Shelve, said: Read
) -> None:
    ids = shelve(project, {"owl/1.jpg": (200, 100), "2.jpg": (200, 100), "3.jpg": (200, 100)})
    one, two, three = (
        {"type": "choices", "value": {"choices": chosen}} for chosen in (["owl"], ["wren"], ["owl", "wren"])
    )
    yes = {"type": "choices", "value": {"choices": ["Yes"]}}
    path = write(
        tmp_path,
        {"id": 1, "data": {"image": "/data/local-files/?d=photos/owl/1.jpg"}, "annotations": [
            {"completed_by": 3, "result": [one]},
            {"completed_by": {"id": 4, "email": "ada@example.org"}, "result": [two]},
            {"completed_by": 5, "was_cancelled": True, "result": [one]},
        ], "predictions": [{"model_version": "v1", "result": [one]}]},
        {"id": 2, "data": {"image": "/data/upload/7/0a1b2c3d-2.jpg", "question": "owl"}, "annotations": [
            {"completed_by": 3, "result": [yes]}]},
        {"id": 3, "data": {"image": "s3://bucket/3.jpg"}, "annotations": [{"completed_by": 3, "result": [three]}]},
    )  # fmt: skip
    with pytest.raises(UserError, match="no picture 'photos/owl"):
        annotate.import_(project, (path,))
    ids |= shelve(project, {"photos/owl/1.jpg": (200, 100)})
    with pytest.raises(UserError, match="no picture 's3://bucket"):
        annotate.import_(project, (path,))
    outcome = annotate.import_(project, (path,), skip_unknown=True, keep_names=True)
    assert said(project) == {
        (ids["photos/owl/1.jpg"], "3", "", "cowl"), (ids["photos/owl/1.jpg"], "ada@example.org", "", "cwren"),
        (ids["2.jpg"], "3", "cowl", "yes"),
    }  # fmt: skip
    assert outcome.summary["rejected"] == 2  # one skipped by its annotator, one a model's
    assert annotate.import_(project, (path,), skip_unknown=True, keep_names=True).summary["added"] == 0


def test_an_address_of_mail_is_kept_back(project: pictus.Project, tmp_path: Path, shelve: Shelve, said: Read) -> None:
    shelve(project, {"1.jpg": (200, 100)})
    choice = {"type": "choices", "value": {"choices": ["owl"]}}
    annotations = [{"completed_by": {"email": "ada@example.org"}, "result": [choice]}]
    annotate.import_(project, (write(tmp_path, {"data": {"image": "1.jpg"}, "annotations": annotations}),))
    ((_, who, _, _),) = said(project)
    assert who.startswith("person-")
    assert "ada" not in who


def test_shapes_in_percent_become_pixels(project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read) -> None:
    shelve(project, {"1.jpg": (200, 100), "2.jpg": (3, 2)})
    shapes = [
        result("rectanglelabels", x=10, y=20, width=30, height=40, rotation=0, rectanglelabels=["owl"]),
        result("polygonlabels", points=[[0, 0], [50, 0], [50, 50]], polygonlabels=["wren"]),
        result("keypointlabels", x=25, y=75, width=1, keypointlabels=["owl"]),
    ]
    brush = result("brushlabels", (3, 2), format="rle", rle=THEIRS, brushlabels=["owl"])
    guess = result("rectanglelabels", x=0, y=0, width=100, height=100, rectanglelabels=["owl"])
    path = write(
        tmp_path,
        {"id": 1, "data": {"image": "1.jpg"}, "annotations": [{"completed_by": 1, "result": shapes}],
         "predictions": [{"model_version": "yolo", "score": 0.5, "result": [guess]}]},
        {"id": 2, "data": {"image": "2.jpg"}, "annotations": [{"completed_by": 1, "result": [brush]}]},
    )  # fmt: skip
    annotate.import_(project, (path,))
    box, polygon, point, proposal, mask = kept(project)
    assert (box.kind, box.concept_id, box.annotator, box.shape) == ("box", "cowl", "1", {"box": [20, 20, 80, 60]})
    assert polygon.shape == {"polygons": [[0, 0, 100, 0, 100, 50]]}
    assert point.shape == {"skeleton": "point", "points": [[50, 75, 2]]}
    assert (proposal.annotator, proposal.shape) == ("model:yolo", {"box": [0, 0, 200, 100]})
    assert np.array_equal(rle.decode(rle.from_json(mask.shape)), MASK)


def test_every_bad_result_is_told_with_its_place(project: pictus.Project, tmp_path: Path, shelve: Shelve) -> None:
    shelve(project, {"1.jpg": (200, 100)})
    bad = [
        result("rectanglelabels", x=10, y=20, width=0, height=40, rectanglelabels=["owl"]),
        result("rectanglelabels", x=10, y=20, width=5, height=40, rotation=12, rectanglelabels=["owl"]),
        result("rectanglelabels", x="a", y=20, width=5, height=40, rectanglelabels=["owl"]),
        result("rectanglelabels", x=1, y=1, width=5, height=40, rectanglelabels=["ovl"]),
        result("rectanglelabels", (100, 200), x=1, y=1, width=5, height=4, rectanglelabels=["owl"]),
        result("ellipselabels", x=1, y=1, radiusX=5, radiusY=4, ellipselabels=["owl"]),
        result("rectanglelabels", x=1, y=1, width=5, height=4, rectanglelabels=[]), {"type": "choices"}, 7,
    ]  # fmt: skip
    good = result("rectanglelabels", x=10, y=20, width=30, height=40, rectanglelabels=["owl"])
    path = write(tmp_path, {"id": 9, "data": {"image": "1.jpg"}, "annotations": [{"result": [good, *bad]}]}, {"id": 10})
    with pytest.raises(UserError, match="10 bad rows") as raised:
        annotate.import_(project, (path,))
    told = raised.value.what
    for words in (
        "export.json task 9 annotation 1 result 2: a box without area", "result 3: a box that is turned",
        "result 4: a coordinate 'a' is no number", "'ovl' is not in the taxonomy (did you mean owl?)",
        "drawn on 100 × 200, the picture '1.jpg' is 200 × 100: the file may not know that it is turned",
        "result 7: an ellipse", "result 8: a shape without a class", "result 9: no 'type' or no 'value'",
        "result 10: no 'type' or no 'value'", "task 10: no 'data'",
    ):  # fmt: skip
        assert words in told
    assert annotate.import_(project, (path,), skip_bad=True).summary["marks"] == 1


def test_shapes_may_be_taken_as_proposals(project: pictus.Project, tmp_path: Path, shelve: Shelve, kept: Read) -> None:
    shelve(project, {"1.jpg": (200, 100)})
    box = result("rectanglelabels", x=10, y=20, width=30, height=40, rectanglelabels=["owl"])
    path = write(tmp_path, {"data": {"image": "1.jpg"}, "annotations": [{"completed_by": 1, "result": [box]}]})
    annotate.import_(project, (path,), as_proposals=True)
    assert [mark.annotator for mark in kept(project)] == ["source:export.json"]
