"""The sending side: order, waiting, limits, cancellation, and what closing does to who waits."""

from __future__ import annotations

import asyncio
import weakref

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

STRICT = Channels(outgoing=bounded(2, on_overflow=ChannelOverflow.CLOSE))


def texts(*names: object) -> list[TextFrame]:
    return [Frame.Text(str(name)) for name in names]


# --- a link that takes everything


async def test_every_kind_of_message_by_every_road() -> None:
    session, link = on_fake_link()
    await session.send("a")
    await session.send(b"b")
    await session.send(bytearray(b"c"))
    await session.send(memoryview(b"d"))
    await session.send(Frame.Text("e"))
    await session.outgoing.send(Frame.Binary(b"f"))
    session.outgoing.send_nowait(Frame.Text("g"))
    binary = [Frame.Binary(data) for data in (b"b", b"c", b"d")]
    assert link.sent == [*texts("a"), *binary, *texts("e"), Frame.Binary(b"f"), *texts("g")]
    assert repr(session.outgoing) == "<SendChannel open, 0 waiting>"
    link.lose()


async def test_other_types_are_refused() -> None:
    session, link = on_fake_link()
    for wrong in (None, 1, ["x"], {"a": 1}):
        with pytest.raises(TypeError, match="send_serialized"):
            await session.send(wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"such as .* not str; session\.send takes str"):
        await session.outgoing.send("a")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"takes frames such as .* not bytes"):
        session.outgoing.send_nowait(b"a")  # type: ignore[arg-type]
    link.choke()
    with pytest.raises(asyncio.QueueFull):
        session.outgoing.send_nowait(Frame.Ping(b"busy now"))
    with pytest.raises(UnicodeEncodeError):
        await session.send("\ud800")
    assert session.is_open
    assert not link.sent
    link.lose()


@pytest.mark.parametrize("message", ["text", b"binary", Frame.Text("frame")])
async def test_the_message_that_fills_the_transport(message: str | bytes | TextFrame) -> None:
    session, link = on_fake_link()
    link.choke_after = 1
    await session.send(message)
    waiting = asyncio.create_task(session.send("next"))
    await steps()
    assert len(link.sent) == 1
    link.choke_after = None
    link.relieve()
    await waiting
    assert link.sent[1:] == texts("next")
    link.lose()


# --- waiting


async def test_order_of_the_calls_is_the_order_on_the_wire() -> None:
    session, link = on_fake_link()
    link.choke_after = 1
    await session.send("0")
    sending = [asyncio.create_task(session.send(str(number))) for number in range(1, 10)]
    await steps()
    assert session.statistics.outgoing_queued == 9
    assert repr(session.outgoing) == "<SendChannel open, 9 waiting>"
    for number in range(1, 10):
        assert link.sent == texts(*range(number))
        link.choke_after = 1
        link.relieve()
    await asyncio.gather(*sending)
    assert link.sent == texts(*range(10))
    link.lose()


async def test_who_comes_while_others_wait_goes_behind_them() -> None:
    session, link = on_fake_link()
    link.choke_after = 1
    await session.send("0")
    first = asyncio.create_task(session.send("1"))
    await steps()
    link.writable = True  # the session has not heard of it yet
    second = asyncio.create_task(session.send("2"))
    await steps()
    link.choke_after = None
    link.relieve()
    await asyncio.gather(first, second)
    assert link.sent == texts(0, 1, 2)
    link.lose()


async def test_a_cancelled_send_has_sent_nothing_or_all() -> None:
    session, link = on_fake_link()
    link.choke_after = 1
    await session.send("0")
    sending = [asyncio.create_task(session.send(str(number))) for number in range(1, 5)]
    await steps()
    sending[0].cancel()
    await steps()
    assert session.statistics.outgoing_queued == 3
    sending[1].cancel()
    link.choke_after = None
    link.relieve()  # before the cancelled task has run
    assert link.sent == texts(0, 3, 4)
    sending[2].cancel()  # too late: its message is out
    await steps()
    assert link.sent == texts(0, 3, 4)
    assert await asyncio.gather(*sending, return_exceptions=True)
    assert session.statistics.outgoing_queued == 0
    await session.send("5")
    assert link.sent == texts(0, 3, 4, 5)
    link.lose()


async def test_control_frames_pass_what_waits() -> None:
    session, link = on_fake_link()
    await session.send(Frame.Ping(b"nobody waits"))
    link.choke_after = 1
    await session.send("0")
    waiting = asyncio.create_task(session.send("1"))
    await asyncio.sleep(0)
    pinging = [asyncio.create_task(session.send(Frame.Ping(data))) for data in (b"p", b"q")]
    await asyncio.sleep(0)
    assert link.sent[1:] == [*texts(0), Frame.Ping(b"p"), Frame.Ping(b"q")]
    with pytest.raises(asyncio.QueueFull, match="the transport is busy; await send"):
        session.outgoing.send_nowait(Frame.Pong(b"r"))
    assert not any(task.done() for task in (waiting, *pinging)), "else they could fill the memory"
    link.relieve()
    await asyncio.gather(waiting, *pinging)
    link.relieve()
    session.outgoing.send_nowait(Frame.Pong(b"r"))
    link.lose()


async def test_control_frames_that_wait_when_the_session_ends() -> None:
    session, link = on_fake_link()
    link.choke()
    pinging = asyncio.create_task(session.send(Frame.Ping(b"p")))
    await asyncio.sleep(0)
    link.lose()
    await pinging


async def test_a_close_by_send() -> None:
    session, link = on_fake_link()
    with pytest.raises(ValueError, match="may not be sent"):
        await session.send(Frame.Close(CloseReason(1006)))
    await session.send(Frame.Close(CloseReason(4000, "bye")))
    assert not session.is_open
    with pytest.raises(ConnectionClosedError):
        await session.send(Frame.Close(CloseReason(4001)))
    link.peer_closes(4000)
    assert session.close_reason == CloseReason(4000, "bye")
    link.lose()
    assert len(link.closes) == 1


async def test_a_close_without_a_code_by_send() -> None:
    session, link = on_fake_link()
    session.outgoing.send_nowait(Frame.Close())
    assert link.sent == [Frame.Close()]
    link.deliver(Frame.Close())
    assert session.close_reason.code == 1005
    assert session.close_reason.initiator == "local"
    link.lose()


# --- closing while others wait


@pytest.mark.parametrize("how", ["close", "peer", "cancel", "lose"])
async def test_every_end_wakes_who_waits(how: str) -> None:
    session, link = on_fake_link(close_timeout=1)
    link.choke_after = 1
    await session.send("0")
    sending = [asyncio.create_task(session.send(str(number))) for number in range(1, 4)]
    flushing = asyncio.create_task(session.flush())
    await steps()
    sending[1].cancel()
    with link.time.passing():
        if how == "close":
            await session.close(CloseReason(4000))
        elif how == "peer":
            link.peer_closes(4000)
        elif how == "cancel":
            session.cancel()
        else:
            link.lose(ConnectionResetError("gone"))
        await session.wait_closed()
    ends = await asyncio.gather(*sending, flushing, return_exceptions=True)
    assert [type(end) for end in ends] == [
        ConnectionClosedError,
        asyncio.CancelledError,
        ConnectionClosedError,
        ConnectionClosedError,
    ]
    assert {end.reason.code for end in ends if isinstance(end, ConnectionClosedError)} == {
        4000 if how in ("close", "peer") else 1006
    }
    assert [frame for frame in link.sent if isinstance(frame, Frame.Text)] == texts(0)
    assert session.outgoing.is_closed  # type: ignore[attr-defined]
    assert repr(session.outgoing) == "<SendChannel closed, 0 waiting>"
    with pytest.raises(ConnectionClosedError):
        await session.outgoing.send(Frame.Text("x"))
    with pytest.raises(ConnectionClosedError):
        session.outgoing.send_nowait(Frame.Text("x"))


# --- flush


async def test_flush_waits_for_what_was_sent_before() -> None:
    session, link = on_fake_link()
    await session.flush()
    assert link.calls == ["flush"]
    link.choke_after = 1
    await session.send("0")
    waiting = asyncio.create_task(session.send("1"))
    await steps()
    flushing = asyncio.create_task(session.flush())
    after = asyncio.create_task(session.send("2"))
    await steps()
    assert not flushing.done()
    assert session.statistics.outgoing_queued == 2
    link.choke_after = 1
    link.relieve()
    await waiting
    await steps()
    assert not flushing.done()
    link.choke_after = 1
    link.relieve()
    await flushing
    await after
    assert link.sent == texts(0, 1, 2)
    link.lose()


async def test_flush_after_the_end() -> None:
    session, link = on_fake_link()
    link.peer_closes()
    await session.flush()
    link.lose()
    lost, link = on_fake_link()
    link.lose()
    with pytest.raises(ConnectionClosedError):
        await lost.flush()


async def test_a_cancelled_flush_leaves_its_place() -> None:
    session, link = on_fake_link()
    link.choke_after = 1
    await session.send("0")
    waiting = asyncio.create_task(session.send("1"))
    flushing = asyncio.create_task(session.flush())
    await steps()
    flushing.cancel()
    await steps()
    link.choke_after = None
    link.relieve()
    await waiting
    assert flushing.cancelled()
    await session.flush()
    link.lose()


# --- limits


async def test_send_nowait_to_the_limit() -> None:
    session, link = on_fake_link(channels=Channels(outgoing=bounded(2, max_bytes=10)))
    link.choke_after = 1
    session.outgoing.send_nowait(Frame.Text("0"))
    session.outgoing.send_nowait(Frame.Text("1"))
    with pytest.raises(asyncio.QueueFull, match="await send"):
        session.outgoing.send_nowait(Frame.Binary(b"x" * 10))
    session.outgoing.send_nowait(Frame.Text("2"))
    with pytest.raises(asyncio.QueueFull):
        session.outgoing.send_nowait(Frame.Text("3"))
    assert session.is_open
    waiting = asyncio.create_task(session.send("4"))  # waits all the same
    await steps()
    link.choke_after = None
    link.relieve()
    await waiting
    assert link.sent == texts(0, 1, 2, 4)
    link.lose()


async def test_unlimited_never_waits() -> None:
    session, link = on_fake_link(channels=Channels(outgoing=unlimited()))
    link.choke_after = 1
    for number in range(1000):
        await session.send(str(number))
    session.outgoing.send_nowait(Frame.Text("1000"))
    assert session.statistics.outgoing_queued == 1000
    link.choke_after = None
    link.relieve()
    assert link.sent == texts(*range(1001))
    link.lose()


@pytest.mark.parametrize("road", ["send", "send_nowait"])
async def test_overflow_closes_the_session(road: str) -> None:
    session, link = on_fake_link(channels=STRICT)
    link.choke_after = 1
    for number in range(3):
        await session.send(str(number))
    with pytest.raises(ChannelOverflowError, match="Channel outgoing overflowed"):
        if road == "send":
            await session.send("3")
        else:
            session.outgoing.send_nowait(Frame.Text("3"))
    assert link.closes == [CloseReason(1008, "Channel outgoing overflowed")]
    assert session.close_reason.code == 1008
    link.relieve()
    assert link.sent[:1] == texts(0)
    with pytest.raises(ChannelOverflowError):
        await session.incoming.receive()
    link.lose()


# --- frames that cannot be sent


async def test_a_frame_in_the_wrong_place_raises_where_it_was_sent() -> None:
    session, link = on_fake_link()
    wrong = Frame.Binary(b"wrong", rsv1=True)
    link.refuses.add(wrong)
    with pytest.raises(ValueError, match="wrong place"):
        await session.send(wrong)
    with pytest.raises(ValueError, match="wrong place"):
        await session.outgoing.send(wrong)
    with pytest.raises(ValueError, match="wrong place"):
        session.outgoing.send_nowait(wrong)
    link.choke_after = 1
    await session.send("0")
    waiting = asyncio.create_task(session.send(wrong))
    behind = asyncio.create_task(session.send("1"))
    await steps()
    link.choke_after = None
    link.relieve()
    with pytest.raises(ValueError, match="wrong place"):
        await waiting
    await behind
    assert link.sent == texts(0, 1)
    link.lose()


async def test_a_frame_that_nobody_waits_for_does_not_hold_the_others() -> None:
    session, link = on_fake_link(channels=Channels(outgoing=unlimited()))
    told: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    wrong = Frame.Binary(b"wrong", rsv1=True)
    link.refuses.add(wrong)
    link.choke_after = 1
    await session.send("0")
    await session.send(wrong)
    await session.send("1")
    link.choke_after = None
    link.relieve()
    assert link.sent == texts(0, 1)
    await session.send("2")
    assert link.sent == texts(0, 1, 2)
    assert [str(context["exception"]) for context in told] == ["the frame is in the wrong place"]
    link.lose()


async def test_a_channel_outlives_its_session() -> None:
    session, link = on_fake_link()
    outgoing, incoming = session.outgoing, session.incoming
    core = weakref.ref(session._core)
    link.peer_closes(1000)
    link.lose()
    await session.wait_closed()
    del session, link.receiver
    assert core() is None
    with pytest.raises(ConnectionClosedError):
        await outgoing.send(Frame.Text("late"))
    with pytest.raises(ConnectionClosedError):
        outgoing.send_nowait(Frame.Text("late"))
    assert [frame async for frame in incoming] == []
