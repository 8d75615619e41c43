"""The echo server's routes without a socket: as an ASGI app, and as peers of a MockEngine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from ktor_client import CloseReason, HttpClient, WebSocketHandshakeError, install
from ktor_client.engine import HttpClientEngine
from ktor_client.engines import TestEngine
from ktor_client.plugins import WebSockets
from ktor_client.testing import EchoServer, Exchange, Response
from ktor_client.testing.echo_app import EchoApp, echo_app
from ktor_client.testing.echo_mock import echo_mock

URL = "http://127.0.0.1"


@pytest.fixture
def server() -> EchoServer:
    return EchoServer()


@pytest.fixture(params=[echo_app, echo_mock])
async def client(request: pytest.FixtureRequest, server: EchoServer) -> AsyncIterator[HttpClient]:
    made: Callable[[EchoServer], HttpClientEngine] = request.param
    async with HttpClient(lambda: made(server), install(WebSockets)) as client:
        yield client


async def test_the_routes_are_those_of_a_socket(client: HttpClient) -> None:
    response = await client.get(f"{URL}/hello", headers={"Host": "127.0.0.1"})
    assert await response.body_as_text() == "hello from the echo server"
    async with client.web_socket(f"{URL}/echo") as session:
        await session.send("hello")
        assert await session.receive_text() == "hello"
    assert session.close_reason.clean


async def test_bodies(client: HttpClient, server: EchoServer) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        yield b"da"
        yield b"ta"

    async def read(exchange: Exchange) -> Response:
        return Response(200, b"+".join([chunk async for chunk in exchange.chunks()]))

    server.routes["/read"] = read
    for body, seen in ((b"data", b"data"), (chunks(), b"data"), (None, b"")):
        response = await client.post(f"{URL}/read", body=body)
        assert (await response.body_as_bytes()).replace(b"+", b"") == seen


async def test_a_body_that_breaks_off(client: HttpClient) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"some"
        raise LookupError("the user's own")

    with pytest.raises(LookupError, match="the user's own"):
        await client.post(f"{URL}/echo-body", body=broken())


async def test_a_route_that_fails(client: HttpClient, server: EchoServer) -> None:
    async def broken(exchange: Exchange) -> Response:
        raise LookupError("not today")

    server.routes["/broken"] = broken
    with pytest.raises(LookupError, match="not today"):
        await client.get(f"{URL}/broken")


async def test_a_handshake_that_cannot_be_sent_is_refused(server: EchoServer) -> None:
    async with HttpClient(echo_mock(server), install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError, match="400"):
            await client.web_socket_session(f"{URL}/handshake?X-More=%00")


async def test_an_app_can_only_say_that_something_is_wrong(server: EchoServer) -> None:
    async def cancelling(exchange: Exchange) -> Response | None:
        async with exchange.accept() as session:
            session.cancel()
        return None

    server.routes["/cancelling"] = cancelling
    async with HttpClient(echo_app(server), install(WebSockets)) as client:
        async with client.web_socket(f"{URL}/cancelling") as session:
            assert (await session.close_reason).received == CloseReason(1011)


async def test_the_app_has_no_lifespan(server: EchoServer) -> None:
    async with HttpClient(TestEngine(EchoApp(server))) as client:
        assert (await client.get(f"{URL}/hello")).status == 200


async def test_a_peer_that_hangs_up(server: EchoServer) -> None:
    async with HttpClient(echo_mock(server), install(WebSockets)) as client:
        for how in ("fin", "reset"):
            with pytest.raises(ConnectionError):
                await client.get(f"{URL}/hang-up?how={how}")
            with pytest.raises(ConnectionError):
                await client.web_socket_session(f"{URL}/hang-up?how={how}")
    assert asyncio.all_tasks() == {asyncio.current_task()}
