"""Bodies of any size, both ways, in little memory; whoever is slow makes the other one wait."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import tracemalloc
from collections.abc import AsyncIterator, Generator

import pytest

from ktor_client import HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from tests.support.raw_server import Peer, raw_server

MIB = 1 << 20
PIECE = bytes(64 * 1024)
BOUND = 6 * MIB
"""What client and server may hold together: marks of buffers, pieces under way."""


@contextlib.contextmanager
def little_memory() -> Generator[None, None, None]:
    """Fail if more is held at any time than before, by what a buffer may."""
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        yield
        _, peak = tracemalloc.get_traced_memory()
        assert peak - before < BOUND
    finally:
        tracemalloc.stop()


async def download(engine: EngineFactory, size: int, *, chunked: bool) -> None:
    """Read a body; its reader rests until the server can send no more."""
    stuck = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.read_request()
        framing = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: %d" % size
        await peer.send(b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n\r\n")
        head, tail = (b"%x\r\n" % len(PIECE), b"\r\n") if chunked else (b"", b"")
        for _ in range(size // len(PIECE)):
            sending = asyncio.ensure_future(peer.send(head + PIECE + tail))
            done, _ = await asyncio.wait({sending}, timeout=0.2)
            if not done:  # on a busy machine it may only be late: the reader rests less then
                stuck.set()
            await sending
        if chunked:
            await peer.send(b"0\r\n\r\n")
        await peer.read_eof()

    async with raw_server(script) as server, HttpClient(engine) as client, asyncio.timeout(500):
        with little_memory():
            async with client.prepare_get(f"http://127.0.0.1:{server.port}/") as response:
                chunks = response.chunks()
                count = len(await anext(chunks))
                await stuck.wait()
                async for piece in chunks:
                    count += len(piece)
            assert count == size


async def upload(engine: EngineFactory, size: int) -> None:
    """Send a body to a server that rests until the client has no more room."""
    asked = 0
    rested = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        for _ in range(size // len(PIECE)):
            asked += len(PIECE)
            rested.clear()
            yield PIECE

    async def script(peer: Peer) -> None:
        await peer.read_request()
        while not rested.is_set():  # until no piece was asked for in between
            rested.set()
            await asyncio.sleep(0.2)
        assert asked < size
        count, end = 0, b""
        while end != b"0\r\n\r\n":
            data = await peer.reader.read(1 << 16)
            assert data
            count, end = count + len(data), (end + data)[-5:]
        assert count > size
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")

    async with raw_server(script) as server, HttpClient(engine) as client, asyncio.timeout(500):
        with little_memory():
            response = await client.post(f"http://127.0.0.1:{server.port}/", body=body())
            assert (response.status, asked) == (200, size)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_download(engine: EngineFactory, chunked: bool) -> None:
    await download(engine, 32 * MIB, chunked=chunked)


async def test_an_upload(engine: EngineFactory) -> None:
    await upload(engine, 32 * MIB)


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
async def test_a_hundred_mebibytes_each_way(engine: EngineFactory) -> None:
    await download(engine, 100 * MIB, chunked=False)
    await download(engine, 100 * MIB, chunked=True)
    await upload(engine, 100 * MIB)


async def test_what_an_idle_session_keeps(engine: EngineFactory) -> None:
    """Of our own files: what asyncio and the engine's library keep is not ours to bound."""
    count = 50

    async def script(peer: Peer) -> None:
        await peer.read_request()
        await peer.send(peer.switch())
        await peer.read_eof()

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        url = f"ws://127.0.0.1:{server.port}/?room=1"
        sessions = [await client.web_socket_session(url)]
        tracemalloc.start()
        try:
            for _ in range(count):
                sessions.append(await client.web_socket_session(url))
            gc.collect()
            taken = tracemalloc.take_snapshot()
        finally:
            tracemalloc.stop()
        ours = taken.filter_traces([tracemalloc.Filter(True, "*/ktor_client/*")])
        kept = sum(trace.size for trace in ours.traces) / count
        for session in sessions:
            session.cancel()
        assert kept < 7 * 1024


async def test_an_upload_waits_behind_a_head_that_waits(engine: EngineFactory) -> None:
    connected, go_on, asked = asyncio.Event(), asyncio.Event(), 0

    async def script(peer: Peer) -> None:
        connected.set()
        await go_on.wait()

    async def body() -> AsyncIterator[bytes]:
        nonlocal asked
        for asked in range(1, 1000):
            yield PIECE

    async with raw_server(script) as server, HttpClient(engine) as client, asyncio.timeout(50):
        headers = {"X-Long": "x" * (16 * MIB)}  # more than the kernel takes
        url = f"http://127.0.0.1:{server.port}/"
        posting = asyncio.ensure_future(client.post(url, body=body(), headers=headers))
        await connected.wait()
        for _ in range(100):  # steps in which it would send more
            await asyncio.sleep(0)
        posting.cancel()
        await asyncio.wait({posting})
        go_on.set()
    assert asked * len(PIECE) < BOUND
