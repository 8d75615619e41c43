"""The service under test in process, without a port: TestEngine runs any ASGI application."""

import pytest

from ktor_client import HttpClient, WebSocketHandshakeError, bearer_auth, install
from ktor_client.engines import TestEngine
from ktor_client.plugins import WebSockets
from ktor_client.testing import ClientFactory

from .service import TOKEN, app


@pytest.fixture
def client(ktor_client_factory: ClientFactory) -> HttpClient:
    return ktor_client_factory(TestEngine(app), install(WebSockets))


async def test_everybody_hears_everybody(client: HttpClient) -> None:
    entry = bearer_auth(TOKEN)
    async with (
        client.web_socket("/rooms/ann", entry) as ann,
        client.web_socket("/rooms/ben", entry) as ben,
    ):
        assert await (await client.get("/people")).body(list[str]) == ["ann", "ben"]
        await ann.send("hello")
        assert await ann.receive_text() == "ann: hello"
        assert await ben.receive_text() == "ann: hello"


async def test_strangers_stay_outside(client: HttpClient) -> None:
    with pytest.raises(WebSocketHandshakeError, match="403"):
        async with client.web_socket("/rooms/eve"):
            pass
    assert await (await client.get("/people")).body(list[str]) == []
