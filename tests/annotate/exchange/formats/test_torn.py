"""Files torn at random: every reader gives items or one message, never anything else, and never takes long."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from pictus.annotate.exchange.formats.contents import FORMATS, Bad, Drawn
from pictus.annotate.exchange.formats.documents import bundle_of
from pictus.annotate.exchange.formats.figures import WrongFigureError
from pictus.annotate.exchange.formats.known import recognised
from pictus.annotate.exchange.intake import placed
from pictus.errors import UserError

COCO = {
    "images": [{"id": 1, "file_name": "1.jpg", "width": 20, "height": 10}],
    "categories": [{"id": 1, "name": "owl", "keypoints": ["beak"]}],
    "annotations": [
        {"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "segmentation": [[1, 2, 3, 4, 5, 6]],
         "keypoints": [1, 2, 2], "attributes": {"sex": "f"}},
        {"image_id": 1, "category_id": 1, "segmentation": {"size": [10, 20], "counts": [50, 20, 130]}},
        {"image_id": 1, "category_id": 1, "segmentation": {"size": [10, 20], "counts": "b1d0R4"}},
    ],
}  # fmt: skip

LABEL_STUDIO = [
    {"id": 1, "data": {"image": "1.jpg"}, "predictions": [{"model_version": "v", "result": []}], "annotations": [
        {"completed_by": {"email": "a"}, "result": [
            {"type": "brushlabels", "original_width": 3, "original_height": 2, "value": {
                "rle": [0, 0, 0, 24, 57, 27, 252, 96, 22, 255, 231, 0, 0], "brushlabels": ["owl"]}},
            {"type": "rectanglelabels", "value": {"x": 1, "y": 2, "width": 3, "height": 4, "rectanglelabels": ["owl"]}},
            {"type": "keypointlabels", "parentID": "m", "meta": {"seen": 1},
             "value": {"x": 1, "y": 1, "keypointlabels": ["owl"]}},
            {"type": "polygonlabels", "value": {"points": [[1, 1], [2, 2], [3, 1]], "polygonlabels": ["owl"]}},
            {"type": "choices", "value": {"choices": ["owl"]}},
        ]},
    ]},
]  # fmt: skip

LABELME = {"imagePath": "1.jpg", "imageWidth": 20, "imageHeight": 10, "shapes": [
    {"label": "owl", "shape_type": "rectangle", "points": [[1, 2], [3, 4]], "flags": {"hidden": True}},
]}  # fmt: skip

HITS = [{"wnid": "n1", "images_all": ["a", "b"], "images_to_label": ["a"], "images_pos_control": ["b"]}]

CVAT = b"""<annotations><meta><task><assignee><username>ada</username></assignee></task></meta>
<image name="1.jpg" width="20" height="10"><box label="owl" xtl="1" ytl="2" xbr="3" ybr="4"><attribute name="a">b
</attribute></box>
<polygon label="owl" points="1,2;3,4;5,1"/><mask label="owl" rle="1,2,1,2" left="5" top="3" width="3" height="2"/>
<skeleton label="owl"><points label="a" points="1,1"/></skeleton><tag label="owl"/></image></annotations>"""

VOC = b"""<annotation><filename>1.jpg</filename><size><width>20</width><height>10</height></size><object>
<name>owl</name><bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox></object></annotation>"""

MTURK = b"""HITId,WorkerId,Input.concept,Input.image_1,Input.image_2,Answer.yes,Answer.seen,Answer.taskAnswers
H,W,owl,1.jpg,2.jpg,1 2,2,"[{""a"":{""b"":1}}]"
"""
TOLOKA = b"INPUT:image\tINPUT:question\tOUTPUT:answer\tGOLDEN:answer\tASSIGNMENT:worker_id\n1.jpg\towl\tyes\tno\tw\n"

SAMPLES: dict[str, tuple[str, Any]] = {
    "coco": (".json", COCO), "label-studio": (".json", LABEL_STUDIO), "labelme": (".json", LABELME),
    "hits": (".json", HITS), "cvat": (".xml", CVAT), "voc": (".xml", VOC), "mturk": (".csv", MTURK),
    "toloka": (".tsv", TOLOKA),
}  # fmt: skip

VALUES = ("null", "true", "-1", "1e308", "[]", "{}", '""', '"x"', "[[]]", '{"a": 1}', "1000000000000000000", "[null]")
PARTS = (
    b"null", b"-1", b"1e999", b"[", b"{}", b"NaN", b"9" * 400, b"<a>", b"</image>", b"\xff", b"\x00", b",", b"\n", b'"',
    b"&amp;", b"&x;", b"<!DOCTYPE a>", b"inf",
)  # fmt: skip


def with_other_values(chance: random.Random, value: Any) -> Any:
    """The same JSON with a few values replaced or gone."""
    places: list[tuple[Any, Any]] = []

    def walk(one: Any) -> None:
        for key in list(one) if isinstance(one, dict) else range(len(one)) if isinstance(one, list) else ():
            places.append((one, key))
            walk(one[key])

    walk(value)
    for holder, key in chance.sample(places, chance.choice((1, 1, 2, 3))):
        if isinstance(holder, dict) and chance.random() < 0.2:
            holder.pop(key, None)
        else:
            holder[key] = json.loads(chance.choice(VALUES))
    return value


def torn(chance: random.Random, data: bytes) -> bytes:
    """The same bytes with pieces cut out, put in or changed."""
    found = bytearray(data)
    for _ in range(chance.choice((1, 2, 5))):
        at = chance.randrange(len(found))
        kind = chance.random()
        if kind < 0.3:
            found[at : at + chance.randrange(1, 30)] = b""
        elif kind < 0.7:
            found[at : at + chance.randrange(6)] = chance.choice(PARTS)
        else:
            found[at] = chance.randrange(256)
        found = found or bytearray(b" ")
    return bytes(found)


@pytest.mark.parametrize("name", SAMPLES)
def test_whatever_stands_in_a_file_is_items_or_one_message(name: str, tmp_path: Path) -> None:
    ending, sample = SAMPLES[name]
    path = tmp_path / f"a{ending}"
    read = FORMATS.get(name).read
    assert read is not None
    chance = random.Random(7)
    told = 0
    for _ in range(250):
        if isinstance(sample, bytes):
            path.write_bytes(torn(chance, sample))
        elif chance.random() < 0.8:
            path.write_text(json.dumps(with_other_values(chance, json.loads(json.dumps(sample)))), encoding="utf-8")
        else:
            path.write_bytes(torn(chance, json.dumps(sample).encode()))
        started = time.perf_counter()
        try:
            recognised(bundle_of(path))
            for item in read(bundle_of(path)):
                told += isinstance(item, Bad)
                if isinstance(item, Drawn):
                    told += not fits(item)
        except UserError:
            told += 1
        assert time.perf_counter() - started < 5
    assert told > 20


def fits(item: Drawn) -> bool:
    try:
        placed(item.shape, 200, 100, is_share=item.is_share)
    except WrongFigureError:
        return False
    json.dumps(item.shape, allow_nan=False)
    return True
