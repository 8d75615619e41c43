"""Reads that step who receives, over real sockets: each engine, both loops, TLS, one loop."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import ssl
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

from ktor_client import CloseReason, ConnectionClosedError, HttpClient, _twin, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.link import stream as stream_room
from ktor_client.plugins import WebSockets
from ktor_client.testing import echo_server
from tests.support.certificates import client_context, server_context
from tests.support.raw_server import TEXT, Peer, frame, raw_server

pytestmark = pytest.mark.skipif(_twin._core is None, reason="only the compiled core wakes eagerly")


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_room, "new_wakeups", lambda loop: _twin._core.new_wakeups(loop))


def depth() -> int:
    frame, count = inspect.currentframe(), 0
    while frame is not None:
        frame, count = frame.f_back, count + 1
    return count


async def test_two_sessions_of_one_loop_talk_and_the_stack_stays_flat(
    engine: EngineFactory,
) -> None:
    """Each answers from within the read of the other's message."""

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        others.append(peer)
        if len(others) == 2:
            ready.set()
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while True:
                _, payload = await peer.read_frame()
                await others[1 - others.index(peer)].send(frame(TEXT, payload))

    others: list[Peer] = []
    ready = asyncio.Event()
    depths: set[int] = set()
    got: list[str] = []

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        first = await client.web_socket_session(server.url)
        second = await client.web_socket_session(server.url)
        await ready.wait()

        async def answers() -> None:
            async for message in second:
                depths.add(depth())
                assert isinstance(message, str)
                await second.send(f"{message}!")

        task = asyncio.create_task(answers())
        for number in range(300):
            await first.send(str(number))
            got.append(await first.receive_text())
        assert got == [f"{number}!" for number in range(300)]
        assert max(depths) - min(depths) < 25  # a turn of the loop, or a read: no more than that
        task.cancel()
        first.cancel()
        second.cancel()


async def test_a_flood_of_short_messages_starves_nobody(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        await peer.upgrade()
        await peer.read_frame()
        for number in range(2000):
            await peer.send(frame(TEXT, b"%d" % number))
            if number % 4 == 0:
                await asyncio.sleep(0)
        await peer.read_eof()

    ticks: list[int] = []
    got: list[str] = []

    async def ticker() -> None:
        while True:
            ticks.append(len(got))
            await asyncio.sleep(0)

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url) as session:
            await session.send("go")
            task = asyncio.create_task(ticker())
            async for message in session:
                assert isinstance(message, str)
                got.append(message)
                if len(got) == 2000:
                    break
            task.cancel()
            session.cancel()
    assert got == [str(number) for number in range(2000)]
    assert max(b - a for a, b in pairwise(ticks)) <= 400  # what a read brings


@pytest.mark.parametrize("end", ["cancel", "close", "leave"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "tls"])
async def test_a_task_ends_its_session_within_the_read(
    engine: EngineFactory, end: str, secure: bool
) -> None:
    factory: Any = partial(engine, ssl_context=client_context()) if secure else engine
    server_side: ssl.SSLContext | None = server_context() if secure else None

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        with contextlib.suppress(asyncio.IncompleteReadError, OSError):
            while await peer.read_frame() == (0x80 | TEXT, b"go"):
                await peer.send(frame(TEXT, b"x") * 2)

    async with raw_server(script, tls=server_side) as server:
        async with HttpClient(factory, install(WebSockets, close_timeout=0.2)) as client:
            url = server.url.replace("ws:", "wss:") if secure else server.url
            for _ in range(5):
                session = await client.web_socket_session(url)
                for _ in range(3):
                    await session.send("go")
                    assert await session.receive_text() == "x"
                    assert await session.receive_text() == "x"
                await session.send("go")
                assert await session.receive_text() == "x"
                if end == "cancel":
                    session.cancel()
                elif end == "close":
                    await session.close()
                else:
                    session._core.close_without_waiting(CloseReason(1001))
                await session.wait_closed()
                session.incoming.receive_nowait()
                with pytest.raises(ConnectionClosedError):
                    await session.receive_text()


async def test_secure_round_trips(engine: EngineFactory) -> None:
    factory: Any = partial(engine, ssl_context=client_context())
    async with (
        echo_server(ssl_context=server_context()) as server,
        HttpClient(factory, install(WebSockets)) as client,
        client.web_socket(f"{server.url}/echo") as session,
    ):
        for size in (0, 1, 100, 1500, 1600, 20_000, 300_000):
            await session.send("x" * size)
            assert await session.receive_text() == "x" * size


PROGRAM = """
import asyncio, sys
import ktor_client.link.stream as room
from ktor_client import HttpClient, _twin, install
from ktor_client.plugins import WebSockets
from ktor_client.testing import echo_server

assert _twin.is_eager

async def main():
    async with echo_server() as server, HttpClient("cio", install(WebSockets)) as client:
        session = await client.web_socket_session(server.url + "/echo")
        async def body():
            await session.send("x")
            await session.receive_text()
            raise {error}("now")
        task = asyncio.create_task(body())
        await asyncio.sleep(10)

factory = None
if sys.argv[1] == "uvloop":
    import uvloop
    factory = uvloop.new_event_loop
try:
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())
except {error} as error:
    print(repr(error))
"""


@pytest.mark.parametrize("loop", ["default", "uvloop"])
@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit"])
def test_what_ends_a_program_ends_it(
    run_compiled: Any, monkeypatch: pytest.MonkeyPatch, loop: str, error: str
) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop", exc_type=ImportError)
    monkeypatch.setenv(_twin.EAGER, "1")
    assert run_compiled(PROGRAM.replace("{error}", error), loop).endswith(f"{error}('now')\n")
