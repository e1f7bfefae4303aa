"""Where faces are: detectors by name, and the one that OpenCV ships.

A detector is a function from pixels (u8[H, W, 3], RGB, upright) to boxes f32[N, 5]: x, y, width, height in px,
and a score, higher is surer, on a scale of its own. Others come in by the entry-point group `pictus.faces`.

`opencv` is OpenCV's frontal-face cascade (Viola & Jones 2001, "Rapid object detection using a boosted cascade of
simple features"; the tree of Lienhart et al. 2003): quick, from no pictures of yours, and plainly not the best. It
misses profiles, faces turned or half hidden, and those under MIN_SIDE; docs/clean.md says how often it is wrong.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pictus.errors import PictureError, UserError, clipped
from pictus.extras import need
from pictus.pixels import Pixels, decode, resize
from pictus.records import Faces
from pictus.registry import Registry

Boxes = npt.NDArray[np.float32]
Detector = Callable[[Pixels], Boxes]

DETECTORS: Registry[Detector] = Registry("face detector", "pictus.faces")

CASCADE = "haarcascade_frontalface_alt2.xml"
"""Of the four frontal cascades OpenCV ships, the one with the fewest false alarms on photographs without people
(docs/clean.md)."""
LONG_SIDE = 1_024
"""Larger pictures are looked at this small: the cost grows with the pixels, and faces of 24 px here are large there."""
MIN_SIDE = 24
"""Side of the smallest face looked for, in px of what is looked at: the cascade was trained at 20."""
FAILED = "detector-failed"
STEP = 1.1
NEIGHBOURS = 5
"""So many overlapping finds make a face; OpenCV's examples say 3 to 6."""


def find(pictures: Iterable[tuple[str, bytes]], name: str) -> list[Faces]:
    """(image_id, bytes) -> one row each, in order. What cannot be decoded gets a cause, never an exception."""
    detector = DETECTORS.get(name)
    rows = []
    for image_id, image_bytes in pictures:
        try:
            pixels = decode(image_bytes)
        except PictureError as error:
            rows.append(Faces(image_id, error.cause, 0, "[]", name))
            continue
        try:
            boxes = checked(detector(pixels), pixels, name)
        except (UserError, KeyboardInterrupt):
            raise
        except BaseException:  # noqa: BLE001  sys.exit too
            # a plugin's own failure on one picture is that picture's cause, and it is looked at again next time
            rows.append(Faces(image_id, FAILED, 0, "[]", name))
            continue
        rows.append(Faces(image_id, "", len(boxes), json.dumps(boxes), name))
    return rows


def probe(name: str) -> None:
    """Look at one grey picture, so that what is not installed or gives no boxes is told before the work begins."""
    blank = np.full((64, 64, 3), 127, np.uint8)
    checked(DETECTORS.get(name)(blank), blank, name)


def checked(found: Any, pixels: Pixels, name: str) -> list[list[float]]:  # noqa: ANN401  a plugin's answer
    """A detector's boxes as plain numbers cut to the picture, from the top; a UserError for what are no boxes."""
    try:
        boxes = np.asarray(found, np.float64).reshape(-1, 5)
        is_right = bool(np.isfinite(boxes).all())
    except (TypeError, ValueError):  # no numbers, or not five to a face: told below
        is_right = False
    if not is_right:
        raise UserError(
            f"The face detector {name!r} gave {clipped(type(found).__name__)}, not boxes f32[N, 5].",
            fix="x, y, width, height in px and a score for each face: see docs/clean.md",
        )
    height, width = pixels.shape[:2]
    left, top = boxes[:, 0].clip(0, width), boxes[:, 1].clip(0, height)
    right, bottom = (boxes[:, 0] + boxes[:, 2]).clip(0, width), (boxes[:, 1] + boxes[:, 3]).clip(0, height)
    cut = np.stack([left, top, right - left, bottom - top, boxes[:, 4]], axis=1)
    cut = cut[(cut[:, 2] > 0) & (cut[:, 3] > 0)]
    return [[round(value, 2) for value in box] for box in sorted(cut.tolist(), key=lambda box: (box[1], box[0]))]


@DETECTORS.register("opencv")
def opencv(pixels: Pixels) -> Boxes:
    """Frontal faces by OpenCV's cascade. The score is the weight of its last stage."""
    cv2, cascade = _cascade()
    scale = min(1.0, LONG_SIDE / max(pixels.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in pixels.shape[:2])
    grey = cv2.equalizeHist(cv2.cvtColor(resize(pixels, width, height), cv2.COLOR_RGB2GRAY))
    if min(grey.shape) < MIN_SIDE:
        return np.zeros((0, 5), np.float32)
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the engine has a process per core already, and one order of finds gives one result
    try:
        boxes, _, weights = cascade.detectMultiScale3(
            grey, scaleFactor=STEP, minNeighbors=NEIGHBOURS, minSize=(MIN_SIDE, MIN_SIDE), outputRejectLevels=True
        )
    finally:
        cv2.setNumThreads(threads)
    if not len(boxes):
        return np.zeros((0, 5), np.float32)
    across, down = pixels.shape[1] / width, pixels.shape[0] / height
    return np.column_stack([np.asarray(boxes) * [across, down, across, down], np.ravel(weights)]).astype(np.float32)


@functools.cache
def _cascade() -> tuple[Any, Any]:
    cv2 = need("cv2", "vision")
    path = Path(getattr(getattr(cv2, "data", None), "haarcascades", "")) / CASCADE
    cascade = cv2.CascadeClassifier(str(path)) if hasattr(cv2, "CascadeClassifier") and path.is_file() else None
    if cascade is None or cascade.empty():
        raise UserError(
            f"OpenCV {cv2.__version__} does not bring its face detector ({CASCADE}).",
            fix="pip install 'pictus[vision]'    or name another: pictus clean faces --detector NAME",
        )
    return cv2, cascade
