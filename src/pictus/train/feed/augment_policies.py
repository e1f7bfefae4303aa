"""Which operations a picture goes through, as published, out of its row of uniform numbers.

The amounts are those of torchvision's transforms of the same names (RandAugment, TrivialAugmentWide, AugMix with all
operations); pixels between pixels are interpolated, what comes in from outside is the mean colour.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from pictus.pixels import Pixels
from pictus.train.feed import augment_operations
from pictus.train.feed.augment_operations import OPERATIONS, Colour

MOST_OPS = 8
"""Operations in a row that RandAugment may be asked for."""

N_POLICY = 34
"""Uniform numbers a policy may use: three for each operation; AugMix's three chains take most."""

CHAINS, DEEPEST = 3, 3
"""AugMix: chains that are mixed, and operations in each at most (Hendrycks et al. 2020, section 3)."""

AUGMIX_LEVELS = 10
"""What AugMix counts its strength in."""

USUAL = {"rand": 9, "augmix": 3}
"""The strength each policy was published with, where a recipe says 0."""

_PLAIN = ("identity", "shear-x", "shear-y", "translate-x", "translate-y", "rotate", "brightness", "colour", "contrast",
          "sharpness", "posterise", "solarise", "autocontrast", "equalise")  # fmt: skip
_SIGNED = frozenset(_PLAIN[1:10])
_ENHANCED = ("brightness", "colour", "contrast", "sharpness")


class Space(NamedTuple):
    """What a policy draws from. `shear`: slope; `shift`: px, or share of the side where `is_share`; `turn`: degrees;
    `enhance`: on either side of 1; `bits` kept of a value at level 0, and how many fewer at level 1.
    """

    names: tuple[str, ...]
    shear: float
    shift: float
    is_share: bool
    turn: float
    enhance: float
    bits: int
    fewer_bits: int


RAND = Space(_PLAIN, 0.3, 150 / 331, is_share=True, turn=30, enhance=0.9, bits=8, fewer_bits=4)
TRIVIAL = Space(_PLAIN, 0.99, 32, is_share=False, turn=135, enhance=0.99, bits=8, fewer_bits=6)
AUGMIX = Space(_PLAIN[1:], 0.3, 1 / 3, is_share=True, turn=30, enhance=0.9, bits=4, fewer_bits=4)


class Move(NamedTuple):
    """One operation and how much of it."""

    name: str
    amount: float


def drawn(space: Space, values: Sequence[float], level: float, side: int) -> Move:
    """An operation of `space`, at `level` 0 to 1: values[0] says which, values[2] its sign."""
    name = space.names[int(values[0] * len(space.names))]
    amount = amount_of(space, name, level, side)
    return Move(name, -amount if name in _SIGNED and values[2] <= 0.5 else amount)  # noqa: PLR2004  a fair coin


def amount_of(space: Space, name: str, level: float, side: int) -> float:
    """Of an operation at `level` 0 to 1 on a square of `side` px."""
    if name.startswith("shear"):
        return space.shear * level
    if name.startswith("translate"):
        return space.shift * (side if space.is_share else 1) * level
    if name == "rotate":
        return space.turn * level
    if name in _ENHANCED:
        return space.enhance * level
    if name == "posterise":
        return space.bits - round(space.fewer_bits * level)
    return 255 * (1 - level) if name == "solarise" else 0.0


def rand(view: Pixels, values: Sequence[float], magnitude: int, ops: int, fill: Colour) -> Pixels:
    """RandAugment (Cubuk et al. 2020): `ops` operations, each at `magnitude` of 30."""
    for start in range(0, 3 * ops, 3):
        view = _moved(view, drawn(RAND, values[start : start + 3], magnitude / 30, view.shape[1]), fill)
    return view


def trivial(view: Pixels, values: Sequence[float], fill: Colour) -> Pixels:
    """TrivialAugment, wide (Müller & Hutter 2021): one operation, at any of 31 levels."""
    return _moved(view, drawn(TRIVIAL, values, int(values[1] * 31) / 30, view.shape[1]), fill)


def augmix(view: Pixels, values: Sequence[float], magnitude: int, fill: Colour) -> Pixels:
    """AugMix (Hendrycks et al. 2020): three chains of one to three weak operations (`magnitude` of 10), mixed with
    Dirichlet(1, 1, 1) weights, and that with the picture in a share of Beta(1, 1).
    """
    weights = [-math.log(1 - value) for value in values[30:33]]
    share = values[33] / max(1e-12, sum(weights))
    mixed = np.multiply(view, np.float32(1 - values[33]), dtype=np.float32)
    for chain, weight in enumerate(weights):
        start = 10 * chain
        changed = view
        for number in range(1 + int(values[start] * DEEPEST)):
            own = values[start + 1 + 3 * number : start + 4 + 3 * number]
            level = int(own[1] * magnitude) / (AUGMIX_LEVELS - 1)
            changed = _moved(changed, drawn(AUGMIX, own, level, view.shape[1]), fill)
        mixed += np.multiply(changed, np.float32(weight * share), dtype=np.float32)
    mixed += np.float32(0.5)
    return mixed.clip(0, 255).astype(np.uint8)


def three(view: Pixels, values: Sequence[float]) -> Pixels:
    """3-Augment (Touvron et al. 2022, DeiT III): grey, solarised or blurred (sigma 0.1 to 2 px), one third each. The
    colour jitter that goes with it is the recipe's.
    """
    which = int(values[0] * 3)
    if which == 0:
        return augment_operations.grey(view)
    if which == 1:
        return augment_operations.solarise(view, 128)
    return augment_operations.blur(view, 0.1 + 1.9 * values[1])


def _moved(view: Pixels, move: Move, fill: Colour) -> Pixels:
    return OPERATIONS[move.name](view, move.amount, fill)
