from __future__ import annotations

import io
import os
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from pictus.collect.resizing import made_small
from pictus.errors import PictureError
from pictus.pixels import decode, encode_jpeg, resize, sniff

MakeJpeg = Callable[..., bytes]
LANCZOS = Image.Resampling.LANCZOS
REAL = Path(os.environ.get("PICTUS_REAL_DATA", Path(__file__).parents[3] / "shared" / "data"))


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


def reference(image_bytes: bytes, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Decoded whole, made small in floating point by a Lanczos window."""
    pixels = decode(image_bytes).astype(np.float32)
    planes = [Image.fromarray(np.ascontiguousarray(pixels[:, :, c])).resize(size, LANCZOS) for c in range(3)]
    made: npt.NDArray[np.float32] = np.clip(np.dstack([np.asarray(plane) for plane in planes]), 0, 255)
    return made


def psnr(pixels: npt.NDArray[np.uint8], expected: npt.NDArray[np.float32]) -> float:
    """Decibels of the largest possible error."""
    return float(10 * np.log10(255**2 / np.mean((pixels - expected) ** 2)))


@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("size", [(500, 375), (500, 333), (611, 401), (1024, 768), (263, 400), (2000, 1300)])
def test_small_pictures_lie_where_the_large_ones_lay(size: tuple[int, int], subsampling: int) -> None:
    """Edges and colours are neither shifted nor blurred: a pixel's shift of colour at one edge costs 5 dB here."""
    x, y = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    waves = [127 + 100 * np.sin(x / a) * np.cos(y / b) for a, b in ((9, 13), (17, 11), (23, 19))]
    buffer = io.BytesIO()
    Image.fromarray(np.dstack(waves).astype(np.uint8)).save(buffer, "JPEG", quality=95, subsampling=subsampling)
    made, _ = made_small(buffer.getvalue(), 256)
    expected = reference(buffer.getvalue(), sniff(made).upright)
    best = psnr(decode(encode_jpeg(expected.round().astype(np.uint8))), expected)
    assert psnr(decode(made), expected) > best - 3.5


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_other_colours_and_orientations_are_made_small_too(mode: str) -> None:
    x, y = np.meshgrid(np.linspace(0, 255, 600), np.linspace(0, 255, 450))
    picture = Image.fromarray(np.dstack([x, y, 255 - x]).astype(np.uint8)).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=95, exif=exif)
    made, said = made_small(buffer.getvalue(), 256)
    assert (sniff(made).width, sniff(made).height, said) == (256, 341, "resized from 450x600")
    assert psnr(decode(made), reference(buffer.getvalue(), (256, 341))) > 35


def test_photographs_are_as_good_as_img2dataset_makes_them() -> None:
    """Mean PSNR of 40 photographs against the reference, beside OpenCV's INTER_AREA at the same JPEG quality."""
    cv2 = pytest.importorskip("cv2", reason="img2dataset's way needs OpenCV")
    archive = REAL / "imagenet_photos_240" / "imagenet_photos_240.tar"
    if not archive.exists():
        pytest.skip("PICTUS_REAL_DATA has no imagenet_photos_240")
    ours: list[float] = []
    theirs: list[float] = []
    with tarfile.open(archive) as members:
        photos = [members.extractfile(member) for member in members if member.name.endswith(".JPEG")]
        for photo in photos:
            assert photo is not None
            image_bytes = photo.read()
            made, done = made_small(image_bytes, 256)
            if not done or len(ours) == 40:
                continue
            size = sniff(made).width, sniff(made).height
            expected = reference(image_bytes, size)
            ours.append(psnr(decode(made), expected))
            area = cv2.resize(decode(image_bytes)[:, :, ::-1], size, interpolation=cv2.INTER_AREA)
            _, coded = cv2.imencode(".jpg", area, [cv2.IMWRITE_JPEG_QUALITY, 90])
            theirs.append(psnr(decode(coded.tobytes()), expected))
    assert np.mean(ours) > np.mean(theirs)
