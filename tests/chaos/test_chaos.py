"""One scripted conversation through a network that splits it, holds it and cuts it anywhere.

Whatever the network does, the visitor hears a prefix of what was said, and then exactly one of the
endings that are documented; the same client then goes on.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Iterable
from typing import NamedTuple

import pytest

from ktor_client import CloseReason, ConnectError, ConnectionClosedError, HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from tests.support.chaos_proxy import ChaosProxy, How, Plan, Way, chaos_proxy
from tests.support.leaks import Held
from tests.support.raw_server import BINARY, PING, PONG, TEXT, Peer, close_frame, frame, raw_server

SAID: list[str | bytes] = ["one", "twö", bytes(130)]
FRAMES = [
    frame(TEXT, b"one"),
    frame(PING, b"p") + frame(TEXT, "twö".encode()[:3], fin=False) + frame(0, b"\xb6"),
    frame(BINARY, bytes(130)),
]
DEADLINE = 20
"""The watchdog of one run: no run waits for time to pass."""


async def script(peer: Peer) -> None:
    """Say `SAID`, insist on the answers, close. A network that cuts is no failure."""
    with contextlib.suppress(asyncio.IncompleteReadError, OSError):
        await peer.upgrade()
        assert await peer.read_frame() == (0x80 | TEXT, b"hello")
        await peer.send(*FRAMES)
        assert await peer.read_frame() == (0x80 | PONG, b"p")
        assert await peer.read_frame() == (0x80 | TEXT, b"goodbye")
        await peer.send(close_frame(1000, "done"))
        assert await peer.read_close() == (1000, "done")


class Outcome(NamedTuple):
    """What a visitor heard, and the reason of the end; None if there was no session."""

    heard: list[str | bytes]
    reason: CloseReason | None


COMPLETE = Outcome(SAID, CloseReason(1000, "done"))


async def visit(client: HttpClient, url: str) -> Outcome:
    """Take part in the conversation. Anything that is not documented fails the test."""
    heard: list[str | bytes] = []
    try:
        session = await client.web_socket_session(url)
    except ConnectError:
        return Outcome(heard, None)
    failure: ConnectionClosedError | None = None
    async with session:
        try:
            await session.send("hello")
            async for message in session:
                heard.append(message)
                if len(heard) == len(SAID):
                    await session.send("goodbye")
        except ConnectionClosedError as error:
            failure = error
        reason = await session.close_reason
    await session.wait_closed()  # the proxy has seen everything
    assert session.close_reason == reason
    assert failure is None or (failure.reason, failure.initiator) == (reason, "peer")
    assert reason.code in (1000, 1006)
    assert reason.initiator == "peer"
    assert reason.clean is (reason.code == 1000)
    return Outcome(heard, reason)


@contextlib.asynccontextmanager
async def network(engine: EngineFactory) -> AsyncGenerator[tuple[HttpClient, ChaosProxy, str]]:
    """A client, a proxy and the URL behind it. On leaving, nothing is left of any run."""
    before = Held()
    async with raw_server(script) as server, chaos_proxy(server.port) as proxy:
        async with HttpClient(engine, install(WebSockets, ping_interval=None)) as client:
            yield client, proxy, f"ws://127.0.0.1:{proxy.port}/"
    await before.again()


async def lengths(client: HttpClient, proxy: ChaosProxy, url: str) -> dict[Way, int]:
    """Run the conversation undisturbed; return how many bytes go each way."""
    proxy.plan = plan = Plan()
    async with asyncio.timeout(DEADLINE):
        assert await visit(client, url) == COMPLETE
    return plan.passed


@pytest.mark.parametrize("size", [1, 2, 3, 7])
async def test_split(engine: EngineFactory, size: int) -> None:
    async with network(engine) as (client, proxy, url):
        proxy.plan = Plan(split=size)
        async with asyncio.timeout(DEADLINE):
            assert await visit(client, url) == COMPLETE


async def cut_everywhere(
    engine: EngineFactory, way: Way, how: How, step: int, *, split: int | None = None
) -> None:
    """Cut at every offset of the conversation, within the handshake at every `step`th one."""
    async with network(engine) as (client, proxy, url):
        total = (await lengths(client, proxy, url))[way]
        said = sum(map(len, FRAMES)) + len(close_frame(1000, "done")) if way == "down" else 0
        frames = total - said if way == "down" else total - 4 * 6 - len("hellopgoodbye") - 6
        outcomes: dict[int | None, int] = {None: 0, 1000: 0, 1006: 0}
        for offset in _offsets(frames, total, step):
            proxy.plan = Plan(cut=(way, offset), how=how, split=split)
            async with asyncio.timeout(DEADLINE):
                heard, reason = await visit(client, url)
            assert heard == SAID[: len(heard)]
            code = None if reason is None else reason.code
            outcomes[code] += 1
            if how == "fin" and way == "down":  # then the network says exactly what was heard
                ends = [frames + sum(map(len, FRAMES[: n + 1])) for n in range(len(FRAMES))]
                assert len(heard) == sum(end <= offset for end in ends), offset
                assert code == (None if offset < frames else 1000 if offset == total else 1006)
        if how == "reset":  # it may overtake the last bytes
            del outcomes[1000]
        assert all(outcomes.values()), outcomes
        assert await lengths(client, proxy, url)  # the same client goes on


def _offsets(handshake: int, total: int, step: int) -> Iterable[int]:
    yield from range(0, handshake, step)
    yield from range(max(0, handshake), total + 1)


@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_cut(engine: EngineFactory, way: Way, how: How) -> None:
    await cut_everywhere(engine, way, how, step=17)


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("split", [None, 1])
@pytest.mark.parametrize("how", ["fin", "reset"])
@pytest.mark.parametrize("way", ["up", "down"])
async def test_cut_at_every_offset(
    engine: EngineFactory, way: Way, how: How, split: int | None
) -> None:
    await cut_everywhere(engine, way, how, step=1, split=split)


async def hold_everywhere(engine: EngineFactory, way: Way, step: int) -> None:
    """Hold the bytes back at one offset, until the visitor can only wait; then let them go."""
    async with network(engine) as (client, proxy, url):
        total = (await lengths(client, proxy, url))[way]
        for offset in range(0, total, step):
            proxy.plan = plan = Plan(hold=(way, offset))
            async with asyncio.timeout(DEADLINE):
                visiting = asyncio.create_task(visit(client, url))
                await plan.held.wait()
                for _ in range(3):
                    await asyncio.sleep(0)
                plan.release.set()
                assert await visiting == COMPLETE


@pytest.mark.parametrize("way", ["up", "down"])
async def test_hold(engine: EngineFactory, way: Way) -> None:
    await hold_everywhere(engine, way, step=11)


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("way", ["up", "down"])
async def test_hold_at_every_offset(engine: EngineFactory, way: Way) -> None:
    await hold_everywhere(engine, way, step=1)
