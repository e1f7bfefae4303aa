"""What of a picture can be found again in a crop, a turned or an overlaid copy. Pure: bytes in, features out.

Points and codes: ORB (Rublee et al. 2011: FAST corners on 8 scales, ranked by Harris' measure, rotated BRIEF of
256 bits) of the luma view, its long side brought to 256 px, slightly blurred, so that a thumbnail has the
corners of its original. CODES of the picture as it is and MIRRORED_CODES of its mirror image: BRIEF's
pairs have no mirror image among themselves.

Turns: the PDQ hashes of the picture in its eight positions, from one transform, as Meta defines them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus import hashes
from pictus.errors import PictureError
from pictus.extras import need
from pictus.pixels import MAX_PIXELS, Header, decode_known, sniff
from pictus.records import Features

SIDE = 256
LEAST_SIDE = 64
"""Smaller pictures, enlarged, have only their pixels' own corners: they are left to the hashes."""
CODES, MIRRORED_CODES = 96, 48
"""64 and 80 codes lose 2 and 1 of 60 crops by 25 %; half of them is enough for a mirror image, which is rarer."""
CODE_BYTES = 32
POINT_STEP = 64
"""Points are kept in 64ths of a pixel of the view."""

_EDGE = 20  # px without corners along the sides; ORB's own 31 leaves little of a view of 256
_CORNER = 7  # levels of luma a corner stands out by; ORB's own 20 finds none in a dim or hazy picture
_BLUR = 0.8  # px, about what JPEG at quality 30 and a reduction to a quarter leave of a corner
_VIEW_SIDE = 240  # the view of measurements.py: the turns are taken of the same pixels as `pdq`


class View(NamedTuple):
    """`luma`: the picture upright, long side SIDE px (smaller ones than LEAST_SIDE as they are)."""

    luma: hashes.Luma
    width: int  # of the whole picture, upright
    height: int


def describe(pictures: Iterable[tuple[str, bytes]], *, max_pixels: int = MAX_PIXELS) -> list[Features]:
    """(image_id, bytes) -> one row each, in order; no codes and a cause for what cannot be decoded.

    The same picture gives the same row alone and in any batch.
    """
    cv2 = need("cv2", "vision")
    cv2.setNumThreads(1)
    finder = cv2.ORB_create(CODES, edgeThreshold=_EDGE, fastThreshold=_CORNER)
    return [_row(cv2, finder, image_id, image_bytes, max_pixels) for image_id, image_bytes in pictures]


def view(image_bytes: bytes, *, max_pixels: int = MAX_PIXELS) -> View:
    """The luma that features are taken from and likeness is proved on. Raises PictureError."""
    cv2 = need("cv2", "vision")
    header = sniff(image_bytes, max_pixels=max_pixels)
    grey, _ = _luma(cv2, image_bytes, header)
    return View(_fitted(cv2, grey), *header.upright)


def _row(cv2: Any, finder: Any, image_id: str, image_bytes: bytes, max_pixels: int) -> Features:  # noqa: ANN401
    try:
        header = sniff(image_bytes, max_pixels=max_pixels)
        grey, factor = _luma(cv2, image_bytes, header)
    except PictureError as error:
        return Features(image_id, error.cause, 0, 0, b"", b"", b"", b"", b"", 0)
    turns, quality = hashes.pdq_turns(hashes.decimate(grey, *header.upright, factor)[None])
    luma = _fitted(cv2, grey)
    points, codes = _codes(cv2, finder, luma, CODES)
    mirrored_points, mirrored_codes = _codes(cv2, finder, np.ascontiguousarray(luma[:, ::-1]), MIRRORED_CODES)
    return Features(
        image_id, "", luma.shape[1], luma.shape[0], points, codes, mirrored_points, mirrored_codes,
        turns[0].tobytes(), int(quality[0]),
    )  # fmt: skip


def _luma(cv2: Any, image_bytes: bytes, header: Header) -> tuple[hashes.Luma, int]:  # noqa: ANN401
    """The picture's luma at 1 / factor, long side at least 240 px where it has them."""
    long_side = max(header.width, header.height)
    factor = next((factor for factor in (8, 4, 2) if long_side >= factor * _VIEW_SIDE), 1)
    grey: hashes.Luma = cv2.cvtColor(decode_known(image_bytes, header, factor=factor), cv2.COLOR_RGB2GRAY)
    return grey, factor


def _fitted(cv2: Any, grey: hashes.Luma) -> hashes.Luma:  # noqa: ANN401
    long_side = max(grey.shape)
    if long_side == SIDE or long_side < LEAST_SIDE:
        return grey
    size = max(1, round(grey.shape[1] * SIDE / long_side)), max(1, round(grey.shape[0] * SIDE / long_side))
    fitted: hashes.Luma = cv2.resize(
        grey, size, interpolation=cv2.INTER_AREA if long_side > SIDE else cv2.INTER_CUBIC
    )
    return fitted


def _codes(cv2: Any, finder: Any, luma: hashes.Luma, most: int) -> tuple[bytes, bytes]:  # noqa: ANN401
    """Points u16[n, 2] (x, y in 64ths of a px) and codes u8[n, 32], the strongest corners first."""
    if max(luma.shape) < LEAST_SIDE or min(luma.shape) <= 2 * _EDGE:
        return b"", b""
    corners, codes = finder.detectAndCompute(cv2.GaussianBlur(luma, (0, 0), _BLUR), None)
    if codes is None:
        return b"", b""
    place = np.array([corner.pt for corner in corners], dtype=np.float64)
    strength = np.array([corner.response for corner in corners])
    order = np.lexsort((place[:, 0], place[:, 1], -strength))[:most]
    points: npt.NDArray[np.uint16] = np.round(place[order] * POINT_STEP).astype(np.uint16)
    return points.tobytes(), np.ascontiguousarray(codes[order]).tobytes()
