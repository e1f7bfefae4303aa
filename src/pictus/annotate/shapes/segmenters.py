"""From a few clicks to a mask: the plug-in point, two segmenters that need no weights, and a cache of what is prepared.

A segmenter is a class without arguments: `prepare(pixels)` does what can be done before the first click (a network's
embedding, regions), `segment(state, clicks)` answers a click in well under 200 ms. A package brings another one by an
entry point in the group `pictus.segmenters`.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.shapes import regions
from pictus.annotate.shapes.regions import Clicks, Regions
from pictus.extras import need
from pictus.pixels import Pixels
from pictus.registry import Registry

Mask = NDArray[np.bool_]

CROP_PX = 160
"""Long side of the crop that GrabCut works on: one click takes about 40 ms there (`benchmarks/shapes.py`)."""

_AROUND = 0.6
"""Of the thing's size so much is looked at beside it: room for GrabCut to see what is not the thing."""

_DISC_PX = 3
_ROUNDS = 2
_LEAST_SHARE = 0.3
"""GrabCut sometimes shrinks to the click itself: with less than this share of the regions' mask, theirs is taken."""

_SURE_NO, _SURE_YES, _PERHAPS_NO, _PERHAPS_YES = range(4)
"""OpenCV's GC_BGD, GC_FGD, GC_PR_BGD, GC_PR_FGD."""


class Segmenter(Protocol):
    """What a plug-in is. States are only handed back to the segmenter that made them; several threads may do so."""

    def prepare(self, pixels: Pixels) -> Any:  # noqa: ANN401  the segmenter's own
        """u8[H, W, 3] -> whatever helps to answer clicks on this picture."""
        ...

    def segment(self, state: Any, clicks: Clicks) -> Mask:  # noqa: ANN401  as above
        """bool[H, W] of the prepared picture's size."""
        ...


SEGMENTERS: Registry[Callable[[], Segmenter]] = Registry("segmenter", "pictus.segmenters")


@SEGMENTERS.register("regions")
class RegionSegmenter:
    """Regions of like colour and the cheapest ways between them; needs nothing but what Pictus has."""

    def prepare(self, pixels: Pixels) -> Regions:
        return regions.prepared(pixels)

    def segment(self, state: Regions, clicks: Clicks) -> Mask:
        return regions.segmented(state, clicks)


class _Cut(NamedTuple):
    regions: Regions
    pixels: Pixels


@SEGMENTERS.register("grabcut")
class GrabCut:
    """OpenCV's GrabCut (Rother et al. 2004) on the crop around what `regions` finds, which says where to begin."""

    def __init__(self) -> None:
        self._cv2 = need("cv2", "vision")

    def prepare(self, pixels: Pixels) -> _Cut:
        return _Cut(regions.prepared(pixels), pixels)

    def segment(self, state: _Cut, clicks: Clicks) -> Mask:
        first = regions.segmented(state.regions, clicks)
        x1, y1, x2, y2 = _crop(first, clicks)
        height, width = y2 - y1, x2 - x1
        scale = min(1.0, CROP_PX / max(height, width))
        size = max(4, round(width * scale)), max(4, round(height * scale))
        view = self._cv2.resize(state.pixels[y1:y2, x1:x2], size, interpolation=self._cv2.INTER_AREA)
        begin = self._cv2.resize(first[y1:y2, x1:x2].astype(np.uint8), size, interpolation=self._cv2.INTER_NEAREST)
        trimap = np.where(begin > 0, _PERHAPS_YES, _PERHAPS_NO).astype(np.uint8)
        if clicks.box:
            trimap[~_within(clicks.box, (x1, y1), scale, trimap.shape)] = _SURE_NO
        for points, value in ((clicks.negative, _SURE_NO), (clicks.positive, _SURE_YES)):
            for x, y in points:
                self._cv2.circle(trimap, (int((x - x1) * scale), int((y - y1) * scale)), _DISC_PX, value, -1)
        is_thing = trimap % 2 == 1
        if is_thing.any() and not is_thing.all():
            models = np.zeros((1, 65)), np.zeros((1, 65))
            self._cv2.setRNGSeed(0)  # k-means of the colours begins at random: the same clicks give the same mask
            self._cv2.grabCut(view, trimap, None, *models, _ROUNDS, self._cv2.GC_INIT_WITH_MASK)
            is_thing = trimap % 2 == 1
        found = np.zeros_like(first)
        found[y1:y2, x1:x2] = regions.enlarged(is_thing, height, width)
        found = regions.held(found, clicks)
        return found if found.sum() >= _LEAST_SHARE * first.sum() else first


class Prepared:
    """Prepared states, the least lately used forgotten first; each is made once, however many ask at a time."""

    def __init__(self, most: int = 32) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._states: OrderedDict[object, Any] = OrderedDict()
        self._making: dict[object, threading.Lock] = {}

    def get(self, key: object, make: Callable[[], Any]) -> Any:  # noqa: ANN401  whatever was made
        """The state under `key`, made now if it is not there."""
        with self._lock:
            if key in self._states:
                self._states.move_to_end(key)
                return self._states[key]
            making = self._making.setdefault(key, threading.Lock())
        with making:
            with self._lock:
                if key in self._states:
                    return self._states[key]
            try:
                state = make()
                with self._lock:
                    self._states[key] = state
                    while len(self._states) > self._most:
                        self._states.popitem(last=False)
            finally:  # after it is there: whoever comes from now on finds it, or no trace of it
                with self._lock:
                    self._making.pop(key, None)
            return state

    def __len__(self) -> int:
        return len(self._states)


def default_segmenter() -> str:
    """`grabcut` where OpenCV is installed (extra `vision`), else `regions`."""
    return "grabcut" if find_spec("cv2") else "regions"


def _crop(first: Mask, clicks: Clicks) -> tuple[int, int, int, int]:
    """The part of the picture that is looked at: around the first mask, the positive clicks and the box."""
    y, x = np.nonzero(first)
    places = [np.stack([x, y], axis=1).astype(np.float64), clicks.positive]
    if clicks.box:
        places.append(np.array(clicks.box).reshape(2, 2))
    around = np.concatenate(places)
    low, high = around.min(axis=0), around.max(axis=0) + 1
    margin = _AROUND * float((high - low).max()) + 2 * _DISC_PX
    height, width = first.shape
    x1, y1 = (max(0, int(value - margin)) for value in low)
    return x1, y1, min(width, int(high[0] + margin)), min(height, int(high[1] + margin))


def _within(
    box: tuple[float, float, float, float], origin: tuple[int, int], scale: float, shape: tuple[int, ...]
) -> Mask:
    x, y = np.arange(shape[1]) / scale + origin[0], np.arange(shape[0]) / scale + origin[1]
    return ((y >= box[1]) & (y < box[3]))[:, None] & ((x >= box[0]) & (x < box[2]))[None, :]
