"""Bodies that are cut off or broken: the error says that an answer had begun, on each engine."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, nullcontext

import pytest

from ktor_client import HttpClient
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.errors import ConnectError
from tests.support.certificates import client_context, server_context
from tests.support.raw_server import Peer, raw_server
from tests.support.receiver import get

NO_LENGTH = [b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 200 OK\r\nX: y\r\n\r\n"]


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


@pytest.mark.parametrize("is_late", [False, True])
@pytest.mark.parametrize("is_reset", [False, True])
@pytest.mark.parametrize(
    "head",
    [
        b"Content-Length: 100\r\n\r\n",
        b"Transfer-Encoding: chunked\r\n\r\n50\r\n",
        b"Connection: close\r\n\r\n",
    ],
    ids=["length", "chunks", "until the end"],
)
async def test_what_came_before_the_cut_is_not_lost(
    engine: EngineFactory, head: bytes, is_reset: bool, is_late: bool
) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\n", head, b"pay 100")
        await go_on.wait()
        if is_reset:
            peer.reset()

    client = engine()
    async with asyncio.timeout(20), raw_server(script) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        assert response.status == 200
        chunks = response.chunks()
        if not is_late:
            assert await anext(chunks) == b"pay 100"
        go_on.set()
        await server.finished.wait()
        if is_late:
            await asyncio.sleep(0.05)  # what comes of it when it has come already
            assert await anext(chunks) == b"pay 100"
        if is_reset or b"close" not in head:
            why = "lost the connection to" if is_reset else "did not get the whole body from"
            with pytest.raises(ConnectError, match=why):
                await anext(chunks)
        else:
            with pytest.raises(StopAsyncIteration):
                await anext(chunks)
        await client.close()


@pytest.mark.parametrize("is_whole", [True, False])
async def test_what_came_over_tls_before_the_end_waits_for_a_slow_reader(
    engine: EngineFactory, is_whole: bool
) -> None:
    size = 3_000_000

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.send(b"%x\r\n%b\r\n" % (size, bytes(size)), b"0\r\n\r\n" if is_whole else b"")

    client = engine(ssl_context=client_context())
    async with asyncio.timeout(30), raw_server(script, tls=server_context()) as server:
        response = await client.execute(get(f"https://127.0.0.1:{server.port}/"))
        came = 0
        with nullcontext() if is_whole else pytest.raises(ConnectError, match="the whole body"):
            async for chunk in response.chunks():
                came += len(chunk)
                await asyncio.sleep(0.002)  # more comes meanwhile
        assert came == size
        await client.close()


@pytest.mark.parametrize("bad", [b"zz\r\n", b"5\r\nhello!\r\n", b"0\r\nX: y\n\n"])
@pytest.mark.parametrize("comes", ["with the head", "with a chunk", "late"])
async def test_chunks_that_are_none(engine: EngineFactory, bad: bytes, comes: str) -> None:
    go_on = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        parts = [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"5\r\nhello\r\n"]
        if comes == "with the head":
            await peer.send(*parts, bad)
        else:
            await peer.send(parts[0])
            await go_on.wait()
            go_on.clear()
            await peer.send(parts[1] + (bad if comes == "with a chunk" else b""))
            if comes == "late":
                await go_on.wait()
                await peer.send(bad)
        await peer.read_eof()

    client = engine()
    async with asyncio.timeout(20), raw_server(script) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        go_on.set()
        chunks, came = response.chunks(), b""
        with pytest.raises(ConnectError, match="did not get the whole body from"):
            async for chunk in chunks:
                came += chunk
                go_on.set()
        assert came.startswith(b"hello")
        await client.close()


@pytest.mark.parametrize("head", NO_LENGTH)
@pytest.mark.parametrize("is_cut", [False, True])
async def test_a_body_that_ends_with_tls(engine: EngineFactory, head: bytes, is_cut: bool) -> None:
    """Anybody on the way can end the connection; the closing alert is the server's (9.8)."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(head, b"pay 100")
        if is_cut:
            peer.writer.transport.abort()

    client = engine(ssl_context=client_context())
    async with asyncio.timeout(20), raw_server(script, tls=server_context()) as server:
        response = await client.execute(get(f"https://127.0.0.1:{server.port}/"))
        if is_cut:
            with pytest.raises(ConnectError, match=r"the whole body from .* was cut"):
                await response.body_as_bytes()
        else:
            assert await response.body_as_bytes() == b"pay 100"
        await client.close()


@pytest.mark.parametrize("head", NO_LENGTH)
async def test_an_engine_that_closes_ends_no_body(engine: EngineFactory, head: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(head, b"pay 100")
        await peer.read_eof()

    client = engine()
    async with asyncio.timeout(20), raw_server(script) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        chunks = response.chunks()
        assert await anext(chunks) == b"pay 100"
        rest = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        await client.close()
        with pytest.raises(ConnectError, match="did not get the whole body from"):
            await rest


async def test_a_kept_connection_that_tls_has_ended(engine: EngineFactory) -> None:
    """The next request finds it ended, and goes out on another one."""
    ended = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        peer.writer.transport.abort()
        ended.set()

    client = engine(ssl_context=client_context())
    async with asyncio.timeout(20), raw_server(script, tls=server_context()) as server:
        for _ in range(3):
            ended.clear()
            response = await client.execute(get(f"https://127.0.0.1:{server.port}/"))
            assert await response.body_as_bytes() == b"ok"
            await ended.wait()
        await client.close()


async def test_after_a_wait_that_was_cancelled_a_body_is_not_whole(engine: EngineFactory) -> None:
    """That ends the generators on the way, which otherwise would say that the body is over."""

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await peer.read_eof()

    client = engine()
    async with asyncio.timeout(20), raw_server(script) as server:
        response = await client.execute(get(f"http://127.0.0.1:{server.port}/"))
        chunks = response.chunks()
        assert await anext(chunks) == b"half"
        waiting = asyncio.ensure_future(anext(chunks))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        for _ in range(2):
            with pytest.raises(RuntimeError, match="the body is not whole: a wait for its next"):
                await anext(chunks)
        await client.close()


async def test_chunks_are_a_generator() -> None:
    """For `aclosing`, and whatever else takes one."""
    async with HttpClient(MockEngine(lambda _: "hello")) as client:
        async with client.prepare_get("/") as response:
            chunks = response.chunks()
            assert await chunks.asend(None) == b"hello"
            with pytest.raises(KeyError):
                await chunks.athrow(KeyError("mine"))
            assert [chunk async for chunk in chunks] == []
        async with client.prepare_get("/") as response, aclosing(response.chunks()) as chunks:
            assert await anext(chunks) == b"hello"
            await chunks.aclose()
            assert [chunk async for chunk in chunks] == []
