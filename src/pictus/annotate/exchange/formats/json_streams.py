"""JSON read piece by piece: a file of a gigabyte needs the memory of its largest element.

NaN and Infinity, which are no JSON, are refused; so are elements that are too large or too deep.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator
from typing import Any, BinaryIO, NamedTuple

from pictus.annotate.exchange.formats.documents import Document
from pictus.errors import UserError

MAX_ELEMENT = 64 * 2**20
"""Characters of one element: a mask of 100 megapixels as polygons has fewer."""

MAX_DEPTH = 100
_CHUNK = 2**20
_SPACE = re.compile(r"[ \t\n\r]*")


class Element(NamedTuple):
    """One element of a top array (key "", its index), or of an array under a top key, or a top key's plain value."""

    key: str
    number: int  # -1 for a value that is no element of an array
    value: Any


def elements(document: Document) -> Iterator[Element]:
    """Of {"images": [a, b], "info": c}: ("images", 0, a), ("images", 1, b), ("info", -1, c); of [a]: ("", 0, a)."""
    with document.open() as file:
        yield from _Stream(document.name, file).elements()


def whole(document: Document, most: int = MAX_ELEMENT) -> Any:  # noqa: ANN401  JSON
    """A small document at once."""
    data = document.read(most)
    try:
        return checked_depth(_DECODER.decode(data.decode("utf-8-sig")), document.name)
    except (ValueError, RecursionError) as error:
        raise _unreadable(document.name, error) from error


def checked_depth(value: Any, where: str) -> Any:  # noqa: ANN401  JSON
    """`value`, when nothing in it lies deeper than MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner for one in level if isinstance(one, (list, dict))
            for inner in (one.values() if isinstance(one, dict) else one) if isinstance(inner, (list, dict))
        ]  # fmt: skip
        if not level:
            return value
    raise UserError(f"{where} is nested more than {MAX_DEPTH} deep: it is not read.", fix="export it again")


def _refuse(word: str) -> float:
    message = f"{word} is no number"
    raise ValueError(message)


_DECODER = json.JSONDecoder(parse_constant=_refuse)


def _unreadable(name: str, error: Exception) -> UserError:
    if isinstance(error, RecursionError):
        return UserError(f"{name} is nested too deep: it is not read.", fix="export it again")
    why = str(error) if not isinstance(error, UnicodeDecodeError) else f"it is not UTF-8 text (byte {error.start:,})"
    return UserError(f"{name} cannot be read as JSON: {why[:200]}.", fix="export it again")


class _Stream:
    """A window of text that grows while an element does not end in it."""

    def __init__(self, name: str, file: BinaryIO) -> None:
        self._name, self._file = name, file
        self._decode = codecs.getincrementaldecoder("utf-8-sig")()
        self._text, self._at, self._is_over = "", 0, False
        self._passed = 0  # characters before the window

    def elements(self) -> Iterator[Element]:
        first = self._sign()
        if first == "[":
            yield from self._array("")
        elif first == "{":
            yield from self._object()
        else:
            raise self._wrong("neither an object nor an array")
        if self._sign(can_end=True):
            raise self._wrong("more text after its end")

    def _object(self) -> Iterator[Element]:
        self._at += 1
        if self._sign() == "}":
            self._at += 1
            return
        while True:
            if self._sign() != '"':
                raise self._wrong("a key expected")
            key = str(self._value())
            if self._sign() != ":":
                raise self._wrong("':' expected")
            self._at += 1
            if self._sign() == "[":
                yield from self._array(key)
            else:
                yield Element(key, -1, self._value())
            if self._next("}"):
                return

    def _array(self, key: str) -> Iterator[Element]:
        self._at += 1
        if self._sign() == "]":
            self._at += 1
            return
        index = 0
        while True:
            self._sign()
            yield Element(key, index, self._value())
            index += 1
            if self._next("]"):
                return

    def _next(self, end: str) -> bool:
        """Past a comma (False) or past the end (True)."""
        sign = self._sign()
        if sign not in (",", end):
            raise self._wrong(f"',' or '{end}' expected")
        self._at += 1
        return sign == end

    def _sign(self, *, can_end: bool = False) -> str:
        """The next character that is no space, left where it is; "" at the end."""
        while True:
            found = _SPACE.match(self._text, self._at)
            self._at = found.end() if found else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if self._is_over:
                if can_end:
                    return ""
                raise self._wrong("it ends in the middle")
            self._more()

    def _value(self) -> Any:  # noqa: ANN401  JSON
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                # In the middle of the window something is wrong; at its end only something is missing, perhaps.
                if self._is_over or len(self._text) - self._at > MAX_ELEMENT:
                    raise self._wrong(error.msg, error.pos) from error
                self._more()
                continue
            except (ValueError, RecursionError) as error:
                raise _unreadable(self._name, error) from error
            if end == len(self._text) and not self._is_over:  # a number may go on
                self._more()
                continue
            begin, self._at = self._at, end
            if self._text.count("[", begin, end) + self._text.count("{", begin, end) > MAX_DEPTH:
                checked_depth(value, self._name)
            return value

    def _more(self) -> None:
        """As much again as is not read yet, so that an element of any size is scanned twice at most on average."""
        rest = self._text[self._at :]
        self._passed += self._at
        data = self._file.read(max(_CHUNK, len(rest)))
        try:
            self._text = rest + self._decode.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise _unreadable(self._name, error) from error
        self._is_over, self._at = not data, 0

    def _wrong(self, what: str, at: int = -1) -> UserError:
        place = self._passed + (self._at if at < 0 else at)
        return UserError(
            f"{self._name} cannot be read as JSON: {what} at character {place:,}.", fix="export it again"
        )
