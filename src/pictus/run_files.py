"""The files of a run as a page or a list reads them: other steps, other machines and other people wrote them.

What is no regular file, too large, nested too deep or no UTF-8 is told as one line; a number beyond `MOST` is none.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

MOST_BYTES = 4 << 20
"""Of one file; live.json has some 10 kB, mistakes.json 24 pictures."""
MOST = 1e15
"""Beyond it nothing that a run tells is right, and halves of a whole number are lost."""
_DIGITS = 16


class UnreadableError(ValueError):
    """Why a file cannot be read, in one line."""


def parsed(text: str | bytes) -> Any:  # noqa: ANN401  any JSON value
    """JSON whose numbers are within MOST, else nan, and whose texts can be printed; UnreadableError says why not."""
    try:
        text = text.decode("utf-8") if isinstance(text, bytes) else text
        found = _DECODER.decode(text)
        if "\\ud" in text.lower():  # half a sign, as JSON can spell it
            json.dumps(found, ensure_ascii=False).encode("utf-8")
    except RecursionError:
        message = "it is nested too deep"
    except ValueError as error:
        message = str(error).partition("\n")[0]
    else:
        return found
    raise UnreadableError(message)


def read(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The object in a JSON file; OSError where there is none, UnreadableError for what is of another form."""
    if path.exists() and not path.is_file():  # a pipe is never read to its end, nor is a device
        message = "it is not a file"
        raise UnreadableError(message)
    with path.open("rb") as opened:
        found = opened.read(most_bytes + 1)
    if len(found) > most_bytes:
        message = f"it has more than {most_bytes / (1 << 20):,.0f} MiB"
        raise UnreadableError(message)
    values = parsed(found)
    if not isinstance(values, dict):
        message = "it is not an object"
        raise UnreadableError(message)
    return values


def own_file(folder: Path, name: str) -> Path | None:
    """A file of a folder; None where there is none, or a link leads out of the folder."""
    path = folder / name
    return path if path.is_file() and path.resolve().is_relative_to(folder.resolve()) else None


def is_number(value: object) -> bool:
    """A finite number within MOST; a card's own numbers are of any size."""
    if isinstance(value, float):
        return math.isfinite(value) and abs(value) <= MOST
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= MOST


def number(values: dict[str, Any], name: str) -> float | None:
    """A figure of a card; None where it has none that can be told."""
    value = values.get(name)
    return value if is_number(value) else None


def is_share(value: object) -> bool:
    """0..1, or nan: what a network that has diverged scores."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and not (value < 0 or value > 1)


def count(value: object) -> int:
    """A number of things; 0 for what is none."""
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST
    return int(value) if is_count else 0  # type: ignore[call-overload]


def printable(name: str) -> str:
    """The name of a file as a page can show it: one that is no UTF-8 with its bytes spelled."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _whole(digits: str) -> float:
    return int(digits) if len(digits) <= _DIGITS and abs(int(digits)) <= MOST else math.nan


def _number(text: str) -> float:
    found = float(text)
    return found if abs(found) <= MOST else math.nan


_DECODER = json.JSONDecoder(parse_int=_whole, parse_float=_number, parse_constant=_number)
