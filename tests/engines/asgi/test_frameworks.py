"""TestEngine: the same app in four frameworks."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ktor_client import (
    CloseReason,
    ConnectionClosedError,
    HttpClient,
    WebSocketHandshakeError,
    header,
    install,
)
from ktor_client.engines import TestEngine
from ktor_client.engines._asgi.scope import App
from ktor_client.plugins import WebSockets
from tests.engines.asgi.apps import client_of
from tests.support.asgi_apps import FRAMEWORKS, Log, make_app


@pytest.fixture
def log() -> Log:
    return []


@pytest.fixture(params=FRAMEWORKS)
def app(request: pytest.FixtureRequest, log: Log) -> App:
    """The same app in each framework."""
    return make_app(request.param, log)


class TestFrameworks:
    """Each case is run by each framework that has it."""

    async def test_http(self, app: App) -> None:
        async with client_of(app) as client:
            response = await client.get("/hello", params={"name": "Zoë & co"})
            assert response.status == 200
            assert await response.body_as_text() == "hello Zoë & co"
            assert str(response.request.url).startswith("http://testserver/hello?")

    async def test_bodies_go_both_ways(self, app: App) -> None:
        async def chunks() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield b"x" * 50_000

        async with client_of(app) as client:
            large = b"y" * 200_000
            assert await (await client.post("/echo", body=large)).body_as_bytes() == large
            echoed = await client.post("/echo", body=chunks())
            assert await echoed.body_as_bytes() == b"x" * 150_000

    async def test_a_response_streams(self, app: App) -> None:
        async with client_of(app) as client, client.prepare_get("/stream") as response:
            body = b"".join([chunk async for chunk in response.chunks()])
            assert body == b"part 0 part 1 part 2 "

    async def test_duplicate_headers_and_cookies(self, app: App) -> None:
        async with client_of(app) as client:
            response = await client.get("/cookies", header("Cookie", "seen=before"))
            assert await response.body_as_text() == "before"
            found = response.headers.get_all("set-cookie")
            assert [value.partition("=")[0] for value in found] == ["seen", "again"]

    async def test_head_has_no_body(self, app: App) -> None:
        async with client_of(app) as client:
            response = await client.head("/hello")
            assert await response.body_as_bytes() == b""

    async def test_web_socket_echo(self, app: App) -> None:
        async with client_of(app) as client, client.web_socket("/echo") as session:
            await session.send("hällo")
            assert await session.receive_text() == "hällo"
            await session.send(b"\x00\xff")
            assert await session.receive_bytes() == b"\x00\xff"

    async def test_subprotocol(self, app: App) -> None:
        async with client_of(app) as client:
            async with client.web_socket("/echo", subprotocols=("chat", "other")) as session:
                assert session.subprotocol == "chat"

    async def test_the_client_closes(self, app: App, log: Log) -> None:
        async with client_of(app) as client:
            session = await client.web_socket_session("/echo")
            await session.close(CloseReason(4000, "done"))
            assert session.close_reason.clean
        gone = [line for line in log if line.startswith("gone")]
        assert not gone or gone[0].startswith("gone 4000")

    async def test_the_app_closes(self, app: App) -> None:
        async with client_of(app) as client:
            session = await client.web_socket_session("/bye")
            with pytest.raises(ConnectionClosedError, match="4001: bye"):
                await session.incoming.receive()

    async def test_ping_is_answered_without_the_app(self, app: App) -> None:
        async with client_of(app) as client, client.web_socket("/echo") as session:
            assert await session.ping(b"hello") >= 0

    async def test_fragments_reach_the_app_as_one_message(self, app: App) -> None:
        async def parts() -> AsyncIterator[str]:
            yield "one "
            yield "two"

        async with client_of(app) as client, client.web_socket("/echo") as session:
            await session.send_stream(parts())
            assert await session.receive_text() == "one two"

    async def test_an_unknown_web_socket_is_refused(self, app: App) -> None:
        async with client_of(app) as client:
            with pytest.raises(WebSocketHandshakeError) as refused:
                await client.web_socket_session("/nowhere")
            assert refused.value.response.status in (403, 404)

    async def test_lifespan(self, app: App, log: Log) -> None:
        async with client_of(app) as client:
            assert log == []
            await client.get("/hello")
            await client.get("/hello")
            assert log == ["up"]
        assert log == ["up", "down"]

    async def test_every_byte_split(self, app: App) -> None:
        engine = TestEngine(app)
        engine.faults.split(1)
        async with HttpClient(engine, install(WebSockets)) as client:
            async with client.web_socket("/echo") as session:
                await session.send("split")
                assert await session.receive_text() == "split"


@pytest.mark.parametrize("framework", ["starlette", "fastapi"])
class TestStarletteAndFastAPI:
    """What only some frameworks have."""

    async def test_state(self, framework: str, log: Log) -> None:
        async with client_of(make_app(framework, log)) as client:
            assert await (await client.get("/state")).body_as_text() == "from lifespan"

    async def test_denial_response(self, framework: str, log: Log) -> None:
        async with client_of(make_app(framework, log)) as client:
            with pytest.raises(WebSocketHandshakeError, match="101 but was 401") as refused:
                await client.web_socket_session("/deny")
            response = refused.value.response
            assert response.headers["x-reason"] == "nobody"
            assert await response.body_as_text() == "who are you"

    async def test_close_before_accept(self, framework: str, log: Log) -> None:
        async with client_of(make_app(framework, log)) as client:
            with pytest.raises(WebSocketHandshakeError, match="101 but was 403"):
                await client.web_socket_session("/forbid")

    async def test_the_app_hears_how_the_client_closed(self, framework: str, log: Log) -> None:
        async with client_of(make_app(framework, log)) as client:
            session = await client.web_socket_session("/echo")
            await session.close(CloseReason(4000, "done"))
        assert "gone 4000 done" in log

    async def test_exceptions_come_out(self, framework: str, log: Log) -> None:
        client = client_of(make_app(framework, log))
        with pytest.raises(ValueError, match="boom in a handler"):
            await client.get("/boom")
        session = await client.web_socket_session("/boom")
        with pytest.raises(ConnectionClosedError, match="1011"):
            await session.incoming.receive()
        with pytest.raises(ValueError, match="boom in a WebSocket"):
            await client.close()

    async def test_or_are_answered_as_by_a_server(self, framework: str, log: Log) -> None:
        async with client_of(make_app(framework, log), raise_app_exceptions=False) as client:
            assert (await client.get("/boom")).status == 500
            session = await client.web_socket_session("/boom")
            with pytest.raises(ConnectionClosedError, match="1011"):
                await session.incoming.receive()


async def test_quart_answers_a_handshake_with_a_response(log: Log) -> None:
    async with client_of(make_app("quart", log)) as client:
        with pytest.raises(WebSocketHandshakeError, match="101 but was 401") as refused:
            await client.web_socket_session("/deny")
        assert await refused.value.response.body_as_text() == "who are you"


async def test_litestars_guard_refuses(log: Log) -> None:
    async with client_of(make_app("litestar", log)) as client:
        with pytest.raises(WebSocketHandshakeError, match="101 but was 403"):
            await client.web_socket_session("/forbid")
