"""Bytes that belong to no answer: they never answer another request, and cost one connection."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import HttpClient
from ktor_client.engine.registry import EngineFactory
from tests.support.raw_server import Peer, Script, raw_server

EVIL = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nEVIL"
GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\ngood\r\n0\r\n\r\n"


def answering(*answers: bytes, between: asyncio.Event | None = None) -> Script:
    """Return a script whose connections give these answers to their first request, then GOOD."""

    async def script(peer: Peer) -> None:
        try:
            await peer.read_request()
            for count, answer in enumerate(answers):
                if count and between is not None:
                    await between.wait()
                await peer.send(answer)
            while True:
                await peer.read_request()
                await peer.send(GOOD)
        except (asyncio.IncompleteReadError, OSError):
            return

    return script


@pytest.mark.parametrize(
    ("method", "answer", "text"),
    [
        ("GET", GOOD + EVIL, "good"),
        ("GET", CHUNKED + EVIL, "good"),
        ("GET", GOOD + b"garbage", "good"),
        ("GET", CHUNKED + b"garbage", "good"),
        ("GET", GOOD + b"\r\n", "good"),
        ("HEAD", GOOD, ""),
        ("HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n" + EVIL, ""),
        ("GET", b"HTTP/1.1 204 OK\r\nContent-Length: 4\r\n\r\nEVIL", ""),
        ("GET", b"HTTP/1.1 204 OK\r\n\r\n" + EVIL, ""),
        ("GET", b"HTTP/1.1 304 OK\r\n\r\n" + EVIL, ""),
        ("GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n" + EVIL, ""),
    ],
)
async def test_behind_an_answer(
    engine: EngineFactory, method: str, answer: bytes, text: str
) -> None:
    async with (
        raw_server(answering(answer)) as server,
        asyncio.timeout(20),
        HttpClient(engine(limit=1)) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        for _ in range(2):
            response = await client.request(method, url)
            assert await response.body_as_text() == text
        await client.engine.close()


@pytest.mark.parametrize("first", [GOOD, CHUNKED], ids=["length", "chunks"])
@pytest.mark.parametrize("surplus", [EVIL, b"garbage", b"\r\n"])
async def test_while_the_connection_is_kept(
    engine: EngineFactory, first: bytes, surplus: bytes
) -> None:
    go_on, sent = asyncio.Event(), asyncio.Event()
    asked = 0

    async def script(peer: Peer) -> None:
        nonlocal asked
        asked += 1
        try:
            await peer.read_request()
            await peer.send(first)
            await go_on.wait()
            await peer.send(surplus)
            sent.set()
            await peer.read_eof()
        except OSError:
            return

    async with (
        raw_server(script) as server,
        asyncio.timeout(20),
        HttpClient(engine(limit=1)) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        assert await (await client.get(url)).body_as_text() == "good"
        go_on.set()
        await sent.wait()
        assert await (await client.get(url)).body_as_text() == "good"
        assert asked == 2
        await client.engine.close()


async def test_behind_a_body_that_comes_in_pieces(engine: EngineFactory) -> None:
    """What is too much comes with the last piece."""
    between = asyncio.Event()
    pieces = (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngo", b"od" + EVIL)
    async with (
        raw_server(answering(*pieces, between=between)) as server,
        asyncio.timeout(20),
        HttpClient(engine(limit=1)) as client,
    ):
        url = f"http://127.0.0.1:{server.port}/"
        async with client.prepare_get(url) as response:
            between.set()
            assert await response.body_as_text() == "good"
        between.clear()
        async with client.prepare_get(url) as response:
            between.set()
            assert await response.body_as_text() == "good"
        await client.engine.close()
