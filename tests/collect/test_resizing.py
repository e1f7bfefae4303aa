from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pictus.collect.resizing import made_small
from pictus.errors import PictureError
from pictus.pixels import decode, encode_jpeg, resize, sniff

MakeJpeg = Callable[..., bytes]


@pytest.mark.parametrize(
    ("width", "height", "small"), [(500, 375, (341, 256)), (400, 1200, (256, 768)), (257, 999, (256, 995))]
)
def test_the_short_side_is_what_was_asked_for(
    make_jpeg: MakeJpeg, width: int, height: int, small: tuple[int, int]
) -> None:
    made, said = made_small(make_jpeg(width=width, height=height), 256)
    header = sniff(made)
    assert (header.format, header.width, header.height) == ("jpeg", *small)
    assert said == f"resized from {width}x{height}"


def test_small_pictures_are_kept_as_they_came(make_jpeg: MakeJpeg) -> None:
    for side in (48, 256):
        image_bytes = make_jpeg(width=side, height=side + 20)
        assert made_small(image_bytes, 256) == (image_bytes, "")


def test_a_small_picture_shows_the_same(make_jpeg: MakeJpeg) -> None:
    """Within 2 grey levels of decoding all of it and resizing that: the scaled decode is no other picture."""
    x, y = np.meshgrid(np.linspace(0, 255, 600), np.linspace(0, 255, 450))
    image_bytes = encode_jpeg(np.dstack([x, y, 255 - x]).astype(np.uint8), 95)
    made, _ = made_small(image_bytes, 256)
    expected = resize(decode(image_bytes), 341, 256)
    assert np.abs(decode(made).astype(int) - expected).mean() < 2


def test_what_is_no_picture_is_refused(make_jpeg: MakeJpeg) -> None:
    with pytest.raises(PictureError):
        made_small(b"<html>", 256)
    with pytest.raises(PictureError, match="truncated"):
        made_small(make_jpeg(width=600, height=600)[:4000], 256)
