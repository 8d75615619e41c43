"""One message in fragments: turns, what may pass between, and every way it can fail."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import (
    CloseReason,
    ConnectionClosedError,
    Frame,
    UnsupportedCapabilityError,
)
from ktor_client.session import DefaultClientWebSocketSession
from tests.support.fake_link import FakeLink, core_on, on_fake_link, steps


class Chunks:
    """An iterator whose chunks a test hands out one by one."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Any] = asyncio.Queue()

    def put(self, *chunks: Any) -> None:
        """Hand out chunks; None ends, an exception fails."""
        for chunk in chunks:
            self._queue.put_nowait(chunk)

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        chunk = await self._queue.get()
        if chunk is None:
            raise StopAsyncIteration
        if isinstance(chunk, BaseException):
            raise chunk
        return chunk


def start(session: DefaultClientWebSocketSession) -> tuple[Chunks, asyncio.Task[None]]:
    chunks = Chunks()
    return chunks, asyncio.create_task(session.send_stream(chunks))


async def chunks_of(*chunks: Any) -> AsyncIterator[Any]:
    for chunk in chunks:
        yield chunk


def text(data: str, *, fin: bool = False) -> Frame:
    return Frame.Text(data, fin=fin)


async def test_the_first_chunk_decides_the_type() -> None:
    session, link = on_fake_link()
    await session.send_stream(chunks_of("a", "", "b"))
    await session.send_stream(chunks_of(b"a", bytearray(b"b"), memoryview(b"c")))
    assert link.sent == [
        text("a"),
        text(""),
        text("b"),
        Frame.Text(""),
        *(Frame.Binary(data, fin=False) for data in (b"a", b"b", b"c")),
        Frame.Binary(b""),
    ]
    link.lose()


async def test_nothing_is_sent_for_no_chunks() -> None:
    session, link = on_fake_link()
    await session.send_stream(chunks_of())
    assert link.sent == []
    assert session.is_open
    link.lose()


async def test_messages_wait_and_control_frames_pass() -> None:
    session, link = on_fake_link()
    chunks, streaming = start(session)
    chunks.put("a")
    await steps()
    other = asyncio.create_task(session.send("other"))
    await session.send(Frame.Ping(b"between"))
    link.deliver(Frame.Ping(b"asked"))
    await steps()
    assert link.sent == [text("a"), Frame.Ping(b"between"), Frame.Pong(b"asked")]
    assert not other.done()
    chunks.put("b", None)
    await streaming
    await other
    assert link.sent[3:] == [text("b"), Frame.Text(""), Frame.Text("other")]
    link.lose()


async def test_streams_take_turns_in_the_order_of_their_first_chunks() -> None:
    session, link = on_fake_link()
    (one, first), (two, second) = start(session), start(session)
    two.put("2")
    await steps()
    one.put("1", "1", None)
    await steps()
    assert link.sent == [text("2")]
    two.put(None)
    await asyncio.gather(first, second)
    assert link.sent == [text("2"), Frame.Text(""), text("1"), text("1"), Frame.Text("")]
    link.lose()


async def test_a_flush_waits_for_the_stream_before_it() -> None:
    session, link = on_fake_link()
    chunks, streaming = start(session)
    chunks.put("a")
    await steps()
    flushing = asyncio.create_task(session.flush())
    await steps()
    assert not flushing.done()
    chunks.put(None)
    await asyncio.gather(streaming, flushing)
    link.lose()


async def test_fragments_wait_for_the_transport() -> None:
    session, link = on_fake_link()
    link.choke_after = 1
    chunks, streaming = start(session)
    chunks.put("a", "b", None)
    await steps()
    assert link.sent == [text("a")]
    link.choke_after = 1
    link.relieve()
    await steps()
    assert link.sent == [text("a"), text("b")]
    link.choke_after = None
    link.relieve()
    await streaming
    assert link.sent[-1] == Frame.Text("")
    link.lose()


async def test_a_stream_waits_for_its_turn_behind_messages() -> None:
    session, link = on_fake_link()
    link.choke_after = 1
    await session.send("0")
    waiting = asyncio.create_task(session.send("1"))
    await steps()
    chunks, streaming = start(session)
    chunks.put("a", None)
    behind = asyncio.create_task(session.send("2"))
    await steps()
    assert session.statistics.outgoing_queued == 2  # a turn is no frame
    link.choke_after = None
    link.relieve()
    await asyncio.gather(waiting, streaming, behind)
    assert link.sent == [
        Frame.Text("0"),
        Frame.Text("1"),
        text("a"),
        Frame.Text(""),
        Frame.Text("2"),
    ]
    link.lose()


# --- failures


async def test_an_iterator_that_fails_before_its_first_chunk_harms_nobody() -> None:
    session, link = on_fake_link()
    chunks, streaming = start(session)
    chunks.put(KeyError("mine"))
    with pytest.raises(KeyError):
        await streaming
    with pytest.raises(TypeError, match="str or of bytes, all alike; got int"):
        await session.send_stream(chunks_of(1))
    with pytest.raises(UnicodeEncodeError):
        await session.send_stream(chunks_of("\ud800"))
    assert session.is_open
    assert link.sent == []
    await session.send("still works")
    link.lose()


async def test_an_iterator_that_fails_ends_the_session() -> None:
    session, link = on_fake_link()
    chunks, streaming = start(session)
    error = KeyError("mine")
    chunks.put("a", error)
    with pytest.raises(KeyError) as caught:
        await streaming
    assert caught.value is error
    assert link.closes == [CloseReason(1011)]
    link.peer_closes(1011)
    assert (session.close_reason.code, session.close_reason.initiator) == (1011, "local")
    with pytest.raises(ConnectionClosedError):
        await session.send("x")
    link.lose()


@pytest.mark.parametrize(("first", "second"), [("a", b"b"), (b"a", "b"), ("a", None.__class__)])
async def test_chunks_of_two_kinds(first: Any, second: Any) -> None:
    session, link = on_fake_link()
    with pytest.raises(TypeError, match="all alike"):
        await session.send_stream(chunks_of(first, second))
    assert link.closes == [CloseReason(1011)]
    link.lose()


@pytest.mark.parametrize("chunks", [(), ("a",)])
async def test_after_the_end(chunks: tuple[str, ...]) -> None:
    session, link = on_fake_link()
    link.lose()
    with pytest.raises(ConnectionClosedError):
        await session.send_stream(chunks_of(*chunks))


@pytest.mark.parametrize("busy", [True, False])
async def test_the_session_ends_meanwhile(busy: bool) -> None:
    session, link = on_fake_link()
    chunks, streaming = start(session)
    chunks.put("a")
    await steps()
    if busy:
        link.choke()
    chunks.put("b")
    if busy:
        await steps()
    link.peer_closes(4000)
    with pytest.raises(ConnectionClosedError) as caught:
        await streaming
    assert caught.value.reason == CloseReason(4000)
    assert link.closes == [CloseReason(4000)]
    link.lose()


async def test_the_session_ends_before_the_first_chunk_and_before_the_turn() -> None:
    session, link = on_fake_link()
    (one, first), (two, second), (three, third) = (start(session) for _ in range(3))
    one.put("1")
    await steps()
    two.put("2")
    await steps()
    link.peer_closes(4000)
    for chunks in (one, three):
        chunks.put("late")
    ends = await asyncio.gather(first, second, third, return_exceptions=True)
    assert [type(end) for end in ends] == [ConnectionClosedError] * 3
    assert link.sent == [text("1"), Frame.Close(CloseReason(4000))]
    link.lose()


# --- cancellation


async def test_cancelled_before_the_first_chunk() -> None:
    session, link = on_fake_link()
    _, streaming = start(session)
    await steps()
    streaming.cancel()
    await steps()
    assert session.is_open
    await session.send("x")
    link.lose()


async def test_cancelled_while_it_waits_for_its_turn() -> None:
    session, link = on_fake_link()
    (one, first), (two, second), (three, third) = (start(session) for _ in range(3))
    one.put("1")
    await steps()
    two.put("2", None)
    await steps()
    three.put("3", None)
    await steps()
    second.cancel()
    one.put(None)
    await asyncio.gather(first, third)
    assert link.sent == [text("1"), Frame.Text(""), text("3"), Frame.Text("")]
    assert session.is_open
    link.lose()


async def test_cancelled_as_its_turn_comes() -> None:
    session, link = on_fake_link()
    link.choke()
    chunks, streaming = start(session)
    chunks.put("a")
    await steps()
    behind = asyncio.create_task(session.send("behind"))
    await steps()
    link.relieve()
    streaming.cancel()  # the turn is its own, but it has not run yet
    await behind
    assert streaming.cancelled()
    assert link.sent == [Frame.Text("behind")]
    assert session.is_open
    link.lose()


async def test_cancelled_before_anything_of_it_is_out() -> None:
    """It has the turn, but the transport is busy again: nothing was sent, nothing is broken."""
    session, link = on_fake_link()
    link.choke_after = 1
    await session.send("0")
    chunks, streaming = start(session)
    chunks.put("a")
    await steps()
    link.relieve()
    link.choke()
    await steps()
    assert link.sent == [Frame.Text("0")]
    streaming.cancel()
    await steps()
    assert session.is_open
    chunks, streaming = start(session)
    chunks.put("b", None)
    await steps()
    link.relieve()
    link.choke()
    await steps()
    link.choke_after = None
    link.relieve()
    await streaming
    assert link.sent == [Frame.Text("0"), text("b"), Frame.Text("")]
    link.lose()


async def test_cancelled_after_the_first_fragment_ends_the_session() -> None:
    session, link = on_fake_link()
    chunks, streaming = start(session)
    chunks.put("a")
    await steps()
    streaming.cancel()
    await steps()
    assert streaming.cancelled()
    assert link.closes == [CloseReason(1011)]
    await session.wait_closed()
    assert "close" in link.calls
    assert link.time.time() == 0


async def test_engines_without_fragments_refuse() -> None:
    def refuse(capability: str, what: str) -> None:
        raise UnsupportedCapabilityError(f"{what} needs {capability}")

    link = FakeLink()
    session = DefaultClientWebSocketSession(core_on(link), require=refuse)
    with pytest.raises(UnsupportedCapabilityError, match="send_stream needs Fragmentation"):
        await session.send_stream(chunks_of("a"))
    with pytest.raises(UnsupportedCapabilityError, match="ping needs Ping"):
        await session.ping()
    with pytest.raises(UnsupportedCapabilityError, match="ping_interval needs Ping"):
        session.ping_interval = 1
    with pytest.raises(UnsupportedCapabilityError, match="timeout needs Ping"):
        session.timeout = 1
    session.ping_interval = None
    session.timeout = None
    assert link.sent == []
    link.lose()
