"""Keepalive and pings on virtual time: when they leave, what counts, and whose fault silence is."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ktor_client import (
    Channels,
    CloseReason,
    ConnectionClosedError,
    Frame,
    PingTimeoutError,
    bounded,
)
from tests.support.fake_link import FakeLink, on_fake_link, steps


def pings(link: FakeLink) -> list[bytes]:
    return [frame.data for frame in link.sent if isinstance(frame, Frame.Ping)]


def answer(link: FakeLink) -> None:
    link.deliver(Frame.Pong(pings(link)[-1]))


# --- keepalive


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


async def test_time_that_we_do_not_read_is_not_held_against_the_peer() -> None:
    session, link = on_fake_link(
        ping_interval=10, timeout=5, channels=Channels(incoming=bounded(2))
    )
    link.deliver(Frame.Text("0"), Frame.Text("1"))
    assert link.calls == ["pause"]
    await link.time.sleep(1000)
    assert session.is_open
    assert len(pings(link)) == 1
    await session.receive_text()
    assert link.calls == ["pause", "resume"]
    await link.time.sleep(4)
    assert session.is_open  # it has its full time again
    answer(link)
    await link.time.sleep(10)
    assert len(pings(link)) == 2
    await link.time.sleep(5)
    assert session.close_reason.code == 1011
    link.lose()


async def test_relief_without_an_outstanding_ping() -> None:
    session, link = on_fake_link(ping_interval=10, channels=Channels(incoming=bounded(2)))
    link.deliver(Frame.Text("0"), Frame.Text("1"))
    await session.receive_text()
    await link.time.sleep(10)
    assert len(pings(link)) == 1
    link.lose()


async def test_relief_while_the_limit_runs_begins_it_anew() -> None:
    session, link = on_fake_link(
        ping_interval=10, timeout=5, channels=Channels(incoming=bounded(2))
    )
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


# --- the application's pings


async def test_a_ping_measures_the_round_trip() -> None:
    session, link = on_fake_link()
    assert session.latency is None
    pinging = asyncio.create_task(session.ping(b"mine"))
    await link.time.sleep(0.25)
    link.deliver(Frame.Pong(b"mine"))
    assert await pinging == 0.25
    assert session.latency == 0.25
    pinging = asyncio.create_task(session.ping())
    await steps()
    assert len(pings(link)[-1]) == 8
    answer(link)
    assert await pinging == 0
    link.lose()


async def test_a_pong_answers_earlier_pings_too_but_not_later_ones() -> None:
    session, link = on_fake_link()
    one, two, three = (asyncio.create_task(session.ping(name)) for name in (b"1", b"2", b"3"))
    await steps()
    link.deliver(Frame.Pong(b"2"))
    await one
    await two
    assert not three.done()
    link.deliver(Frame.Pong(b"1"))
    await steps()
    assert not three.done()
    link.deliver(Frame.Pong(b"3"))
    await three
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


async def test_pings_that_cannot_be() -> None:
    session, link = on_fake_link()
    pinging = asyncio.create_task(session.ping(b"twice"))
    await steps()
    with pytest.raises(ValueError, match="still under way"):
        await session.ping(b"twice")
    with pytest.raises(ValueError, match="at most 125 bytes"):
        await session.ping(b"x" * 126)
    assert pings(link) == [b"twice"]
    answer(link)
    await pinging
    link.lose()
    with pytest.raises(ConnectionClosedError):
        await session.ping()


async def test_a_cancelled_ping_is_forgotten() -> None:
    session, link = on_fake_link()
    pinging, other = (asyncio.create_task(session.ping(name)) for name in (b"a", b"b"))
    await steps()
    pinging.cancel()
    link.deliver(Frame.Pong(b"b"))  # answers both; one of them no longer listens
    await other
    assert pinging.cancelled()
    again = asyncio.create_task(session.ping(b"a"))
    await steps()
    again.cancel()
    await steps()
    link.lose()
    assert session._core.pings._sent == {}


async def test_an_end_fails_every_ping() -> None:
    session, link = on_fake_link()
    pinging = [asyncio.create_task(session.ping()) for _ in range(3)]
    await steps()
    pinging[1].cancel()
    link.lose(ConnectionResetError("gone"))
    ends = await asyncio.gather(*pinging, return_exceptions=True)
    assert [type(end) for end in ends] == [
        ConnectionClosedError,
        asyncio.CancelledError,
        ConnectionClosedError,
    ]
    assert ends[0] is not ends[2]
