"""An error that another process raised is the same here, with what its response said."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Awaitable
from typing import Any

import pytest

from ktor_client import (
    AuthError,
    ClientRequestError,
    ConnectionClosedError,
    HttpClient,
    HttpResponse,
    KtorClientError,
    RedirectError,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import (
    SSE,
    Auth,
    BearerAuth,
    HttpRequestRetry,
    HttpTimeout,
    WebSockets,
)
from ktor_client.testing import echo_server


def no_token(*_: object) -> None:
    raise ValueError("no token today")


async def fails(kind: type[KtorClientError], call: Awaitable[object]) -> Any:
    """Return the error, as another process would receive it."""
    with pytest.raises(kind) as caught:
        await call
    there = pickle.loads(pickle.dumps(caught.value))
    assert type(there) is kind
    assert str(there) == str(caught.value)
    assert getattr(there, "__notes__", None) == getattr(caught.value, "__notes__", None)
    return there


async def test_errors_of_requests(engine: EngineFactory) -> None:
    plugins = install(HttpTimeout), install(HttpRequestRetry), install(SSE), install(WebSockets)
    async with (
        echo_server() as server,
        HttpClient(engine, *plugins, expect_success=True) as client,
        HttpClient(engine, install(Auth, providers=[BearerAuth(no_token, no_token)])) as stranger,
    ):
        error = await fails(ClientRequestError, client.post(f"{server.http_url}/status/404"))
        response = error.response
        assert (response.status, response.request.method) == (404, "POST")
        assert response.request.url.path == "/status/404"
        assert response.headers["Content-Length"] == "10"
        assert await response.body_as_text() == "status 404"
        assert [chunk async for chunk in response.chunks()] == [b"status 404"]
        assert await copy.deepcopy(response).body_as_text() == "status 404"
        assert await copy.copy(response).body_as_text() == "status 404"

        nowhere = client.get(f"{server.http_url}/redirect?to=ftp://x/")
        assert "ftp" in await (await fails(RedirectError, nowhere)).response.body_as_text()

        asked = f"{server.http_url}/auth/bearer"
        assert (await fails(AuthError, stranger.get(asked))).response is None


async def test_errors_of_sessions(engine: EngineFactory) -> None:
    async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
        opening = client.web_socket_session(f"{server.url}/status/403?body=members")
        error = await fails(WebSocketHandshakeError, opening)
        assert await error.response.body_as_text() == "members"
        async with client.web_socket(f"{server.url}/close?code=1011") as session:
            error = await fails(ConnectionClosedError, session.receive_text())
        assert error.reason == session.close_reason
        assert (error.reason.code, error.initiator) == (1011, "peer")


async def test_a_body_that_was_not_read_stays_there(engine: EngineFactory) -> None:
    async with echo_server() as server, HttpClient(engine) as client:
        async with client.prepare_get(f"{server.http_url}/chunks?n=10&size=10000") as response:
            there: HttpResponse = pickle.loads(pickle.dumps(response))
            assert (there.status, there.headers) == (200, response.headers)
            with pytest.raises(RuntimeError, match="closed"):
                await there.body_as_bytes()
            assert len(await response.body_as_bytes()) == 100_000
