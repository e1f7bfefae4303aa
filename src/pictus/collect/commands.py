"""The command that does the same again: what was typed, less what one run is enough for."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

Said = str | Path | float | bool | tuple[str, ...] | None


def typed(command: str, words: Iterable[str | Path] = (), options: Mapping[str, Said] | None = None) -> str:
    """A command as a shell takes it. Options that are None, False, "" or () are left out; True is a bare flag."""
    parts = [command, *(shlex.quote(str(word)) for word in words)]
    for name, value in (options or {}).items():
        if value is None or value is False or value in ("", ()):
            continue
        for one in value if isinstance(value, tuple) else (value,):
            shown = f"{one:g}" if isinstance(one, float) else str(one)
            parts.append(f"--{name}" if one is True else f"--{name} {shlex.quote(shown)}")
    return " ".join(parts)
