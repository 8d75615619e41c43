"""Kept connections that the server has closed: they are not used again, whatever is sent next."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from ktor_client.engine.registry import EngineFactory
from ktor_client.errors import ConnectError
from ktor_client.http import Headers, HttpMethod, HttpRequest, Url
from tests.support.raw_server import Peer, raw_server
from tests.support.receiver import get, open_link, start


async def _answer_and_leave(peer: Peer) -> None:
    """Answer one request in a way that lets the connection be kept, and close it at once."""
    await peer.read_request()
    if "upgrade" in peer.headers:
        await peer.send(peer.switch())
        await peer.read_eof()
    else:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


async def _answer_until_the_end(peer: Peer) -> None:
    """Answer each request, and keep the connection."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            await peer.read_request()
            if "upgrade" in peer.headers:
                break
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        await peer.send(peer.switch())
        await peer.read_eof()


@pytest.mark.parametrize("method", [HttpMethod.Get, HttpMethod.Post])
async def test_a_request_finds_a_new_connection(engine: EngineFactory, method: HttpMethod) -> None:
    client = engine()
    async with raw_server(_answer_and_leave) as server:
        url = Url.parse(f"http://127.0.0.1:{server.port}/")
        for _ in range(20):
            response = await client.execute(HttpRequest(method, url, Headers(), b"body"))
            assert await response.body_as_bytes() == b"ok"
        await client.close()


async def test_a_handshake_finds_a_new_connection(engine: EngineFactory) -> None:
    client = engine()
    async with raw_server(_answer_and_leave) as server:
        for _ in range(10):
            response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
            assert await response.body_as_bytes() == b"ok"
            upgrade = await open_link(client, server.url)
            assert upgrade.response.status == 101
        await client.close()


@pytest.mark.parametrize("option", ["close", "Close", "x, CLOSE ,y"])
async def test_a_request_that_closes_is_the_last(engine: EngineFactory, option: str) -> None:
    """The server may overlook it; we have said it (RFC 9112 9.6)."""
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        try:
            while True:
                await peer.read_request()
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, OSError):
            return

    client = engine(limit=1)
    closes = Headers([("Connection", option)])
    async with raw_server(script) as server, asyncio.timeout(20):
        url = Url.parse(f"http://127.0.0.1:{server.port}/")
        for headers, count in ((closes, 1), (Headers(), 2), (Headers(), 2), (closes, 2)):
            response = await client.execute(HttpRequest(HttpMethod.Get, url, headers))
            assert await response.body_as_bytes() == b"ok"
            assert connections == count
        await client.close()


async def test_long_and_short_answers_on_one_connection(engine: EngineFactory) -> None:
    """Each of them is read in its own way; the last one is cut."""
    sizes = [10, 3_000_000, 10, 3_000_000, 300_000]
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        for size in sizes:
            await peer.read_request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
            await peer.send(b"x" * size)
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3000001\r\n\r\n")
        await peer.send(b"x" * 3_000_000)

    client = engine()
    async with raw_server(script) as server:
        url = f"http://127.0.0.1:{server.port}/"
        for size in sizes:
            response = await client.execute(get(url))
            assert await response.body_as_bytes() == b"x" * size
        response = await client.execute(get(url))
        with pytest.raises(ConnectError):
            await response.body_as_bytes()
        await client.close()
    assert connections == 1


async def test_several_close_an_engine(engine: EngineFactory) -> None:
    """Each of them waits until its connections are gone, kept ones and those of WebSockets."""
    client = engine()
    async with raw_server(_answer_until_the_end) as server, asyncio.timeout(20):
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert await response.body_as_bytes() == b"ok"
        receiver = start((await open_link(client, server.url)).link)
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert await response.body_as_bytes() == b"ok"
        closing = [asyncio.ensure_future(client.close()) for _ in range(3)]
        await asyncio.sleep(0)
        closing[0].cancel()
        await asyncio.wait(closing)
        assert [one.cancelled() for one in closing] == [True, False, False]
        assert receiver.end.done()
