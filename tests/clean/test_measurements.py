"""One picture measured: values worked out by hand, failures as causes, real photos right."""

from __future__ import annotations

import csv
import io
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFilter

from pictus.clean import measurements
from pictus.pixels import decode
from pictus.records import Check

MakeJpeg = Callable[..., bytes]


def measure(image_id: str, image_bytes: bytes, **options: int) -> Check:
    (row,) = measurements.measure([(image_id, image_bytes)], **options)
    return row


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def measured(pixels: np.ndarray) -> Check:
    return measure("x", saved(Image.fromarray(pixels.astype(np.uint8))))


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(np.asarray(values)[:, :, None], 3, axis=2)


def test_half_black_half_white_has_one_bit_and_mean_and_spread_of_127_5() -> None:
    values = np.zeros((10, 20))
    values[:, 10:] = 255
    found = measured(grey(values))
    assert (found.entropy, found.brightness, found.contrast) == (1.0, 127.5, 127.5)
    assert (found.width, found.height, found.aspect, found.grey_frac) == (20, 10, 2.0, 1.0)
    assert found.cause == ""


def test_a_blank_picture_measures_zero() -> None:
    found = measured(grey(np.full((30, 30), 200)))
    assert (found.entropy, found.contrast, found.sharpness, found.pdq_quality) == (0.0, 0.0, 0.0, 0)
    assert found.brightness == 200.0
    assert found.pdq == bytes(32)


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    # One white pixel in 5 × 5: the 3 × 3 inner Laplacian is -4 v at it, v at its 4 neighbours, 0 at 4 corners.
    # With v = 100: sum 0, squares 160000 + 4 × 10000 = 200000, over 9 pixels.
    values = np.zeros((5, 5))
    values[2, 2] = 100
    assert measured(grey(values)).sharpness == pytest.approx(200_000 / 9)
    assert measured(grey(values[:2])).sharpness == 0.0  # no pixel has four neighbours


def test_sharpness_means_the_same_at_any_size() -> None:
    tiles = Image.fromarray(np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8))
    small, large = (tiles.resize(size, Image.Resampling.NEAREST) for size in ((512, 384), (1024, 768)))
    once, twice = (measure("x", saved(picture)).sharpness for picture in (small, large))
    assert once == pytest.approx(twice, rel=0.01)
    blurred = measure("x", saved(large.filter(ImageFilter.GaussianBlur(10)))).sharpness
    assert blurred < 30 < once  # 10 px are 1 % of the long side: what the rule calls blurred


def test_colour_is_counted_by_the_pixel() -> None:
    pixels = grey(np.full((64, 64), 90))
    pixels[:, :16] = (200, 10, 10)  # a quarter is red
    pixels[0, 63] = (90, 97, 90)  # within the tolerance of 8 levels
    assert measured(pixels).grey_frac == 0.75
    large = np.kron(pixels, np.ones((5, 5, 1)))
    assert measured(large).grey_frac == pytest.approx(0.75, abs=0.02)  # counted on a grid of at most 64


def test_equal_pixels_have_equal_hashes_in_any_container() -> None:
    image = Image.fromarray(np.arange(40 * 30 * 3, dtype=np.uint32).reshape(30, 40, 3).astype(np.uint8))
    found = [measure("x", saved(image, kind)) for kind in ("PNG", "BMP", "TIFF")]
    found.append(measure("x", saved(image, "WEBP", lossless=True)))
    assert len({(one.pixel_sha256, one.phash, one.dhash, one.pdq) for one in found}) == 1


def test_a_turned_picture_is_measured_upright(make_jpeg: MakeJpeg) -> None:
    upright = Image.open(io.BytesIO(make_jpeg(60, 40)))
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    turned = saved(upright.transpose(Image.Transpose.ROTATE_90), exif=exif)
    assert measure("x", turned) == replace(measure("x", saved(upright)), metadata=("exif",))


def test_what_cannot_be_decoded_has_a_cause_and_zeros(make_jpeg: MakeJpeg) -> None:
    whole = make_jpeg(300, 200)
    cut = measure("x", whole[: len(whole) // 2])
    assert (cut.cause, cut.width, cut.height, cut.aspect) == ("truncated", 300, 200, 1.5)
    assert (cut.entropy, cut.pixel_sha256, cut.pdq) == (0.0, "", bytes(32))
    page = measure("x", b"<html>404</html>")
    assert (page.cause, page.width, page.aspect) == ("not-an-image", 0, 0.0)
    assert measure("x", b"").cause == "empty"
    assert measure("x", whole, max_pixels=1000).cause == "too-many-pixels"


def test_odd_kinds_are_measured() -> None:
    colour = Image.new("RGB", (40, 30), (180, 40, 40))
    assert measure("x", saved(colour.convert("CMYK"), "JPEG")).cause == ""
    sixteen = Image.fromarray(np.full((30, 40), 40_000, dtype=np.uint16))
    assert measure("x", saved(sixteen)).brightness == 156  # 40000 // 256
    moving = saved(colour, "GIF", save_all=True, append_images=[Image.new("RGB", (40, 30), "blue")])
    assert measure("x", moving).is_animated
    assert not measure("x", saved(colour, "GIF")).is_animated


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (2, 3), (4, 5), (5000, 6)])
def test_strange_shapes_are_measured(size: tuple[int, int]) -> None:
    found = measure("x", saved(Image.effect_noise(size, 60).convert("RGB")))
    assert (found.cause, found.width, found.height) == ("", *size)
    assert found.aspect == max(size) / min(size)


def test_measuring_twice_gives_the_same_bits(make_jpeg: MakeJpeg) -> None:
    image_bytes = make_jpeg(333, 222, seed=9)
    assert measure("x", image_bytes) == measure("x", image_bytes)
    batch = [("a", make_jpeg(90, 500)), ("x", image_bytes), ("b", b"no picture"), ("y", image_bytes)]
    rows = measurements.measure(batch)
    assert [row.image_id for row in rows] == ["a", "x", "b", "y"]
    assert rows[1] == replace(rows[3], image_id="x") == measure("x", image_bytes)
    assert rows[2].cause == "not-an-image"
    assert measurements.measure([]) == []
    many = [*batch, *((str(seed), make_jpeg(300, 200, seed=seed)) for seed in range(12))]
    assert measurements.measure(many, threads=3) == measurements.measure(many)


def test_a_photo_measured_small_measures_as_it_does_whole(make_jpeg: MakeJpeg) -> None:
    """Measured at 1/4 (JPEG, DCT-scaled) and as a PNG of the same pixels (averaged): nearly the same numbers."""
    image_bytes = make_jpeg(1000, 700, seed=5)
    small, whole = measure("x", image_bytes), measure("x", saved(Image.fromarray(decode(image_bytes))))
    assert (small.width, small.height) == (1000, 700)
    for name in ("entropy", "brightness", "contrast", "grey_frac"):
        assert getattr(small, name) == pytest.approx(getattr(whole, name), rel=0.02, abs=0.01), name
    assert small.sharpness == pytest.approx(whole.sharpness, rel=0.2)
    assert (small.phash ^ whole.phash).bit_count() + (small.dhash ^ whole.dhash).bit_count() <= 2
    assert (int.from_bytes(small.pdq, "big") ^ int.from_bytes(whole.pdq, "big")).bit_count() <= 8


@pytest.mark.real_data
def test_pdq_of_the_view_stays_within_metas_tolerance(real_data: Callable[[str], Path]) -> None:
    """Right is who is within 10 bits of the published hashes of quality >= 80 (Meta's pdq/README.md)."""
    folder = real_data("near_duplicates") / "pdq"
    distances = []
    for row in csv.DictReader((folder / "expected_pdq_hashes.csv").read_text().splitlines()):
        found = measure("x", (folder / row["file"]).read_bytes())
        assert found.pdq_quality == int(row["quality"])
        distances.append((int.from_bytes(found.pdq, "big") ^ int(row["pdq_hex"], 16)).bit_count())
    assert sorted(distances) == [0, 0, 0, 2, 4, 4, 4, 4, 4, 4, 4, 6, 6, 6, 6, 8, 8, 8, 8, 10]


@pytest.mark.real_data
def test_real_photos_are_measured_right(real_data: Callable[[str], Path]) -> None:
    """The data set's own README: 240 photos, 23 stored as grey, sizes from 68 px to 2400 px."""
    checks, stored_grey = [], []
    with tarfile.open(real_data("imagenet_photos_240") / "imagenet_photos_240.tar") as archive:
        for member in archive:
            opened = archive.extractfile(member) if member.name.lower().endswith((".jpg", ".jpeg")) else None
            if opened:
                image_bytes = opened.read()
                header = Image.open(io.BytesIO(image_bytes))
                checks.append(measure(member.name, image_bytes))
                assert (checks[-1].width, checks[-1].height) == header.size
                stored_grey.append(header.mode == "L")
    assert len(checks) == 240
    assert not any(check.cause for check in checks)
    assert sum(stored_grey) == 23
    assert all(check.grey_frac == 1.0 for check, is_grey in zip(checks, stored_grey, strict=True) if is_grey)
    others = [check for check, is_grey in zip(checks, stored_grey, strict=True) if not is_grey]
    assert sum(check.grey_frac >= 0.99 for check in others) == 2  # black and white, stored in colour
    sizes = [(check.width, check.height) for check in checks]
    assert (2400, 1600) in sizes
    assert (68, 121) in sizes
