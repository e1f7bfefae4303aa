"""One picture changed in one way by a stated amount: what augmentation policies are made of.

Each is Pillow's or torchvision's operation of the name, to the grey level or within a few (tests/train/feed holds
each to its tolerance), done the way that took the least processor time: `python benchmarks/augment.py`. Bytes in
and out; numpy, torch and Pillow let other threads run meanwhile.

Legend: H, W height and width in px, V grey value.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from pictus.extras import need
from pictus.pixels import Pixels

Colour = tuple[int, int, int]

_VALUES = np.arange(256, dtype=np.float32)
_GREY = np.array([0.299, 0.587, 0.114])  # of red, green, blue in a grey value: ITU-R BT.601, as Pillow has it


def brightness(pixels: Pixels, factor: float) -> Pixels:
    """Every value times `factor` >= 0."""
    return _looked_up(pixels, _VALUES * factor)


def contrast(pixels: Pixels, factor: float) -> Pixels:
    """Away from the mean grey value of the picture (> 1) or towards it (< 1)."""
    sums_W3 = pixels.sum(axis=0, dtype=np.uint32)  # whole rows at a time: 8 times as fast as both axes in one call
    mean = float(sums_W3.sum(axis=0) @ _GREY / (pixels.shape[0] * pixels.shape[1]))
    return _looked_up(pixels, mean + (_VALUES - mean) * factor)


def saturation(pixels: Pixels, factor: float) -> Pixels:
    """Away from the picture in grey (> 1) or towards it (< 1)."""
    from PIL import Image, ImageEnhance  # noqa: PLC0415  as pixels.py: only where it is wanted

    return np.array(ImageEnhance.Color(Image.fromarray(pixels)).enhance(factor))


def grey(pixels: Pixels) -> Pixels:
    """In grey, still with three channels."""
    from PIL import Image  # noqa: PLC0415  as pixels.py: only where it is wanted

    return np.array(Image.fromarray(pixels).convert("L").convert("RGB"))


def sharpness(pixels: Pixels, factor: float) -> Pixels:
    """Away from the smoothed picture (> 1) or towards it (< 1). The outermost pixels stay, as Pillow leaves them."""
    if min(pixels.shape[:2]) < 3:  # noqa: PLR2004  no pixel has all its neighbours
        return pixels
    wide = pixels.astype(np.uint16)
    rows = wide[:-2] + wide[1:-1] + wide[2:]
    sums = rows[:, :-2] + rows[:, 1:-1] + rows[:, 2:] + 4 * wide[1:-1, 1:-1]  # Pillow's SMOOTH: 5 in the middle of 13
    inner = pixels[1:-1, 1:-1] * np.float32(factor) + sums * np.float32((1 - factor) / 13)
    changed = pixels.copy()
    changed[1:-1, 1:-1] = np.clip(inner, 0, 255, out=inner)
    return changed


def posterise(pixels: Pixels, bits: int) -> Pixels:
    """The upper `bits` (0 to 8) of every value, the others 0."""
    kept: Pixels = pixels & np.uint8(256 - 2 ** (8 - bits))
    return kept


def solarise(pixels: Pixels, threshold: float) -> Pixels:
    """Values of `threshold` and above turned into their negative."""
    if threshold > 255:  # noqa: PLR2004  the greatest value of a byte
        return pixels
    least = np.uint8(max(0, math.ceil(threshold)))
    turned: Pixels = pixels ^ ((pixels >= least).view(np.uint8) * np.uint8(255))
    return turned


def autocontrast(pixels: Pixels) -> Pixels:
    """Each channel stretched from its darkest and lightest value to 0 and 255."""
    from PIL import Image  # noqa: PLC0415  as pixels.py: only where it is wanted

    low, high = pixels.min(axis=0).min(axis=0).tolist(), pixels.max(axis=0).max(axis=0).tolist()
    tables = [
        (_VALUES - darkest) * (255 / (lightest - darkest)) if lightest > darkest else _VALUES
        for darkest, lightest in zip(low, high, strict=True)
    ]
    table = np.concatenate(tables).clip(0, 255).astype(np.uint8)
    return np.array(Image.fromarray(pixels).point(table.tolist()))


def equalise(pixels: Pixels) -> Pixels:
    """Each channel with its values spread evenly over 0 to 255."""
    from PIL import Image, ImageOps  # noqa: PLC0415  as pixels.py: only where it is wanted

    return np.array(ImageOps.equalize(Image.fromarray(pixels)))


def hue(pixels: Pixels, shift: float) -> Pixels:
    """Hue turned by `shift` of a full circle (-0.5 to 0.5), value and saturation as they were (HSV).

    With V the greatest and C the spread of a pixel's three values and k = (n + 6 hue) mod 6, n = 5, 3, 1 for red,
    green, blue: value = V - C max(0, min(k, 4 - k, 1)), without a case for each sixth of the circle.
    """
    red, green, blue = (pixels[:, :, channel].astype(np.float32) for channel in range(3))
    greatest = np.maximum(np.maximum(red, green), blue)
    spread = greatest - np.minimum(np.minimum(red, green), blue)
    safe = np.maximum(spread, 1)
    others = np.where(greatest == green, 2 + (blue - red) / safe, 4 + (red - green) / safe)
    sixths = np.where(greatest == red, (green - blue) / safe, others)
    changed = np.empty_like(pixels)
    for channel, start in enumerate((5, 3, 1)):
        place = sixths + np.float32((start + 6 * shift) % 6 + 6)  # sixths is -1 to 5: now above 0
        place -= 6 * np.floor(place * np.float32(1 / 6))
        share = np.clip(np.minimum(place, 4 - place), 0, 1)
        changed[:, :, channel] = greatest - spread * share + np.float32(0.5)
    return changed


def blur(pixels: Pixels, sigma: float) -> Pixels:
    """Gaussian blur of `sigma` px, cut off at three of them; the edge goes on as its last pixel.

    Weights are whole 256ths, so that 16-bit sums hold both passes.
    """
    radius = max(1, math.ceil(3 * sigma))
    weights = np.exp(-0.5 * (np.arange(radius + 1) / sigma) ** 2)
    parts = np.round(256 * weights / (2 * weights.sum() - 1)).astype(np.uint16)
    parts[0] = 256 - 2 * int(parts[1:].sum())
    return _convolved(_convolved(pixels, parts, 0), parts, 1)


def shift(pixels: Pixels, right: int, down: int, fill: Colour) -> Pixels:
    """Moved by whole pixels, what comes in is `fill`."""
    height, width = pixels.shape[:2]
    right, down = max(-width, min(width, right)), max(-height, min(height, down))
    changed = np.empty_like(pixels)
    changed[: max(0, down)] = fill
    changed[height + min(0, down) :] = fill
    changed[:, : max(0, right)] = fill
    changed[:, width + min(0, right) :] = fill
    if abs(right) < width and abs(down) < height:
        target = (slice(max(0, down), height + min(0, down)), slice(max(0, right), width + min(0, right)))
        source = (slice(max(0, -down), height + min(0, -down)), slice(max(0, -right), width + min(0, -right)))
        changed[target] = pixels[source]
    return changed


def shear_x(pixels: Pixels, slope: float, fill: Colour) -> Pixels:
    """Each row moved left by `slope` times its distance from the top."""
    return warped(pixels, ((1, slope, slope * pixels.shape[0] / 2), (0, 1, 0)), fill)


def shear_y(pixels: Pixels, slope: float, fill: Colour) -> Pixels:
    """Each column moved up by `slope` times its distance from the left."""
    return warped(pixels, ((1, 0, 0), (slope, 1, slope * pixels.shape[1] / 2)), fill)


def rotate(pixels: Pixels, degrees: float, fill: Colour) -> Pixels:
    """About the middle, against the clock."""
    cos, sin = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return warped(pixels, ((cos, -sin, 0), (sin, cos, 0)), fill)


Matrix = tuple[tuple[float, float, float], tuple[float, float, float]]


def warped(pixels: Pixels, source: Matrix, fill: Colour) -> Pixels:
    """Bilinear: what is at (x, y) comes from `source` (x, y, 1), both in px from the middle; `fill` from outside."""
    torch = need("torch", "train")
    height, width = pixels.shape[:2]
    (a, b, right), (c, d, down) = source
    # torch measures from the middle in halves of the side.
    theta = torch.tensor([[[a, b * height / width, 2 * right / width], [c * width / height, d, 2 * down / height]]])
    grid = torch.nn.functional.affine_grid(theta, (1, 3, height, width), align_corners=False)
    ground = torch.tensor(fill, dtype=torch.float32)[:, None, None]
    planes = torch.from_numpy(pixels).permute(2, 0, 1).contiguous().float().sub_(ground)  # outside is 0
    found = torch.nn.functional.grid_sample(planes[None], grid, align_corners=False)[0]
    changed: Pixels = found.add_(ground + 0.5).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    return changed


def _looked_up(pixels: Pixels, table_V: npt.NDArray[np.float32]) -> Pixels:
    """Values are cut off behind the point, as Pillow and torchvision do."""
    return np.take(table_V.clip(0, 255).astype(np.uint8), pixels)


def _convolved(pixels: Pixels, parts: npt.NDArray[np.uint16], axis: int) -> Pixels:
    """Along one axis with a symmetric kernel of 256ths, `parts` from its middle outwards."""
    radius, length = len(parts) - 1, pixels.shape[axis]
    ends = [(radius, radius) if number == axis else (0, 0) for number in range(3)]
    padded = np.pad(pixels, ends, mode="edge").astype(np.uint16)

    def moved(by: int) -> npt.NDArray[np.uint16]:
        part = slice(radius + by, radius + by + length)
        return padded[part] if axis == 0 else padded[:, part]

    total = moved(0) * parts[0] + np.uint16(128)
    for distance in range(1, radius + 1):
        if parts[distance]:
            pair = moved(-distance) + moved(distance)
            pair *= parts[distance]
            total += pair
    total >>= np.uint16(8)
    blurred: Pixels = total.astype(np.uint8)
    return blurred


Operation = Callable[[Pixels, float, Colour], Pixels]

OPERATIONS: dict[str, Operation] = {
    "identity": lambda pixels, _amount, _fill: pixels,
    "shear-x": shear_x,
    "shear-y": shear_y,
    "translate-x": lambda pixels, amount, fill: shift(pixels, int(amount), 0, fill),
    "translate-y": lambda pixels, amount, fill: shift(pixels, 0, int(amount), fill),
    "rotate": rotate,
    "brightness": lambda pixels, amount, _fill: brightness(pixels, 1 + amount),
    "colour": lambda pixels, amount, _fill: saturation(pixels, 1 + amount),
    "contrast": lambda pixels, amount, _fill: contrast(pixels, 1 + amount),
    "sharpness": lambda pixels, amount, _fill: sharpness(pixels, 1 + amount),
    "posterise": lambda pixels, amount, _fill: posterise(pixels, int(amount)),
    "solarise": lambda pixels, amount, _fill: solarise(pixels, amount),
    "autocontrast": lambda pixels, _amount, _fill: autocontrast(pixels),
    "equalise": lambda pixels, _amount, _fill: equalise(pixels),
}
"""Those a policy draws from, by name: (pixels, amount, colour of what comes in from outside)."""
