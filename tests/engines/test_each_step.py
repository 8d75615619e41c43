"""Cancelled at each of the first hundred steps of the loop: no slot, task or socket is left.

Suspension points are not all: at one of them a transport may be made, a name looked up or a key
exchanged over many steps, and any of these may be the one in which the cancellation comes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable
from typing import TypeAlias

import pytest

from ktor_client import HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from tests.support.certificates import client_context, server_context
from tests.support.leaks import Held
from tests.support.proxy_server import http_proxy, socks_proxy
from tests.support.raw_server import CLOSE, TEXT, Peer, frame, raw_server

Act: TypeAlias = Callable[[HttpClient, str], Awaitable[str]]

STEPS = 100
A_FEW = 24
"""By then an exchange without TLS and proxy is over."""


async def script(peer: Peer) -> None:
    """Answer requests, and echo what comes over a web socket."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        while True:
            await peer.read_request()
            if b"upgrade: websocket" in peer.request.lower():
                break
            if b"transfer-encoding: chunked" in peer.request.lower():
                await peer.reader.readuntil(b"\r\n0\r\n\r\n")
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhe")
            await peer.send(b"llo")
        await peer.send(peer.switch())
        opcode = TEXT
        while opcode != CLOSE:
            opcode, payload = await peer.read_frame()
            await peer.send(frame(opcode, payload))


async def get(client: HttpClient, address: str) -> str:
    return await (await client.get(f"http{address}")).body_as_text()


async def post(client: HttpClient, address: str) -> str:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"piece"
            await asyncio.sleep(0)

    return await (await client.post(f"http{address}", body=body())).body_as_text()


async def streamed(client: HttpClient, address: str) -> str:
    async with client.prepare_get(f"http{address}") as response:
        return b"".join([piece async for piece in response.chunks()]).decode()


async def web_socket(client: HttpClient, address: str) -> str:
    async with client.web_socket(f"ws{address}") as session:
        await session.send("hello")
        return await session.receive_text()


@contextlib.asynccontextmanager
async def road(name: str) -> AsyncGenerator[tuple[str, str | None]]:
    """Run a server, and a proxy if the road has one; yield what follows "http" or "ws", and it."""
    tls = server_context() if "tls" in name else None
    async with raw_server(script, tls=tls) as server, contextlib.AsyncExitStack() as stack:
        proxy = None
        if "http proxy" in name:
            proxy = (await stack.enter_async_context(http_proxy())).url
        elif "socks proxy" in name:
            proxy = (await stack.enter_async_context(socks_proxy())).url
        yield f"{'s' if tls else ''}://127.0.0.1:{server.port}/", proxy


async def cancelled_after(act: Awaitable[str], steps: int) -> None:
    """Cancel what runs after so many steps of the loop; it may be over by then."""
    task = asyncio.ensure_future(act)
    for _ in range(steps):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() or task.result() == "hello"


async def at_each(engine: EngineFactory, way: str, act: Act, steps: Iterable[int]) -> None:
    async with road(way) as (address, proxy), asyncio.timeout(500):
        held = Held()
        for at in steps:
            one = engine(limit=1, ssl_context=client_context(), proxy=proxy)
            async with HttpClient(one, install(WebSockets, close_timeout=5)) as client:
                await cancelled_after(act(client, address), at)
                assert await act(client, address) == "hello"  # by the only slot
                await cancelled_after(act(client, address), at)  # on the kept connection
                assert await act(client, address) == "hello"
            await one.close()
            await held.again()


ROADS = ["plain", "tls", "http proxy", "tls through an http proxy", "socks proxy"]
ACTS = [get, streamed, post, web_socket]


@pytest.mark.parametrize("act", [get, post, web_socket])
async def test_cancelled_at_the_first_steps(engine: EngineFactory, act: Act) -> None:
    await at_each(engine, "plain", act, range(A_FEW))


@pytest.mark.exhaustive
@pytest.mark.hours
@pytest.mark.timeout(170)
@pytest.mark.parametrize("act", ACTS)
@pytest.mark.parametrize("way", ROADS)
async def test_cancelled_at_each_step(engine: EngineFactory, way: str, act: Act) -> None:
    await at_each(engine, way, act, range(STEPS))
