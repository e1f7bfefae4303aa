"""Bars and frames are found by their sharp end; skies, plain grounds and dark rooms are none."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from pictus.clean.borders import border_frac
from pictus.clean.measurements import measure


def photo(width: int = 250, height: int = 180, seed: int = 3) -> np.ndarray:
    rough = np.random.default_rng(seed).integers(60, 230, (height // 6 + 1, width // 6 + 1), dtype=np.uint8)
    return np.asarray(Image.fromarray(rough).resize((width, height), Image.Resampling.BICUBIC))


def framed(top: int = 0, bottom: int = 0, left: int = 0, right: int = 0, level: int = 0) -> np.ndarray:
    inside = photo()
    outside = np.full((inside.shape[0] + top + bottom, inside.shape[1] + left + right), level, dtype=np.uint8)
    outside[top : top + inside.shape[0], left : left + inside.shape[1]] = inside
    return outside


@pytest.mark.parametrize("level", [0, 255, 128])
@pytest.mark.parametrize(
    "bars",
    [
        {"top": 30, "bottom": 30}, {"left": 40, "right": 25}, {"bottom": 50},
        {"top": 12, "bottom": 12, "left": 12, "right": 12}, {"top": 4, "left": 9},
    ],
)  # fmt: skip
def test_bars_and_frames_are_measured_to_the_line(bars: dict[str, int], level: int) -> None:
    luma = framed(**bars, level=level)
    assert border_frac(luma) == pytest.approx(1 - photo().size / luma.size)


def test_two_frames_of_two_colours_are_both_bars() -> None:
    inside = framed(top=10, bottom=10, level=0)
    outside = np.full((inside.shape[0], inside.shape[1] + 40), 250, dtype=np.uint8)
    outside[:, 20:-20] = inside
    assert border_frac(outside) == pytest.approx(1 - photo().size / outside.size)


def test_what_ends_gradually_or_in_a_point_is_no_bar() -> None:
    sky = photo().copy()
    sky[:90] = np.linspace(250, 180, 90)[:, None].astype(np.uint8)  # a sky that darkens towards the horizon
    assert border_frac(sky) == 0.0
    thing = Image.new("L", (250, 180), 255)
    ImageDraw.Draw(thing).ellipse((60, 40, 190, 150), fill=80)  # a plate before white: few of its pixels end the white
    assert border_frac(np.asarray(thing)) == 0.0


@pytest.mark.parametrize("shape", [(1, 1), (3, 300), (11, 11), (200, 200)])
def test_blank_and_tiny_pictures_have_no_bars(shape: tuple[int, int]) -> None:
    assert border_frac(np.full(shape, 40, dtype=np.uint8)) == 0.0


def test_bars_survive_jpeg_and_scaling() -> None:
    wide = Image.fromarray(framed(top=30, bottom=30)).resize((1000, 960)).convert("RGB")
    for kind, options in (("JPEG", {"quality": 50}), ("PNG", {}), ("WEBP", {"quality": 60})):
        buffer = io.BytesIO()
        wide.save(buffer, kind, **options)
        (row,) = measure([("x", buffer.getvalue())])
        assert row.border_frac == pytest.approx(60 / 240, abs=0.02), kind


@pytest.mark.real_data
def test_nine_of_490_photographs_have_bars_and_all_are_frames_or_straight_margins(
    real_data: Callable[[str], Path],
) -> None:
    """Looked at by eye: film bars, slide frames, white margins around a straight-edged thing. None is a sky."""
    found = []
    for name in ("imagenet_photos_240", "imagenet_photos_5x50"):
        for path in sorted(real_data(name).glob("*.tar*")):
            with tarfile.open(path) as archive:
                files = [archive.extractfile(one) for one in archive if one.name.lower().endswith((".jpg", ".jpeg"))]
                rows = measure((str(number), file.read()) for number, file in enumerate(files) if file)
                found += [row.border_frac for row in rows]
    assert len(found) == 490
    assert sum(one > 0.1 for one in found) <= 9
