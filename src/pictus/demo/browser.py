"""What a person's browser does at the desk, without a screen: signs in, fetches pages and pictures, hands in.

Many browsers share some connections, so that the pictures of a page come side by side as they do in a real one.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from pictus.errors import UserError

CONNECTIONS = 24
"""Each picture takes the desk at least 30 ms, on purpose; so many come in that time without anybody waiting."""

ANSWER_S = 60.0
FIRST_S = 30.0
"""So long the desk may take to start."""


class Answer(NamedTuple):
    """What came back."""

    status: int
    cookie: str
    body: bytes


class Lines:
    """Connections to one port of this machine, lent to whoever asks."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._free: list[tuple[asyncio.StreamReader, asyncio.StreamWriter]] = []
        self._room = asyncio.Semaphore(CONNECTIONS)

    async def wait(self) -> None:
        """Until somebody listens and answers."""
        for _ in range(int(FIRST_S / 0.1)):
            try:
                if (await self.ask("GET", "/desk/here", b"", "")).status:
                    return
            except (OSError, EOFError):
                await asyncio.sleep(0.1)
        raise UserError("The demo's desk on 127.0.0.1 does not answer.", fix="run the same command again: it continues")

    async def ask(self, method: str, path: str, body: bytes, cookie: str) -> Answer:
        """One request; OSError or EOFError where the connection ends.

        A server hangs up on connections that were idle for some seconds: as a browser does, such a request is sent
        again, over a new one.
        """
        request = self._head(method, path, body, cookie) + body
        async with self._room:
            while self._free:
                try:
                    return await self._over(self._free.pop(), request)
                except (EOFError, ConnectionError):
                    continue  # it was hung up: the next free one, or a new one
            return await self._over(await asyncio.open_connection("127.0.0.1", self.port), request)

    async def _over(self, line: tuple[asyncio.StreamReader, asyncio.StreamWriter], request: bytes) -> Answer:
        try:
            line[1].write(request)
            answer = await asyncio.wait_for(_read(line[0]), ANSWER_S)
        except BaseException:
            line[1].close()
            raise
        self._free.append(line)
        return answer

    async def lose(self, path: str, body: bytes, cookie: str) -> None:
        """Send a request and hang up before the answer: what a connection does that is lost."""
        _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        writer.write(self._head("POST", path, body, cookie) + body)
        await writer.drain()
        writer.close()

    def close(self) -> None:
        """Hang up."""
        for _, writer in self._free:
            writer.close()
        self._free.clear()

    def _head(self, method: str, path: str, body: bytes, cookie: str) -> bytes:
        lines = [
            f"{method} {path} HTTP/1.1", f"host: 127.0.0.1:{self.port}", f"content-length: {len(body)}",
            *(("content-type: application/json", "x-pictus: desk") if method == "POST" else ()),
            *((f"cookie: {cookie}",) if cookie else ()), "", "",
        ]  # fmt: skip
        return "\r\n".join(lines).encode()


async def _read(reader: asyncio.StreamReader) -> Answer:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    length = re.search(r"^content-length: (\d+)", head, re.IGNORECASE | re.MULTILINE)
    cookie = re.search(r"^set-cookie: ([^;\r]+)", head, re.IGNORECASE | re.MULTILINE)
    body = await reader.readexactly(int(length[1])) if length else b""
    return Answer(int(head.split(" ", 2)[1]), cookie[1] if cookie else "", body)


class Browser:
    """One person's: it holds the cookie of their session and knows nothing but what the desk's pages say."""

    def __init__(self, lines: Lines) -> None:
        self._lines = lines
        self._cookie = ""

    async def join(self, link: str, name: str) -> None:
        """Open a link of an invitation and sign in under a name."""
        body = _json({"token": link.rpartition("/")[2], "name": name})
        answer = await self._lines.ask("POST", "/desk/join", body, "")
        _table(answer, "/desk/join")
        self._cookie = answer.cookie

    async def post(self, path: str, **body: object) -> dict[str, Any]:
        """Send JSON -> the JSON that comes back; UserError with the desk's own words for a refusal."""
        return _table(await self._lines.ask("POST", path, _json(body), self._cookie), path)

    async def post_and_lose(self, path: str, **body: object) -> None:
        """Send JSON over a connection that breaks before the answer is there."""
        await self._lines.lose(path, _json(body), self._cookie)

    async def picture(self, page_id: str, position: int) -> bytes:
        """A picture of a page, as it was collected."""
        path = f"/desk/pages/{page_id}/pictures/{position}/0"
        answer = await self._lines.ask("GET", path, b"", self._cookie)
        if answer.status != 200:  # noqa: PLR2004
            _table(answer, path)
        return answer.body


def _json(body: Mapping[str, object]) -> bytes:
    return json.dumps(body).encode()


def _table(answer: Answer, path: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(answer.body or b"{}")
    if answer.status != 200:  # noqa: PLR2004
        told = found.get("error", {})
        raise UserError(f"{path}: {told.get('what', answer.status)}", fix=told.get("fix", ""))
    return found
