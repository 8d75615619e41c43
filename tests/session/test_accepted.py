"""What `send` has accepted leaves before our Close, in order, or is counted: nothing in silence."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import (
    ChannelOverflow,
    ChannelOverflowError,
    Channels,
    CloseReason,
    ConnectionClosedError,
    Frame,
    HttpClient,
    bounded,
    install,
    unlimited,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.frames import CloseFrame
from ktor_client.plugins import WebSockets
from tests.hostile.conversation import conversation
from tests.support.fake_link import FakeLink, on_fake_link, steps
from tests.support.raw_server import Peer, close_frame, raw_server

UNLIMITED = Channels(outgoing=unlimited())
SOON = 0.2
"""Seconds of a deadline that must pass in the test."""


def texts(*names: object) -> list[Frame]:
    return [Frame.Text(str(name)) for name in names]


# --- on sockets

COUNT = 200


async def numbers_until_close(peer: Peer) -> list[int]:
    numbers: list[int] = []
    while True:
        first, payload = await peer.read_frame()
        if first == 0x88:
            return numbers
        numbers.append(int(payload[:6]))


def message(number: int) -> bytes:
    return b"%06d" % number + bytes(10_000)


@pytest.mark.parametrize("how", ["leave", "raise", "close", "client.close", "send_nowait", "frame"])
async def test_all_of_it_comes_before_the_close(engine: EngineFactory, how: str) -> None:
    got: list[int] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade()
        got.extend(await numbers_until_close(peer))
        await peer.send(close_frame(1000))

    plugin = install(WebSockets, channels=UNLIMITED, close_timeout=20)
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        session = await client.web_socket_session(server.url)
        for number in range(COUNT):
            if how == "send_nowait":
                session.outgoing.send_nowait(Frame.Binary(message(number)))
            else:
                await session.send(message(number))
        if how == "client.close":
            await client.close()
        elif how == "close":
            await session.close()
        elif how == "frame":
            await session.send(Frame.Close(CloseReason(1000)))
            await session.wait_closed()
        elif how == "raise":
            with pytest.raises(KeyError):
                async with session:
                    raise KeyError
        else:
            async with session:
                pass
        assert got == list(range(COUNT))
        reason = session.close_reason
        assert (reason.clean, reason.unsent, reason.sent is not None) == (True, 0, True)


async def test_who_waits_comes_before_the_close_too(engine: EngineFactory) -> None:
    """As in Ktor, where `close` queues behind the senders that wait."""
    go_on = asyncio.Event()
    got: list[int] = []

    async def script(peer: Peer) -> None:
        await go_on.wait()
        got.extend(await numbers_until_close(peer))
        await peer.send(close_frame(1000))

    async with conversation(engine, script, close_timeout=20) as session:
        big = bytes(200_000)
        sending: list[asyncio.Task[None]] = []
        while not sending or sending[-1].done():
            sending.append(asyncio.create_task(session.send(b"%06d" % len(sending) + big)))
            await asyncio.sleep(0.02)
        sending.append(asyncio.create_task(session.send(b"%06d" % len(sending) + big)))
        await asyncio.sleep(0)
        closing = asyncio.create_task(session.close())
        await asyncio.sleep(0)
        with pytest.raises(ConnectionClosedError):
            await session.send("too late")
        go_on.set()
        await closing
        await asyncio.gather(*sending)
    assert got == list(range(len(sending)))
    assert session.close_reason.clean


@pytest.mark.parametrize("answers", [False, True])
async def test_what_cannot_leave_is_counted(engine: EngineFactory, answers: bool) -> None:
    """The peer reads nothing. That it has said Close makes nothing clean."""
    over = asyncio.Event()

    async def script(peer: Peer) -> None:
        transport: Any = peer.writer.transport
        transport.pause_reading()
        await full.wait()
        if answers:
            await peer.send(close_frame(1000))
        await over.wait()

    full = asyncio.Event()
    options = {"channels": UNLIMITED, "close_timeout": SOON}
    async with conversation(engine, script, **options) as session:
        while session.statistics.outgoing_queued < 5:
            await session.send(bytes(200_000))
            await asyncio.sleep(0)
        full.set()
        if answers:
            with pytest.raises(ConnectionClosedError):
                await session.incoming.receive()
        await session.close()
        reason = session.close_reason
        assert (reason.code, reason.clean, reason.sent) == (1000, False, None)
        assert reason.unsent >= 5
        with pytest.raises(ConnectionClosedError) as caught:
            await session.send("x")
        told = "\n".join(caught.value.__notes__)
        assert f"{reason.unsent} messages that send had accepted were not sent" in told
        assert "bytes did not leave" in told
        over.set()


# --- on a link that a test holds


def busy(**options: Any) -> tuple[Any, FakeLink]:
    session, link = on_fake_link(**({"channels": UNLIMITED} | options))
    link.choke()
    return session, link


async def test_the_close_waits_for_what_was_accepted() -> None:
    session, link = busy()
    for number in range(3):
        await session.send(str(number))
    closing = asyncio.create_task(session.close(CloseReason(4000)))
    await steps()
    assert not session.is_open
    assert link.sent == []
    link.choke_after = 2
    link.relieve()
    assert link.sent == texts(0, 1)
    link.relieve()
    assert link.sent == [*texts(0, 1, 2), CloseFrame(CloseReason(4000))]
    link.peer_closes(4000)
    await closing
    assert session.close_reason.clean
    link.lose()


async def test_pings_are_answered_until_the_close_is_out() -> None:
    session, link = busy()
    await session.send("0")
    closing = asyncio.create_task(session.close())
    await steps()
    link.deliver(Frame.Ping(b"still there?"))
    link.relieve()
    link.deliver(Frame.Ping(b"and now?"))
    assert link.sent == [
        Frame.Pong(b"still there?"),
        *texts(0),
        CloseFrame(CloseReason(1000)),
    ]
    link.peer_closes()
    link.lose()
    await closing


async def test_the_peers_close_drops_an_owed_pong() -> None:
    session, link = busy()
    await session.send("0")
    link.deliver(Frame.Ping(b"owed"))
    link.peer_closes(4000)
    link.relieve()
    assert link.sent == [*texts(0), CloseFrame(CloseReason(4000))]
    link.lose()


async def test_the_peers_close_is_echoed_behind_what_was_accepted() -> None:
    session, link = busy()
    session.outgoing.send_nowait(Frame.Text("0"))
    await session.send("1")
    link.peer_closes(4000)
    assert link.sent == []
    assert session.close_reason == CloseReason(4000), "it is known, and may be asked for"
    waiting = asyncio.ensure_future(session.close_reason)
    await steps()
    assert not waiting.done(), "whether it was a clean end is not"
    link.relieve()
    assert link.sent == [*texts(0, 1), CloseFrame(CloseReason(4000))]
    assert (await waiting).clean
    link.lose()


async def test_the_peers_close_ends_who_waits() -> None:
    session, link = busy(channels=Channels())
    waiting = [asyncio.create_task(session.send("0")), asyncio.create_task(session.flush())]
    await steps()
    session.outgoing.send_nowait(Frame.Text("accepted"))
    link.peer_closes(4000)
    ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(end) for end in ends] == [ConnectionClosedError] * 2
    link.relieve()
    assert link.sent == [*texts("accepted"), CloseFrame(CloseReason(4000))]
    link.lose()


@pytest.mark.parametrize("end", ["deadline", "lose", "cancel"])
async def test_what_was_accepted_and_lost_is_counted(end: str) -> None:
    session, link = busy(close_timeout=3)
    for number in range(3):
        await session.send(str(number))
    link.stuck = 1000
    closing = asyncio.create_task(session.close(CloseReason(4000)))
    await steps()
    if end == "lose":
        link.lose(ConnectionResetError("reset"))
    elif end == "cancel":
        session.cancel()
    with link.time.passing():
        await closing
    assert link.sent == []
    reason = session.close_reason
    assert (reason.code, reason.clean, reason.sent, reason.unsent) == (4000, False, None, 3)
    with pytest.raises(ConnectionClosedError) as caught:
        await session.send("x")
    notes = caught.value.__notes__
    assert notes[0] == "3 messages that send had accepted were not sent"
    assert notes[1:] == ([] if end == "lose" else ["1000 bytes did not leave before the end"])


async def test_cancelling_the_body_hands_over_what_was_accepted() -> None:
    session, link = busy()

    async def body() -> None:
        async with session:
            await session.send("accepted")
            await asyncio.sleep(3600)

    leaving = asyncio.create_task(body())
    await steps()
    leaving.cancel()
    await steps()
    assert leaving.cancelled()
    assert link.sent == [*texts("accepted"), CloseFrame(CloseReason(1001))]
    assert "close" in link.calls


async def test_cancelling_the_body_ends_who_waits_elsewhere() -> None:
    session, link = busy(channels=Channels())
    waiting = asyncio.create_task(session.send("not accepted"))
    await steps()
    with pytest.raises(asyncio.CancelledError):
        async with session:
            raise asyncio.CancelledError
    with pytest.raises(ConnectionClosedError):
        await waiting
    assert link.sent == [CloseFrame(CloseReason(1001))]


@pytest.mark.parametrize("kind", ["violation", "overflow"])
async def test_a_failed_session_says_so_at_once_and_counts(kind: str) -> None:
    strict = bounded(2, on_overflow=ChannelOverflow.CLOSE)
    session, link = busy(channels=Channels(outgoing=strict))
    for number in range(2):
        await session.send(str(number))
    if kind == "violation":
        link.violate(1002)
        await steps()
    else:
        with pytest.raises(ChannelOverflowError):
            await session.send("2")
    assert [type(frame) for frame in link.sent] == [CloseFrame]
    assert session.close_reason.unsent == 2
    link.lose()


# --- whether the Close itself has left


async def test_a_close_that_is_stuck_has_not_been_sent() -> None:
    session, link = on_fake_link(close_timeout=5)
    link.stuck = 100
    closing = asyncio.create_task(session.close(CloseReason(4000)))
    await steps()
    link.peer_closes(4000)
    await steps()
    assert not closing.done()
    with link.time.passing():
        await closing
    assert link.time.time() == 5
    assert (session.close_reason.sent, session.close_reason.clean) == (None, False)


async def test_close_waits_until_both_were_seen_and_ours_has_left() -> None:
    session, link = on_fake_link(close_timeout=5)
    link.stuck = 100
    closing = asyncio.create_task(session.close(CloseReason(4000)))
    await steps()
    link.leave()
    await steps()
    assert not closing.done()
    link.peer_closes(4001)
    await closing
    assert session.close_reason.sent == CloseReason(4000)
    assert session.close_reason.clean
    with link.time.passing():
        await session.wait_closed()
    assert link.time.time() == 1


async def test_an_echo_that_is_stuck() -> None:
    session, link = on_fake_link(close_timeout=5)
    link.stuck = 100
    link.peer_closes(4000)
    closing = asyncio.create_task(session.close())
    await link.time.sleep(2)
    assert session.close_reason == CloseReason(4000)
    assert not session.close_reason.clean
    link.leave()
    await closing
    assert session.close_reason.sent == CloseReason(4000)
    link.lose()


# --- an error in the queue


class Strange(BaseException):
    """No `Exception`."""


@pytest.mark.parametrize(
    "error", [KeyError("hook"), MemoryError(), Strange(), StopIteration(), RuntimeError()]
)
async def test_what_goes_wrong_in_the_queue_is_raised_where_it_was_sent(
    error: BaseException,
) -> None:
    session, link = busy(channels=Channels())
    link.fails[Frame.Text("bad")] = error
    names = ("good", "bad", "better")
    sending = [asyncio.create_task(session.send(name)) for name in names]
    await steps()
    link.relieve()
    ends = await asyncio.gather(*sending, return_exceptions=True)
    assert ends[0] is ends[2] is None
    if isinstance(error, StopIteration):  # a coroutine may not raise it
        assert isinstance(ends[1], RuntimeError)
        assert ends[1].__cause__ is error
    else:
        assert ends[1] is error
    await session.send("later")
    assert link.sent == texts("good", "better", "later")
    link.lose()


async def test_an_error_that_nobody_waits_for_is_told_and_counted() -> None:
    session, link = busy()
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    link.fails[Frame.Text("bad")] = error = KeyError("hook")
    for name in ("good", "bad", "better"):
        await session.send(name)
    closing = asyncio.create_task(session.close())
    await steps()
    link.relieve()
    link.peer_closes()
    link.lose()
    await closing
    assert link.sent == [*texts("good", "better"), CloseFrame(CloseReason(1000))]
    assert [context["exception"] for context in told] == [error]
    assert (session.close_reason.unsent, session.close_reason.clean) == (1, False)


async def test_an_interrupt_passes_and_the_others_go_on() -> None:
    session, link = busy()
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    link.fails[Frame.Text("bad")] = Strange()
    for name in ("bad", "good"):
        await session.send(name)
    with pytest.raises(Strange):
        link.relieve()
    await steps()
    assert link.sent == texts("good")
    assert len(told) == 1
    link.lose()


async def test_an_error_while_a_stream_is_sent() -> None:
    async def chunks() -> AsyncIterator[str]:
        yield "a"
        yield "bad"

    session, link = on_fake_link()
    link.fails[Frame.Text("bad", fin=False)] = error = KeyError("hook")
    with pytest.raises(KeyError) as caught:
        await session.send_stream(chunks())
    assert caught.value is error
    assert link.closes == [CloseReason(1011)]
    link.lose()
    early, link = on_fake_link()
    link.fails[Frame.Text("a", fin=False)] = error
    with pytest.raises(KeyError):
        await early.send_stream(chunks())
    assert early.is_open, "nothing of it was sent"
    await early.send("on")
    link.lose()


# --- limits


async def test_a_cancelled_send_gives_its_bytes_back() -> None:
    session, link = busy(channels=Channels(outgoing=bounded(9, max_bytes=10)))
    waiting = asyncio.create_task(session.send(b"x" * 8))
    await steps()
    with pytest.raises(asyncio.QueueFull):
        session.outgoing.send_nowait(Frame.Binary(b"y" * 8))
    waiting.cancel()
    await steps()
    session.outgoing.send_nowait(Frame.Binary(b"y" * 8))
    other = asyncio.create_task(session.send(b"z" * 8))
    await steps()
    other.cancel()
    link.relieve()  # before the cancelled task has run
    await steps()
    assert link.sent == [Frame.Binary(b"y" * 8)]
    link.choke()
    session.outgoing.send_nowait(Frame.Binary(b"x" * 10))
    link.lose()


# --- unfinished messages


async def test_an_unfinished_message_is_refused_in_a_default_session() -> None:
    session, link = on_fake_link()
    for frame in (Frame.Text("begun", fin=False), Frame.Binary(b"begun", fin=False)):
        with pytest.raises(ValueError, match=r"send_stream\(\.\.\.\)"):
            await session.send(frame)
        with pytest.raises(ValueError, match="unfinished message"):
            await session.outgoing.send(frame)
        with pytest.raises(ValueError, match="unfinished message"):
            session.outgoing.send_nowait(frame)
    await session.send("whole")
    assert link.sent == texts("whole")
    link.lose()
