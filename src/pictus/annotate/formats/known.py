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
    spreadsheets,
    tfrecord,
    toloka,
    voc,
    yolo,
)
from pictus.annotate.formats.contents import FORMATS, Format
from pictus.annotate.formats.documents import Bundle

for _format in (
    Format("boxes", box_tables.recognises, box_tables.read),
    Format("coco", coco.recognises, coco.read, {"marks": coco.write, "shapes": coco.write}),
    Format("csv", writes=spreadsheets.WRITES),
    Format("cvat", cvat.recognises, cvat.read, dict.fromkeys(("votes", "labels", "marks", "shapes"), cvat.write)),
    Format("hits", hits.recognises, hits.read, {"tasks": hits.write}),
    Format("label-studio", label_studio.recognises, label_studio.read, label_studio.WRITES),
    Format("labelme", labelme.recognises, labelme.read),
    Format("mturk", mturk.recognises, mturk.read, {"votes": mturk.write_votes, "tasks": mturk.write_tasks}),
    Format("tfrecord", tfrecord.recognises, tfrecord.read),
    Format("toloka", toloka.recognises, toloka.read, {"votes": toloka.write_votes, "tasks": toloka.write_tasks}),
    Format("voc", voc.recognises, voc.read, {"marks": voc.write, "shapes": voc.write}),
    Format("voc-edges", read=voc.read_edges),
    Format("voc-inclusive", read=voc.read_inclusive),
    Format("yolo", yolo.recognises, yolo.read, {"marks": yolo.write, "shapes": yolo.write}),
):
    FORMATS.register(_format.name)(_format)


def recognised(bundle: Bundle) -> Format | None:
    """The first format, by name, that says a bundle is of its kind."""
    every = (FORMATS.get(name) for name in FORMATS.names())
    return next((one for one in every if one.read is not None and one.recognises(bundle)), None)
