"""The names of torchvision's and timm's classifiers, read from the packages' own text.

Importing both takes 4 to 6 s, reading which functions they register 0.2 s: a slip in a name is told at once.
"""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from pathlib import Path

from pictus.extras import need

_MADE = re.compile(r"^@register_model\b.*\n(?:@.*\n(?:    .*\n|\)\n)*)*def (\w+)\(", re.MULTILINE)
"""A function that makes a network, below the line that registers it and lines of other decorators."""

_RENAMED = re.compile(r"register_model_deprecations\(__name__, \{(.*?)\n\}\)", re.DOTALL)
_OLD_NAME = re.compile(r"""^\s*['"]([\w.]+)['"]\s*:""", re.MULTILINE)


@cache
def torchvision_names() -> frozenset[str]:
    """Its classifiers; those of other tasks lie in folders below."""
    return _made("torchvision")


@cache
def timm_names() -> frozenset[str]:
    """Every network of timm's, with names of before that it still takes."""
    return _made("timm")


def _made(package: str) -> frozenset[str]:
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        need(package, "train")  # says which extra brings it
        return frozenset()
    names: set[str] = set()
    for path in sorted((Path(found.submodule_search_locations[0]) / "models").glob("*.py")):
        text = path.read_text(encoding="utf-8")
        names.update(_MADE.findall(text))
        for renamed in _RENAMED.findall(text):
            names.update(_OLD_NAME.findall(renamed))
    return frozenset(names)
