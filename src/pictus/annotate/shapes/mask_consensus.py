"""What a mask is, from several people who each covered the same thing: STAPLE, pixel by pixel.

    P(w sets a pixel | it belongs to the thing) = sensitivity_w        P(w leaves it | it does not) = specificity_w

EM over the truth of each pixel and both rates of each annotator, which are shared by all things they drew and have
Beta priors worth CERTAINTY px. Only pixels about which people disagree take part: where all say the same there is
nothing to weigh, and the many easy pixels around a thing would make everybody's specificity look perfect, so that
whoever covers too much wins (Asman, Landman 2011, "Robust statistical label fusion through consensus level"). How
many of a thing's disputed pixels are foreground beforehand is the mean of the masks there. Pixels with the same
answers are one row with a count, so that cost grows with the number of different patterns, not of pixels.

Warfield, Zou, Wells 2004, "Simultaneous truth and performance level estimation (STAPLE)".

Legend: O things, R patterns of answers, J (pattern, annotator) pairs, W annotators.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from pictus.annotate.shapes import rle
from pictus.annotate.shapes.rle import Rle

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

RIGHT = 0.7
"""Expected sensitivity and specificity on pixels that people dispute."""

CERTAINTY = 200.0
MOST_PEOPLE = 62
"""Masks of one thing that can be told apart by the bits of one number."""

ROUNDS = 200
_CHANGE = 1e-5


class Thing(NamedTuple):
    """Masks of one thing, all of one size, one per annotator (numbers from 0)."""

    masks: tuple[Rle, ...]
    annotators: tuple[int, ...]


class MaskConsensus(NamedTuple):
    """One mask per thing: the pixels that more probably belong to it than not."""

    masks: list[Rle]
    overlap_O: Floats  # expected IoU with the truth, under the model
    sensitivity_W: Floats  # on disputed pixels
    specificity_W: Floats


class _Patterns(NamedTuple):
    thing_R: Ints
    count_R: Floats
    row_J: Ints
    annotator_J: Ints
    is_set_J: NDArray[np.bool_]


class _Crop(NamedTuple):
    x1: int
    y1: int
    code: Ints  # of each pixel of the crop: its row among the patterns


def weigh_masks(things: Sequence[Thing], n_annotators: int = 0, *, rounds: int = ROUNDS) -> MaskConsensus:
    """EM from the expected rates until none moves by 1e-5."""
    n_people = n_annotators or max((max(thing.annotators) + 1 for thing in things), default=0)
    everything, crops = _patterns(things)
    agreed_R, patterns = _disputed(everything)
    share_O = _shares(patterns, len(things))
    prior_R = np.log(share_O / (1 - share_O))[patterns.thing_R]
    sensitivity_W, specificity_W = np.full(n_people, RIGHT), np.full(n_people, RIGHT)
    true_R = np.zeros(patterns.thing_R.size)
    for _ in range(rounds):
        true_R = _truth(patterns, prior_R, sensitivity_W, specificity_W)
        before = np.concatenate([sensitivity_W, specificity_W])
        sensitivity_W = _rates(patterns, patterns.count_R * true_R, is_set=True, n_people=n_people)
        specificity_W = _rates(patterns, patterns.count_R * (1 - true_R), is_set=False, n_people=n_people)
        if np.abs(np.concatenate([sensitivity_W, specificity_W]) - before).max(initial=0.0) < _CHANGE:
            break
    true_R = np.where(np.isnan(agreed_R), true_R, agreed_R)
    is_in_R = true_R >= 0.5  # noqa: PLR2004  more probable than not
    patterns = everything
    both_O, whole_O = (
        np.bincount(patterns.thing_R, weights=patterns.count_R * of, minlength=len(things))
        for of in (np.where(is_in_R, true_R, 0), np.where(is_in_R, 1, true_R))
    )
    masks = [
        rle.placed(is_in_R[crop.code], crop.x1, crop.y1, thing.masks[0].height, thing.masks[0].width)
        for thing, crop in zip(things, crops, strict=True)
    ]
    overlap_O = np.where(whole_O > 0, both_O / np.where(whole_O > 0, whole_O, 1), 0.0)
    return MaskConsensus(masks, overlap_O, sensitivity_W, specificity_W)


def _disputed(patterns: _Patterns) -> tuple[Floats, _Patterns]:
    """What all say of each pattern (1, 0, nan where they differ), and the patterns with only the disputed counted."""
    size = patterns.count_R.size
    set_R = np.bincount(patterns.row_J, weights=patterns.is_set_J, minlength=size)
    many_R = np.bincount(patterns.row_J, minlength=size)
    agreed_R = np.where(set_R == 0, 0.0, np.where(set_R == many_R, 1.0, np.nan))
    return agreed_R, patterns._replace(count_R=np.where(np.isnan(agreed_R), patterns.count_R, 0.0))


def _truth(patterns: _Patterns, prior_R: Floats, sensitivity_W: Floats, specificity_W: Floats) -> Floats:
    """P(pixels of a pattern belong to the thing). f64[R]."""
    sensitivity_J, specificity_J = sensitivity_W[patterns.annotator_J], specificity_W[patterns.annotator_J]
    says_J = np.where(
        patterns.is_set_J,
        np.log(sensitivity_J / (1 - specificity_J)),
        np.log((1 - sensitivity_J) / specificity_J),
    )
    odds_R = prior_R + np.bincount(patterns.row_J, weights=says_J, minlength=prior_R.size)
    return np.asarray(1 / (1 + np.exp(-np.clip(odds_R, -500, 500))))


def _rates(patterns: _Patterns, weight_R: Floats, *, is_set: bool, n_people: int) -> Floats:
    """How often each annotator answers `is_set` on the pixels of `weight_R`; never quite always."""
    weight_J = weight_R[patterns.row_J]
    agreed_W = np.bincount(patterns.annotator_J, weights=weight_J * (patterns.is_set_J == is_set), minlength=n_people)
    all_W = np.bincount(patterns.annotator_J, weights=weight_J, minlength=n_people)
    return np.asarray((CERTAINTY * RIGHT + agreed_W) / (CERTAINTY + all_W))


def _shares(patterns: _Patterns, n_things: int) -> Floats:
    """The mean share of each thing's disputed pixels that its masks cover, f64[O], within (0, 1)."""
    weight_J = patterns.count_R[patterns.row_J]
    thing_J = patterns.thing_R[patterns.row_J]
    set_O = np.bincount(thing_J, weights=weight_J * patterns.is_set_J, minlength=n_things)
    all_O = np.bincount(thing_J, weights=weight_J, minlength=n_things)
    return np.clip(set_O / np.maximum(all_O, 1), 1e-3, 1 - 1e-3)


def _patterns(things: Sequence[Thing]) -> tuple[_Patterns, list[_Crop]]:
    thing_R, count_R, row_J, annotator_J, is_set_J = [], [], [], [], []
    crops: list[_Crop] = []
    rows = 0
    for number, thing in enumerate(things):
        if len(thing.masks) > MOST_PEOPLE or len(thing.masks) != len(thing.annotators):
            message = f"one mask per annotator expected, {MOST_PEOPLE} at most, found {len(thing.masks)}"
            raise ValueError(message)
        x1, y1, x2, y2 = _around(thing)
        code = np.zeros((y2 - y1, x2 - x1), np.int64)
        for bit, mask in enumerate(thing.masks):
            code |= rle.crop(mask, x1, y1, x2, y2).astype(np.int64) << bit
        seen, inverse, counts = np.unique(code, return_inverse=True, return_counts=True)
        people = len(thing.masks)
        thing_R.append(np.full(seen.size, number))
        count_R.append(counts.astype(np.float64))
        row_J.append(np.repeat(np.arange(rows, rows + seen.size), people))
        annotator_J.append(np.tile(np.array(thing.annotators, np.int64), seen.size))
        is_set_J.append(((seen[:, None] >> np.arange(people)) & 1).ravel() == 1)
        crops.append(_Crop(x1, y1, inverse.reshape(code.shape) + rows))
        rows += seen.size
    if not things:
        none = np.zeros(0, np.int64)
        return _Patterns(none, np.zeros(0), none, none, np.zeros(0, np.bool_)), []
    return _Patterns(*(np.concatenate(part) for part in (thing_R, count_R, row_J, annotator_J, is_set_J))), crops


def _around(thing: Thing) -> tuple[int, int, int, int]:
    """The box around all masks."""
    boxes = [rle.box(mask) for mask in thing.masks if rle.area(mask)]
    if not boxes:
        return 0, 0, 1, 1
    x1, y1 = min(box[0] for box in boxes), min(box[1] for box in boxes)
    x2, y2 = max(box[2] for box in boxes), max(box[3] for box in boxes)
    return int(x1), int(y1), int(x2), int(y2)
