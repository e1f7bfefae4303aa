"""Pictures made small while they are fetched, for those who want no more than a network will see.

What most JPEGs hold, Y and Cb and Cr, is decoded, made small and coded again without becoming RGB in between; the
two colours go straight to the half size at which they are coded. Pillow and libjpeg-turbo count in whole
numbers here, so that every machine makes the same bytes.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

import numpy as np

from pictus.errors import PictureError
from pictus.pixels import Header, Pixels, Segments, coded_as_ycc, decode_scaled, encode_jpeg, jpeg_segments, sniff

if TYPE_CHECKING:
    from PIL import Image

QUALITY = 90

MAX_SIDE = 65_500
"""Of a JPEG, by libjpeg."""

_EIGHTHS = (1, 2, 4, 8)
"""Of its size, at which a JPEG is decoded. libjpeg-turbo is fast at these only: 8/8 costs less than 6/8."""


def made_small(image_bytes: bytes, short_side: int) -> tuple[bytes, str]:
    """(bytes, what was done): a JPEG whose short side is `short_side` px; bytes as they are where it is no longer.

    PictureError for what cannot be decoded: what is not kept as it came must be a picture now.
    """
    segments = list(jpeg_segments(image_bytes)) if image_bytes[:2] == b"\xff\xd8" else None
    header = sniff(image_bytes, segments=segments)
    width, height = header.upright
    if min(width, height) <= short_side:
        return image_bytes, ""
    scale = short_side / min(width, height)
    small = max(1, round(width * scale)), max(1, round(height * scale))
    if max(small) > MAX_SIDE:
        raise PictureError("too-many-pixels", f"{small[0]}x{small[1]} once small; a JPEG has {MAX_SIDE:,} a side")
    made = None
    if segments and header.mode == "RGB" and header.orientation == 1:
        made = _planes_small(image_bytes, segments, header, small)
    if made is None:
        made = encode_jpeg(_sharp(decode_scaled(image_bytes, short_side), small), QUALITY)
    return made, f"resized from {width}x{height}"


def _planes_small(image_bytes: bytes, segments: Segments, header: Header, small: tuple[int, int]) -> bytes | None:
    """An upright JPEG of Y, Cb and Cr; None for another, and for one that `decode_scaled` must judge."""
    import simplejpeg  # noqa: PLC0415  0.02 s that --help does not pay

    coded = coded_as_ycc(image_bytes, segments)
    if coded is None:
        return None
    (width, height), (small_width, small_height) = (header.width, header.height), small
    n = next(n for n in _EIGHTHS if -(-width * n // 8) >= small_width and -(-height * n // 8) >= small_height)
    try:
        pixels = simplejpeg.decode_jpeg(coded, "RGB", min_width=-(-width * n // 8), min_height=-(-height * n // 8))
    except ValueError:
        return None  # `decode_scaled` tells what can be forgiven, and what cannot
    if pixels.shape[:2] != (-(-height * n // 8), -(-width * n // 8)):
        return None  # another libjpeg, which scales otherwise
    shown = width * n / 8, height * n / 8  # the rest of the last column and row is behind the picture's edge
    luma = _plane(pixels, 0).resize(small, _filter("BICUBIC"), box=(0, 0, *shown))
    half = (small_width + 1) // 2, (small_height + 1) // 2
    reach = shown[0] * 2 * half[0] / small_width, shown[1] * 2 * half[1] / small_height  # of an odd side one pixel more
    colours = []
    for which in (1, 2):
        plane = _plane(pixels, which, ceil(reach[0]), ceil(reach[1])).reduce(2)
        box = 0, 0, min(reach[0] / 2, plane.width), min(reach[1] / 2, plane.height)
        colours.append(np.asarray(plane.resize(half, _filter("HAMMING"), box=box)))
    made: bytes = simplejpeg.encode_jpeg_yuv_planes(np.asarray(luma), *colours, quality=QUALITY)
    return made


def _plane(pixels: Pixels, which: int, width: int = 0, height: int = 0) -> "Image.Image":
    """One of the planes, its last column and row repeated up to this size."""
    from PIL import Image  # noqa: PLC0415  0.05 s that --help does not pay

    plane = np.ascontiguousarray(pixels[:, :, which])
    more = max(0, height - plane.shape[0]), max(0, width - plane.shape[1])
    return Image.fromarray(np.pad(plane, ((0, more[0]), (0, more[1])), "edge") if any(more) else plane)


def _filter(name: str) -> "Image.Resampling":
    from PIL import Image  # noqa: PLC0415

    return Image.Resampling[name]


def _sharp(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    from PIL import Image  # noqa: PLC0415

    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC))
