"""The formats that Pictus brings, and which of all a bundle is in."""

from __future__ import annotations

from pictus.annotate.formats import (
    box_tables,
    coco,
    cvat,
    hits,
    label_studio,
    labelme,
    mturk,
    tfrecord,
    toloka,
    voc,
    yolo,
)
from pictus.annotate.formats.contents import FORMATS, Format
from pictus.annotate.formats.documents import Bundle

for _format in (
    Format("boxes", box_tables.recognises, box_tables.read),
    Format("coco", coco.recognises, coco.read),
    Format("cvat", cvat.recognises, cvat.read),
    Format("hits", hits.recognises, hits.read),
    Format("label-studio", label_studio.recognises, label_studio.read),
    Format("labelme", labelme.recognises, labelme.read),
    Format("mturk", mturk.recognises, mturk.read),
    Format("tfrecord", tfrecord.recognises, tfrecord.read),
    Format("toloka", toloka.recognises, toloka.read),
    Format("voc", voc.recognises, voc.read),
    Format("voc-edges", read=voc.read_edges),
    Format("voc-inclusive", read=voc.read_inclusive),
    Format("yolo", yolo.recognises, yolo.read),
):
    FORMATS.register(_format.name)(_format)


def recognised(bundle: Bundle) -> Format | None:
    """The first format, by name, that says a bundle is of its kind."""
    every = (FORMATS.get(name) for name in FORMATS.names())
    return next((one for one in every if one.read is not None and one.recognises(bundle)), None)
