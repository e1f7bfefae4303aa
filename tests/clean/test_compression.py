"""The quality that libjpeg was told is read back from the table it wrote."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from pictus.clean.compression import jpeg_quality
from pictus.pixels import jpeg_segments


def saved(**options: object) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(buffer, "JPEG", **options)
    return buffer.getvalue()


@pytest.mark.parametrize("quality", [1, 5, 10, 24, 25, 49, 50, 51, 75, 88, 95, 99, 100])
@pytest.mark.parametrize("kind", [{}, {"progressive": True}, {"optimize": True}])
def test_pillows_quality_is_read_back(quality: int, kind: dict[str, bool]) -> None:
    found = jpeg_quality(list(jpeg_segments(saved(quality=quality, **kind))))
    assert abs(found - quality) <= (quality < 5)  # at 1 and 2 nearly every step is 255


def test_another_makers_table_gets_the_nearest_quality() -> None:
    # Flat: 64 × 16 = 1,024. K.1 sums to 3,688; at 86 it is scaled by 0.28, to 1,032 and its rounding: the nearest.
    table = [16] * 64
    assert jpeg_quality(list(jpeg_segments(saved(qtables=[table, table])))) == 86


def test_no_table_is_no_quality() -> None:
    assert jpeg_quality([]) == 0
    assert jpeg_quality([(0xDB, b"\0short", 10)]) == 0
