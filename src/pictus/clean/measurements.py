"""One decode pass over each picture -> everything a verdict needs. Pure: bytes in, `Check`s out.

A picture is measured on its view: itself at 1/f, f the largest of 1, 2, 4, 8 that leaves the long
side at least 240 px. A JPEG is decoded at that size, in one pass over all its bytes.

    size        width, height upright, from the header; long side / short side
    entropy     of the view's 256-level luma histogram, bits
    brightness  mean luma;  contrast  its standard deviation
    sharpness   variance of the 4-neighbour Laplacian (Pech-Pacheco 2000) of luma whose long side is
                brought down to 256 px, so that a number means nearly the same at 500 and at 5,000 px:
                a view of 240 to 255 px (of 500 px: 250) is taken as it is, nothing is enlarged
    grey_frac   share of the view's pixels, on a grid of at most 128 × 128, whose channels differ by at
                most 8 levels
    hashes      sha256 that is equal only for equal pixels, pHash, dHash, PDQ and its quality
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from pictus import hashes
from pictus.errors import PictureError
from pictus.pixels import MAX_PIXELS, Header, Pixels, decode_known, same_pixels_sha256, sniff
from pictus.records import Check

VIEW_SIDE = 240
SHARPNESS_SIDE = 256
GREY_TOLERANCE = 8
"""JPEG's chroma noise on a grey photograph stays within it; a sepia tone does not."""
_GREY_GRID = 128
_DECIMALS = 6

_LEVELS = np.arange(256.0)


class _View(NamedTuple):
    """What is taken from one picture before the pictures of a batch are finished together."""

    header: Header
    same_pixels: str
    histogram: list[int]
    sharpness: float
    grey_frac: float
    luma_64: hashes.F32
    luma_32: hashes.Luma
    luma_9: hashes.Luma


def measure(pictures: Iterable[tuple[str, bytes]], *, max_pixels: int = MAX_PIXELS) -> list[Check]:
    """(image_id, bytes) -> one row each, in order. What cannot be decoded gets a cause and zeros, never an exception.

    The same picture gives the same row alone and in any batch.
    """
    rows: list[Check] = []
    views: list[tuple[int, _View]] = []
    for image_id, image_bytes in pictures:
        header: Header | None = None
        try:
            header = sniff(image_bytes, max_pixels=max_pixels)
            views.append((len(rows), _view(image_bytes, header)))
            rows.append(_blank(image_id, "", header))
        except PictureError as error:
            rows.append(_blank(image_id, error.cause, header))
    if views:
        _finish(rows, views)
    return rows


def _blank(image_id: str, cause: str, header: Header | None) -> Check:
    """A row with what the header says and zeros for the rest."""
    width, height = header.upright if header else (0, 0)
    return Check(
        image_id=image_id, cause=cause, width=width, height=height, entropy=0.0, sharpness=0.0, brightness=0.0,
        contrast=0.0, grey_frac=0.0, aspect=max(width, height) / max(1, min(width, height)) if header else 0.0,
        is_animated=bool(header and header.is_animated), pixel_sha256="", phash=0, dhash=0, pdq=bytes(32),
        pdq_quality=0,
    )  # fmt: skip


def _view(image_bytes: bytes, header: Header) -> _View:
    from PIL import Image  # noqa: PLC0415  0.05 s that --help does not pay

    long_side = max(header.width, header.height)
    factor = next((factor for factor in (8, 4, 2) if long_side >= factor * VIEW_SIDE), 1)
    pixels = decode_known(image_bytes, header, factor=factor)
    height, width = pixels.shape[:2]
    luma = Image.frombuffer("RGB", (width, height), pixels, "raw", "RGB", 0, 1).convert("L")
    grey = np.frombuffer(luma.tobytes(), dtype=np.uint8).reshape(height, width)
    luma_32, luma_9 = _smallest(luma)
    return _View(
        header=header,
        same_pixels=same_pixels_sha256(image_bytes, header),
        histogram=luma.histogram(),
        sharpness=_sharpness(luma, grey),
        grey_frac=_grey_frac(pixels),
        luma_64=hashes.decimate(grey, *header.upright, factor),
        luma_32=luma_32,
        luma_9=luma_9,
    )


def _finish(rows: list[Check], views: list[tuple[int, _View]]) -> None:
    """Fill in the rows of all views, each measure for all of them at once."""
    found = [view for _, view in views]
    entropy, brightness, contrast = _tones(np.array([view.histogram for view in found], dtype=np.float64))
    phash = hashes.phash64(np.stack([view.luma_32 for view in found]))
    dhash = hashes.dhash64(np.stack([view.luma_9 for view in found]))
    pdq = hashes.pdq256(np.stack([view.luma_64 for view in found]))
    for number, (place, view) in enumerate(views):
        blank = rows[place]
        rows[place] = Check(
            image_id=blank.image_id, cause="", width=blank.width, height=blank.height,
            entropy=float(entropy[number]), sharpness=view.sharpness, brightness=float(brightness[number]),
            contrast=float(contrast[number]), grey_frac=view.grey_frac, aspect=blank.aspect,
            is_animated=blank.is_animated, pixel_sha256=view.same_pixels, phash=int(phash[number]),
            dhash=int(dhash[number]), pdq=pdq.bits[number].tobytes(), pdq_quality=int(pdq.quality[number]),
        )  # fmt: skip


def _tones(counts_NL: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Entropy, mean and standard deviation of each histogram, f64[N, 256]. Sums of whole numbers are exact."""
    total = counts_NL.sum(axis=1)
    share = counts_NL / total[:, None]
    entropy = -(share * np.log2(np.where(share > 0, share, 1.0))).sum(axis=1)
    mean = (counts_NL * _LEVELS).sum(axis=1) / total
    variance = (counts_NL * _LEVELS**2).sum(axis=1) / total - mean**2
    return np.abs(np.round(entropy, _DECIMALS)), mean, np.sqrt(np.maximum(variance, 0.0))


def _sharpness(luma: Any, grey: hashes.Luma) -> float:  # noqa: ANN401  PIL.Image.Image, imported late
    from PIL import Image  # noqa: PLC0415

    scale = SHARPNESS_SIDE / max(luma.size)
    if scale < 1:
        size = max(1, round(luma.width * scale)), max(1, round(luma.height * scale))
        grey = np.asarray(luma.resize(size, Image.Resampling.BOX))
    values = grey.astype(np.int16)
    if min(values.shape) < 3:  # noqa: PLR2004  no pixel has four neighbours
        return 0.0
    laplacian = (values[:-2, 1:-1] + values[2:, 1:-1] + values[1:-1, :-2] + values[1:-1, 2:]).astype(np.int32)
    laplacian -= 4 * values[1:-1, 1:-1]
    squares = np.einsum("ij,ij->i", laplacian, laplacian)  # at most 256 × 1020² in a row: fits
    mean = int(laplacian.sum(dtype=np.int64)) / laplacian.size
    return float(int(squares.sum(dtype=np.int64)) / laplacian.size - mean**2)


def _grey_frac(pixels: Pixels) -> float:
    rows, columns = (-(-side // _GREY_GRID) for side in pixels.shape[:2])
    red, green, blue = np.ascontiguousarray(pixels[::rows, ::columns].transpose(2, 0, 1))
    high = np.maximum(np.maximum(red, green), blue)
    low = np.minimum(np.minimum(red, green), blue)
    return float(np.count_nonzero(high - low <= GREY_TOLERANCE) / high.size)


def _smallest(luma: Any) -> tuple[hashes.Luma, hashes.Luma]:  # noqa: ANN401
    """Lanczos to 32 × 32 and to 9 × 8; what is much larger is averaged down to twice 32 first."""
    from PIL import Image  # noqa: PLC0415

    factors = max(1, luma.width // 64), max(1, luma.height // 64)
    box = (0, 0, luma.width / factors[0], luma.height / factors[1])
    reduced = luma if factors == (1, 1) else luma.reduce(factors)
    wide, narrow = (reduced.resize(size, Image.Resampling.LANCZOS, box).tobytes() for size in ((32, 32), (9, 8)))
    return np.frombuffer(wide, np.uint8).reshape(32, 32), np.frombuffer(narrow, np.uint8).reshape(8, 9)
