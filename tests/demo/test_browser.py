"""The demo's browsers: what they do about a server that hangs up."""

from __future__ import annotations

import asyncio

from pictus.demo.browser import Lines

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"


def test_a_request_over_a_connection_that_was_idle_for_too_long_is_sent_again() -> None:
    async def served() -> tuple[list[int], int]:
        asked = 0

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal asked
            await reader.readuntil(b"\r\n\r\n")
            asked += 1
            writer.write(ANSWER)
            await writer.drain()
            writer.close()  # without a word, as after the time that an idle connection is kept

        server = await asyncio.start_server(once, "127.0.0.1", 0)
        async with server:
            lines = Lines(server.sockets[0].getsockname()[1])
            found = [(await lines.ask("GET", "/", b"", "")).status for _ in range(3)]
            lines.close()
        return found, asked

    assert asyncio.run(served()) == ([200, 200, 200], 3)
