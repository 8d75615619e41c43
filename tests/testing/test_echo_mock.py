"""The echo server's routes as peers of MockEngine, where the battery does not go."""

from __future__ import annotations

import pytest

from ktor_client import DnsError, HttpClient, WebSocketHandshakeError, install
from ktor_client.plugins import WebSockets
from ktor_client.testing import EchoServer, Exchange, ExpectationError, Response
from ktor_client.testing.echo_mock import echo_mock

URL = "ws://localhost"


async def fail(exchange: Exchange) -> Response | None:
    """Fail, before an answer or behind the 101."""
    if "late" in exchange.query:
        async with exchange.accept() as session:
            await session.send("soon")
            raise LookupError("behind the 101")
    raise LookupError("before an answer")


@pytest.fixture
def server() -> EchoServer:
    server = EchoServer()
    server.routes["/fail"] = fail
    return server


async def test_a_route_that_fails_before_its_answer(server: EchoServer) -> None:
    async with HttpClient(echo_mock(server), install(WebSockets)) as client:
        with pytest.raises(LookupError, match="before an answer"):
            await client.web_socket_session(f"{URL}/fail")
        with pytest.raises(LookupError, match="before an answer"):
            await client.get("/fail")


async def test_a_route_that_fails_behind_the_101(server: EchoServer) -> None:
    async with echo_mock(server) as engine:
        client = HttpClient(engine, install(WebSockets))
        async with client.web_socket(f"{URL}/fail?late=1") as session:
            assert await session.receive_text() == "soon"
            assert (await session.close_reason).code == 1011
        with pytest.raises(ExpectationError, match="LookupError: behind the 101"):
            await client.close()


async def test_a_101_that_cannot_be_sent(server: EchoServer) -> None:
    async with HttpClient(echo_mock(server), install(WebSockets)) as client:
        with pytest.raises(WebSocketHandshakeError, match="101 but was 400"):
            await client.web_socket_session(f"{URL}/handshake?X-A=a%0Db")


async def test_other_hosts_do_not_resolve(server: EchoServer) -> None:
    async with HttpClient(echo_mock(server), install(WebSockets)) as client:
        with pytest.raises(DnsError, match=r"example\.org does not resolve"):
            await client.get("http://example.org/")
