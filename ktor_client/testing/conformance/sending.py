"""Checks of sending: order, fragments, waiting while the peer does not read, cancelling."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

from ktor_client.channels import ChannelOverflow, Channels, bounded, unlimited
from ktor_client.engine.capabilities import (
    FragmentationCapability,
    PingCapability,
    RawFramesCapability,
    ReceiveBackpressureCapability,
)
from ktor_client.errors import ChannelOverflowError, ConnectionClosedError
from ktor_client.frames import CloseReason, Frame
from ktor_client.session import DefaultClientWebSocketSession
from ktor_client.testing.conformance.check import QUICK, Lab, Query, Room, equal, expect, raises

__all__ = ["ROOM"]

ROOM = Room("sending")
check = ROOM.check

BIG = 256 * 1024


async def _chunks(*chunks: str) -> AsyncIterator[str]:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)


async def _send_all(
    session: DefaultClientWebSocketSession, messages: Sequence[str | bytes]
) -> None:
    for message in messages:
        await session.send(message)


async def _fill(session: DefaultClientWebSocketSession) -> int:
    """Send messages of 256 KiB until one has to wait; return how many were sent before it."""
    sent = 0
    message = b"x" * BIG
    while True:
        waiting = asyncio.ensure_future(session.send(message))
        for _ in range(50):
            await asyncio.sleep(0.001)
            if waiting.done():
                break
        if not waiting.done():
            waiting.cancel()
            await asyncio.wait([waiting])
        if waiting.cancelled():
            return sent
        await waiting
        sent += 1


@check("ktor-client: sending")
async def order_between_tasks(lab: Lab) -> None:
    """Messages of several tasks are whole, and each task's are in order."""
    async with lab.session("/echo") as session:

        async def talk(name: str) -> None:
            for i in range(20):
                await session.send(f"{name}{i}")

        async def listen() -> list[str]:
            return [await session.receive_text() for _ in range(100)]

        names = "abcde"
        listening = asyncio.ensure_future(listen())
        await asyncio.gather(*(talk(name) for name in names))
        got = await listening
        for name in names:
            mine = [text for text in got if text[0] == name]
            equal(mine, [f"{name}{i}" for i in range(20)], f"what task {name} sent")


@check("ktor-client: sending")
async def send_after_close(lab: Lab) -> None:
    """After Close, `send` raises ConnectionClosedError at once, with the reason."""
    async with lab.session("/echo") as session:
        await session.close(CloseReason(4000, "bye"))
        for send in (session.send("x"), session.send(b"x"), session.outgoing.send(Frame.Text("x"))):
            with raises(ConnectionClosedError) as caught:
                await send
            equal(caught.error.reason, CloseReason(4000, "bye"), "the reason")
        with raises(ConnectionClosedError):
            session.outgoing.send_nowait(Frame.Text("x"))


@check("Ktor: testFlushClosed")
async def flush_returns(lab: Lab) -> None:
    """`flush` returns when all was handed over; after a close it returns too."""
    async with lab.session("/echo") as session:
        for i in range(100):
            await session.send(str(i))
        await session.flush()
        await session.close()
        await session.flush()


# --- fragments


@check("ktor-client: sending", FragmentationCapability)
async def stream_is_one_message(lab: Lab) -> None:
    """`send_stream` sends one message; data of others waits until it is finished."""
    async with lab.session("/echo") as session:
        going = asyncio.Event()

        async def chunks() -> AsyncIterator[str]:
            yield "a"
            going.set()
            for _ in range(5):
                await asyncio.sleep(0)
            yield "b"
            yield ""
            yield "c"

        async def other() -> None:
            await going.wait()
            await session.send("other")

        await asyncio.gather(session.send_stream(chunks()), other())
        got = [await session.receive_text() for _ in range(2)]
        equal(got, ["abc", "other"], "the messages")


@check("ktor-client: sending", FragmentationCapability)
async def streams_take_turns(lab: Lab) -> None:
    """Streams of several tasks are not mixed; binary ones too."""
    async with lab.session("/echo") as session:

        async def data() -> AsyncIterator[bytes]:
            for i in range(5):
                yield bytes([i])
                await asyncio.sleep(0)

        await asyncio.gather(
            session.send_stream(_chunks("1", "2", "3")),
            session.send_stream(data()),
            session.send_stream(_chunks("4", "5", "6")),
        )
        got = [await session.incoming.receive() for _ in range(3)]
        equal(got, [Frame.Text("123"), Frame.Binary(bytes(range(5))), Frame.Text("456")], "it")


@check("ktor-client: sending", FragmentationCapability, RawFramesCapability)
async def stream_goes_in_fragments(lab: Lab) -> None:
    """Each chunk leaves as a fragment when it comes, and pings pass between them."""
    async with lab.session("/silent", query={"id": lab.id}, close_timeout=QUICK) as session:

        async def chunks() -> AsyncIterator[str]:
            yield "a"
            await session.send(Frame.Ping(b"between"))
            yield "b"

        await session.send_stream(chunks())
    frames = (await lab.recorded()).frames
    expected = [
        ("TEXT", False, b"a"),
        ("PING", True, b"between"),
        ("TEXT", False, b"b"),
        ("TEXT", True, b""),
    ]
    equal(frames[:4], expected, "the frames that the server saw")


@check("ktor-client: sending", FragmentationCapability)
async def failing_stream_ends_the_session(lab: Lab) -> None:
    """An iterator that fails inside a message closes with 1011, and its exception passes."""
    error = LookupError("no more chunks")

    async def chunks() -> AsyncIterator[str]:
        yield "a"
        raise error

    async with lab.session("/echo", query={"id": lab.id}) as session:
        with raises(LookupError) as caught:
            await session.send_stream(chunks())
        expect(caught.error is error, "another exception came out")
        equal((await session.close_reason).code, 1011, "close_reason.code")
    await lab.expect_code(1011)


@check("ktor-client: sending", FragmentationCapability)
async def stream_that_sent_nothing(lab: Lab) -> None:
    """An iterator without chunks, or one that fails before the first, sends nothing."""

    def fail(chunk: str) -> str:
        raise LookupError(chunk)

    async with lab.session("/echo") as session:
        await session.send_stream(_chunks())
        with raises(LookupError):
            await session.send_stream(fail(chunk) async for chunk in _chunks("never sent"))
        await session.send("on")
        equal(await session.receive_text(), "on", "the echo")


# --- a peer that does not read


@check("ktor-client: sending")
async def send_waits_for_a_slow_peer(lab: Lab) -> None:
    """`send` waits while the peer does not read, goes on when it does, and nothing is lost."""
    async with lab.session("/stalled", query={"id": lab.id}) as session:
        count = await _fill(session)
        expect(count * BIG < 64 * 1024 * 1024, "64 MiB were taken from a peer that reads nothing")
        waiting = asyncio.ensure_future(session.send("last"))
        await asyncio.sleep(0)
        expect(not waiting.done(), "a message that should wait was taken")
        await lab.release()
        for _ in range(count):
            equal(len(await session.receive_bytes()), BIG, "the length")
        await waiting
        equal(await session.receive_text(), "last", "the last message")


@check("ktor-client: sending")
async def cancelled_send_is_atomic(lab: Lab) -> None:
    """A cancelled `send` has sent nothing of its message, and those around it are whole."""
    async with lab.session("/stalled", query={"id": lab.id}) as session:
        count = await _fill(session)
        tasks = [asyncio.ensure_future(session.send(f"{i}" * 1000)) for i in range(5)]
        await asyncio.sleep(0)
        for i in (0, 2, 4):
            tasks[i].cancel()
        await asyncio.sleep(0)
        await lab.release()
        for _ in range(count):
            await session.receive_bytes()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        equal([type(r).__name__ for r in results[::2]], ["CancelledError"] * 3, "the cancelled")
        got = [await session.receive_text() for _ in range(2)]
        equal(got, ["1" * 1000, "3" * 1000], "the messages")


@check("ktor-client: sending")
async def close_wakes_a_waiting_send(lab: Lab) -> None:
    """A `send` that waits for a slow peer raises when the session is closed meanwhile."""
    options: dict[str, Any] = {"close_timeout": QUICK}
    async with lab.session("/stalled", query={"id": lab.id}, **options) as session:
        await _fill(session)
        # A connection that was only busy may take some more, but not 16 MiB.
        waiting = [asyncio.ensure_future(session.send(b"x" * BIG)) for _ in range(64)]
        await asyncio.sleep(0)
        await session.close()
        results = await asyncio.gather(*waiting, return_exceptions=True)
        raised = [isinstance(result, ConnectionClosedError) for result in results]
        expect(all(raised[-8:]), "a send that waited has not raised")
    await lab.release()


@check("Ktor: WebSocketBackpressureTest")
async def outgoing_overflow_closes(lab: Lab) -> None:
    """With CLOSE for `outgoing`, a send beyond the limit raises ChannelOverflowError."""
    limit = bounded(1, on_overflow=ChannelOverflow.CLOSE)
    options: dict[str, Any] = {"channels": Channels(outgoing=limit), "close_timeout": QUICK}
    async with lab.session("/stalled", query={"id": lab.id}, **options) as session:
        with raises(ChannelOverflowError):
            await _send_all(session, [b"x" * BIG] * 1000)
        with raises(ChannelOverflowError):
            await session.send("x")
        expect(not session.is_open, "the session is still open")
    await lab.release()


@check("Ktor: DefaultWebSocketTestJvm")
async def unlimited_outgoing_never_waits(lab: Lab) -> None:
    """With an unlimited `outgoing`, `send` never waits: 1,000 messages without a reader."""
    options: dict[str, Any] = {"channels": Channels(outgoing=unlimited()), "close_timeout": QUICK}
    async with lab.session("/stalled", query={"id": lab.id}, **options) as session:
        await _send_all(session, [f"{i}" * 1000 for i in range(1000)])
        await lab.release()
        for i in range(1000):
            equal(await session.receive_text(), f"{i}" * 1000, "the echo")


# --- a consumer that does not read


@check("Ktor: WebSocketBackpressureTest", ReceiveBackpressureCapability)
async def smallest_channels_lose_nothing(lab: Lab) -> None:
    """With room for one message each way, 100 echoes pass in order."""
    channels = Channels(incoming=bounded(1), outgoing=bounded(1))
    async with lab.session("/echo", channels=channels) as session:

        async def talk() -> None:
            for i in range(100):
                await session.send(f"hello {i}")

        async def listen() -> list[str]:
            return [await session.receive_text() for _ in range(100)]

        got, _ = await asyncio.gather(listen(), talk())
        equal(got, [f"hello {i}" for i in range(100)], "the messages")


@check("ktor-client: receiving", ReceiveBackpressureCapability)
async def flood_is_held_back(lab: Lab) -> None:
    """A peer that floods a consumer that does not read meets a closed window, memory stays flat."""
    size = 16 * 1024
    query: Query = {"size": size, "id": lab.id}
    async with lab.session("/stream", query=query, close_timeout=QUICK) as session:
        before = -1
        while True:  # until the server cannot go on
            record = await lab.seen()
            if not record.writable and record.bytes_sent == before:
                break
            before = record.bytes_sent
            await asyncio.sleep(0.05)
        queued = session.statistics.incoming_queued
        expect(queued * size <= 8 * 1024 * 1024, f"{queued} messages of 16 KiB are queued")
        for _ in range(queued + 100):  # and it goes on
            equal(len(await session.receive_bytes()), size, "the length")


@check("ktor-client: receiving", ReceiveBackpressureCapability, PingCapability)
async def slow_consumer_is_not_a_dead_peer(lab: Lab) -> None:
    """While nobody receives and reading is paused, keepalive does not end the session."""
    options: dict[str, Any] = {
        "ping_interval": 0.1,
        "timeout": 0.6,
        "channels": Channels(incoming=bounded(4)),
    }
    async with lab.session("/send?n=2000&size=10000", **options) as session:
        await asyncio.sleep(1.3)  # twice the timeout, which a busy machine must not miss
        expect(session.is_open, f"the session ended: {session.close_reason!r}")
        session.ping_interval = None
        for _ in range(2000):
            await session.incoming.receive()


@check("Ktor: WebSocketBackpressureTest")
async def incoming_overflow_closes(lab: Lab) -> None:
    """With CLOSE for `incoming`, one message too many ends the session; what is queued stays."""
    limit = bounded(1, on_overflow=ChannelOverflow.CLOSE)
    options: dict[str, Any] = {"channels": Channels(incoming=limit), "close_timeout": QUICK}
    async with lab.session("/receive-backpressure", **options) as session:
        await session.wait_closed()
        equal(await session.receive_text(), "Hello 0", "the message that was queued")
        with raises(ChannelOverflowError):
            await session.incoming.receive()
        with raises(ChannelOverflowError):
            await session.send("x")
