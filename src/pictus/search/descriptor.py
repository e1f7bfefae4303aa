"""A picture as a vector without any trained network: where which edges and which colours are.

Three parts, each of length 1 before weighting, so that none drowns the others:
- directions of edges: 8 directions in 8×8 cells, contrast-normalised over 3×3 cells as in HOG
  (Dalal & Triggs 2005, "Histograms of Oriented Gradients for Human Detection", §6), less each
  cell's mean over the directions (what is equal in all says little), then added up in 4×4 cells,
  so that a small shift changes little;
- mean and spread of opponent colours on a 4×4 grid (a coarse colour layout, MPEG-7's idea);
- a joint colour histogram of 4×4×4 bins, square-rooted, so that the dot product is the
  Bhattacharyya coefficient (Arandjelović & Zisserman 2012, "RootSIFT", §2).

Legend: D features.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pictus import pixels

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]

SIDE = 64
CELL = 8
DIRECTIONS = 8
BINS = 4
COARSE = 4
WEIGHTS = (1.0, 1.0, 0.7)
"""Edges, layout, histogram: the best of a few on half of 178 classes of 64 px photographs, and on the other half,
which was looked at for every variant; 250 photographs of original size were too few to tell (docs/search.md)."""

VERSION = "descriptor 1"
"""Stands in every index made by it: change it with anything that changes the numbers, and indexes are made anew."""

LEAST = (0.5, 0.4, 0.0)
"""A part shorter than this stays shorter than 1: a flat wall has no edges, and its noise must not count as some.
1,500 photographs have at least 0.6 and 0.4."""
FLOOR = 1.0
"""Strength around a cell (of grey 0..1) near which its edges fade: noise of one grey level has about 0.3."""

CELLS = SIDE // CELL
SIZE = COARSE * COARSE * DIRECTIONS + 4 * 4 * 6 + BINS**3


def describe(image_bytes: bytes) -> Floats:
    """One picture's descriptor, f32[D], length 1. PictureError when it cannot be decoded."""
    return describe_pixels(pixels.decode_scaled(image_bytes, SIDE))


def describe_pixels(picture: Pixels) -> Floats:
    """u8[H, W, 3] -> f32[D], length 1."""
    small = pixels.resize(picture, SIDE, SIDE).astype(np.float32) / np.float32(255)
    parts = zip(WEIGHTS, LEAST, (_edges(small), _layout(small), _histogram(small)), strict=True)
    return _unit(np.concatenate([weight * _unit(part, least) for weight, least, part in parts]), 0)


def _edges(small: Floats) -> Floats:
    luma = small @ np.array([0.299, 0.587, 0.114], np.float32)
    dy, dx = np.gradient(luma)
    strength = np.hypot(dx, dy).ravel()
    angle = (np.arctan2(dy, dx) % np.pi / np.pi * DIRECTIONS).ravel()
    low = np.floor(angle).astype(np.intp)
    share = (angle - low).astype(np.float32)
    rows, columns = np.divmod(np.arange(SIDE * SIDE), SIDE)
    cell = (rows // CELL) * CELLS + columns // CELL
    votes = np.zeros(CELLS * CELLS * DIRECTIONS, np.float32)
    for direction, weight in ((low % DIRECTIONS, 1 - share), ((low + 1) % DIRECTIONS, share)):
        votes += np.bincount(cell * DIRECTIONS + direction, strength * weight, len(votes)).astype(np.float32)
    grid = votes.reshape(CELLS, CELLS, DIRECTIONS)
    energy = (grid**2).sum(-1)
    around = np.sqrt(_blurred(energy)) + FLOOR
    clipped = np.minimum(grid / around[..., None], 0.4)
    centred = clipped - clipped.mean(-1, keepdims=True)
    step = CELLS // COARSE
    coarse: Floats = centred.reshape(COARSE, step, COARSE, step, DIRECTIONS).sum((1, 3)).ravel()
    return coarse


def _blurred(energy: Floats) -> Floats:
    padded = np.pad(energy, 1, mode="edge")
    count = energy.shape[0]
    return sum((padded[y : y + count, x : x + count] for y in range(3) for x in range(3)), np.zeros_like(energy))


def _opponent(small: Floats) -> Floats:
    red, green, blue = small[..., 0], small[..., 1], small[..., 2]
    return np.stack([(red + green + blue) / 3, red - green, (red + green) / 2 - blue], -1)


def _layout(small: Floats) -> Floats:
    cells = _opponent(small).reshape(4, SIDE // 4, 4, SIDE // 4, 3)
    means, spreads = cells.mean((1, 3)), cells.std((1, 3))
    means = means - np.array([0.5, 0, 0], np.float32)
    return np.concatenate([means.ravel(), spreads.ravel()])


def _histogram(small: Floats) -> Floats:
    index = np.minimum((small * BINS).astype(np.intp), BINS - 1)
    flat = (index[..., 0] * BINS + index[..., 1]) * BINS + index[..., 2]
    counts = np.bincount(flat.ravel(), minlength=BINS**3).astype(np.float32)
    rooted: Floats = np.sqrt(counts / counts.sum())
    return rooted


def _unit(vector: Floats, least: float) -> Floats:
    return (vector / max(float(np.linalg.norm(vector)), least, 1e-12)).astype(np.float32)
