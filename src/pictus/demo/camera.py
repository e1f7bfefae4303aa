"""What a camera does to a scene: exposure, white balance, vignette, noise, blur, JPEG."""

# ruff: noqa: PLR2004  shares and sizes, each used once

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageChops, ImageFilter

from pictus.demo.sketch import Rng


@dataclass(frozen=True)
class Shot:
    """One set of camera settings."""

    exposure: float = 1.0  # factor on light
    gamma: float = 1.0
    contrast: float = 1.0  # about middle grey
    warmth: float = 0.0  # -1 blue .. 1 orange
    saturation: float = 1.0
    vignette: float = 0.0
    blur_px: float = 0.0
    noise: float = 0.0  # standard deviation, grey levels
    quality: int = 88  # JPEG


def ordinary(rng: Rng) -> Shot:
    """A picture as people take them: mostly well, never quite the same."""
    return Shot(
        exposure=float(np.exp(rng.normal(0.05, 0.12))), gamma=rng.uniform(0.88, 1.15), contrast=rng.uniform(0.88, 1.12),
        warmth=rng.normal(0, 0.35), saturation=rng.uniform(0.8, 1.15) if rng.random() < 0.95 else 0.0,
        vignette=rng.uniform(0, 0.35) if rng.random() < 0.5 else 0.0,
        blur_px=rng.uniform(0.4, 0.9) if rng.random() < 0.25 else 0.0,
        noise=rng.uniform(0.5, 6), quality=int(rng.integers(70, 95)),
    )  # fmt: skip


def take(image: Image.Image, shot: Shot, rng: Rng) -> Image.Image:
    """The scene as the camera sees it."""
    if shot.blur_px:
        image = image.filter(ImageFilter.GaussianBlur(shot.blur_px))
    if shot.saturation != 1:
        image = Image.blend(image.convert("L").convert("RGB"), image, shot.saturation)
    image = image.point(_curve(shot))
    if shot.vignette:
        image = ImageChops.multiply(image, _vignette(shot.vignette).resize(image.size))
    if shot.noise:
        image = _noisy(image, shot.noise, rng)
    return image


def jpeg(image: Image.Image, quality: int) -> bytes:
    """The file a camera writes."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def _curve(shot: Shot) -> list[int]:
    """One lookup table for exposure, gamma, contrast and white balance: 3 × 256 entries."""
    levels = np.arange(256, dtype=np.float64) / 255
    table: list[int] = []
    for gain in (1 + 0.09 * shot.warmth, 1.0, 1 - 0.09 * shot.warmth):
        values = np.clip(levels * shot.exposure * gain, 0, 1) ** shot.gamma
        values = (values - 0.5) * shot.contrast + 0.5
        table += np.clip(np.round(values * 255), 0, 255).astype(int).tolist()
    return table


def _vignette(strength: float) -> Image.Image:
    y, x = np.mgrid[-1:1:24j, -1:1:24j]
    fall = 1 - strength * np.clip((x**2 + y**2) / 2, 0, 1) ** 1.5
    grey = Image.fromarray((fall * 255).astype(np.uint8))
    return Image.merge("RGB", (grey, grey, grey))


_NOISE_STEP = 0.75
"""Noise levels are rounded to this, so that few sheets serve all pictures."""


@cache
def _noise_sheet(steps: int) -> npt.NDArray[np.int16]:
    """A fixed sheet of sensor noise, more grey than coloured; every picture takes another cut."""
    rng = np.random.default_rng(18_390_819)
    grey = rng.standard_normal((640, 640, 1), dtype=np.float32)
    values = 0.8 * grey + 0.6 * rng.standard_normal((640, 640, 3), dtype=np.float32)
    return np.round(values * steps * _NOISE_STEP).astype(np.int16)


def _noisy(image: Image.Image, deviation: float, rng: Rng) -> Image.Image:
    x, y = rng.integers(0, 640 - image.width + 1), rng.integers(0, 640 - image.height + 1)
    sheet = _noise_sheet(max(1, round(deviation / _NOISE_STEP)))
    pixels = sheet[y : y + image.height, x : x + image.width] + np.asarray(image)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
