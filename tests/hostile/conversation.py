"""A session with a scripted server, in one line, and what every script of this suite needs."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

from ktor_client import HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from ktor_client.session import DefaultClientWebSocketSession
from tests.support.raw_server import Peer, raw_server

Script = Callable[[Peer], Awaitable[None]]


@contextlib.asynccontextmanager
async def conversation(
    engine: EngineFactory, script: Script, **options: Any
) -> AsyncGenerator[DefaultClientWebSocketSession]:
    """Open a session with a server that runs `script` behind its 101.

    On leaving, the script has ended by itself; what fails in it fails the test.
    """

    async def upgraded(peer: Peer) -> None:
        await peer.upgrade()
        await script(peer)

    plugin = install(WebSockets, **options)
    async with raw_server(upgraded) as server, HttpClient(engine, plugin) as client:
        async with asyncio.timeout(30), client.web_socket(server.url) as session:
            yield session
        async with asyncio.timeout(30):
            await server.finished.wait()


def saying(*data: bytes) -> tuple[Script, list[tuple[int | None, str]]]:
    """Return a script that writes bytes and reads to the end, and the Close frames it will see."""
    closes: list[tuple[int | None, str]] = []

    async def script(peer: Peer) -> None:
        await peer.send(*data)
        closes.append(await peer.read_close())

    return script, closes
