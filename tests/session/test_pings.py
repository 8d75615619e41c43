"""The application's pings on virtual time: what answers them, and how they end."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import ConnectionClosedError, Frame
from tests.support.fake_link import FakeLink, on_fake_link, steps


def pings(link: FakeLink) -> list[bytes]:
    return [frame.data for frame in link.sent if isinstance(frame, Frame.Ping)]


def answer(link: FakeLink) -> None:
    link.deliver(Frame.Pong(pings(link)[-1]))


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
