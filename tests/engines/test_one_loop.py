"""An engine belongs to the event loop of its first use, however many clients it has."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import httpx
import pytest

from ktor_client import HttpClient, WrongLoopError, install
from ktor_client.engine import HttpClientEngine
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import AiohttpEngine, HttpxEngine, MockEngine, TestEngine
from ktor_client.plugins import UserAgent, WebSockets
from tests.support.raw_server import Peer, raw_server


class Served:
    """Answers requests and counts connections."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self, peer: Peer) -> None:
        self.count += 1
        try:
            while True:
                await peer.read_request()
                await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        except (asyncio.IncompleteReadError, OSError):
            pass


async def elsewhere(call: Callable[[], Awaitable[Any]]) -> Any:
    """Return what came of a call on another loop, in another thread, while this one runs."""

    async def run() -> Any:
        try:
            return await call()
        except Exception as error:
            return error

    return await asyncio.to_thread(lambda: asyncio.run(run()))


async def use(client: HttpClient, url: str) -> None:
    """Use a client and close it, as `async with` does."""
    async with client:
        if url.startswith("ws"):
            await client.web_socket_session(url)
        else:
            await client.get(url)


@pytest.mark.parametrize("scheme", ["http", "ws"])
async def test_two_clients_on_two_loops(engine: EngineFactory, scheme: str) -> None:
    served = Served()
    async with raw_server(served) as server:
        shared = engine()
        url = f"http://127.0.0.1:{server.port}/"
        first, second = HttpClient(shared), HttpClient(shared, install(WebSockets))
        assert (await first.get(url)).status == 200
        error = await elsewhere(lambda: use(second, url.replace("http", scheme)))
        assert isinstance(error, WrongLoopError)
        assert "(still there)" in str(error)
        assert (await first.get(url)).status == 200
        twin = first.config(install(UserAgent, agent="demo"))
        assert isinstance(await elsewhere(lambda: twin.get(url)), WrongLoopError)
        assert (await twin.get(url)).status == 200
        for client in (twin, first):
            await client.close()
        await shared.close()
    assert served.count == 1


def test_one_loop_after_the_other(engine: EngineFactory) -> None:
    async def both() -> None:
        async with raw_server(Served()) as server:
            await use(HttpClient(shared), f"http://127.0.0.1:{server.port}/")

    shared = engine()
    asyncio.run(both())
    with pytest.raises(WrongLoopError, match=r"\(closed\), and this is another one"):
        asyncio.run(both())
    asyncio.run(shared.close())


async def _ok(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})


@pytest.mark.parametrize(
    "make",
    [lambda: MockEngine(lambda request: b"ok"), lambda: TestEngine(_ok, lifespan=False)],
    ids=["mock", "test"],
)
async def test_engines_in_memory_too(make: Callable[[], HttpClientEngine]) -> None:
    shared = make()
    first, second = HttpClient(shared), HttpClient(shared)
    await first.get("http://testserver/")
    assert isinstance(await elsewhere(lambda: use(second, "http://testserver/")), WrongLoopError)
    await first.get("http://testserver/")
    await first.close()
    await shared.close()


def _adopting(session: aiohttp.ClientSession | httpx.AsyncClient) -> HttpClientEngine:
    if isinstance(session, aiohttp.ClientSession):
        return AiohttpEngine(session=session)
    return HttpxEngine(client=session)


@pytest.mark.parametrize("make", [aiohttp.ClientSession, httpx.AsyncClient])
async def test_one_session_of_the_callers_in_two_engines(
    make: Callable[[], aiohttp.ClientSession | httpx.AsyncClient],
) -> None:
    served = Served()
    async with raw_server(served) as server, make() as session:
        url = f"http://127.0.0.1:{server.port}/"
        first, second = HttpClient(_adopting(session)), HttpClient(_adopting(session))
        await first.get(url)
        error = await elsewhere(lambda: use(second, url))
        assert isinstance(error, WrongLoopError)
        assert "that the engine was given is bound to one event loop" in str(error)
        await first.get(url)
        await first.close()
    assert served.count == 1


async def test_a_session_knows_its_loop_before_its_first_use() -> None:
    served = Served()
    async with raw_server(served) as server, aiohttp.ClientSession() as session:
        client = HttpClient(AiohttpEngine(session=session))
        url = f"http://127.0.0.1:{server.port}/"
        assert isinstance(await elsewhere(lambda: use(client, url)), WrongLoopError)
    assert not served.count
