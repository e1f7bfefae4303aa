"""What a page sends: JSON of a bounded size, read strictly, so that no later line meets what it did not expect."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, NoReturn

from starlette.exceptions import HTTPException
from starlette.requests import Request

from pictus.errors import UserError, clipped
from pictus.web.desk.parcels import SMALL

MAX_BODY = 8_000_000
"""Bytes of one page of drawings: 48 masks as polygons of a thousand corners each have half of that."""
MAX_SMALL = SMALL
"""Bytes of everything else."""
HEADER, SAYS = "x-pictus", "desk"
"""A header that no form and no other site can set: a page of another origin may not send it without being asked."""

Body = Mapping[str, Any]

_ODD_ESCAPE = re.compile(r"\\u(0000|[dD][89a-fA-F])")
"""NUL, which PostgreSQL refuses in a text, and halves of a character, which no file can hold."""


def check_ours(request: Request) -> None:
    """403 for what no page of ours sent."""
    if request.headers.get(HEADER) != SAYS:
        raise HTTPException(403, f"Only the desk's own pages may write here: the header {HEADER}: {SAYS} is missing.")


async def json_of(request: Request, *names: str) -> Body:
    """The small JSON object a page of ours sent; fields other than `names` are refused."""
    return parsed(await data_of(request), *names)


async def data_of(request: Request, most: int = MAX_SMALL, weigh: Callable[[int], None] | None = None) -> bytes:
    """What a page of ours sent, for `parsed`. `weigh` is told how many bytes have come, and may raise."""
    check_ours(request)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise UserError("The body must be JSON.", fix="send Content-Type: application/json")
    data = bytearray()
    async for chunk in request.stream():
        data += chunk
        if len(data) > most:
            raise HTTPException(413, f"The body is larger than {most:,} bytes.")
        if weigh is not None:
            weigh(len(data))
    return bytes(data)


def parsed(data: bytes, *names: str) -> Body:
    """The JSON object that these bytes are; fields other than `names` are refused."""
    body = _parsed(data)
    if not isinstance(body, dict):
        raise UserError(f"The body is a JSON {type(body).__name__}, not an object.", fix='{"name": value, …}')
    if odd := sorted(set(body) - set(names)):
        raise UserError(f"Unknown field {clipped(odd[0])}.", fix=", ".join(names) or "an empty object")
    return body


def _parsed(data: bytes) -> Any:  # noqa: ANN401  JSON
    try:
        text = data.decode("utf-8")
        body = json.loads(text or "{}", parse_constant=_refuse, parse_float=_finite, parse_int=_small)
    except (ValueError, RecursionError) as error:
        raise UserError(f"The body is not JSON as it should be: {clipped(error, 200)}.") from None
    if _ODD_ESCAPE.search(text):
        _check_texts(body)
    return body


def _refuse(word: str) -> NoReturn:
    message = f"{word} is not a number"
    raise ValueError(message)


def _finite(text: str) -> float:
    found = float(text)
    return found if isfinite(found) else _refuse(text[:40])


def _small(text: str) -> int:
    """Within 64 bits: the databases hold no more."""
    return int(text) if len(text) < 19 else _refuse(text[:40])  # noqa: PLR2004  digits of 2**63, and one less


def _check_texts(body: Any) -> None:  # noqa: ANN401  JSON
    waiting = [body]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and ("\0" in one or any("\ud800" <= sign <= "\udfff" for sign in one)):
            raise UserError(f"The text {clipped(one)} holds a sign that is none.")


def text(body: Body, name: str, default: str = "", *, most: int = 200) -> str:
    """A field that is a text of at most `most` characters."""
    found = body.get(name, default)
    if not isinstance(found, str):
        raise UserError(f"{name} is {_kind(found)}, not a text.")
    if len(found) > most:
        raise UserError(f"{name} has {len(found):,} characters, at most {most:,} are taken.")
    return found


def whole(body: Body, name: str, default: int | None = None, *, least: int = 0, most: int = 10**9) -> int:
    """A field that counts something."""
    found = body.get(name, default)
    if isinstance(found, bool) or not isinstance(found, int):
        raise UserError(f"{name} is {_kind(found)}, not a whole number.")
    if not least <= found <= most:
        raise UserError(f"{name}={found} is not between {least:,} and {most:,}.")
    return found


def number(body: Body, name: str, default: float | None = None, *, least: float = 0, most: float = 1e9) -> float:
    """A field that is a number."""
    found = body.get(name, default)
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise UserError(f"{name} is {_kind(found)}, not a number.")
    if not least <= found <= most:
        raise UserError(f"{name}={found} is not between {least:,} and {most:,}.")
    return float(found)


def flag(body: Body, name: str, *, default: bool = False) -> bool:
    """A field that is true or false."""
    found = body.get(name, default)
    if not isinstance(found, bool):
        raise UserError(f"{name} is {_kind(found)}, not true or false.")
    return found


def rows(body: Body, name: str, *, most: int) -> list[Any]:
    """A field that is a list of at most `most` things."""
    found = body.get(name, [])
    if not isinstance(found, list):
        raise UserError(f"{name} is {_kind(found)}, not a list.")
    if len(found) > most:
        raise UserError(f"{name} holds {len(found):,} things, at most {most:,} are taken.")
    return found


def table(found: Any, name: str, *names: str) -> Body:  # noqa: ANN401  JSON
    """One thing that is an object with no other fields than `names`."""
    if not isinstance(found, dict):
        raise UserError(f"{name} is {_kind(found)}, not an object.", fix=", ".join(names))
    if names and (odd := sorted(set(found) - set(names))):
        raise UserError(f"{name}: unknown field {clipped(odd[0])}.", fix=", ".join(names))
    return found


def _kind(found: Any) -> str:  # noqa: ANN401  JSON
    words = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "missing"}
    return words.get(type(found), "a number")
