"""Files that people give: read whole and capped, unpacked when they are .xz or .gz, as UTF-8."""

from __future__ import annotations

import gzip
import lzma
from pathlib import Path
from typing import Any

from pictus.errors import UserError

LARGEST = 1 << 28
"""Bytes: thirty times the largest list there is; a packed bomb stops here."""


def read_packed(path: Path, example: str, most: int = 0) -> bytes:
    """The file's bytes, unpacked when it is .xz or .gz; at most `most`, or LARGEST. `example`: what to type instead."""
    most = most or LARGEST
    try:
        with path.open("rb") as plain_file:
            start = plain_file.read(6)
            plain_file.seek(0)
            packed: Any = plain_file
            if start == b"\xfd7zXZ\0":
                packed = lzma.open(plain_file)  # noqa: SIM115  closed with the file below it
            elif start[:2] == b"\x1f\x8b":
                packed = gzip.open(plain_file)  # noqa: SIM115
            data: bytes = packed.read(most + 1)
    except (OSError, EOFError, lzma.LZMAError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{path} cannot be read: {reason}.", fix=example or "take the file again") from error
    if len(data) > most:
        raise UserError(f"{path} is larger than {most >> 20} MB: this is no list of concepts.", fix=example)
    return data


def text_of(data: bytes, path: Path) -> str:
    """Bytes of a file as text; a UserError that names the line where they are not UTF-8."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path} line {line} is not UTF-8 text: found byte 0x{data[error.start]:02x}.", fix="save it as UTF-8"
        ) from error
