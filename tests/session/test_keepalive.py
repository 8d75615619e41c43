"""Keepalive on virtual time: when pings leave, what counts as life, and whose fault silence is."""

from __future__ import annotations

import asyncio
import gc
import sys
import weakref
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from ktor_client import (
    Channels,
    CloseReason,
    Frame,
    HttpClient,
    PingTimeoutError,
    bounded,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets
from tests.support.certificates import client_context, server_context
from tests.support.fake_link import FakeLink, on_fake_link, steps
from tests.support.raw_server import Peer, close_frame, raw_server

FEW = Channels(incoming=bounded(2))


def pings(link: FakeLink) -> list[bytes]:
    return [frame.data for frame in link.sent if isinstance(frame, Frame.Ping)]


def answer(link: FakeLink) -> None:
    link.deliver(Frame.Pong(pings(link)[-1]))


async def test_a_ping_after_each_interval_that_begins_with_the_pong() -> None:
    session, link = on_fake_link(ping_interval=10)
    await link.time.sleep(9)
    assert pings(link) == []
    await link.time.sleep(1)
    assert len(pings(link)) == 1
    await link.time.sleep(4)
    answer(link)
    assert session.latency == 4
    await link.time.sleep(9)
    assert len(pings(link)) == 1
    await link.time.sleep(1)
    assert len(set(pings(link))) == 2
    assert all(len(payload) == 8 for payload in pings(link))
    link.lose()


@pytest.mark.parametrize(("timeout", "limit"), [(None, 20), (3, 3)])
async def test_a_silent_peer_times_out(timeout: float | None, limit: float) -> None:
    session, link = on_fake_link(ping_interval=10, timeout=timeout)
    receiving = asyncio.create_task(session.receive_text())
    pinging = asyncio.create_task(session.ping())
    await link.time.sleep(10 + limit - 1)
    assert session.is_open
    await link.time.sleep(1)
    assert link.closes == [CloseReason(1011, "Ping timeout")]
    for waiting in (receiving, pinging):
        with pytest.raises(PingTimeoutError, match="Ping timeout"):
            await waiting
    with pytest.raises(PingTimeoutError):
        await session.send("x")
    with pytest.raises(PingTimeoutError):
        async for _ in session:
            pass
    reason = session.close_reason
    assert (reason.code, reason.initiator, reason.clean) == (1011, "local", False)
    with link.time.passing():
        await session.wait_closed()
    assert link.calls[-1] == "abort"
    assert link.time.time() == 10 + limit + 1


async def test_pongs_that_answer_nothing_do_not_count() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=5)
    await link.time.sleep(10)
    for wrong in (b"", b"wrong", pings(link)[0] + b"x"):
        link.deliver(Frame.Pong(wrong))
    await link.time.sleep(5)
    assert session.close_reason.code == 1011
    link.lose()


async def test_a_timeout_says_what_it_has_seen() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=2.5)
    await link.time.sleep(11)
    link.deliver(Frame.Text("events come"))
    await link.time.sleep(1.5)
    for receives in ("a message", "the end"):
        if receives == "a message":
            await session.receive_text()
        else:
            with pytest.raises(PingTimeoutError) as caught:
                await session.receive_text()
            assert str(caught.value) == (
                "Ping timeout: no pong came within 2.5 s (timeout=2.5); the last data 1.5 s before"
            )
    link.lose()


async def test_a_timeout_that_follows_from_the_interval_says_so() -> None:
    session, link = on_fake_link(ping_interval=10)
    await link.time.sleep(31)
    with pytest.raises(PingTimeoutError) as caught:
        await session.receive_text()
    assert str(caught.value) == (
        "Ping timeout: no pong came within 20 s (twice ping_interval=10); no data"
    )
    link.lose()


# --- a slow consumer


async def test_no_ping_while_incoming_is_full() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=5, channels=FEW)
    link.deliver(Frame.Text("0"), Frame.Text("1"))
    assert link.calls == ["pause"]
    await link.time.sleep(1000)
    assert session.is_open
    assert pings(link) == []
    await session.receive_text()
    assert link.calls == ["pause", "resume"]
    await link.time.sleep(5)
    assert len(pings(link)) == 1
    await link.time.sleep(5)
    assert session.close_reason.code == 1011
    link.lose()


async def test_time_that_we_do_not_read_is_not_held_against_the_peer() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=5, channels=FEW)
    await link.time.sleep(12)
    link.deliver(Frame.Text("0"), Frame.Text("1"))
    await link.time.sleep(1000)
    assert session.is_open
    assert len(pings(link)) == 1
    await session.receive_text()
    await link.time.sleep(4)
    assert session.is_open  # it has its full time again
    answer(link)
    await link.time.sleep(10)
    assert len(pings(link)) == 2
    await link.time.sleep(5)
    assert session.close_reason.code == 1011
    link.lose()


@pytest.mark.parametrize("is_stuck", [True, False], ids=["nothing leaves", "below the mark"])
async def test_what_is_sent_while_nobody_reads(is_stuck: bool) -> None:
    """A program that only sends hears of a dead network too."""
    session, link = on_fake_link(ping_interval=10, timeout=5, channels=FEW)
    link.deliver(Frame.Text("0"), Frame.Text("1"))
    link.stuck = 1000
    if is_stuck:
        link.choke()
    await link.time.sleep(14)
    assert session.is_open
    await link.time.sleep(1)
    assert session.is_open is not is_stuck
    await link.time.sleep(100)
    assert session.is_open is not is_stuck
    if is_stuck:
        await session.receive_text()
        await session.receive_text()
        with pytest.raises(PingTimeoutError, match="nothing of what we send was taken within 5 s"):
            await session.receive_text()
    link.lose()


async def test_what_leaves_while_nobody_reads_is_life() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=5, channels=FEW)
    link.deliver(Frame.Text("0"), Frame.Text("1"))
    link.stuck = 1000
    link.choke()
    for _ in range(20):
        await link.time.sleep(5)
        link.leave(10)
    assert session.is_open
    assert pings(link) == []
    await link.time.sleep(11)
    assert not session.is_open
    link.lose()


# --- a slow peer


@pytest.mark.parametrize("tls", [False, True])
@pytest.mark.skipif(sys.platform != "linux", reason="other kernels do not tell")
async def test_what_lies_in_buffers_below_ours_is_seen(engine: EngineFactory, tls: bool) -> None:
    """Those of the kernel hold megabytes, and one of asyncio's under TLS has no bounds."""
    is_paused, go_on, has_read = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        transport: Any = peer.writer.transport
        transport.pause_reading()
        is_paused.set()
        await go_on.wait()
        transport.resume_reading()
        await peer.read_frame()
        has_read.set()
        assert (await peer.read_close())[0] == 1000
        await peer.send(close_frame(1000))

    plugin = install(WebSockets, ping_interval=None)
    own = partial(engine, ssl_context=client_context()) if tls else engine
    context = server_context() if tls else None
    async with asyncio.timeout(50), raw_server(script, tls=context) as server:
        async with HttpClient(own, plugin) as client, client.web_socket(server.url) as session:
            link = session._link
            await is_paused.wait()
            await session.send(bytes(1_000_000))
            before, waits = link.progress
            assert waits
            go_on.set()
            await has_read.wait()
            assert link.progress[0] > before


async def test_bytes_that_leave_are_life() -> None:
    """A pong cannot come before our ping has left, nor before the peer has read up to it."""
    session, link = on_fake_link(ping_interval=10, timeout=5)
    link.stuck = 1000
    for _ in range(20):
        await link.time.sleep(4)
        link.leave(10)
    assert session.is_open
    assert len(pings(link)) == 1
    link.leave()
    await link.time.sleep(4)
    assert session.is_open
    await link.time.sleep(7)
    assert not session.is_open
    link.lose()


async def test_an_upload_that_begins_behind_the_ping() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=5)
    await link.time.sleep(11)
    link.stuck = 1000
    link.leave(500)
    await link.time.sleep(4)
    assert session.is_open
    link.leave(400)
    await link.time.sleep(5)
    assert session.is_open
    await link.time.sleep(5)
    assert not session.is_open  # nothing has left since
    link.lose()


async def test_bytes_that_leave_at_once_are_no_life() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=5)
    await link.time.sleep(11)
    link.bytes_sent += 1000
    await link.time.sleep(4)
    assert not session.is_open
    link.lose()


@pytest.mark.parametrize("leaves", [0, 10])
async def test_a_link_that_is_full_and_counts_no_bytes(leaves: int) -> None:
    """In memory nothing is unsent: not to be writable is what is seen."""
    session, link = on_fake_link(ping_interval=10, timeout=5)
    link.choke()
    for _ in range(4):
        await link.time.sleep(5)
        link.bytes_sent += leaves
    assert session.is_open is (leaves > 0)
    link.lose()


# --- a session that is gone


async def test_a_session_that_nobody_holds_is_not_pinged() -> None:
    session, link = on_fake_link(ping_interval=10)
    core = weakref.ref(session._core)
    link.receiver = link  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]  # it lets go
    del session
    gc.collect()
    assert core() is None
    await link.time.sleep(100)
    assert pings(link) == []


# --- relief


async def test_relief_without_an_outstanding_ping() -> None:
    session, link = on_fake_link(ping_interval=10, channels=FEW)
    link.deliver(Frame.Text("0"), Frame.Text("1"))
    await session.receive_text()
    await link.time.sleep(10)
    assert len(pings(link)) == 1
    link.lose()


async def test_relief_while_the_limit_runs_begins_it_anew() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=5, channels=FEW)
    await link.time.sleep(12)
    link.deliver(Frame.Text("0"), Frame.Text("1"))
    await link.time.sleep(2)
    await session.receive_text()
    await link.time.sleep(4)
    assert session.is_open
    await link.time.sleep(1)
    assert not session.is_open
    link.lose()


async def test_no_pings_while_closing() -> None:
    session, link = on_fake_link(ping_interval=1, close_timeout=30)
    closing = asyncio.create_task(session.close())
    await link.time.sleep(20)
    assert pings(link) == []
    link.lose()
    await closing


async def test_a_close_while_a_pong_is_awaited() -> None:
    session, link = on_fake_link(ping_interval=1)
    await link.time.sleep(1)
    link.peer_closes()
    link.lose()
    await link.time.sleep(100)
    assert session.close_reason.code == 1000


async def test_the_pong_of_a_ping_sent_as_a_frame_answers_the_keepalive_too() -> None:
    """A peer need only answer the newest ping (RFC 6455 5.5.3)."""
    session, link = on_fake_link(ping_interval=10, timeout=5)
    await session.send(Frame.Ping(b"nobody waits for this"))
    assert session._core.pings._sent == {}
    await link.time.sleep(10)
    await session.send(Frame.Ping(b"mine"))
    session.outgoing.send_nowait(Frame.Ping(b"mine"))
    await session.send(Frame.Pong(b"unasked"))
    link.deliver(Frame.Pong(b"mine"))
    assert session._core.pings._sent == {}
    await link.time.sleep(9)
    assert session.is_open
    assert len(pings(link)) == 4
    await link.time.sleep(1)
    assert len(pings(link)) == 5
    link.lose()


async def test_a_ping_that_cannot_be_sent_is_judged_like_one_without_a_pong() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=5)
    told: list[BaseException] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
    lost = LookupError("no link")
    send = link.send

    def fail(frame: Frame) -> None:
        if isinstance(frame, Frame.Ping):
            raise lost
        send(frame)

    link.send = fail  # type: ignore[method-assign]  # for this one only
    await link.time.sleep(12)
    assert told == [lost]
    assert session.is_open
    await link.time.sleep(4)
    assert session.close_reason.code == 1011
    link.lose()


async def test_a_later_pong_answers_the_keepalive_too() -> None:
    session, link = on_fake_link(ping_interval=10, timeout=5)
    await link.time.sleep(10)
    pinging = asyncio.create_task(session.ping(b"mine"))
    await steps()
    link.deliver(Frame.Pong(b"mine"))
    await pinging
    await link.time.sleep(9)
    assert session.is_open
    assert len(pings(link)) == 2
    link.lose()


# --- live settings


async def test_settings_take_effect() -> None:
    session, link = on_fake_link(ping_interval=10)
    assert (session.ping_interval, session.timeout) == (10, 20)
    await link.time.sleep(8)
    session.ping_interval = timedelta(seconds=4)
    assert (session.ping_interval, session.timeout) == (4, 8)
    await link.time.sleep(4)
    assert len(pings(link)) == 1
    session.ping_interval = None  # also the outstanding one is forgotten
    assert (session.ping_interval, session.timeout) == (None, None)
    await link.time.sleep(1000)
    assert session.is_open
    assert len(pings(link)) == 1
    session.ping_interval = 2
    session.timeout = 1
    await link.time.sleep(2.5)
    assert len(pings(link)) == 2
    answer(link)
    await link.time.sleep(2)
    session.timeout = None
    assert session.timeout == 4
    await link.time.sleep(2 + 3)
    assert session.is_open
    await link.time.sleep(1)
    assert session.close_reason.code == 1011
    link.lose()


@pytest.mark.parametrize("wrong", [0, -1, float("inf"), float("nan")])
async def test_impossible_settings(wrong: float) -> None:
    session, link = on_fake_link(ping_interval=10)
    with pytest.raises(ValueError, match="positive"):
        session.ping_interval = wrong
    with pytest.raises(ValueError, match="positive"):
        session.timeout = wrong
    with pytest.raises(ValueError, match="at least 1"):
        session.max_frame_size = 0
    with pytest.raises(TypeError, match="a number of bytes, not str"):
        session.max_frame_size = "1 MiB"  # type: ignore[assignment]  # pyright: ignore
    assert (session.ping_interval, session.max_frame_size) == (10, 1 << 20)
    session.max_frame_size = 17
    assert session.max_frame_size == 17
    assert link.calls == ["limit 17"]
    link.lose()
