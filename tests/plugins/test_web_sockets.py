"""The `WebSockets` plugin: what engines and plugins around it may do to a handshake."""

from __future__ import annotations

import inspect

import pytest

from ktor_client import (
    ConnectTimeoutError,
    HttpClient,
    OpenTimeoutError,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engines import AiohttpEngine, MockEngine
from ktor_client.engines._mock.responses import respond
from ktor_client.plugins import WebSockets


async def test_an_engines_own_timeout_comes_out_unchanged() -> None:
    engine = MockEngine()
    mine = ConnectTimeoutError("the engine's own")
    engine.on_web_socket("/", mine)
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(ConnectTimeoutError) as caught:
            await client.web_socket_session("/")
    assert caught.value is mine
    assert not isinstance(caught.value, OpenTimeoutError)


async def test_an_engine_that_gives_no_connection_with_the_101() -> None:
    engine = MockEngine()
    engine.on_web_socket("/", respond(status=101))
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError, match="gave no connection with the 101"):
            await client.web_socket_session("/")


def test_signatures_show_what_holds_unless_given() -> None:
    shown = str(inspect.signature(AiohttpEngine))
    assert "limit: 'int' = 100" in shown
    assert "connect_timeout: 'Duration' = 10.0" in shown
    assert "ping_interval: 'Duration | None' = <default>" in str(inspect.signature(WebSockets))
