"""What is tried of each setting: a function from a recipe to ranges, each with its source. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import NamedTuple

from pictus.errors import UserError
from pictus.registry import unknown
from pictus.train.recipes import Recipe

OVER = "lr,weight_decay,min_area,erase"
"""What is tried where nothing is said."""


class Span(NamedTuple):
    """Numbers from low to high, drawn evenly or (`is_log`) by equal factors."""

    low: float
    high: float
    is_log: bool
    source: str


class Words(NamedTuple):
    values: tuple[str | int, ...]
    source: str


Space = dict[str, Span | Words]


def space(recipe: Recipe) -> Space:
    """Every setting that can be tried, around the recipe's own values."""
    decay = recipe.weight_decay or 1e-4
    by_factors = "by equal factors, since they multiply the steps (Bergstra & Bengio 2012, section 3)"
    found: Space = {
        "lr": Span(recipe.lr / 10, recipe.lr * 10, is_log=True, source=f"a tenth to ten times, {by_factors}"),
        "weight_decay": Span(decay / 10, min(1.0, decay * 10), is_log=True, source=f"likewise, {by_factors}"),
        "warmup": Span(0.0, 0.3, is_log=False, source="none to one cycle's (Smith & Topin 2018)"),
        "smoothing": Span(0.0, 0.2, is_log=False, source="0.1 twice over (Szegedy et al. 2016)"),
        "min_area": Span(0.08, 0.9, is_log=False, source="Inception's 0.08 (Szegedy et al. 2015) to nearly whole"),
        "erase": Span(0.0, 0.5, is_log=False, source="none to Zhong et al. 2017's 0.5"),
        "colour": Span(0.0, 0.5, is_log=False, source="none to a little over 0.4 (Krizhevsky et al. 2012's kin)"),
        "mixup": Span(0.0, 0.8, is_log=False, source="none to DeiT's 0.8 (Touvron et al. 2021, table 9)"),
        "cutmix": Span(0.0, 1.0, is_log=False, source="none to 1 (Yun et al. 2019, section 3)"),
        "layer_decay": Span(0.6, 1.0, is_log=False, source="BEiT's 0.65 (Bao et al. 2022) to none"),
        "batch_size": Words(_sizes(recipe.batch_size), "half, as it is, twice; rates go with it (Goyal et al. 2017)"),
        "optimizer": Words(("sgd", "adamw"), "the two that differ most; try lr with it"),
        "policy": Words(("none", "rand", "trivial"), "those that need no search of their own"),
    }
    return found


def chosen(recipe: Recipe, over: str) -> Space:
    """Those that `over` names: `lr,weight_decay`."""
    known = space(recipe)
    names = [name.strip().replace("-", "_") for name in over.split(",") if name.strip()]
    if not names:
        raise UserError("--over names no setting.", fix=f"--over {OVER}")
    for name in names:
        if name not in known:
            raise unknown("setting to try", name, sorted(known))
    return {name: known[name] for name in names}


def settings(values: dict[str, float | int | str]) -> tuple[str, ...]:
    """As `--set` takes them; numbers in four digits, which say them wholly."""
    return tuple(f"{name}={_text(value)}" for name, value in values.items())


def typed(verb: str, recipe: str, release: str, values: Sequence[str]) -> str:
    """`pictus train run --recipe small-cnn --set lr=0.1 --set erase=0.2`; on the release that was named, if any."""
    named = ("--release", release) if release else ()
    told = [word for one in values for word in ("--set", one)]
    return shlex.join(("pictus", "train", verb, "--recipe", recipe, *named, *told))


def _sizes(size: int) -> tuple[int, ...]:
    return tuple(sorted({max(8, size // 2), size, size * 2}))


def _text(value: float | str) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
