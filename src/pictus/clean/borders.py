"""Bars and frames around a picture: letterboxes of films, frames of slides, margins of scans. Pure.

A line of pixels is plain when all its luma lies within PLAIN levels. Plain lines at an edge are a bar only where
they end at once: of the line that comes two behind the last one, half the pixels are of another light. So the
sky (it ends gradually) and a thing before a white ground (few of its pixels touch the first line) are no bars.
"""

from __future__ import annotations

import numpy as np

from pictus.hashes import Luma

PLAIN = 14
"""Levels; the noise of JPEG on one colour stays within it at quality 50."""

_EDGE_SHARE = 0.5
_LEAST_SIDE = 48  # px; in pictures of 32 px every tenth thing before white ends in a straight line
_LEAST_LINES = 3  # of the view: 1 % of its side; thinner ones are the seams that scaling leaves
_TRANSITION = 1  # lines in which scaling mixes bar and picture


def border_frac(luma: Luma) -> float:
    """u8[H, W] -> the share of the picture in plain bars at its edges, 0 to 1. A blank or tiny picture has none."""
    if min(luma.shape) < _LEAST_SIDE or not _has_plain_edge(luma):
        return 0.0
    top, bottom, left, right = 0, luma.shape[0], 0, luma.shape[1]
    for _ in range(2):  # bars above and below, then at the sides, then those that the side bars hid
        before = top, bottom, left, right
        top, bottom = _within(luma[:, left:right], top, bottom)
        left, right = _within(luma[top:bottom].T, left, right)
        if top >= bottom or left >= right:
            return 0.0
        if before == (top, bottom, left, right):
            break
    return float(1 - (bottom - top) * (right - left) / luma.size)


def _within(lines: Luma, first: int, last: int) -> tuple[int, int]:
    """Which of the lines first..last lie between two bars."""
    inside = lines[first:last]
    return (first + _bar(inside), last - _bar(inside[::-1])) if len(inside) else (first, last)


def _has_plain_edge(luma: Luma) -> bool:
    """Whether any of the four outermost lines is plain: of most pictures nothing more need be looked at."""
    for line in (luma[0], luma[-1], luma[:, 0], luma[:, -1]):
        few = line[:: max(1, len(line) // 8)].tolist()
        if max(few) - min(few) <= PLAIN and int(line.max()) - int(line.min()) <= PLAIN:
            return True
    return False


def _bar(lines: Luma) -> int:
    """How many lines from the first on are a bar; 0 where they do not end at once."""
    first = lines[0]
    level = int(first[len(first) // 2])
    for line in (lines[min(_LEAST_LINES, len(lines)) - 1], first):
        if int(line.max()) - int(line.min()) > PLAIN:
            return 0
    low, high = lines.min(axis=1).astype(np.int16), lines.max(axis=1).astype(np.int16)
    is_other = (low < level - PLAIN) | (high > level + PLAIN)
    count = int(is_other.argmax()) if is_other.any() else len(lines)
    if count < _LEAST_LINES or count + _TRANSITION >= len(lines):
        return 0
    behind = lines[count + _TRANSITION].astype(np.int16)
    jump = np.abs(behind - lines[count - 1].astype(np.int16))  # from line to line: a plain sky darkens slowly
    return count if np.mean(jump > PLAIN) >= _EDGE_SHARE else 0
