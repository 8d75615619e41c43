"""A kept connection that dies under the next request: what is sent once more, and what never is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from ktor_client import Body, ConnectError, HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from tests.support.raw_server import Peer, raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def pieces() -> AsyncIterator[bytes]:
    yield b"body"


class Server:
    """Answers the first request of a connection; drops it at the second, with some bytes or none.

    `fresh` is what the next connection does then.
    """

    def __init__(self, *, last_words: bytes = b"", resets: bool = True, dead: int = 1) -> None:
        self.last_words = last_words
        self.resets = resets
        self.dead = dead
        self.requests: list[str] = []
        self.connections = 0

    async def script(self, peer: Peer) -> None:
        self.connections += 1
        try:
            await self._read(peer)
            if "upgrade" in peer.headers:
                await peer.send(peer.switch())
                await peer.read_close()
                return
            await peer.send(OK)
            await self._read(peer)
            if self.dead:
                self.dead -= 1
                if self.last_words:
                    await peer.send(self.last_words)
                    await asyncio.sleep(0.02)  # so that they arrive before the reset
                if self.resets:
                    peer.reset()
                return
            await peer.send(OK)
            await peer.read_eof()
        except (asyncio.IncompleteReadError, OSError):
            return

    async def _read(self, peer: Peer) -> None:
        peer.headers.clear()
        await peer.read_request()
        self.requests.append(peer.request.split(b" ")[0].decode())
        await peer.reader.readexactly(int(peer.headers.get("content-length", "0")))
        if peer.headers.get("transfer-encoding") == "chunked":
            await peer.reader.readuntil(b"0\r\n\r\n")


async def said(
    engine: EngineFactory, server: Server, method: str, **content: Any
) -> tuple[str, list[str]]:
    """Return what came of a request on a kept connection that dies, and what the server saw."""
    async with (
        raw_server(server.script) as raw,
        asyncio.timeout(20),
        HttpClient(engine, install(WebSockets)) as client,
    ):
        url = f"http://127.0.0.1:{raw.port}/"
        await client.get(url)
        server.requests.clear()
        try:
            if method == "handshake":
                await (await client.web_socket_session(raw.url)).close()
                outcome = "open"
            else:
                response = await client.request(method, url, **content)
                outcome = str(response.status)
        except ConnectError as error:
            outcome = type(error).__name__
    return outcome, server.requests


@pytest.mark.parametrize("resets", [True, False], ids=["reset", "end"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
async def test_idempotent_requests(engine: EngineFactory, method: str, resets: bool) -> None:
    outcome, seen = await said(engine, Server(resets=resets), method)
    assert (outcome, seen) == ("200", [method, method])


@pytest.mark.parametrize("method", ["POST", "PATCH", "PURGE"])
async def test_others_are_not_repeated(engine: EngineFactory, method: str) -> None:
    outcome, seen = await said(engine, Server(), method, body=b"body")
    assert (outcome, seen) == ("ConnectError", [method])


async def test_bodies(engine: EngineFactory, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"body")
    for body in (b"body", path, Body(pieces), Body(pieces, 4), b"x" * 200_000):
        outcome, seen = await said(engine, Server(), "PUT", body=body)
        assert (outcome, seen) == ("200", ["PUT", "PUT"])
    outcome, seen = await said(engine, Server(), "PUT", body=pieces())
    assert (outcome, seen) == ("ConnectError", ["PUT"])


@pytest.mark.parametrize(
    "words", [b"H", b"HTTP/1.1 200 OK\r\nConte", b"HTTP/1.1 103 Early Hints\r\n\r\n"]
)
async def test_not_once_an_answer_has_begun(engine: EngineFactory, words: bytes) -> None:
    outcome, seen = await said(engine, Server(last_words=words, resets=False), "GET")
    assert (outcome, seen) == ("ConnectError", ["GET"])


async def test_a_handshake(engine: EngineFactory) -> None:
    server = Server()
    outcome, seen = await said(engine, server, "handshake")
    assert (outcome, seen) == ("open", ["GET", "GET"])


async def test_not_on_a_connection_that_is_new(engine: EngineFactory) -> None:
    asked = 0

    async def script(peer: Peer) -> None:
        nonlocal asked
        await peer.read_request()
        asked += 1

    async with raw_server(script) as server, HttpClient(engine) as client:
        with pytest.raises(ConnectError, match="got no answer from"):
            await client.get(f"http://127.0.0.1:{server.port}/")
    assert asked == 1


async def test_once_more_and_on_a_new_connection(engine: EngineFactory) -> None:
    """Others that are kept are as likely dead: the second time it is none of them."""
    server = Server(dead=10)
    async with (
        raw_server(server.script) as raw,
        asyncio.timeout(20),
        HttpClient(engine) as client,
    ):
        url = f"http://127.0.0.1:{raw.port}/"
        await asyncio.gather(*(client.get(url) for _ in range(4)))
        assert server.connections == 4
        server.requests.clear()
        response = await client.get(url)
        assert response.status == 200  # the first answer on a connection of its own
        assert server.requests == ["GET", "GET"]
        assert server.connections == 5


async def test_the_second_failure_is_told(engine: EngineFactory) -> None:
    server = Server(dead=10)

    async def script(peer: Peer) -> None:
        if server.connections:
            server.connections += 1
            await server._read(peer)
        else:
            await server.script(peer)

    async with (
        raw_server(script) as raw,
        asyncio.timeout(20),
        HttpClient(engine(limit=1)) as client,
    ):
        url = f"http://127.0.0.1:{raw.port}/"
        await client.get(url)
        server.requests.clear()
        with pytest.raises(ConnectError, match="got no answer from"):
            await client.get(url)
        assert server.requests == ["GET", "GET"]
        await client.engine.close()
