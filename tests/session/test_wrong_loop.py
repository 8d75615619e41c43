"""A session on an event loop that is not its own: refused, and none the worse for it."""

from __future__ import annotations

import asyncio
import gc
import warnings
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from ktor_client import (
    DefaultClientWebSocketSession,
    Frame,
    HttpClient,
    Receipt,
    ReconnectStoppedError,
    Sent,
    WebSocketFeed,
    WrongLoopError,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine, TestEngine
from ktor_client.plugins import WebSocketDeflate, WebSockets
from ktor_client.testing import BackgroundEchoServer, echo_server
from tests.support.leaks import quiet_destructors
from tests.support.raw_server import TEXT, Peer, close_frame, frame, raw_server

Session = DefaultClientWebSocketSession
Use = Callable[[Session], Awaitable[object]]


async def iterate(session: Session) -> None:
    async for _ in session:
        pass


async def chunks() -> AsyncIterator[str]:
    yield "never"


async def send_nowait(session: Session) -> None:
    session.outgoing.send_nowait(Frame.Text("x"))


async def set_ping_interval(session: Session) -> None:
    session.ping_interval = 1


async def set_timeout(session: Session) -> None:
    session.timeout = 1


async def set_max_frame_size(session: Session) -> None:
    session.max_frame_size = 1


async def cancel(session: Session) -> None:
    session.cancel()


async def final_reason(session: Session) -> None:
    await session.close_reason


async def as_context(session: Session) -> None:
    async with session:
        pass


USES: dict[str, Use] = {
    "receive": lambda session: session.incoming.receive(),
    "receive_text": lambda session: session.receive_text(),
    "async for": iterate,
    "send": lambda session: session.send("x"),
    "send a frame": lambda session: session.send(Frame.Ping(b"x")),
    "outgoing.send": lambda session: session.outgoing.send(Frame.Text("x")),
    "send_nowait": send_nowait,
    "send_stream": lambda session: session.send_stream(chunks()),
    "ping": lambda session: session.ping(),
    "flush": lambda session: session.flush(),
    "close": lambda session: session.close(),
    "async with": as_context,
    "wait_closed": lambda session: session.wait_closed(),
    "close_reason": final_reason,
    "ping_interval": set_ping_interval,
    "timeout": set_timeout,
    "max_frame_size": set_max_frame_size,
}


async def elsewhere(use: Use, session: Session) -> None:
    """Use a session in another thread, on the loop of that thread."""

    async def run() -> None:
        async with asyncio.timeout(30):
            await use(session)

    await asyncio.to_thread(asyncio.run, run())


async def test_another_loop_is_refused(engine: EngineFactory) -> None:
    async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(f"{server.url}/echo") as session:
            for use in USES.values():
                with pytest.raises(WrongLoopError, match=r"\(still there\).*asyncio\.run"):
                    await elsewhere(use, session)
            await session.send("hello")
            assert await session.receive_text() == "hello"
        for name in ("close", "wait_closed", "close_reason"):
            await elsewhere(USES[name], session)  # an end can be asked for anywhere
        assert session.close_reason.clean


async def test_the_connection_is_not_dropped_from_another_loop(engine: EngineFactory) -> None:
    async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
        session = await client.web_socket_session(f"{server.url}/echo")
        with pytest.raises(WrongLoopError, match=r"\(still there\)"):
            await elsewhere(cancel, session)
        await session.send("hello")
        assert await session.receive_text() == "hello"
        await session.close()
        await elsewhere(cancel, session)  # there is nothing to drop
        assert session.close_reason.clean


async def test_an_exception_passes_on_another_loop(engine: EngineFactory) -> None:
    async def fail(session: Session) -> None:
        async with session:
            raise LookupError("mine")

    async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(f"{server.url}/echo") as session:
            with pytest.raises(LookupError, match="mine"):
                await elsewhere(fail, session)
            assert session.is_open


async def test_a_client_is_closed_on_its_own_loop(engine: EngineFactory) -> None:
    async def close() -> None:
        await client.close()

    async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
        session = await client.web_socket_session(f"{server.url}/echo")
        with pytest.raises(WrongLoopError, match="make an HttpClient per loop"):
            await asyncio.to_thread(asyncio.run, close())
        assert session.is_open
        assert not client.is_closed
        await client.close()
        assert session.close_reason.code == 1001
        await asyncio.to_thread(asyncio.run, close())  # idempotent anywhere


THREAD_USES: dict[str, Callable[[Session], object]] = {
    "cancel": lambda session: session.cancel(),
    "send_nowait": lambda session: session.outgoing.send_nowait(Frame.Text("x")),
    "send_nowait a ping": lambda session: session.outgoing.send_nowait(Frame.Ping(b"x")),
    "send_nowait a Close": lambda session: session.outgoing.send_nowait(Frame.Close()),
    "receive_nowait": lambda session: session.incoming.receive_nowait(),
    "send": lambda session: session.send("x").send(None),
    "send a frame": lambda session: session.send(Frame.Text("x")).send(None),
    "outgoing.send": lambda session: session.outgoing.send(Frame.Text("x")).send(None),
    "close": lambda session: session.close().send(None),
    "flush": lambda session: session.flush().send(None),
    "ping": lambda session: session.ping().send(None),
    "receive": lambda session: session.incoming.receive().send(None),
    "wait_closed": lambda session: session.wait_closed().send(None),
    "close_reason": lambda session: next(session.close_reason.__await__()),
    "ping_interval": lambda session: setattr(session, "ping_interval", 1),
    "timeout": lambda session: setattr(session, "timeout", 1),
    "max_frame_size": lambda session: setattr(session, "max_frame_size", 1),
}


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize("queued", [False, True])
async def test_a_thread_without_a_loop_is_refused(
    engine: EngineFactory, debug: bool, queued: bool
) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"queued") if queued else b"")
        first, payload = await peer.read_frame()
        assert (first, payload) == (0x81, b"hello")
        await peer.send(frame(TEXT, b"world"))
        assert await peer.read_close() == (1000, "")
        await peer.send(close_frame(1000))

    asyncio.get_running_loop().set_debug(debug)
    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url) as session:
            assert len(session.incoming) == queued
            before = session.statistics
            for use in THREAD_USES.values():
                with pytest.raises(WrongLoopError, match="run_coroutine_threadsafe"):
                    await asyncio.to_thread(use, session)
            assert await asyncio.to_thread(lambda: session.statistics) == before
            assert await asyncio.to_thread(lambda: session.is_open)
            if queued:
                assert await session.receive_text() == "queued"
            await session.send("hello")
            assert await session.receive_text() == "world"
        assert session.close_reason.clean


async def listen(session: Any) -> None:
    async for _ in session:
        pass


async def listening_app(scope: Any, receive: Any, send: Any) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] != "websocket.disconnect":
            pass


IN_MEMORY: dict[str, Callable[[], MockEngine | TestEngine]] = {
    "mock": lambda: mock(),
    "mock on pipes": lambda: mock(on_pipes=True),
    "test": lambda: TestEngine(listening_app),
}


def mock(*, on_pipes: bool = False) -> MockEngine:
    engine = MockEngine()
    engine.on_web_socket("/", listen)
    if on_pipes:
        engine.faults.corrupt(1 << 30)
    return engine


@pytest.mark.parametrize("make", IN_MEMORY.values(), ids=IN_MEMORY)
async def test_in_memory_a_thread_is_refused_too(
    make: Callable[[], MockEngine | TestEngine],
) -> None:
    uses = THREAD_USES | {
        "send bytes": lambda session: session.send(b"x").send(None),
        "send a long message": lambda session: session.send(bytes(100_000)).send(None),
    }
    async with make() as engine, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket("/") as session:
            before = session.statistics
            for use in uses.values():
                with pytest.raises(WrongLoopError, match="run_coroutine_threadsafe"):
                    await asyncio.to_thread(use, session)
            assert session.statistics == before
            await session.send("still open")


async def test_what_a_thread_is_refused_leaves_no_trace_in_the_compression(
    engine: EngineFactory,
) -> None:
    """Else a later message would refer to words that never left."""
    words = "words that another thread would like to say, "
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade("Sec-WebSocket-Extensions: permessage-deflate")
        window = zlib.decompressobj(-15)
        for _ in range(2):
            _, payload = await peer.read_frame()
            got.append(window.decompress(payload + b"\0\0\xff\xff"))
        assert await peer.read_close() == (1000, "")
        await peer.send(close_frame(1000))

    plugin = install(WebSockets, extensions=[WebSocketDeflate()])
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        async with client.web_socket(server.url) as session:
            await session.send("first")
            with pytest.raises(WrongLoopError):
                await asyncio.to_thread(lambda: session.send(words * 3).send(None))
            await session.send(words * 2)
    assert got == [b"first", words.encode() * 2]


async def test_the_bridge_from_a_thread(engine: EngineFactory) -> None:
    loop = asyncio.get_running_loop()

    def work(session: Session) -> str:
        asyncio.run_coroutine_threadsafe(session.send("from a thread"), loop).result(30)
        text = asyncio.run_coroutine_threadsafe(session.receive_text(), loop).result(30)
        loop.call_soon_threadsafe(session.cancel)
        return text

    async with echo_server() as server, HttpClient(engine, install(WebSockets)) as client:
        session = await client.web_socket_session(f"{server.url}/echo")
        assert await asyncio.to_thread(work, session) == "from a thread"
        await session.wait_closed()
        assert session.close_reason.code == 1006


@pytest.mark.parametrize("waits", [True, False])
def test_cancel_when_the_loop_was_closed_by_hand(engine: EngineFactory, waits: bool) -> None:
    """Who waited will never hear; the session's end is final all the same."""

    async def open_one() -> tuple[Session, list[asyncio.Task[object]]]:
        client = HttpClient(engine, install(WebSockets))
        session = await client.web_socket_session(f"{server.url}/echo")
        tasks: list[asyncio.Task[object]] = []
        if waits:
            calls: tuple[Awaitable[object], ...] = (
                session.incoming.receive(),
                session.ping(),
                session.wait_closed(),
                final_reason(session),
                session.send_stream(stalled()),
                session.send("behind the stream"),
                session.flush(),
            )
            tasks = [asyncio.ensure_future(forget(call)) for call in calls]
        await asyncio.sleep(0.01)
        return session, tasks

    async def stalled() -> AsyncIterator[str]:
        yield "begun"
        await asyncio.get_running_loop().create_future()

    async def forget(call: Awaitable[object]) -> object:
        return await call

    with (
        BackgroundEchoServer() as server,
        warnings.catch_warnings(action="ignore"),
        quiet_destructors(),
    ):
        loop = asyncio.new_event_loop()
        session, tasks = loop.run_until_complete(open_one())
        loop.close()
        session.cancel()
        assert not session.is_open
        reason = session.close_reason
        assert (reason.code, reason.initiator) == (1006, "local")
        session.cancel()
        del session, tasks, loop
        gc.collect()


@pytest.mark.parametrize("is_away", [True, False])
def test_a_feed_is_cancelled_when_the_loop_was_closed_by_hand(
    engine: EngineFactory, is_away: bool
) -> None:
    """A connection may have had what was sent, and none has had what waits for one."""

    async def open_one(url: str) -> tuple[WebSocketFeed, list[Receipt], asyncio.Task[str]]:
        client = HttpClient(engine, install(WebSockets))
        feed = await client.web_socket_reconnecting(url).__aenter__()
        if not is_away:
            await feed.opened()
        receipts = [await feed.send("hello")]
        waiting = asyncio.create_task(feed.receive_text())
        await asyncio.sleep(0.01)
        if not is_away:
            assert feed.session is not None
            feed.session._core.link.pause()
            sending = [asyncio.create_task(feed.send(bytes(1 << 20))) for _ in range(16)]
            await asyncio.sleep(0.01)
            receipts += [task.result() for task in sending if task.done()]
        return feed, receipts, waiting

    with (
        BackgroundEchoServer() as server,
        warnings.catch_warnings(action="ignore"),
        quiet_destructors() as raised,
    ):
        loop = asyncio.new_event_loop()
        url = "ws://127.0.0.1:1/" if is_away else f"{server.url}/echo"
        feed, receipts, waiting = loop.run_until_complete(open_one(url))
        loop.close()
        feed.cancel()
        feed.cancel()
        assert (feed.state, feed.session) == ("stopped", None)
        verdicts = {receipt.verdict for receipt in receipts}
        assert verdicts <= ({Sent.NOT_SENT} if is_away else {Sent.WRITTEN, Sent.UNKNOWN})
        with pytest.raises(ReconnectStoppedError):
            feed.incoming.receive_nowait()
            feed.incoming.receive_nowait()
        del feed, receipts, waiting, loop
        gc.collect()
        assert not raised


@pytest.mark.parametrize("form", ["session", "feed", "feed that waits", "loop", "stream"])
def test_a_body_that_is_thrown_away_with_its_loop(engine: EngineFactory, form: str) -> None:
    async def stalled() -> AsyncIterator[str]:
        yield "begun"
        await asyncio.get_running_loop().create_future()

    async def body(client: HttpClient, url: str) -> None:
        never = asyncio.get_running_loop().create_future()
        if form == "session":
            async with client.web_socket(url):
                await never
        elif form == "stream":
            session = await client.web_socket_session(url)
            await session.send_stream(stalled())
        elif form == "loop":
            async for session in client.web_socket_reconnecting(url):
                async with session:
                    await never
        else:
            url = url if form == "feed" else "ws://127.0.0.1:1/"
            async with client.web_socket_reconnecting(url) as feed:
                await feed.send("hello")
                await never

    async def begin(url: str) -> asyncio.Task[None]:
        task = asyncio.create_task(body(HttpClient(engine, install(WebSockets)), url))
        await asyncio.sleep(0.05)
        return task

    with (
        BackgroundEchoServer() as server,
        warnings.catch_warnings(action="ignore"),
        quiet_destructors() as raised,
    ):
        loop = asyncio.new_event_loop()
        task = loop.run_until_complete(begin(f"{server.url}/echo"))
        loop.close()
        del task, loop
        gc.collect()
        assert not raised


@pytest.mark.parametrize("make", IN_MEMORY.values(), ids=IN_MEMORY)
@pytest.mark.parametrize("is_cancelled", [True, False])
def test_the_end_of_the_loop_in_memory(
    make: Callable[[], MockEngine | TestEngine], is_cancelled: bool
) -> None:
    async def open_one() -> tuple[HttpClient, Session]:
        client = HttpClient(make, install(WebSockets))
        session = await client.web_socket_session("/")
        await session.send("x")
        return client, session

    async def close(client: HttpClient) -> None:
        async with asyncio.timeout(30):
            await client.close()

    with warnings.catch_warnings(action="ignore"), quiet_destructors():
        loop = asyncio.new_event_loop()
        client, session = loop.run_until_complete(open_one())
        loop.close()
        if is_cancelled:
            session.cancel()
            session.cancel()
        else:
            asyncio.run(close(client))
            assert client.is_closed
        assert not session.is_open
        reason = session.close_reason
        assert (reason.code, reason.initiator) == (1006, "local")
        del client, session, loop
        gc.collect()


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_when_the_loop_is_closed(engine: EngineFactory, is_cancelled: bool) -> None:
    with BackgroundEchoServer() as server:
        with pytest.warns(ResourceWarning, match="unclosed"):  # asyncio, of its own sockets
            outlive_the_loop(engine, server, is_cancelled=is_cancelled)


def outlive_the_loop(
    engine: EngineFactory, server: BackgroundEchoServer, *, is_cancelled: bool
) -> None:
    async def open_one() -> tuple[HttpClient, Session]:
        client = HttpClient(engine, install(WebSockets))
        await client.get(f"{server.http_url}/hello")  # its connection is kept
        return client, await client.web_socket_session(f"{server.url}/echo")

    async def attempt(use: Use, session: Session) -> None:
        with pytest.raises(WrongLoopError, match=r"opened on \(closed\)"):
            await use(session)

    async def close(client: HttpClient) -> None:
        await client.close()

    client, session = asyncio.run(open_one())
    for use in USES.values():
        asyncio.run(attempt(use, session))
    if is_cancelled:
        asyncio.run(cancel(session))  # nobody else can drop it any more
    asyncio.run(close(client))
    assert client.is_closed
    assert (session.close_reason.code, session.close_reason.initiator) == (1006, "local")
    del client, session
    gc.collect()
