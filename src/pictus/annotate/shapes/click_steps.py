"""What the desk's drawing pages ask for while somebody draws: the mask that a few clicks mean."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np

from pictus import pixels
from pictus.annotate.shapes import outlines, regions, rle
from pictus.annotate.shapes.regions import Clicks
from pictus.annotate.shapes.segmenters import SEGMENTERS, Prepared, Segmenter, default_segmenter
from pictus.annotate.shapes.turns import BusyError, Turns
from pictus.errors import PictureError, UserError, clipped

VIEW_PX = 1024
"""Long side of what a segmenter sees: a prepared picture then takes at most some 5 MB."""

MOST_CLICKS = 200

__all__ = ["MOST_CLICKS", "VIEW_PX", "Asked", "BusyError", "Finder", "Turns"]

WHOLE_PX = 12_000_000
"""Only a JPEG is decoded smaller than it is. Of other pictures larger than this one is decoded at a time: of 80 million
px that takes 1.4 GB for some seconds."""

_WHOLE = threading.Lock()

_OUTLINE_PX = 1.0
_BOX = 4


class Asked(NamedTuple):
    """A picture, and what was clicked on it: [x, y, 1 for it | 0 for not it] and perhaps a box, px of the picture.

    `person`: who asks, "" for nobody in particular.
    """

    image_id: str
    clicks: Sequence[Any]
    box: Sequence[Any] | None
    person: str = ""


class _View(NamedTuple):
    height: int  # of the picture, px
    width: int
    scale: float  # px of the view for one of the picture
    state: Any  # the segmenter's own


class Finder:
    """Answers clicks, from any thread; pictures are prepared once and kept for the next click."""

    def __init__(self, name: str = "", turns: Turns | None = None) -> None:
        self._name = name or default_segmenter()
        self._segmenter: Segmenter | None = None
        self._prepared = Prepared()
        self._is_warm = False
        self._turns = turns or Turns()

    def find(self, asked: Asked, read: Callable[[], bytes]) -> dict[str, Any]:
        """The mask as {"size", "counts", "polygons", "tool"}. read: gives the file's bytes, called once per picture.

        Without clicks and box the picture is only prepared, and the answer is {}; where too many ask, nothing is done,
        and the first click does it. BusyError where too many click, or one person faster than is answered.
        """
        is_click = bool(len(asked.clicks)) or asked.box is not None
        try:
            with self._turns.turn(asked.person, is_ahead=not is_click):
                return self._found(asked, read) if is_click else self._ready(asked, read)
        except BusyError:
            if is_click:
                raise
            return {}

    def _ready(self, asked: Asked, read: Callable[[], bytes]) -> dict[str, Any]:
        """Prepared, and one click tried out: a segmenter's first one loads what it needs."""
        segmenter, view = self._view(asked, read)
        if not self._is_warm:
            self._is_warm = True
            middle = np.array([[view.width / 2, view.height / 2]]) * view.scale
            segmenter.segment(view.state, Clicks(middle, np.zeros((0, 2))))
        return {}

    def _found(self, asked: Asked, read: Callable[[], bytes]) -> dict[str, Any]:
        segmenter, view = self._view(asked, read)
        clicks = _checked(asked, view)
        mask_HW = segmenter.segment(view.state, clicks)
        whole = regions.whole(mask_HW, view.height, view.width)
        around = [[round(value / view.scale, 2) for value in one] for one in outlines.polygons(mask_HW, _OUTLINE_PX)]
        tool = self._name if self._name in ("grabcut", "regions") else ""
        return {**rle.to_json(whole), "polygons": around, "tool": tool}

    def _view(self, asked: Asked, read: Callable[[], bytes]) -> tuple[Segmenter, _View]:
        if self._segmenter is None:
            self._segmenter = SEGMENTERS.get(self._name)()
        segmenter = self._segmenter
        try:
            return segmenter, self._prepared.get(asked.image_id, lambda: _prepared(segmenter, read()))
        except PictureError as error:
            raise UserError("This picture cannot be read, so nothing can be found on it.") from error


def _prepared(segmenter: Segmenter, image_bytes: bytes) -> _View:
    header = pixels.sniff(image_bytes)
    width, height = header.upright
    scale = min(1.0, VIEW_PX / max(height, width))
    is_whole = width * height > WHOLE_PX and header.format != "jpeg"
    with _WHOLE if is_whole else nullcontext():
        found = pixels.decode_scaled(image_bytes, math.ceil(min(height, width) * scale))
    if found.shape[:2] != (height, width) or scale < 1:
        found = pixels.resize(found, max(1, round(width * scale)), max(1, round(height * scale)))
    return _View(height, width, scale, segmenter.prepare(found))


def _checked(asked: Asked, view: _View) -> Clicks:
    """What was sent, in px of the view; UserError for what lies outside the picture or is none."""
    if len(asked.clicks) > MOST_CLICKS:
        raise UserError(f"{len(asked.clicks):,} clicks are more than {MOST_CLICKS} for one thing.")
    if odd := [one for one in asked.clicks if not _is_click(one)]:
        raise UserError(f"A click is {clipped(odd[0])}.", fix="[x, y, 1] for what it is, [x, y, 0] for what it is not")
    where_C3 = np.array([list(one) for one in asked.clicks], np.float64).reshape(-1, 3)
    sides = (view.width, view.height)
    box = None
    if asked.box is not None:
        if len(asked.box) != _BOX or not all(map(_is_number, asked.box)):
            raise UserError(f"The box is {clipped(asked.box)}.", fix="[x1, y1, x2, y2] in px of the picture")
        x1, y1, x2, y2 = (float(min(max(value, 0), sides[at % 2])) for at, value in enumerate(asked.box))
        if x1 >= x2 or y1 >= y2:
            raise UserError("The box lies outside the picture, or holds nothing.")
        box = (x1 * view.scale, y1 * view.scale, x2 * view.scale, y2 * view.scale)
    if np.any(where_C3[:, :2] < 0) or np.any(where_C3[:, :2] > sides):
        raise UserError(f"A click lies outside the picture of {view.width:,} × {view.height:,} px.")
    is_it = where_C3[:, 2] == 1
    if box is None and not np.any(is_it):
        raise UserError("Click on the thing itself first, then on what is not it.")
    return Clicks(where_C3[is_it, :2] * view.scale, where_C3[~is_it, :2] * view.scale, box)


def _is_click(one: object) -> bool:
    return isinstance(one, (list, tuple)) and len(one) == 3 and all(map(_is_number, one)) and one[2] in (0, 1)  # noqa: PLR2004  x, y, sign


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e9  # noqa: PLR2004  no picture is so large; NaN is not less
