"""One decode pass over each picture -> everything a verdict needs. Pure: bytes in, `Check`s out.

A picture is measured on its view: itself at 1/f, f the largest of 1, 2, 4, 8 that leaves the long
side at least 240 px. A JPEG is decoded at that size, in one pass over all its bytes, to luma and
colour as they are coded.

    size          width, height upright, from the header; long side / short side
    entropy       of the histogram of the view's luma in 256 levels, bits (Shannon 1948)
    brightness    its mean;  contrast  its standard deviation
    sharpness     variance of the 4-neighbour Laplacian (Pech-Pacheco 2000) of luma whose long side is
                  256 px, so that a number means nearly the same at 500 and at 5,000 px; a view of 240 to
                  255 px (of 500 px: 250) is taken as it is, nothing is enlarged
    grey_frac     share of the view's pixels, on a grid of at most 64 × 64, whose channels differ by at
                  most 8 levels
    hashes        sha256 that is equal only for equal pixels; PDQ, its quality, pHash and dHash, all
                  from the same 64 × 64 samples
    border_frac   borders.py;  text_frac, overlay  lettering.py;  jpeg_quality  compression.py
    metadata, creator, rights, data_mining    pictus/metadata.py

Histogram and sharpness take every second line of views over 128 lines high: a hundred thousand pixels
say no more about light than fifty thousand.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from pictus import hashes
from pictus.clean.borders import border_frac
from pictus.clean.compression import jpeg_quality
from pictus.clean.lettering import Counts, overlays, strokes, text_frac
from pictus.errors import PictureError
from pictus.metadata import Metadata, read
from pictus.pixels import MAX_PIXELS, Header, Pixels, Segments, jpeg_segments, luma_and_digest, sniff
from pictus.records import Check

VIEW_SIDE = 240
SHARPNESS_SIDE = 256
GREY_TOLERANCE = 8
"""JPEG's chroma noise on a grey photograph stays within it; a sepia tone does not."""
_GREY_GRID = 64
_ALL_LINES = 128  # of lower views every line is counted, of higher ones every second
_DECIMALS = 6

_LEVELS = np.arange(256.0)


class _View(NamedTuple):
    """What is taken from one picture before the pictures of a batch are finished together."""

    same_pixels: str
    histogram: list[int]
    sharpness: float
    grey_frac: float
    luma_64: hashes.F32
    border_frac: float
    text_frac: float
    strokes: Counts
    width: int
    jpeg_quality: int
    metadata: Metadata


_Seen = tuple[str, Header | None, _View | None]


def measure(
    pictures: Iterable[tuple[str, bytes]], *, max_pixels: int = MAX_PIXELS, threads: int = 1
) -> list[Check]:
    """(image_id, bytes) -> one row each, in order. What cannot be decoded gets a cause and zeros, never an exception.

    The same picture gives the same row alone and in any batch, in one thread or in several.
    """
    rows: list[Check] = []
    views: list[tuple[int, _View]] = []
    for image_id, (cause, header, view) in _seen(pictures, max_pixels, threads):
        if view:
            views.append((len(rows), view))
        rows.append(_blank(image_id, cause, header))
    if views:
        _finish(rows, views)
    return rows


def _seen(pictures: Iterable[tuple[str, bytes]], max_pixels: int, threads: int) -> Iterator[tuple[str, _Seen]]:
    """Each picture by itself, in order; of the bytes no more is held than a few pictures ahead of the threads."""
    if threads == 1:
        for image_id, image_bytes in pictures:
            yield image_id, _see(image_bytes, max_pixels)
        return
    with ThreadPoolExecutor(threads) as pool:  # libjpeg, Pillow, sha256 and numpy run beside each other
        waiting: deque[tuple[str, Future[_Seen]]] = deque()
        for image_id, image_bytes in pictures:
            waiting.append((image_id, pool.submit(_see, image_bytes, max_pixels)))
            if len(waiting) > 2 * threads:
                first, done = waiting.popleft()
                yield first, done.result()
        for first, done in waiting:
            yield first, done.result()


def _see(image_bytes: bytes, max_pixels: int) -> _Seen:
    """Cause, header and view of one picture, as far as it can be decoded."""
    header: Header | None = None
    try:
        segments = list(jpeg_segments(image_bytes)) if image_bytes[:2] == b"\xff\xd8" else []
        header = sniff(image_bytes, max_pixels=max_pixels, segments=segments)
        return "", header, _view(image_bytes, header, segments)
    except PictureError as error:
        return error.cause, header, None


def _blank(image_id: str, cause: str, header: Header | None) -> Check:
    """A row with what the header says and zeros for the rest."""
    width, height = header.upright if header else (0, 0)
    return Check(
        image_id=image_id, cause=cause, width=width, height=height, entropy=0.0, sharpness=0.0, brightness=0.0,
        contrast=0.0, grey_frac=0.0, aspect=max(width, height) / max(1, min(width, height)) if header else 0.0,
        is_animated=bool(header and header.is_animated), pixel_sha256="", phash=0, dhash=0, pdq=bytes(32),
        pdq_quality=0,
    )  # fmt: skip


def _view(image_bytes: bytes, header: Header, segments: Segments) -> _View:
    from PIL import Image  # noqa: PLC0415  0.05 s that --help does not pay

    long_side = max(header.width, header.height)
    factor = next((factor for factor in (8, 4, 2) if long_side >= factor * VIEW_SIDE), 1)
    pixels, same_pixels = luma_and_digest(image_bytes, header, factor=factor, segments=segments)
    luma = np.ascontiguousarray(pixels[:, :, 0])
    lines = luma if len(luma) <= _ALL_LINES else luma[::2].copy()
    histogram = Image.frombuffer("L", lines.shape[::-1], lines, "raw", "L", 0, 1).histogram()
    return _View(
        same_pixels=same_pixels,
        histogram=histogram,
        sharpness=_sharpness(luma),
        grey_frac=_grey_frac(pixels),
        luma_64=hashes.decimate(luma, *header.upright, factor),
        border_frac=border_frac(luma),
        text_frac=text_frac(luma, histogram),
        strokes=strokes(luma),
        width=luma.shape[1],
        jpeg_quality=jpeg_quality(segments),
        metadata=read(image_bytes, segments=segments),
    )


def _finish(rows: list[Check], views: list[tuple[int, _View]]) -> None:
    """Fill in the rows of all views, each measure for all of them at once."""
    found = [view for _, view in views]
    luma_64 = np.stack([view.luma_64 for view in found])
    entropy, brightness, contrast = _tones(np.array([view.histogram for view in found], dtype=np.float64))
    phash = hashes.phash64(hashes.shrunk(luma_64, 32, 32))
    dhash = hashes.dhash64(hashes.shrunk(luma_64, 9, 8))
    pdq = hashes.pdq256(luma_64)
    overlay = overlays([view.strokes for view in found], [view.width for view in found])
    for number, (place, view) in enumerate(views):
        blank = rows[place]
        rows[place] = Check(
            image_id=blank.image_id, cause="", width=blank.width, height=blank.height,
            entropy=float(entropy[number]), sharpness=view.sharpness, brightness=float(brightness[number]),
            contrast=float(contrast[number]), grey_frac=view.grey_frac, aspect=blank.aspect,
            is_animated=blank.is_animated, pixel_sha256=view.same_pixels, phash=int(phash[number]),
            dhash=int(dhash[number]), pdq=pdq.bits[number].tobytes(), pdq_quality=int(pdq.quality[number]),
            border_frac=round(view.border_frac, _DECIMALS), text_frac=round(view.text_frac, _DECIMALS),
            overlay=round(float(overlay[number]), _DECIMALS), jpeg_quality=view.jpeg_quality,
            metadata=view.metadata.kinds, creator=view.metadata.creator, rights=view.metadata.rights,
            data_mining=view.metadata.data_mining,
        )  # fmt: skip


def _tones(counts_NL: npt.NDArray[np.float64]) -> tuple[npt.NDArray[np.float64], ...]:
    """Entropy, mean and standard deviation of each histogram, f64[N, 256]. Sums of whole numbers are exact."""
    total = counts_NL.sum(axis=1)
    share = counts_NL / total[:, None]
    entropy = -(share * np.log2(np.where(share > 0, share, 1.0))).sum(axis=1)
    mean = (counts_NL * _LEVELS).sum(axis=1) / total
    variance = (counts_NL * _LEVELS**2).sum(axis=1) / total - mean**2
    return np.abs(np.round(entropy, _DECIMALS)), mean, np.sqrt(np.maximum(variance, 0.0))


def _sharpness(luma: hashes.Luma) -> float:
    """At 256 px; of a view that is larger (up to 480 px) between its own and that at half its size, on a log scale.

    The variance of a Laplacian falls by a power of the scale, which power depends on the picture.
    """
    own = _laplacian_variance(luma.astype(np.int16))
    scale = max(luma.shape) / SHARPNESS_SIDE
    if scale <= 1 or own == 0:
        return own
    height, width = (side & ~1 for side in luma.shape)
    wide = luma[:height, :width].astype(np.int16)
    lines = wide[::2] + wide[1::2]
    half = _laplacian_variance((lines[:, ::2] + lines[:, 1::2] + 2) >> 2)
    return float(own ** (1 - math.log2(scale)) * half ** math.log2(scale))


def _laplacian_variance(values: npt.NDArray[np.int16]) -> float:
    if min(values.shape) < 3:  # noqa: PLR2004  no pixel has four neighbours
        return 0.0
    step = 1 if len(values) <= _ALL_LINES else 2
    middle = values[1:-1:step]
    laplacian = values[:-2:step, 1:-1] + values[2::step, 1:-1]
    laplacian += middle[:, :-2]
    laplacian += middle[:, 2:]
    laplacian -= 4 * middle[:, 1:-1]  # at most 1,020
    wide = laplacian.astype(np.int32)
    squares = np.einsum("ij,ij->i", wide, wide)  # at most 480 × 1020² in a row: fits
    mean = int(wide.sum(dtype=np.int64)) / wide.size
    return float(int(squares.sum(dtype=np.int64)) / wide.size - mean**2)


def _grey_frac(pixels: Pixels) -> float:
    """Of Y, Cb, Cr: without colour are the pixels of few pairs of Cb and Cr."""
    if pixels.shape[2] == 1:
        return 1.0
    rows, columns = (-(-side // _GREY_GRID) for side in pixels.shape[:2])
    colours = pixels[::rows, ::columns, 1:]
    is_grey = _without_colour()[colours[..., 0], colours[..., 1]]
    return float(np.count_nonzero(is_grey) / is_grey.size)


@lru_cache(maxsize=1)
def _without_colour() -> npt.NDArray[np.bool_]:
    """bool[Cb, Cr]: whether red, green and blue differ by the tolerance at most, and one level for rounding (JFIF)."""
    blue, red = np.arange(256.0)[:, None] - 128, np.arange(256.0) - 128
    channels = np.stack(np.broadcast_arrays(1.402 * red, -0.344136 * blue - 0.714136 * red, 1.772 * blue))
    is_grey: npt.NDArray[np.bool_] = np.ptp(channels, axis=0) <= GREY_TOLERANCE + 1
    return is_grey
