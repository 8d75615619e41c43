"""Sessions opened and ended in every way, again and again: all comes back to the start."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

import pytest

from ktor_client import (
    ConnectError,
    ConnectionClosedError,
    FrameTooBigError,
    HttpClient,
    PingTimeoutError,
    ProtocolViolationError,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from ktor_client.session import DefaultClientWebSocketSession
from tests.support.fake_link import steps
from tests.support.leaks import Held
from tests.support.raw_server import TEXT, Peer, close_frame, frame, raw_server

End: TypeAlias = Callable[[EngineFactory, HttpClient, str], Awaitable[None]]

ROUND = 5
"""Sessions that are open at the same time."""


async def script(peer: Peer) -> None:
    """Do what the path says."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        await peer.read_request()
        what = peer.request.split()[1].decode().strip("/")
        if what == "refuse":
            await peer.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")
            await peer.read_eof()
            return
        if what == "hang-up":
            return
        await peer.send(peer.switch(trailing=frame(TEXT, b"welcome")))
        if what == "violate":
            await peer.send(frame(3))
        elif what == "big":
            await peer.send(frame(TEXT, bytes(20_000)))
        elif what == "reset":
            await peer.read_frame()
            peer.reset()
            return
        elif what == "end":
            return
        elif what == "close":
            await peer.send(close_frame(4000, "enough"))
        elif what == "silence":
            await peer.read_eof()
            return
        code, _ = await peer.read_close()
        if what != "close" and code is not None:
            await peer.send(close_frame(code))


# --- the ways to end


async def by_return(engine: EngineFactory, client: HttpClient, url: str) -> None:
    async with client.web_socket(url) as session:
        await session.send("hello")
        assert await session.receive_text() == "welcome"


async def by_exception(engine: EngineFactory, client: HttpClient, url: str) -> None:
    with pytest.raises(KeyError):
        async with client.web_socket(url) as session:
            await session.receive_text()
            raise KeyError("mine")


async def by_cancellation(engine: EngineFactory, client: HttpClient, url: str) -> None:
    async def body() -> None:
        async with client.web_socket(url) as session:
            await session.receive_text()
            entered.set()
            await session.receive_text()

    entered = asyncio.Event()
    task = asyncio.create_task(body())
    await entered.wait()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()


async def by_cancel(engine: EngineFactory, client: HttpClient, url: str) -> None:
    session = await client.web_socket_session(url)
    session.cancel()
    await session.wait_closed()


async def by_the_peers_close(engine: EngineFactory, client: HttpClient, url: str) -> None:
    async with client.web_socket(f"{url}close") as session:
        assert (await session.close_reason).code == 4000


async def by_the_peers_end(engine: EngineFactory, client: HttpClient, url: str) -> None:
    async with client.web_socket(f"{url}end") as session:
        assert (await session.close_reason).code == 1006


async def by_reset(engine: EngineFactory, client: HttpClient, url: str) -> None:
    async with client.web_socket(f"{url}reset") as session:
        await session.receive_text()
        waiting = [asyncio.create_task(session.receive_text()) for _ in range(3)]
        await session.send("go")
        ends = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(end) for end in ends} == {ConnectionClosedError}


async def by_violation(engine: EngineFactory, client: HttpClient, url: str) -> None:
    session = await client.web_socket_session(f"{url}violate")
    assert await session.receive_text() == "welcome"
    with pytest.raises(ProtocolViolationError):
        await session.receive_text()
    await session.close()


async def by_size(engine: EngineFactory, client: HttpClient, url: str) -> None:
    async with client.web_socket(f"{url}big") as session:
        with pytest.raises(FrameTooBigError):
            async for _ in session:
                pass


async def by_refusal(engine: EngineFactory, client: HttpClient, url: str) -> None:
    with pytest.raises(WebSocketHandshakeError):
        await client.web_socket_session(f"{url}refuse")


async def by_no_answer(engine: EngineFactory, client: HttpClient, url: str) -> None:
    with pytest.raises(ConnectError):
        await client.web_socket_session(f"{url}hang-up")


async def by_a_ping_that_nobody_answers(
    engine: EngineFactory, client: HttpClient, url: str
) -> None:
    async with client.web_socket(f"{url}silence") as session:
        session.ping_interval = session.timeout = 0.005
        with pytest.raises(PingTimeoutError):
            async for _ in session:
                pass
        session.cancel()  # the peer would take its time


async def by_deadline(engine: EngineFactory, client: HttpClient, url: str) -> None:
    async with client.config(install(WebSockets, close_timeout=0.005)) as impatient:
        async with impatient.web_socket(f"{url}silence") as session:
            await session.receive_text()
    assert not session.close_reason.clean


async def by_the_clients_end(engine: EngineFactory, client: HttpClient, url: str) -> None:
    async with HttpClient(engine, install(WebSockets)) as other:
        session = await other.web_socket_session(url)
    assert session.close_reason.code == 1001


async def by_the_engines_end(engine: EngineFactory, client: HttpClient, url: str) -> None:
    own = engine()
    other = HttpClient(own, install(WebSockets))
    session = await other.web_socket_session(url)
    await own.close()
    assert (await session.close_reason).code == 1006
    await other.close()


async def by_a_raw_session(engine: EngineFactory, client: HttpClient, url: str) -> None:
    async with client.web_socket_raw(url) as session:
        await session.incoming.receive()


ENDS: list[End] = [
    by_return,
    by_exception,
    by_cancellation,
    by_cancel,
    by_the_peers_close,
    by_the_peers_end,
    by_reset,
    by_violation,
    by_size,
    by_refusal,
    by_no_answer,
    by_a_ping_that_nobody_answers,
    by_deadline,
    by_the_clients_end,
    by_the_engines_end,
    by_a_raw_session,
]


def our_objects() -> Counter[str]:
    """Count the living objects of the package's classes, and tasks and futures."""
    gc.collect()
    names = (f"{kind.__module__}.{kind.__qualname__}" for kind in map(type, gc.get_objects()))
    return Counter(name for name in names if name.startswith(("ktor_client", "_asyncio")))


async def open_and_end(
    engine: EngineFactory, rounds: int, settled: Callable[[], Awaitable[None]] = steps
) -> None:
    """End `ROUND` sessions at a time in each way, `rounds` times, and compare.

    `settled` returns when what was begun is over, where that is not seen by sockets.
    """
    async with raw_server(script) as server, asyncio.timeout(500):
        options = install(WebSockets, max_frame_size=10_000, close_timeout=5)
        async with HttpClient(engine, options) as client:

            async def each_way() -> None:
                for end in ENDS:
                    await asyncio.gather(*(end(engine, client, server.url) for _ in range(ROUND)))
                await held.again()
                await settled()

            held = Held()
            await each_way()  # now what is made once and kept is made
            objects = our_objects()
            for _ in range(rounds):
                await each_way()
            more = our_objects() - objects
            assert not more, f"living still: {more}"


async def test_a_few_of_each(engine: EngineFactory) -> None:
    await open_and_end(engine, rounds=2)


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
async def test_two_thousand(engine: EngineFactory) -> None:
    await open_and_end(engine, rounds=2000 // (ROUND * len(ENDS)))


async def test_the_collector_is_not_needed(engine: EngineFactory) -> None:
    """A session that has ended is gone with its last user, not when the collector comes by."""
    async with (
        raw_server(script) as server,
        HttpClient(engine, install(WebSockets, ping_interval=20)) as client,
        asyncio.timeout(20),
    ):
        session = await client.web_socket_session(server.url)
        assert await session.receive_text() == "welcome"
        parts = [weakref.ref(part) for part in (session, session._core, session._core.link)]
        gc.disable()
        try:
            await session.close()
            del session
            await steps()
            assert [part() for part in parts] == [None, None, None]
        finally:
            gc.enable()


@pytest.mark.parametrize("in_a_task", [False, True])
@pytest.mark.parametrize("waits", ["receive", "iterate", "send", "ping", "stream", "flush"])
async def test_who_hears_of_a_loss_needs_no_collector(
    engine: EngineFactory, waits: str, in_a_task: bool
) -> None:
    async def hears(session: DefaultClientWebSocketSession) -> None:
        if waits == "receive":
            await session.incoming.receive()
        elif waits == "iterate":
            async for _ in session:
                pass
        elif waits == "ping":
            await session.ping()
        elif waits == "stream":
            await session.send_stream(stalled())
        else:
            while True:
                await session.send(bytes(300_000))
                if waits == "flush":
                    await session.flush()

    async def wait(session: DefaultClientWebSocketSession) -> None:
        if in_a_task:
            task = asyncio.create_task(hears(session))
            await asyncio.wait([task])
            assert isinstance(task.exception(), ConnectionClosedError)
        else:
            with pytest.raises(ConnectionClosedError):
                await hears(session)

    async def stalled() -> AsyncIterator[bytes]:
        yield b"begun"
        await asyncio.get_running_loop().create_future()

    async def lose(peer: Peer) -> None:
        await peer.upgrade()
        await asyncio.sleep(0.05)
        peer.reset()

    async with (
        raw_server(lose) as server,
        HttpClient(engine, install(WebSockets)) as client,
        asyncio.timeout(20),
    ):
        session = await client.web_socket_session(server.url)
        parts = [weakref.ref(part) for part in (session, session._core, session._core.link)]
        gc.collect()
        gc.disable()
        try:
            await wait(session)
            await session.wait_closed()
            del session
            await steps()
            assert [part() for part in parts] == [None, None, None]
        finally:
            gc.enable()
