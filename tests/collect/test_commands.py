"""Commands that are proposed can be typed as they stand."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from pictus.collect.commands import Said, typed


@pytest.mark.parametrize(
    ("words", "options", "command"),
    [
        ([], {}, "pictus x"),
        ([Path("my list.csv")], {}, "pictus x 'my list.csv'"),
        ([], {"contact": "", "rate": None, "again": False, "allow-host": ()}, "pictus x"),
        ([], {"rate": 0.0, "again": True, "resize": 256}, "pictus x --rate 0 --again --resize 256"),
        ([], {"rate": 0.25, "limit": 10_000_000}, "pictus x --rate 0.25 --limit 10000000"),
        (["a"], {"concept": ("owl", "barn owl")}, "pictus x a --concept owl --concept 'barn owl'"),
    ],
)
def test_what_was_given_stands_in_the_command(words: list[str | Path], options: dict[str, Said], command: str) -> None:
    assert typed("pictus x", words, options) == command
    assert shlex.split(command)[2:3] in ([], [str(word) for word in words], ["--rate"])
