"""TestEngine: apps of four frameworks, and hand-written ones for what frameworks never do."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from ktor_client import (
    Channels,
    CloseReason,
    ConnectError,
    ConnectionClosedError,
    Frame,
    HttpClient,
    WebSocketHandshakeError,
    bounded,
    header,
    install,
)
from ktor_client.engines import TestEngine
from ktor_client.engines._asgi.scope import App, Event, Receive, Scope, Send
from ktor_client.plugins import WebSocketDeflate, WebSockets
from tests.support.asgi_apps import FRAMEWORKS, Log, make_app


@pytest.fixture
def log() -> Log:
    return []


@pytest.fixture(params=FRAMEWORKS)
def app(request: pytest.FixtureRequest, log: Log) -> App:
    """The same app in each framework."""
    return make_app(request.param, log)


def client_of(app: App, **options: Any) -> HttpClient:
    return HttpClient(TestEngine(app, **options), install(WebSockets))


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
        with pytest.raises(ValueError, match="boom in a web socket"):
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


# --- apps without a framework ---


def web_socket_app(run: Callable[[Scope, Receive, Send], Any]) -> App:
    """Return an app that knows web sockets only, and no lifespan."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] in ("http", "websocket"), "no lifespan here"
        await run(scope, receive, send)

    return app


async def accept(receive: Receive, send: Send) -> None:
    assert (await receive())["type"] == "websocket.connect"
    await send({"type": "websocket.accept"})


async def test_a_slow_app_holds_the_client_back() -> None:
    go = asyncio.Event()
    received = []

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await go.wait()
        while (event := await receive())["type"] == "websocket.receive":
            received.append(event["text"])

    async with client_of(web_socket_app(run)) as client:
        session = await client.web_socket_session("/")
        sent = 0

        async def flood() -> None:
            nonlocal sent
            for number in range(1000):
                await session.send(f"{number}")
                sent += 1

        flooding = asyncio.create_task(flood())
        for _ in range(200):
            await asyncio.sleep(0)
        assert sent < 300  # incoming of the app, what is under way, and no more
        assert not flooding.done()
        go.set()
        await flooding
        await session.close()
    assert received == [f"{number}" for number in range(1000)]


async def test_a_slow_client_holds_the_app_back() -> None:
    sent = 0

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await accept(receive, send)
        for number in range(1000):
            await send({"type": "websocket.send", "text": f"{number}"})
            sent += 1

    small = install(WebSockets, channels=Channels(incoming=bounded(8)))
    async with HttpClient(TestEngine(web_socket_app(run)), small) as client:
        async with client.web_socket("/") as session:
            for _ in range(200):
                await asyncio.sleep(0)
            assert sent < 300
            assert [text async for text in session] == [f"{number}" for number in range(1000)]


async def test_closing_reaches_an_app_that_does_not_read() -> None:
    """The Close overtakes nothing and is not lost behind a full queue."""
    ended = asyncio.Event()

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await ended.wait()
        events = [await receive() for _ in range(301)]
        assert [event["type"] for event in events[:300]] == ["websocket.receive"] * 300
        assert events[300] == {"type": "websocket.disconnect", "code": 4000, "reason": "done"}

    async with client_of(web_socket_app(run)) as client:
        session = await client.web_socket_session("/")
        sending = asyncio.create_task(send_many(session, 300))
        for _ in range(50):
            await asyncio.sleep(0)
        ended.set()
        await sending
        await session.close(CloseReason(4000, "done"))


async def send_many(session: Any, count: int) -> None:
    for _ in range(count):
        await session.send("x")


async def test_a_response_holds_the_app_back() -> None:
    sent = 0

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal sent
        await send({"type": "http.response.start", "status": 200})
        for _ in range(100):
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            sent += 1
        await send({"type": "http.response.body"})

    async with client_of(app, lifespan=False) as client, client.prepare_get("/") as response:
        for _ in range(50):
            await asyncio.sleep(0)
        assert sent < 10
        assert len(await response.body_as_bytes()) == 1_000_000


async def test_a_response_that_nobody_wants_any_more() -> None:
    events = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        events.append(await receive())
        events.append(await receive())
        with pytest.raises(OSError, match="closed the response"):
            await send({"type": "http.response.body", "body": b"second"})
        events.append({"type": "raised"})

    async with client_of(app, lifespan=False) as client:
        async with client.prepare_get("/") as response:
            async for chunk in response.chunks():
                assert chunk == b"first"
                break
    assert [event["type"] for event in events] == ["http.request", "http.disconnect", "raised"]


async def test_gzip_is_undone() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": gzip.compress(b"small" * 100)})

    async with client_of(app, lifespan=False) as client:
        assert await (await client.get("/")).body_as_bytes() == b"small" * 100


async def test_damaged_gzip_is_our_error() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        headers = [(b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"no gzip"})

    async with client_of(app, lifespan=False) as client:
        with pytest.raises(ConnectError, match="cannot decode the body"):
            await client.get("/")


async def test_the_users_own_exception_comes_out_of_an_upload() -> None:
    seen: list[Event] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append(await receive())
        seen.append(await receive())

    async def broken() -> AsyncIterator[bytes]:
        yield b"first"
        raise KeyError("the user's own")

    async with client_of(app, lifespan=False) as client:
        with pytest.raises(KeyError, match="the user's own"):
            await client.post("/", body=broken())
    assert [event["type"] for event in seen] == ["http.request", "http.disconnect"]


@pytest.mark.parametrize("halfway", [False, True])
async def test_an_app_that_gives_no_whole_response(halfway: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if halfway:
            await send({"type": "http.response.start", "status": 200})

    async with client_of(app, lifespan=False) as client:
        error, text = (
            (ConnectError, "left its response .* unfinished")
            if halfway
            else (RuntimeError, "ended without a response to HttpRequest")
        )
        with pytest.raises(error, match=text):
            await client.get("/")


async def test_an_exception_in_the_middle_of_a_body() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        raise ValueError("halfway")

    async with client_of(app, lifespan=False) as client:
        with pytest.raises(ValueError, match="halfway"):
            await client.get("/")
    async with client_of(app, lifespan=False, raise_app_exceptions=False) as client:
        with pytest.raises(ConnectError, match="unfinished"):
            await client.get("/")


async def test_background_work_is_waited_for_and_its_exceptions_told() -> None:
    done = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 202})
        await send({"type": "http.response.body", "body": b"accepted"})
        await asyncio.sleep(0.01)
        done.append("work")
        raise ValueError("in the background")

    client = client_of(app, lifespan=False)
    assert (await client.get("/")).status == 202
    assert done == []
    with pytest.raises(ValueError, match="in the background"):
        await client.close()
    assert done == ["work"]


async def test_handlers_that_never_end_are_cancelled() -> None:
    ends: list[str] = []

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    async with client_of(web_socket_app(run), shutdown_timeout=0.01) as client:
        async with client.web_socket("/"):
            pass
    assert ends == ["cancelled"]


async def test_a_call_that_is_cancelled_leaves_nothing() -> None:
    entered = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        entered.set()
        await asyncio.Event().wait()

    async with client_of(app, lifespan=False) as client:
        for call in (client.get("/"), client.web_socket_session("/")):
            entered.clear()
            calling = asyncio.ensure_future(call)
            await entered.wait()
            calling.cancel()
            with pytest.raises(asyncio.CancelledError):
                await calling


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([], "neither accepted nor denied"),
        ([{"type": "websocket.send", "text": "early"}], "before websocket.accept"),
        ([{"type": "websocket.accept"}, {"type": "websocket.accept"}], "that is open"),
        ([{"type": "websocket.close"}, {"type": "websocket.accept"}], "had denied"),
    ],
)
async def test_apps_that_break_the_order_are_told(events: list[Event], text: str) -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    with pytest.raises(RuntimeError, match=text):
        async with client_of(web_socket_app(run)) as client:
            with suppress(WebSocketHandshakeError):
                await client.web_socket_session("/")


async def test_an_app_that_goes_on_after_the_client_has_gone() -> None:
    raised: list[str] = []

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        assert (await receive())["type"] == "websocket.disconnect"
        assert (await receive())["type"] == "websocket.disconnect"
        try:
            await send({"type": "websocket.send", "text": "late"})
        except OSError as error:
            raised.append(str(error))
            raise

    async with client_of(web_socket_app(run)) as client:
        async with client.web_socket("/"):
            pass
    assert "closed by the peer" in raised[0]


async def test_a_bug_in_the_cleanup_is_told() -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await receive()
        raise KeyError("room")

    client = client_of(web_socket_app(run))
    async with client.web_socket("/"):
        pass
    with pytest.raises(KeyError, match="room"):
        await client.close()


async def test_a_startup_that_fails() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert (await receive())["type"] == "lifespan.startup"
        await send({"type": "lifespan.startup.failed", "message": "no database"})

    async with client_of(app) as client:
        with pytest.raises(RuntimeError, match="startup failed: no database"):
            await client.get("/")


async def test_raw_sessions_see_the_frames() -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        await send({"type": "websocket.send", "bytes": b"raw"})
        await send({"type": "websocket.close", "code": 1001})

    async with client_of(web_socket_app(run)) as client:
        session = await client.web_socket_raw_session("/")
        assert await session.incoming.receive() == Frame.Binary(b"raw")
        close = await session.incoming.receive()
        assert close == Frame.Close(CloseReason(1001))
        await session.close()


async def test_deflate() -> None:
    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        event = await receive()
        await send({"type": "websocket.send", "text": event["text"]})
        await receive()

    deflate = WebSocketDeflate(threshold=0)
    engine = TestEngine(web_socket_app(run), extensions=[deflate])
    async with HttpClient(engine, install(WebSockets, extensions=[deflate])) as client:
        async with client.web_socket("/") as session:
            assert session.extensions
            await session.send("x" * 1000)
            assert await session.receive_text() == "x" * 1000
            assert session.statistics.bytes_sent < 100


async def test_a_connection_that_is_dropped() -> None:
    events: list[Event] = []

    async def run(scope: Scope, receive: Receive, send: Send) -> None:
        await accept(receive, send)
        events.append(await receive())
        events.append(await receive())

    engine = TestEngine(web_socket_app(run))
    engine.faults.drop(after=7, towards="server")
    async with HttpClient(engine, install(WebSockets)) as client:
        session = await client.web_socket_session("/")
        await session.send("x")
        await session.send("y")
        with pytest.raises(ConnectionClosedError, match="dropped"):
            await session.incoming.receive()
    assert [event["type"] for event in events] == ["websocket.receive", "websocket.disconnect"]
    assert events[1]["code"] == 1006


def test_pytest_does_not_take_it_for_a_test() -> None:
    assert TestEngine.__test__ is False


def test_something_that_is_no_app() -> None:
    with pytest.raises(TypeError, match="takes an ASGI app"):
        TestEngine("app")  # type: ignore[arg-type]
