"""How hard a JPEG was compressed, read from its quantisation table. Pure."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from pictus.pixels import Segments

_DQT = 0xDB
_LUMINANCE = (
    16, 11, 10, 16, 24, 40, 51, 61, 12, 12, 14, 19, 26, 58, 60, 55, 14, 13, 16, 24, 40, 57, 69, 56,
    14, 17, 22, 29, 51, 87, 80, 62, 18, 22, 37, 56, 68, 109, 103, 77, 24, 35, 55, 64, 81, 104, 113, 92,
    49, 64, 78, 87, 103, 121, 120, 101, 72, 92, 95, 98, 112, 100, 103, 99,
)  # fmt: skip
"""ITU T.81 table K.1."""


def jpeg_quality(segments: Segments) -> int:
    """1 to 100 as libjpeg counts, of the first table; 0 where there is none.

    libjpeg scales table K.1 by 50 / q below 50 and by 2 - q / 50 above (jcparam.c); a table of another maker gets
    the quality whose table is nearest in the sum of its steps, in zigzag order or not: a sum knows no order.
    """
    for marker, body, _ in segments:
        if marker == _DQT and len(body) > 64:  # noqa: PLR2004  one table: its number and 64 steps
            steps = body[1:65] if body[0] < 16 else body[1:129]  # noqa: PLR2004  16-bit steps
            return _nearest(steps, 1 if body[0] < 16 else 2)  # noqa: PLR2004
    return 0


@lru_cache(maxsize=256)
def _nearest(steps: bytes, size: int) -> int:
    total = sum(int.from_bytes(steps[at : at + size], "big") for at in range(0, len(steps), size))
    return int(np.abs(_totals() - total).argmin()) + 1


@lru_cache(maxsize=1)
def _totals() -> npt.NDArray[np.int64]:
    """The sum of the table's steps at each quality from 1 to 100; it falls from one to the next."""
    quality = np.arange(1, 101)[:, None]
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)  # noqa: PLR2004
    totals: npt.NDArray[np.int64] = np.clip((np.array(_LUMINANCE) * scale + 50) // 100, 1, 255).sum(axis=1)
    return totals
