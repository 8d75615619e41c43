"""An adopted `httpx.AsyncClient` whose own response hook was at the body before the engine."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx
import pytest

from ktor_client import HttpClient, install
from ktor_client.engines import HttpxEngine
from ktor_client.errors import ConnectError, WebSocketHandshakeError
from ktor_client.plugins import WebSockets
from ktor_client.testing import echo_server

Hook = Callable[[httpx.Response], Awaitable[None]]


async def read(response: httpx.Response) -> None:
    await response.aread()


async def stream(response: httpx.Response) -> None:
    async for _ in response.aiter_bytes():
        pass


async def begin_to_stream(response: httpx.Response) -> None:
    async for _ in response.aiter_raw(1):
        break


async def test_a_hook_that_reads_leaves_the_body() -> None:
    async with echo_server() as server, httpx.AsyncClient(event_hooks={"response": [read]}) as own:
        async with HttpClient(HttpxEngine(client=own)) as client:
            response = await client.get(f"{server.http_url}/hello")
            assert await response.body_as_text() == "hello from the echo server"


@pytest.mark.parametrize("hook", [stream, begin_to_stream])
async def test_a_hook_that_streams_leaves_none(hook: Hook) -> None:
    async with echo_server() as server, httpx.AsyncClient(event_hooks={"response": [hook]}) as own:
        async with HttpClient(HttpxEngine(client=own), install(WebSockets)) as client:
            with pytest.raises(ConnectError) as caught:
                await client.get(f"{server.http_url}/hello")
            assert str(caught.value) == (
                f"HttpxEngine has no body from 127.0.0.1:{server.port}: a response hook of the "
                "client has streamed it; let the hook call `await response.aread()` instead"
            )
            assert isinstance(caught.value.__cause__, httpx.ResponseNotRead)
            with pytest.raises(WebSocketHandshakeError, match="but was 403") as refused:
                await client.web_socket_session(f"{server.url}/status/403")
            assert "has no body from" in str(refused.value.__cause__)
