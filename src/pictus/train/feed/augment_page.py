"""The sheet of training pictures as one HTML page that needs nothing else. Pure."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import fields
from importlib import resources
from typing import NamedTuple

from pictus.pixels import Pixels
from pictus.train.recipes import Recipe

ABOUT_PICTURES = ("objective", "size", "view", "pack", "crop", "min_area", "flip", "erase", "colour", "policy",
                  "magnitude", "ops", "saturation", "hue", "grey", "blur", "solarise", "mixup", "cutmix", "mix_until",
                  "seed")  # fmt: skip
"""Settings that decide what a view looks like."""


class Shot(NamedTuple):
    """One view, u8[S, S, 3]; of a mixed one the classes in it with their shares, the greatest first or not."""

    pixels: Pixels
    parts: tuple[tuple[str, float], ...]


class Row(NamedTuple):
    """A picture, whole, and its views."""

    image_id: str
    concept: str
    whole: Pixels
    shots: tuple[Shot, ...]


def page(recipe: Recipe, settings: Sequence[str], release: str, rows: Sequence[Row]) -> str:
    """`settings`: what was asked for beside the recipe's name, as typed."""
    from jinja2 import Environment, StrictUndefined  # noqa: PLC0415  0.1 s that --help does not pay

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"address": address, "said": said}
    template = environment.from_string(resources.files(__package__).joinpath("views.html.j2").read_text("utf-8"))
    decisive = {one.name: getattr(recipe, one.name) for one in fields(recipe) if one.name in ABOUT_PICTURES}
    return template.render(recipe=recipe, settings=list(settings), release=release, rows=list(rows), decisive=decisive)


def address(pixels: Pixels) -> str:
    """A picture as the address of an <img>, without loss."""
    from PIL import Image  # noqa: PLC0415  as pixels.py: only where it is wanted

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()


def said(shot: Shot) -> str:
    """What a mixed view is taught as: "62 % lemon, 38 % owl"."""
    parts = sorted(shot.parts, key=lambda part: -part[1])
    return ", ".join(f"{share:.0%} {name}".replace("%", " %") for name, share in parts)
