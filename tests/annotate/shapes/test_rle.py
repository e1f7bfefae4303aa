"""COCO's run lengths: by hand, by round trips, and equal to pycocotools on real masks."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra import numpy as arrays
from PIL import Image

from pictus.annotate.shapes import rle
from pictus.errors import UserError

MASKS = arrays.arrays(np.bool_, arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@pytest.fixture(scope="module")
def coco(real_data: Callable[[str], Path]) -> Path:
    return real_data("metric_fixtures") / "faster_coco_eval" / "dataset" / "cocoapi"


def test_a_mask_of_four_pixels_by_hand() -> None:
    # Columns top to bottom: 0 1, 1 1 -> one zero, three ones; as text chr(48 + 1), chr(48 + 3).
    runs = rle.encode(np.array([[False, True], [True, True]]))
    assert runs.counts.tolist() == [1, 3]
    assert rle.to_text(runs) == "13"
    assert (rle.area(runs), rle.box(runs)) == (3, (0.0, 0.0, 2.0, 2.0))


def test_a_run_of_100_takes_two_signs() -> None:
    # 100 = 0b11_00100: low five bits 4 with "more" (32) -> chr(48 + 36) = T, then 3 -> "3"; the run of ones: 1.
    runs = rle.from_json({"size": [101, 1], "counts": "T31"})
    assert runs.counts.tolist() == [100, 1]
    assert rle.to_text(runs) == "T31"


def test_from_the_fourth_run_on_differences_are_written() -> None:
    # 5 4 3 7: the last less the one two before, 7 - 4 = 3 -> "5433".
    assert rle.to_text(rle.Rle(19, 1, np.array([5, 4, 3, 7]))) == "5433"


@settings(max_examples=60, deadline=None)
@given(MASKS)
def test_encoding_and_decoding_give_the_mask_back(mask: np.ndarray) -> None:
    runs = rle.encode(mask)
    assert np.array_equal(rle.decode(runs), mask)
    again = rle.from_json(json.loads(json.dumps(rle.to_json(runs))))
    assert np.array_equal(again.counts, runs.counts)
    assert rle.area(runs) == mask.sum()
    y, x = np.nonzero(mask)
    around = (x.min(), y.min(), x.max() + 1, y.max() + 1) if x.size else (0, 0, 0, 0)
    assert rle.box(runs) == around
    height, width = mask.shape
    x1, y1 = width // 3, height // 3
    assert np.array_equal(rle.crop(runs, x1, y1, width, height), mask[y1:, x1:])
    back = rle.placed(mask[y1:, x1:], x1, y1, height, width)
    assert back.counts.sum() == mask.size
    assert np.array_equal(rle.decode(back)[y1:, x1:], mask[y1:, x1:])


@settings(max_examples=60, deadline=None)
@given(arrays.arrays(np.bool_, (3, 9, 11)))
def test_union_meet_and_overlap_are_those_of_the_pixels(masks: np.ndarray) -> None:
    runs = [rle.encode(mask) for mask in masks]
    union, meet = np.logical_or.reduce(masks), np.logical_and.reduce(masks)
    assert np.array_equal(rle.merge(runs).counts, rle.encode(union).counts)
    assert np.array_equal(rle.merge(runs, intersect=True).counts, rle.encode(meet).counts)
    both, whole = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum()
    assert rle.iou(runs[0], runs[1]) == pytest.approx(both / whole if whole else 0)
    assert rle.iou(runs[0], runs[1], is_crowd=True) == pytest.approx(both / max(1, masks[0].sum()))


def test_a_square_polygon_fills_its_pixels() -> None:
    square = rle.from_polygons([[2, 1, 6, 1, 6, 5, 2, 5]], 8, 10)
    expected = np.zeros((8, 10), np.bool_)
    expected[1:5, 2:6] = True
    assert np.array_equal(rle.decode(square), expected)


def test_a_polygon_that_crosses_itself_has_a_hole() -> None:
    twice = rle.from_polygons([[0, 0, 9, 0, 9, 9, 0, 9, 0, 0, 3, 3, 3, 6, 6, 6, 6, 3, 3, 3]], 10, 10)
    assert rle.decode(twice)[4, 1]
    assert not rle.decode(twice)[4, 4]


@pytest.mark.parametrize(
    ("shape", "what"),
    [
        ({"size": [2, 2], "counts": [1, 2]}, "runs make 3 px"),
        ({"size": [2, 2], "counts": [5, -1]}, "not whole numbers"),
        ({"size": [2, 2], "counts": [True, 3]}, "not whole numbers"),
        ({"size": [2, 2], "counts": "P"}, "ends? in the middle"),
        ({"size": [2, 2], "counts": "ä"}, "a sign"),
        ({"size": [2, 2], "counts": "\x00"}, "a sign"),
        ({"size": [2, 2], "counts": ""}, "empty"),
        ({"size": [2, 2], "counts": "PPPPPPPPPPPP1"}, "longer than any picture"),
        ({"size": [2, 2], "counts": "O"}, "negative"),
        ({"size": [2, 2], "counts": None}, "neither a text nor a list"),
        ({"size": [2], "counts": "4"}, "not .height, width"),
        ({"size": [0, 4], "counts": ""}, "not .height, width"),
        ({"size": [10**9, 10**9], "counts": "1"}, "not .height, width"),
        ({"size": [400_000, 400_000], "counts": "1"}, "more than a picture"),
        ({"size": [10**5000, 2], "counts": "1"}, "endless"),
        ({"size": [3, 2], "counts": "6"}, "it is 2 × 3 px, the picture 2 × 2"),
        (None, "not .height, width"),
        ([], "not .height, width"),
        ("4", "not .height, width"),
    ],
)
def test_what_is_no_mask_is_refused_and_says_why(shape: Any, what: str) -> None:
    with pytest.raises(UserError, match=what):
        rle.from_json(shape, height=2, width=2)


def test_runs_of_zero_in_the_middle_are_taken_out() -> None:
    assert rle.from_json({"size": [6, 1], "counts": [1, 2, 0, 2, 1]}).counts.tolist() == [1, 4, 1]
    assert rle.from_json({"size": [6, 1], "counts": [0, 2, 4, 0]}).counts.tolist() == [0, 2, 4]


@pytest.mark.real_data
def test_polygons_of_coco_are_filled_as_pycocotools_fills_them(coco: Path) -> None:
    data = json.loads((coco / "instances_val2014_100.json").read_text())
    sizes = {image["id"]: (image["height"], image["width"]) for image in data["images"]}
    texts = []
    for one in data["annotations"]:
        drawn = one["segmentation"]
        found = rle.from_polygons(drawn, *sizes[one["image_id"]]) if isinstance(drawn, list) else rle.from_json(drawn)
        texts.append(rle.to_text(found))
    # sha256 of what pycocotools 2.0 gives for the same 839 annotations, one to a line.
    expected = "8ce39aa98138b904a87b6ca35ede82d6ee0cd9619c980646ee1d4c6e7ef2b55a"
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest() == expected


@pytest.mark.real_data
def test_overlaps_areas_and_boxes_are_those_of_pycocotools(coco: Path) -> None:
    by_image: dict[int, list[rle.Rle]] = defaultdict(list)
    for one in json.loads((coco / "instances_val2014_fakesegm100_results.json").read_text()):
        runs = rle.from_json(one["segmentation"])
        assert rle.to_text(runs) == one["segmentation"]["counts"]
        by_image[one["image_id"]].append(runs)
    everything = [runs for group in by_image.values() for runs in group]
    boxes = np.array([rle.box(runs) for runs in everything])
    boxes[:, 2:] -= boxes[:, :2]
    overlaps = sum(rle.iou(first, second) for group in by_image.values() for first in group for second in group)
    # Sums that pycocotools 2.0 gives over the same 734 masks.
    assert (sum(map(rle.area, everything)), boxes.sum()) == (7_766_804, 460_226)
    assert overlaps == pytest.approx(762.068118982236, abs=1e-9)


@pytest.mark.real_data
def test_masks_of_nuclei_are_encoded_as_pycocotools_encodes_them(real_data: Callable[[str], Path]) -> None:
    texts = []
    with tarfile.open(real_data("nuclei_instances") / "nuclei_150.tar.xz") as archive:
        for name in sorted(name for name in archive.getnames() if "/masks/" in name and name.endswith(".png"))[:300]:
            file = archive.extractfile(name)
            assert file is not None
            texts.append(rle.to_text(rle.encode(np.array(Image.open(io.BytesIO(file.read()))) > 0)))
    expected = "c487a7e182172ea1e4f8eb2b5bfa0f6147f83a622d241c83c1c1098a5f138d15"
    assert hashlib.sha256("\n".join(texts).encode()).hexdigest() == expected
