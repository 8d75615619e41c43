"""TestEngine: apps that break ASGI's order, and the engine's own end."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from ktor_client import (
    ClientClosedError,
    ConnectError,
    HttpClient,
    SocketTimeoutError,
    WebSocketHandshakeError,
    install,
    timeout,
)
from ktor_client.engines import TestEngine
from ktor_client.engines._asgi.scope import Event, Receive, Scope, Send
from ktor_client.plugins import WebSockets
from tests.engines.asgi.apps import accept, client_of

START: Event = {"type": "http.response.start", "status": 200}
BODY: Event = {"type": "http.response.body", "body": b"x"}


def sending(*events: Event) -> Any:
    """Return an app that sends these events and raises."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for event in events:
            await send(event)

    return app


@pytest.mark.parametrize(
    ("events", "text"),
    [
        ([START, START, BODY], "started the response to .* twice"),
        ([BODY], "body before its start"),
        ([START, BODY, BODY], "body after its end"),
        ([{"type": "http.response.debug"}], "takes http.response events"),
    ],
)
async def test_the_order_of_responses(events: list[Event], text: str) -> None:
    async with client_of(sending(*events), lifespan=False) as client:
        with pytest.raises(RuntimeError, match=text):
            await client.get("/")


def start(*fields: tuple[Any, Any], status: int = 200) -> Event:
    return {"type": "http.response.start", "status": status, "headers": fields}


HALF: Event = {"type": "http.response.body", "body": b"half", "more_body": True}
LENGTH = b"content-length"


@pytest.mark.parametrize(
    ("events", "error", "text"),
    [
        ([start((LENGTH, b"9")), HALF, BODY], RuntimeError, "says 9 bytes, but its body has 5$"),
        ([start((LENGTH, b"3")), HALF, BODY], RuntimeError, "says 3 bytes, .* has 4 or more"),
        ([start((LENGTH, b"0")), BODY], RuntimeError, "says 0 bytes, but its body has 1"),
        ([start((LENGTH, b"x")), BODY], RuntimeError, "Content-Length is 'x'"),
        ([start((LENGTH, b"1"), (LENGTH, b"2")), BODY], RuntimeError, "Content-Length is '1, 2'"),
        ([start((b"x", b"a\r\nb: c")), BODY], RuntimeError, "an invalid header: .* 'x' has"),
        ([start((b"x y", b"a")), BODY], RuntimeError, "an invalid header: 'x .*' is not a"),
        ([start(("x", b"a")), BODY], TypeError, "sent a header as str; ASGI wants bytes"),
        ([start(status=100), BODY], RuntimeError, "answers with 100"),
        ([start(status=1000), BODY], RuntimeError, "answers with 1000"),
        ([START, {**BODY, "body": "x"}], TypeError, "sent a body as str; ASGI wants bytes"),
    ],
)
async def test_what_no_server_would_send(
    events: list[Event], error: type[Exception], text: str
) -> None:
    async with client_of(sending(*events), lifespan=False) as client:
        with pytest.raises(error, match=text):
            await (await client.get("/")).body_as_bytes()


async def test_the_length_of_a_body_that_there_is_not() -> None:
    """To HEAD, and with 304, it is that of another response."""
    for method, status in (("HEAD", 200), ("GET", 304)):
        events = start((LENGTH, b"9"), status=status), {**BODY, "body": b""}
        async with client_of(sending(*events), lifespan=False) as client:
            response = await client.request(method, "/")
            assert (await response.body_as_bytes(), response.headers["content-length"]) == (
                b"",
                "9",
            )


async def test_odd_heads() -> None:
    headers = [(b"x-latin", b"caf\xe9"), (b"x-utf8", "café".encode())]
    start = {"type": "http.response.start", "status": 799, "headers": headers}
    async with client_of(sending(start, BODY), lifespan=False) as client:
        response = await client.get("/")
        assert (response.status, response.reason) == (799, "")
        assert response.headers["x-latin"] == response.headers["x-utf8"] == "café"


@pytest.mark.parametrize("raises", [False, True])
async def test_a_denial_that_breaks_off(raises: bool) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.http.response.start", "status": 401})
        piece = {"type": "websocket.http.response.body", "body": b"who", "more_body": True}
        await send(piece)
        if raises:
            raise ValueError("halfway")

    async with client_of(app, lifespan=False) as client:
        with pytest.raises(WebSocketHandshakeError, match="but was 401") as caught:
            await client.web_socket_session("/")
        assert await caught.value.response.body_as_bytes() == b"who"
        broken = caught.value.__cause__
        assert isinstance(broken, ConnectError)
        assert re.search(r"left its denial of .* unfinished", str(broken))
        assert isinstance(broken.__cause__, ValueError) is raises


async def test_an_exception_after_a_denial() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "websocket.close"})
        raise ValueError("after the denial")

    client = client_of(app, lifespan=False)
    with pytest.raises(WebSocketHandshakeError, match="403"):
        await client.web_socket_session("/")
    with pytest.raises(ValueError, match="after the denial"):
        await client.close()


async def test_an_exception_before_the_decision() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        raise ValueError("no database")

    async with client_of(app, lifespan=False) as client:
        with pytest.raises(ValueError, match="no database"):
            await client.web_socket_session("/")
    async with client_of(app, lifespan=False, raise_app_exceptions=False) as client:
        with pytest.raises(WebSocketHandshakeError, match="101 but was 500"):
            await client.web_socket_session("/")
        assert (await client.get("/")).status == 500


class OwnEnd(BaseException):
    """What is no `Exception`, such as what `pytest.fail` raises."""


@pytest.mark.parametrize("where", ["lifespan", "http", "body", "websocket", "session"])
async def test_what_is_no_exception_comes_out_too(where: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if where == "body":
            await send(START)
            await send({**BODY, "more_body": True})
        elif where == "session":
            await accept(receive, send)
        raise OwnEnd(where)

    client = client_of(app, lifespan=where == "lifespan")
    async with asyncio.timeout(20):
        if where == "session":
            async with client.web_socket("/") as session:
                assert (await session.close_reason).code == 1011
            with pytest.raises(OwnEnd, match=where):
                await client.close()
            return
        with pytest.raises(OwnEnd, match=where):
            await (client.web_socket_session("/") if where == "websocket" else client.get("/"))
        await client.close()


async def test_several_exceptions() -> None:
    go = asyncio.Event()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(BODY)
        await go.wait()
        raise ValueError(scope["path"])

    client = client_of(app, lifespan=False)
    for path in ("/first", "/second"):
        await client.get(path)
    go.set()
    with pytest.raises(ValueError, match="/first") as raised:
        await client.close()
    assert raised.value.__notes__ == ["The app also raised ValueError: /second"]


async def test_a_receiver_waits_for_the_decision() -> None:
    """An app may ask for messages in one task and accept in another."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        receiving = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        if scope["path"] == "/no":
            await send({"type": "websocket.close"})
            assert (await receiving)["code"] == 1006
            return
        await send({"type": "websocket.accept"})
        assert (await receiving)["text"] == "hello"

    async with client_of(app, lifespan=False) as client:
        async with client.web_socket("/yes") as session:
            await session.send("hello")
            await session.wait_closed()
        with pytest.raises(WebSocketHandshakeError):
            await client.web_socket_session("/no")


@pytest.mark.parametrize("when", ["shutdown", "shutdown.failed", "nonsense"])
async def test_a_shutdown_that_fails(when: str) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await send(START)
            await send(BODY)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        assert (await receive())["type"] == "lifespan.shutdown"
        if when == "shutdown":
            raise RuntimeError("the app's shutdown failed: it raised")
        await send({"type": f"lifespan.{when}", "message": "no disk"})

    client = client_of(app)
    await client.get("/")
    text = "sent 'lifespan.nonsense'" if when == "nonsense" else "shutdown failed: "
    with pytest.raises(RuntimeError, match=text):
        await client.close()


@pytest.mark.parametrize("of_the_client", [False, True])
async def test_a_startup_that_does_not_end(of_the_client: bool) -> None:
    asked, ended = asyncio.Event(), []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        asked.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(scope["type"])

    engine = TestEngine(app)
    client = HttpClient(lambda: engine) if of_the_client else HttpClient(engine)
    async with asyncio.timeout(20):
        calling = asyncio.ensure_future(client.get("/"))
        await asked.wait()
        await (client if of_the_client else engine).close()
        with pytest.raises(ClientClosedError):
            await calling
        await client.close()
    assert ended == ["lifespan"]


async def test_a_limit_for_silence_holds_for_a_startup_too() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async with asyncio.timeout(20), client_of(app) as client:
        with pytest.raises(SocketTimeoutError, match=r"for 0\.01 s"):
            await client.get("/", timeout(socket=0.01))
        with pytest.raises(SocketTimeoutError, match=r"for 0\.01 s"):
            await client.web_socket_session("/", timeout(socket=0.01))


async def test_a_startup_that_is_completed_twice() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await send(START)
            await send(BODY)
            return
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.startup.complete"})

    client = client_of(app)
    assert (await client.get("/")).status == 200
    with pytest.raises(RuntimeError, match="completed its startup twice"):
        await client.close()


async def test_the_lifespan_begins_again_for_another_client() -> None:
    log: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            while True:
                log.append((await receive())["type"])
                await send({"type": f"{log[-1]}.complete"})
                if log[-1] == "lifespan.shutdown":
                    return
        await send(START)
        await send(BODY)

    engine = TestEngine(app)
    first, second = HttpClient(engine), HttpClient(engine)
    await first.get("/")
    await first.close()
    assert log == ["lifespan.startup"]  # the second one is still there
    await second.get("/")
    await second.close()
    async with HttpClient(engine) as third:
        await third.get("/")
    assert log == ["lifespan.startup", "lifespan.shutdown"] * 2


async def test_a_closed_engine() -> None:
    async with TestEngine(sending(START, BODY), lifespan=False) as engine:
        assert repr(engine).startswith("TestEngine(<function ")
    await engine.close()
    async with HttpClient(engine, install(WebSockets)) as client:
        with pytest.raises(ClientClosedError, match="TestEngine is closed"):
            await client.get("/")


async def test_closing_ends_background_work_but_no_response_that_is_complete() -> None:
    ends: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(BODY)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    engine = TestEngine(app, lifespan=False, shutdown_timeout=0.01)
    async with HttpClient(engine) as client, client.prepare_get("/") as response:
        await engine.close()
        assert ends == ["cancelled"]
        assert await response.body_as_bytes() == b"x"


async def test_an_exception_is_told_whenever_the_engine_is_closed() -> None:
    """By the call, or by `close`, in whichever step of the loop that comes."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send(BODY)
        raise LookupError("behind the response")

    for steps in range(12):
        engine = TestEngine(app, lifespan=False)
        client = HttpClient(engine)
        calling = asyncio.ensure_future(client.get("/"))
        for _ in range(steps):
            await asyncio.sleep(0)
        results = await asyncio.gather(calling, engine.close(), return_exceptions=True)
        told = [error for error in results if isinstance(error, BaseException)]
        assert {str(error) for error in told} - {"TestEngine is closed; make a new one"} <= {
            "behind the response"
        }
        assert told
        await client.close()


async def test_closing_ends_a_handshake() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    engine = TestEngine(app, lifespan=False, shutdown_timeout=0.01)
    async with HttpClient(engine, install(WebSockets)) as client:
        opening = asyncio.ensure_future(client.web_socket_session("/"))
        await asyncio.sleep(0)
        await engine.close()
        with pytest.raises(ClientClosedError, match="TestEngine was closed during the handshake"):
            await opening


async def test_closing_ends_what_is_open() -> None:
    ends: list[str] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.accept"})
            ends.append((await receive())["type"])
            return
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    engine = TestEngine(app, lifespan=False, shutdown_timeout=0.25)
    client = HttpClient(engine, install(WebSockets))
    session = await client.web_socket_session("/")
    request = asyncio.ensure_future(client.get("/"))
    await asyncio.sleep(0)
    await engine.close()
    assert sorted(ends) == ["cancelled", "websocket.disconnect"]
    with pytest.raises(ClientClosedError, match="TestEngine was closed during the request"):
        await request
    assert (await session.close_reason).code == 1006
    await client.close()
