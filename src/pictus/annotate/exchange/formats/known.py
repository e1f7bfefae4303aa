"""The formats that Pictus brings, and which of all a bundle is in."""

from __future__ import annotations

from pictus.annotate.exchange.formats import (
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
from pictus.annotate.exchange.formats.contents import FORMATS, Format
from pictus.annotate.exchange.formats.documents import Bundle

for _format in (
    Format(name="boxes", recognises=box_tables.recognises, read=box_tables.read),
    Format(
        name="coco", recognises=coco.recognises, read=coco.read, pictures=coco.pictures,
        writes={"marks": coco.write, "shapes": coco.write},
    ),
    Format(name="csv", writes=spreadsheets.WRITES),
    Format(
        name="cvat", recognises=cvat.recognises, read=cvat.read,
        writes=dict.fromkeys(("votes", "labels", "marks", "shapes"), cvat.write),
    ),
    Format(name="hits", recognises=hits.recognises, read=hits.read, writes={"tasks": hits.write}),
    Format(
        name="label-studio", recognises=label_studio.recognises, read=label_studio.read, writes=label_studio.WRITES
    ),
    Format(name="labelme", recognises=labelme.recognises, read=labelme.read),
    Format(
        name="mturk", recognises=mturk.recognises, is_ours=mturk.is_ours, read=mturk.read,
        writes={"votes": mturk.write_votes, "tasks": mturk.write_tasks},
    ),
    Format(name="tfrecord", recognises=tfrecord.recognises, read=tfrecord.read),
    Format(
        name="toloka", recognises=toloka.recognises, is_ours=toloka.is_ours, read=toloka.read,
        writes={"votes": toloka.write_votes, "tasks": toloka.write_tasks},
    ),
    Format(name="voc", recognises=voc.recognises, read=voc.read, writes={"marks": voc.write, "shapes": voc.write}),
    Format(name="voc-edges", read=voc.read_edges),
    Format(name="voc-inclusive", read=voc.read_inclusive),
    Format(name="yolo", recognises=yolo.recognises, read=yolo.read, writes={"marks": yolo.write, "shapes": yolo.write}),
):
    FORMATS.register(_format.name)(_format)


def recognised(bundle: Bundle) -> Format | None:
    """The first format, by name, that says a bundle is of its kind."""
    every, _ = FORMATS.usable()
    return next((one for one in every.values() if one.read is not None and one.recognises(bundle)), None)


def readable() -> str:
    """The names of the formats that can be read, for messages."""
    return ", ".join(name for name, one in FORMATS.usable()[0].items() if one.read)


def broken() -> tuple[str, ...]:
    """What is to be told of formats of other packages that cannot be imported."""
    return FORMATS.usable()[1]
