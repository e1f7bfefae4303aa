"""Masks as two tools write them, to and from the run lengths that marks keep.

CVAT: counts of 0s and 1s in turn, along the rows inside a box. Label Studio: the bytes of an RGBA picture, packed by
bits as the library rle-pack does: 32 bits how many bytes there are, 5 bits of a value less one, four times 4 bits of a
length less one; then one bit that says run or list, two that choose a length, how many less one, and the value or list.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.exchange.formats.contents import Shape
from pictus.annotate.exchange.formats.figures import WrongFigureError
from pictus.annotate.shapes import rle
from pictus.annotate.shapes.rle import Mask
from pictus.errors import UserError, clipped
from pictus.pixels import MAX_PIXELS

_LENGTHS = (3, 4, 8, 16)
"""Bits of a run's length that Label Studio's own encoder chooses between."""

_MAX_RUNS = 20_000_000


def mask_shape(mask: Mask) -> Shape:
    """bool[H, W] as marks keep it."""
    return rle.to_json(rle.encode(mask))


def pixels_of(shape: Mapping[str, object], width: int, height: int) -> Mask:
    """The pixels of a mark of the kind mask, of run lengths or polygons, bool[H, W]."""
    if "polygons" in shape:
        return rle.decode(rle.from_polygons(shape["polygons"], height, width))  # type: ignore[arg-type]
    return rle.decode(rle.from_json(dict(shape)))


def box_of(shape: Mapping[str, object]) -> tuple[float, float, float, float]:
    """The smallest box around a mask of run lengths."""
    return rle.box(rle.from_json(dict(shape)))


def area_of(shape: Mapping[str, object]) -> float:
    """px² that a mask covers: its pixels, or the areas inside its polygons (a million of them need not be filled)."""
    if "polygons" not in shape:
        return rle.area(rle.from_json(dict(shape)))
    total = 0.0
    for ring in shape["polygons"]:  # type: ignore[attr-defined]
        xs, ys = ring[0::2], ring[1::2]
        total += abs(sum(xs[at - 1] * y - x * ys[at - 1] for at, (x, y) in enumerate(zip(xs, ys, strict=True)))) / 2
    return round(total, 3)


def checked(mask: object, width: int, height: int) -> Shape:
    """{"size", "counts"} of COCO as marks keep it. width, height: of the picture, 0 where they are not known."""
    try:
        return rle.to_json(rle.from_json(mask, height=height, width=width))
    except UserError as error:
        raise WrongFigureError(error.what.removeprefix("This is ").rstrip(".")) from None


def checked_size(width: object, height: object) -> tuple[int, int]:
    """Width and height within the pictures that are decoded at all."""
    if not all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in (width, height)):
        raise WrongFigureError(f"a mask of the size {clipped([width, height])}")
    if width * height > MAX_PIXELS:  # type: ignore[operator]
        raise WrongFigureError(f"a mask of more than {MAX_PIXELS:,} pixels")
    return width, height  # type: ignore[return-value]


def runs(values: NDArray[np.bool_]) -> list[int]:
    """Counts of a flat mask, beginning with that of 0s."""
    edges = np.flatnonzero(values[1:] != values[:-1]) + 1
    found: list[int] = np.diff(np.concatenate([[0], edges, [values.size]])).tolist()
    return [0, *found] if values.size and values[0] else found


def from_cvat(counts: list[int], left: int, top: int, size: tuple[int, int], picture: tuple[int, int]) -> Mask:
    """size: width and height of the mask's box; picture: those of the picture. Both in px."""
    wide, high = checked_size(*size)
    width, height = checked_size(*picture)
    if len(counts) > _MAX_RUNS or min(counts) < 0 or sum(counts) != wide * high:
        raise WrongFigureError(f"run lengths of {sum(counts):,} pixels for a mask of {wide:,} × {high:,}")
    if left < 0 or top < 0 or left + wide > width or top + high > height:
        raise WrongFigureError("a mask that reaches beyond its picture")
    mask_HW = np.zeros((height, width), np.bool_)
    inner = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(high, wide)
    mask_HW[top : top + high, left : left + wide] = inner
    return mask_HW


def to_cvat(mask: Mask) -> tuple[list[int], int, int, int, int]:
    """Counts, left, top, width, height."""
    x1, y1, x2, y2 = (int(side) for side in rle.box(rle.encode(mask)))
    return runs(mask[y1:y2, x1:x2].ravel()), x1, y1, x2 - x1, y2 - y1


class _Bits:
    """Reads numbers of any width from bytes, the highest bit first."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    def take(self, width: int) -> int:
        end = self._at + width
        if end > 8 * len(self._data):
            raise WrongFigureError("a brush mask that ends in the middle")
        word = int.from_bytes(self._data[self._at // 8 : (end + 7) // 8], "big")
        self._at = end
        return word >> (-end % 8) & ((1 << width) - 1)

    def take_bytes(self, count: int) -> NDArray[np.uint8]:
        end = self._at + 8 * count
        if end > 8 * len(self._data):
            raise WrongFigureError("a brush mask that ends in the middle")
        part = np.frombuffer(self._data[self._at // 8 : (end + 7) // 8], np.uint8)
        bits = np.unpackbits(part)[self._at % 8 :][: 8 * count]
        self._at = end
        return np.packbits(bits)


def from_label_studio(packed: object, width: int, height: int) -> Mask:
    """Where the alpha of the packed RGBA picture is more than half, bool[H, W]."""
    checked_size(width, height)
    try:
        data = bytes(packed) if isinstance(packed, list) else b""  # of a number it would be so many zeros
    except (TypeError, ValueError):
        data = b""
    if not data:
        raise WrongFigureError("a brush mask that is no list of bytes")
    bits = _Bits(data)
    total, word = bits.take(32), bits.take(5) + 1
    lengths = [bits.take(4) + 1 for _ in range(4)]
    if total != 4 * width * height or word != 8:  # noqa: PLR2004  bytes of RGBA
        raise WrongFigureError(f"a brush mask of {total:,} bytes for a picture of {width:,} × {height:,}")
    values = np.zeros(total, np.uint8)
    at = 0
    while at < total:
        is_run = bits.take(1)
        end = at + 1 + bits.take(lengths[bits.take(2)])
        if end > total:
            raise WrongFigureError("a brush mask that is longer than its picture")
        values[at:end] = bits.take(8) if is_run else bits.take_bytes(end - at)
        at = end
    return values.reshape(height, width, 4)[:, :, 3] > 127  # noqa: PLR2004


def to_label_studio(mask: Mask) -> list[int]:
    """The same the other way, 255 in all four channels where the mask is set."""
    words = [(4 * mask.size, 32), (7, 5), *((length - 1, 4) for length in _LENGTHS)]
    value = 0
    for count in runs(mask.ravel()):
        left = 4 * count
        while left:
            length = min(left, 1 << _LENGTHS[-1])
            chosen = next(number for number, bits in enumerate(_LENGTHS) if length <= 1 << bits)
            words += [(1, 1), (chosen, 2), (length - 1, _LENGTHS[chosen]), (value, 8)]
            left -= length
        value = 255 - value
    text = "".join(f"{number:0{width}b}" for number, width in words)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))
