"""Kept connections that the server has closed: they are not used again, whatever is sent next."""

from __future__ import annotations

import pytest

from ktor_client.engine.registry import EngineFactory
from ktor_client.http import Headers, HttpMethod, HttpRequest, Url
from tests.support.raw_server import Peer, raw_server
from tests.support.receiver import get, open_link


async def _answer_and_leave(peer: Peer) -> None:
    """Answer one request in a way that lets the connection be kept, and close it at once."""
    await peer.read_request()
    if "upgrade" in peer.headers:
        await peer.send(peer.switch())
        await peer.read_eof()
    else:
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")


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
