"""The drawing in `docs/explanation/life-of-a-message.md`, held against a trace of the running code.

A frame that crosses a file which is not drawn fails, and so does a file that is drawn and not
crossed. The failure shows the row as it should be.
"""

from __future__ import annotations

import asyncio
import re
import sys
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import FrameType as PythonFrame
from typing import Any

import ktor_client
from ktor_client import HttpClient, install
from ktor_client.engines import CioEngine
from ktor_client.plugins import WebSocketDeflate, WebSockets
from ktor_client.protocol.masking import fresh_key, mask_bytes
from ktor_client.session import DefaultClientWebSocketSession
from tests.support.raw_server import BINARY, PING, TEXT, Peer, close_frame, frame, raw_server

ROOT = Path(ktor_client.__file__).parent
PAGE = ROOT.parent / "docs" / "explanation" / "life-of-a-message.md"
TWO_READS = 300_000
ONE_WRITE = 100_000
"""Bytes; a message beyond 256 KiB is masked in room that lasts."""


class Trace:
    """The files of this package that are entered within the block, in order."""

    def __init__(self) -> None:
        self.crossed: list[str] = []

    def __enter__(self) -> Trace:
        self._before = sys.getprofile()
        sys.setprofile(self._called)
        return self

    def __exit__(self, *_: object) -> None:
        sys.setprofile(self._before)

    def _called(self, called: PythonFrame, event: str, _: Any) -> None:
        path = Path(called.f_code.co_filename)
        if event == "call" and path.is_relative_to(ROOT):
            name = path.relative_to(ROOT).as_posix()
            if name not in self.crossed:
                self.crossed.append(name)


def drawn() -> dict[str, list[str]]:
    """Return the rows of the drawing."""
    rows = re.findall(r"^\| ([^|`]+) \| (`[^|]+`) \|$", PAGE.read_text(), re.MULTILINE)
    return {what: re.findall(r"`([^`]+)`", files) for what, files in rows}


class Talk:
    """A session with a server that says what it is given."""

    def __init__(
        self, session: DefaultClientWebSocketSession, says: Callable[[bytes], None]
    ) -> None:
        self.session = session
        self._says = says

    async def comes(self, data: bytes) -> list[str]:
        """Trace what comes, from the socket to a task that waits for it."""
        waiting = asyncio.create_task(self.session.incoming.receive())
        await asyncio.sleep(0)
        with Trace() as trace:
            self._says(data)
            await waiting
            await asyncio.sleep(0)
        return trace.crossed

    async def goes(self, message: str | bytes) -> list[str]:
        """Trace what goes, from `send` to the end of the loop's step."""
        with Trace() as trace:
            await self.session.send(message)
            await asyncio.sleep(0)
        return trace.crossed

    async def streams(self, *chunks: str) -> list[str]:
        """Trace a message that goes in fragments."""

        async def each() -> AsyncGenerator[str]:
            for chunk in chunks:
                yield chunk

        with Trace() as trace:
            await self.session.send_stream(each())
            await asyncio.sleep(0)
        return trace.crossed


@asynccontextmanager
async def talk(*, deflated: bool) -> AsyncGenerator[Talk]:
    """Open a session on a socket; the server's side is none of this package."""
    news: asyncio.Queue[bytes] = asyncio.Queue()

    async def script(peer: Peer) -> None:
        await peer.upgrade(*["Sec-WebSocket-Extensions: permessage-deflate"] * deflated)

        async def say() -> None:
            while True:
                await peer.send(await news.get())

        saying = asyncio.create_task(say())
        await peer.read_close()
        saying.cancel()
        await peer.send(close_frame(1000))

    plugin = install(WebSockets, extensions=[WebSocketDeflate()] * deflated)
    async with raw_server(script) as server, HttpClient(CioEngine, plugin) as client:
        async with client.web_socket(server.url) as session:
            link: Any = session._link
            link._mask = link._encoder._mask = mask_bytes  # whichever library has one
            fresh_key()
            yield Talk(session, news.put_nowait)


def deflated_frame(text: str) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    data = packer.compress(text.encode()) + packer.flush(zlib.Z_SYNC_FLUSH)
    return frame(TEXT, data[:-4], rsv=0x40)


async def traced() -> dict[str, list[str]]:
    """Return what crosses which files."""
    found: dict[str, list[str]] = {}
    async with talk(deflated=False) as plain:
        await plain.goes("the first one of all")
        found["a short text comes"] = await plain.comes(frame(TEXT, b"hello"))
        found["a long binary message comes"] = await plain.comes(frame(BINARY, bytes(TWO_READS)))
        found["a text comes in fragments"] = await plain.comes(
            frame(TEXT, b"in two ", fin=False) + frame(0, b"pieces")
        )
        found["a ping comes, before a text"] = await plain.comes(
            frame(PING, b"ping") + frame(TEXT, b"hello")
        )
        await asyncio.sleep(0)
        found["a short text goes"] = await plain.goes("hello")
        found["a long binary message goes"] = await plain.goes(bytes(ONE_WRITE))
        found["a text goes in fragments"] = await plain.streams("in two ", "pieces")
    async with talk(deflated=True) as packed:
        found["a compressed text comes"] = await packed.comes(deflated_frame("hello " * 9))
        found["a text goes compressed"] = await packed.goes("hello " * 9)
    return found


async def test_the_drawing_is_what_happens() -> None:
    found = await traced()
    rows = drawn()
    assert list(rows) == list(found)
    for what, files in found.items():
        row = " → ".join(f"`{name}`" for name in files)
        assert rows[what] == files, f"| {what} | {row} |"
