"""What the desk's drawing pages ask for while somebody draws: the mask that a few clicks mean."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np

from pictus import pixels
from pictus.annotate.shapes import outlines, regions, rle
from pictus.annotate.shapes.regions import Clicks
from pictus.annotate.shapes.segmenters import SEGMENTERS, Prepared, Segmenter, default_segmenter
from pictus.errors import PictureError, UserError, clipped

VIEW_PX = 1024
"""Long side of what a segmenter sees: a prepared picture then takes at most some 5 MB."""

MOST_CLICKS = 200

AT_ONCE = 2
"""Pictures cut up or answered at a time: each takes a processor."""

MOST_WAITING = 16
WAIT_S = 5.0
"""So many clicks wait for their turn, so long; the others are asked to try again, and the desk's pages go on."""

_OUTLINE_PX = 1.0
_BOX = 4


class BusyError(UserError):
    """Too many people click at once."""


class Asked(NamedTuple):
    """A picture, and what was clicked on it: [x, y, 1 for it | 0 for not it] and perhaps a box, px of the picture."""

    image_id: str
    clicks: Sequence[Any]
    box: Sequence[Any] | None


class _View(NamedTuple):
    height: int  # of the picture, px
    width: int
    scale: float  # px of the view for one of the picture
    state: Any  # the segmenter's own


class Turns:
    """`at_once` work; `most` more wait for `wait_s`, and whoever may not, or no longer, is told to try again.

    What is done ahead, before anybody waits for it, takes at most half of the room for waiting.
    """

    def __init__(self, at_once: int = AT_ONCE, most: int = MOST_WAITING, wait_s: float = WAIT_S) -> None:
        self._places = threading.Semaphore(at_once)
        self._clicks = threading.Semaphore(at_once + most)
        self._ahead = threading.Semaphore(at_once + most // 2)
        self._wait_s = wait_s

    @contextmanager
    def turn(self, *, is_ahead: bool) -> Iterator[None]:
        """One's turn; BusyError where there is none."""
        with _held(self._ahead if is_ahead else self._clicks, 0), _held(self._places, self._wait_s):
            yield


@contextmanager
def _held(places: threading.Semaphore, wait_s: float) -> Iterator[None]:
    if not places.acquire(timeout=wait_s):
        raise BusyError("Many people are finding things at once.", fix="try again in a moment, or draw it")
    try:
        yield
    finally:
        places.release()


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
        and the first click does it. BusyError where too many click.
        """
        is_click = bool(len(asked.clicks)) or asked.box is not None
        try:
            with self._turns.turn(is_ahead=not is_click):
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
    width, height = pixels.sniff(image_bytes).upright
    scale = min(1.0, VIEW_PX / max(height, width))
    found = pixels.decode_scaled(image_bytes, math.ceil(min(height, width) * scale))  # 80 MP whole would take 0.5 GB
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
