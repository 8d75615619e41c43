"""Bodies that are cut off or broken: the error says that an answer had begun, on each engine."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client.engine.registry import EngineFactory
from ktor_client.errors import ConnectError
from tests.support.raw_server import Peer, raw_server
from tests.support.receiver import get


@pytest.mark.parametrize(
    "answer",
    [
        b"Content-Length: 100\r\n\r\nshort",
        b"Transfer-Encoding: chunked\r\n\r\n5\r\nsh",
    ],
    ids=["length", "chunks"],
)
async def test_a_body_that_is_cut_off(engine: EngineFactory, answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\n", answer)

    client = engine()
    async with raw_server(script) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert response.status == 200
        with pytest.raises(ConnectError, match="did not get the whole body from"):
            await response.body_as_bytes()
        await client.close()


async def test_chunks_that_are_none(engine: EngineFactory) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        await go_on.wait()
        await peer.send(b"zz\r\n")
        await peer.read_eof()

    client = engine()
    async with asyncio.timeout(20), raw_server(script) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        chunks = response.chunks()
        assert await anext(chunks) == b"hello"
        go_on.set()
        with pytest.raises(ConnectError, match="did not get the whole body from"):
            await anext(chunks)
        await client.close()
