from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageFilter, ImageOps

from pictus.pixels import Pixels
from pictus.train.feed import augment_operations as operations

FILL = (120, 110, 100)


def picture(height: int = 60, width: int = 70) -> Pixels:
    """Soft blots of every colour."""
    small = np.random.default_rng(0).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    return np.array(Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC))


X = picture()

PILLOW: dict[str, tuple[Callable[[Image.Image], Image.Image], Callable[[Pixels], Pixels], int]] = {
    # theirs, ours, greatest difference in grey levels
    "brightness": (lambda x: ImageEnhance.Brightness(x).enhance(1.4), lambda x: operations.brightness(x, 1.4), 0),
    "contrast": (lambda x: ImageEnhance.Contrast(x).enhance(0.6), lambda x: operations.contrast(x, 0.6), 1),
    "saturation": (lambda x: ImageEnhance.Color(x).enhance(1.9), lambda x: operations.saturation(x, 1.9), 0),
    "grey": (lambda x: x.convert("L").convert("RGB"), operations.grey, 0),
    "sharper": (lambda x: ImageEnhance.Sharpness(x).enhance(1.9), lambda x: operations.sharpness(x, 1.9), 1),
    "softer": (lambda x: ImageEnhance.Sharpness(x).enhance(0.1), lambda x: operations.sharpness(x, 0.1), 1),
    "posterise": (lambda x: ImageOps.posterize(x, 3), lambda x: operations.posterise(x, 3), 0),
    "posterise to nothing": (lambda x: Image.new("RGB", x.size), lambda x: operations.posterise(x, 0), 0),
    "posterise not at all": (lambda x: x, lambda x: operations.posterise(x, 8), 0),
    "solarise": (lambda x: ImageOps.solarize(x, 179), lambda x: operations.solarise(x, 178.5), 0),
    "solarise all": (lambda x: ImageOps.solarize(x, 0), lambda x: operations.solarise(x, 0), 0),
    "solarise nothing": (lambda x: x, lambda x: operations.solarise(x, 255.5), 0),
    "autocontrast": (lambda x: ImageOps.autocontrast(dim(x)), lambda x: operations.autocontrast(x // 2 + 30), 1),
    "equalise": (ImageOps.equalize, operations.equalise, 0),
    "blur": (lambda x: x.filter(ImageFilter.GaussianBlur(1.5)), lambda x: operations.blur(x, 1.5), 3),
}


def dim(image: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(image) // 2 + 30)


@pytest.mark.parametrize("name", PILLOW)
def test_an_operation_gives_pillow_s_pixels(name: str) -> None:
    theirs, ours, tolerance = PILLOW[name]
    before = X.copy()
    found = ours(X)
    assert found.dtype == np.uint8
    assert found.shape == X.shape
    assert difference(found, np.asarray(theirs(Image.fromarray(X)))) <= tolerance
    assert found.flags.writeable  # torch takes no other
    assert np.array_equal(X, before)


@pytest.mark.parametrize("turn", [0.2, -0.31, 0.5])
def test_hue_is_torchvision_s(turn: float) -> None:
    from torchvision.transforms.v2 import functional

    assert difference(operations.hue(X, turn), of(functional.adjust_hue(planes(X), turn))) <= 1


def test_hue_turned_by_nothing_or_of_a_grey_picture_stays() -> None:
    assert difference(operations.hue(X, 0.0), X) <= 1
    assert np.array_equal(operations.hue(operations.grey(X), 0.3), operations.grey(X))


@pytest.mark.parametrize("sigma", [0.3, 1.0, 2.0])
def test_blur_is_torchvision_s_away_from_the_edge(sigma: float) -> None:
    from torchvision.transforms.v2 import functional

    radius = max(1, math.ceil(3 * sigma))
    theirs = of(functional.gaussian_blur(planes(X), 2 * radius + 1, [sigma, sigma]))
    inner = (slice(radius, -radius), slice(radius, -radius))  # theirs mirrors the edge, ours goes on as its last pixel
    assert difference(operations.blur(X, sigma)[inner], theirs[inner]) <= 2
    flat = np.full((9, 9, 3), 255, np.uint8)
    assert np.array_equal(operations.blur(flat, sigma), flat)


@pytest.mark.parametrize("amount", [0.0, 0.3, -0.3, 0.99])
@pytest.mark.parametrize("axis", [0, 1])
def test_shear_is_torchvision_s_but_for_the_rim(amount: float, axis: int) -> None:
    from torchvision.transforms.v2 import functional

    slope = [0.0, 0.0]
    slope[axis] = math.degrees(math.atan(amount))
    theirs = functional.affine(planes(X), angle=0, translate=[0, 0], scale=1, shear=slope, center=[0, 0], **how())
    ours = (operations.shear_x, operations.shear_y)[axis](X, amount, FILL)
    assert_same_but_for_the_rim(ours, of(theirs))


@pytest.mark.parametrize("degrees", [0.0, 20.0, -135.0, 90.0])
def test_rotation_is_torchvision_s_but_for_the_rim(degrees: float) -> None:
    from torchvision.transforms.v2 import functional

    assert_same_but_for_the_rim(operations.rotate(X, degrees, FILL), of(functional.rotate(planes(X), degrees, **how())))


@pytest.mark.parametrize(("right", "down"), [(0, 0), (9, 0), (-9, 0), (0, 11), (0, -11), (100, 0), (0, -100)])
def test_a_shift_is_torchvision_s(right: int, down: int) -> None:
    from torchvision.transforms.v2 import functional

    theirs = functional.affine(planes(X), angle=0, translate=[right, down], scale=1, shear=[0, 0], **how())
    assert np.array_equal(operations.shift(X, right, down, FILL), of(theirs))


@pytest.mark.parametrize("name", operations.OPERATIONS)
@pytest.mark.parametrize("shape", [(1, 1), (2, 5), (8, 8)])
def test_every_operation_takes_the_smallest_pictures(name: str, shape: tuple[int, int]) -> None:
    small = picture(*shape)
    assert operations.OPERATIONS[name](small, 0.5, FILL).shape == small.shape


def assert_same_but_for_the_rim(ours: Pixels, theirs: Pixels) -> None:
    """Where picture and fill meet, torchvision mixes them in twice: at most a line of pixels differs."""
    differs = abs(ours.astype(int) - theirs.astype(int)).max(2) > 1
    assert differs.sum() <= 2 * sum(ours.shape[:2])
    assert differs.mean() < 0.05


def difference(ours: Pixels, theirs: Pixels) -> int:
    return int(abs(ours.astype(int) - theirs.astype(int)).max())


def planes(pixels: Pixels):  # type: ignore[no-untyped-def]  # noqa: ANN201  a torch tensor
    import torch

    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous()


def of(tensor) -> Pixels:  # type: ignore[no-untyped-def]  # noqa: ANN001  a torch tensor
    found: Pixels = tensor.permute(1, 2, 0).numpy()
    return found


def how() -> dict[str, object]:
    from torchvision.transforms.v2 import InterpolationMode

    return {"interpolation": InterpolationMode.BILINEAR, "fill": list(FILL)}
