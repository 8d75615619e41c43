"""What a session does with what comes: marks, overflow, and what arrives while it closes."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import (
    ChannelOverflow,
    ChannelOverflowError,
    Channels,
    CloseReason,
    ConnectionClosedError,
    Frame,
    bounded,
    unlimited,
)
from ktor_client.frames import TextFrame
from tests.support.fake_link import on_fake_link, steps

STRICT = Channels(incoming=bounded(3, on_overflow=ChannelOverflow.CLOSE, max_bytes=100))


def texts(*names: object) -> list[TextFrame]:
    return [Frame.Text(str(name)) for name in names]


# --- SUSPEND


async def test_the_link_is_paused_at_the_mark_and_resumed_at_half() -> None:
    session, link = on_fake_link(channels=Channels(incoming=bounded(4)))
    link.deliver(*texts(0, 1, 2))
    assert link.calls == []
    link.deliver(*texts(3))
    assert link.calls == ["pause"]
    assert await session.receive_text() == "0"
    assert link.calls == ["pause"]
    assert await session.receive_text() == "1"
    assert link.calls == ["pause", "resume"]
    link.lose()


async def test_unlimited_is_never_paused() -> None:
    session, link = on_fake_link(channels=Channels(incoming=unlimited()))
    link.deliver(*texts(*range(5000)))
    assert link.calls == []
    assert session.statistics.incoming_queued == 5000
    link.peer_closes()
    link.lose()
    assert [frame async for frame in session.incoming] == texts(*range(5000))


async def test_the_rest_is_delivered_before_the_end() -> None:
    session, link = on_fake_link(channels=Channels(incoming=bounded(2)))
    link.deliver(*texts(*range(10)))
    link.peer_closes(1000)
    link.lose()
    assert [message async for message in session] == [str(i) for i in range(10)]
    with pytest.raises(ConnectionClosedError):
        await session.receive_text()


async def test_messages_and_the_close_in_one_read() -> None:
    session, link = on_fake_link(channels=Channels(incoming=bounded(2)))
    link.deliver(*texts(*range(5)), Frame.Close(CloseReason(1000)))
    link.lose()
    assert [message async for message in session] == [str(i) for i in range(5)]
    assert "resume" not in link.calls


# --- after our Close


async def test_after_our_close_reading_never_pauses() -> None:
    session, link = on_fake_link(channels=Channels(incoming=bounded(2)))
    link.deliver(*texts(0, 1))
    assert link.calls == ["pause"]
    closing = asyncio.create_task(session.close())
    await steps()
    assert link.calls[-1] == "resume"
    link.deliver(*texts(2))
    link.deliver(*texts(3, 4))
    assert link.calls.count("pause") == 1
    link.peer_closes()
    link.lose()
    await closing
    assert [message async for message in session] == ["0", "1"]


async def test_after_our_close_messages_queue_to_the_mark() -> None:
    session, link = on_fake_link(channels=Channels(incoming=bounded(4)))
    link.deliver(*texts(0))
    closing = asyncio.create_task(session.close())
    await steps()
    link.deliver(*texts(1, 2))
    assert await session.receive_text() == "0"
    link.deliver(*texts(3, 4, 5, 6))
    assert [await session.receive_text() for _ in range(4)] == ["1", "2", "3", "4"]
    link.deliver(*texts(7))
    link.peer_closes()
    link.lose()
    await closing
    assert [message async for message in session] == ["7"]


async def test_nothing_that_was_received_is_lost_by_closing() -> None:
    """One read had brought more than the mark; the Close drops only what comes later."""
    session, link = on_fake_link(channels=Channels(incoming=bounded(2)))
    link.deliver(*texts(*range(10)))
    closing = asyncio.create_task(session.close())
    await steps()
    link.deliver(*texts("late"))
    link.peer_closes()
    link.lose()
    await closing
    assert [message async for message in session] == [str(i) for i in range(10)]


async def test_bytes_that_were_received_are_not_lost_by_closing() -> None:
    session, link = on_fake_link(channels=Channels(incoming=bounded(64, max_bytes=10)))
    link.deliver(*texts("x" * 9, "y" * 9))
    closing = asyncio.create_task(session.close())
    await steps()
    link.deliver(*texts("z"))
    link.peer_closes()
    link.lose()
    await closing
    assert [message async for message in session] == ["x" * 9, "y" * 9]


async def test_after_our_close_a_big_message_is_still_received() -> None:
    session, link = on_fake_link(channels=Channels(incoming=bounded(64, max_bytes=10)))
    closing = asyncio.create_task(session.close())
    await steps()
    link.deliver(*texts("x" * 30, "y"))
    link.peer_closes()
    link.lose()
    await closing
    assert [message async for message in session] == ["x" * 30]


async def test_a_receiver_that_waits_while_we_close() -> None:
    session, link = on_fake_link()
    waiting = [asyncio.create_task(session.receive_text()) for _ in range(2)]
    iterating = asyncio.create_task(anext(session.incoming, None))
    await steps()
    closing = asyncio.create_task(session.close())
    await steps()
    link.deliver(*texts("late"))
    assert await waiting[0] == "late"
    link.peer_closes()
    with pytest.raises(ConnectionClosedError):
        await waiting[1]
    assert await iterating is None
    link.lose()
    await closing


# --- CLOSE


async def test_overflow_closes_the_session() -> None:
    session, link = on_fake_link(channels=STRICT)
    link.deliver(*texts(0, 1, 2))
    assert session.is_open
    link.deliver(*texts(3))
    assert link.closes == [CloseReason(1008, "Channel incoming overflowed")]
    assert session.close_reason.code == 1008
    assert "pause" not in link.calls
    received = [await session.receive_text() for _ in range(3)]
    assert received == ["0", "1", "2"]
    with pytest.raises(ChannelOverflowError, match="Channel incoming overflowed"):
        await session.receive_text()
    with pytest.raises(ChannelOverflowError):
        await session.send("x")
    link.lose()


async def test_overflow_by_bytes() -> None:
    session, link = on_fake_link(channels=STRICT)
    link.deliver(*texts("x" * 60))
    link.deliver(*texts("y" * 60))
    assert await session.receive_text() == "x" * 60
    with pytest.raises(ChannelOverflowError):
        await session.receive_text()
    link.lose()


async def test_overflow_and_the_peers_close_in_one_read() -> None:
    session, link = on_fake_link(channels=STRICT)
    link.deliver(*texts(0, 1, 2, 3), Frame.Close(CloseReason(1000)))
    assert link.closes == [CloseReason(1008, "Channel incoming overflowed")]
    reason = session.close_reason
    assert (reason.code, reason.initiator, reason.received) == (1008, "local", CloseReason(1000))
    with pytest.raises(ChannelOverflowError):
        [message async for message in session]
    with link.time.passing():
        await session.wait_closed()
    assert link.time.time() == 1


async def test_receivers_that_wait_are_no_overflow() -> None:
    session, link = on_fake_link(channels=STRICT)
    waiting = [asyncio.create_task(session.receive_text()) for _ in range(2)]
    await steps()
    link.deliver(*texts(0, 1, 2, 3, 4), Frame.Close(CloseReason(1000)))
    assert await asyncio.gather(*waiting) == ["0", "1"]
    assert [message async for message in session] == ["2", "3", "4"]
    link.lose()


async def test_a_strict_limit_after_our_close() -> None:
    session, link = on_fake_link(channels=STRICT)
    closing = asyncio.create_task(session.close())
    await steps()
    link.deliver(*texts(0, 1, 2, 3))
    link.peer_closes()
    link.lose()
    await closing
    assert [message async for message in session] == ["0", "1", "2"]
    assert session.close_reason.code == 1000


# --- the end of receiving


@pytest.mark.parametrize("code", [1000, 1001])
async def test_iterating_ends_quietly_after_a_normal_end(code: int) -> None:
    session, link = on_fake_link()
    link.deliver(*texts("a"))
    link.peer_closes(code)
    assert [message async for message in session] == ["a"]
    assert [frame async for frame in session.incoming] == []
    with pytest.raises(ConnectionClosedError) as caught:
        await session.incoming.receive()
    assert (caught.value.reason, caught.value.initiator) == (CloseReason(code), "peer")
    link.lose()


@pytest.mark.parametrize("code", [1002, 1011, 3000, 4999])
async def test_iterating_raises_otherwise(code: int) -> None:
    session, link = on_fake_link()
    link.peer_closes(code, "why")
    for _ in range(2):
        with pytest.raises(ConnectionClosedError, match="why"):
            [message async for message in session]
    link.lose()


async def test_iterating_ends_quietly_when_we_dropped_it() -> None:
    session, link = on_fake_link()
    link.deliver(*texts("a"))
    session.cancel()
    assert [message async for message in session] == ["a"]
    with pytest.raises(ConnectionClosedError, match="cancelled"):
        await session.receive_bytes()
    await session.wait_closed()


# --- pings of the peer


async def test_pings_are_answered_at_once_and_in_order() -> None:
    session, link = on_fake_link()
    link.deliver(Frame.Ping(b"1"), Frame.Text("data"), Frame.Ping(b"2"))
    assert link.sent == [Frame.Pong(b"1"), Frame.Pong(b"2")]
    assert await session.receive_text() == "data"
    link.lose()


async def test_while_the_transport_is_busy_only_the_newest_ping_is_owed() -> None:
    _, link = on_fake_link()
    link.choke()
    for number in range(100):
        link.deliver(Frame.Ping(b"%d" % number))
    assert link.sent == []
    link.relieve()
    assert link.sent == [Frame.Pong(b"99")]
    link.relieve()
    assert len(link.sent) == 1
    link.lose()


async def test_nothing_is_owed_after_a_close() -> None:
    session, link = on_fake_link()
    link.choke()
    link.deliver(Frame.Ping(b"owed"))
    closing = asyncio.create_task(session.close())
    await steps()
    link.deliver(Frame.Ping(b"later"))
    link.relieve()
    link.peer_closes()
    link.lose()
    await closing
    assert link.sent == [Frame.Close(CloseReason(1000))]
