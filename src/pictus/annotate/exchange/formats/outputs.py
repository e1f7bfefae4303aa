"""Files of other formats as they are written: whole or not at all, and no name in them can do anything."""

from __future__ import annotations

import csv
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import escape, quoteattr

from pictus.errors import UserError

_ILLEGAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff\ud800-\udfff]")


@contextmanager
def text_file(path: Path) -> Iterator[TextIO]:
    """A text file that appears under its name when it is complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("w", encoding="utf-8", newline="") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except OSError as error:
        raise UserError(
            f"{path} could not be written: {error.strerror or error}.", fix="free some space or name another place"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def json_text(value: object) -> str:
    """Compact; NaN and Infinity cannot get in."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class JsonList:
    """Writes the elements of an array one after another."""

    def __init__(self, out: TextIO) -> None:
        self._out, self.count = out, 0

    def add(self, value: object) -> None:
        self._out.write(("\n" if not self.count else ",\n") + json_text(value))
        self.count += 1


def table(out: TextIO, path: Path) -> Any:  # noqa: ANN401  csv gives its type no name
    """A writer of CSV, or of TSV by the file's ending."""
    return csv.writer(out, delimiter="\t" if path.suffix.lower() in (".tsv", ".tab") else ",", lineterminator="\n")


def tag(name: str, attributes: Mapping[str, object], *, closed: bool = True) -> str:
    """<name a="b"/>, or <name a="b"> when not closed."""
    said = "".join(f" {key}={quoteattr(legal(str(value)))}" for key, value in attributes.items())
    return f"<{name}{said}{'/' if closed else ''}>"


def legal(text: str) -> str:
    """Without the signs that XML 1.0 does not have."""
    return _ILLEGAL.sub("\N{REPLACEMENT CHARACTER}", text)


def xml_text(text: str) -> str:
    return escape(legal(text))


def safe_path(folder: Path, name: str, ending: str) -> Path:
    """A path inside `folder` for a picture's name, which may come from anywhere."""
    parts = [re.sub(r"[^\w.() -]", "_", part)[:100].strip(". ") for part in name.split("/")[-3:]]
    stem, _, last = (parts[-1] or "_").rpartition(".")
    return folder.joinpath(*(part or "_" for part in parts[:-1]), f"{stem or last}{ending}")


def decimal(value: float) -> str:
    """A number with at most three places and no needless zero."""
    return f"{value:.3f}".rstrip("0").rstrip(".") or "0"
