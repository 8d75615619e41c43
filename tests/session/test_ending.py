"""Every transition of the state machine: who closed, with what, and what everybody hears of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ktor_client import (
    CloseReason,
    ConnectionClosedError,
    Frame,
    FrameTooBigError,
    ProtocolViolationError,
)
from ktor_client.session import State, WebSocketSession
from ktor_client.session.ending import shorten
from tests.support.fake_link import FakeLink, core_on, on_fake_link, steps


async def test_we_close_and_the_peer_answers() -> None:
    session, link = on_fake_link()
    closing = asyncio.create_task(session.close(CloseReason(4000, "ours")))
    await steps()
    assert link.closes == [CloseReason(4000, "ours")]
    assert not session.is_open
    assert not closing.done()
    link.peer_closes(4001, "theirs")
    reason = await session.close_reason
    assert reason == CloseReason(4000, "ours")
    assert (reason.initiator, reason.clean) == ("local", True)
    assert reason.sent == CloseReason(4000, "ours")
    assert reason.received == CloseReason(4001, "theirs")
    await closing  # the server ends the connection, in the background
    assert "discard" in link.calls
    assert "close" not in link.calls
    ending = asyncio.create_task(session.wait_closed())
    await steps()
    assert not ending.done()
    link.lose()
    await ending
    assert "abort" not in link.calls


async def test_the_peer_closes() -> None:
    session, link = on_fake_link()
    link.peer_closes(4001, "theirs")
    assert link.closes == [CloseReason(4001, "theirs")]
    reason = session.close_reason
    assert reason == CloseReason(4001, "theirs")
    assert (reason.initiator, reason.clean) == ("peer", True)
    assert session._core.state is State.CLOSING
    link.lose()
    await session.wait_closed()
    await session.close(CloseReason(4002))
    assert session.close_reason == CloseReason(4001, "theirs")
    assert len(link.closes) == 1


async def test_a_close_without_a_code_is_echoed_empty() -> None:
    session, link = on_fake_link()
    link.deliver(Frame.Close())
    assert link.sent == [Frame.Close()]
    assert session.close_reason.code == 1005
    assert session.close_reason.is_normal
    link.lose()


async def test_the_server_side_ends_the_connection_itself() -> None:
    link = FakeLink()
    async with WebSocketSession(core_on(link, client=False)) as session:
        link.peer_closes()
    assert "close" in link.calls
    assert "abort" not in link.calls
    await session.wait_closed()


async def test_one_deadline_for_the_whole_close() -> None:
    """A Close of the peer's in the last moment buys no time beyond `close_timeout`."""
    session, link = on_fake_link(close_timeout=10)
    closing = asyncio.create_task(session.close())
    await link.time.sleep(9.5)
    assert "abort" not in link.calls
    link.peer_closes()
    await closing
    with link.time.passing():
        await session.wait_closed()
    assert link.calls[-1] == "abort"
    assert link.time.time() == 10


async def test_a_silent_peer_meets_the_deadline() -> None:
    session, link = on_fake_link(close_timeout=3)
    with link.time.passing():
        await session.close(CloseReason(4000))
    assert link.time.time() == 3
    reason = session.close_reason
    assert (reason.code, reason.clean, reason.received) == (4000, False, None)


@pytest.mark.parametrize("close_timeout", [0.25, 10])
async def test_a_peer_that_keeps_the_connection_is_not_waited_for(close_timeout: float) -> None:
    session, link = on_fake_link(close_timeout=close_timeout)
    link.peer_closes()
    with link.time.passing():
        await session.wait_closed()
    assert link.time.time() == min(1, close_timeout)
    assert session.close_reason.clean


async def test_closing_from_many_tasks_sends_one_close() -> None:
    session, link = on_fake_link()
    closing = [asyncio.create_task(session.close(CloseReason(4000 + i))) for i in range(10)]
    await steps()
    assert link.closes == [CloseReason(4000)]
    closing[0].cancel()  # one of them is not all of them
    await steps()
    link.peer_closes()
    link.lose()
    await asyncio.gather(*closing[1:])
    assert session.close_reason == CloseReason(4000)
    assert closing[0].cancelled()
    await session.close()


async def test_a_lost_connection() -> None:
    session, link = on_fake_link()
    error = ConnectionResetError("reset by peer")
    waiting = asyncio.ensure_future(session.close_reason)
    await steps()
    link.lose(error)
    reason = await waiting
    assert (reason.code, reason.initiator, reason.clean) == (1006, "peer", False)
    assert (reason.sent, reason.received) == (None, None)
    with pytest.raises(ConnectionClosedError, match="reset by peer") as caught:
        await session.incoming.receive()
    assert caught.value.__cause__ is error
    link.lose(error)  # a second time changes nothing
    assert session.close_reason == reason


async def test_a_lost_connection_without_an_error() -> None:
    session, link = on_fake_link()
    link.lose()
    with pytest.raises(ConnectionClosedError, match=r"without a Close frame$"):
        await session.send("too late")
    session.cancel()
    session._core.start_close(CloseReason(4000))
    assert session.close_reason.initiator == "peer"
    assert link.sent == []


async def test_lost_during_our_close_keeps_the_cause() -> None:
    session, link = on_fake_link()
    closing = asyncio.create_task(session.close(CloseReason(4000)))
    await steps()
    error = ConnectionResetError("reset")
    link.lose(error)
    await closing
    assert session.close_reason == CloseReason(4000)
    assert not session.close_reason.clean
    with pytest.raises(ConnectionClosedError) as caught:
        await session.incoming.receive()
    assert caught.value.__cause__ is error


async def test_cancel_drops_the_connection() -> None:
    session, link = on_fake_link()
    session.cancel()
    assert link.calls[0] == "abort"
    assert not link.sent
    reason = session.close_reason
    assert (reason.code, reason.initiator, reason.clean) == (1006, "local", False)
    session._core.start_close(CloseReason(4000))
    await session.wait_closed()
    session.cancel()
    assert link.calls.count("abort") == 1
    assert not link.sent


async def test_cancel_ends_a_close_that_waits() -> None:
    session, _ = on_fake_link()
    closing = asyncio.create_task(session.close(CloseReason(4000)))
    await steps()
    session.cancel()
    await closing
    assert session.close_reason == CloseReason(4000)
    assert not session.close_reason.clean


# --- violations


@pytest.mark.parametrize(
    ("code", "kind"),
    [(1002, ProtocolViolationError), (1007, ProtocolViolationError), (1009, FrameTooBigError)],
)
async def test_a_violation(code: int, kind: type[ConnectionClosedError]) -> None:
    session, link = on_fake_link()
    cause = ValueError("bad byte")
    link.deliver(Frame.Text("before"))
    link.violate(code, cause)
    assert await session.receive_text() == "before"
    with pytest.raises(kind, match="A rule was broken") as caught:
        await session.incoming.receive()
    assert caught.value.__cause__ is cause
    assert caught.value.initiator == "local"
    assert link.closes == [CloseReason(code, "A rule was broken")]
    assert session.close_reason.code == code
    assert not session.close_reason.clean
    with pytest.raises(kind):
        async for _ in session:
            pass
    with link.time.passing():
        await session.wait_closed()
    assert link.time.time() == 1


async def test_a_violation_and_the_loss_in_one_step() -> None:
    session, link = on_fake_link()
    link.violate()
    link.lose(ConnectionResetError("gone"))
    assert session.close_reason.code == 1002
    with pytest.raises(ProtocolViolationError):
        await session.incoming.receive()
    await steps()
    assert len(link.closes) == 1


async def test_our_close_between_a_violation_and_its_report() -> None:
    session, link = on_fake_link()
    link.violate()
    session._core.start_close(CloseReason(4000))
    await steps()
    assert link.closes == [CloseReason(4000)]
    link.lose()
    assert session.close_reason == CloseReason(4000)


async def test_a_violation_after_our_close_ends_the_wait() -> None:
    session, link = on_fake_link(close_timeout=30)
    closing = asyncio.create_task(session.close(CloseReason(4000)))
    await steps()
    link.violate()
    with link.time.passing():
        await closing
    assert link.time.time() == 1
    assert not session.close_reason.clean


async def test_a_violation_after_the_end_is_nothing() -> None:
    session, link = on_fake_link()
    link.lose()
    link.violate()
    await steps()
    assert session.close_reason.code == 1006


def test_reasons_are_cut_at_a_characters_end() -> None:
    assert shorten("short") == "short"
    assert shorten("ä" * 100) == "ä" * 61


# --- leaving the body


async def leave(session: Any, error: BaseException | None) -> None:
    async with session:
        if error is not None:
            raise error


async def test_leaving_normally() -> None:
    session, link = on_fake_link(close_timeout=2)
    with link.time.passing():
        await leave(session, None)
    assert link.closes == [CloseReason(1000)]


async def test_leaving_by_an_exception_passes_it_unchanged() -> None:
    session, link = on_fake_link(close_timeout=2)
    error = KeyError("mine")
    with link.time.passing(), pytest.raises(KeyError) as caught:
        await leave(session, error)
    assert caught.value is error
    assert caught.value.__cause__ is None
    assert link.closes == [CloseReason(1011)]


async def test_leaving_by_cancellation_does_not_wait() -> None:
    session, link = on_fake_link()
    with pytest.raises(asyncio.CancelledError):
        await leave(session, asyncio.CancelledError())
    assert link.closes == [CloseReason(1001)]
    assert "close" in link.calls
    await session.wait_closed()
    assert link.time.time() == 0


async def test_leaving_by_cancellation_has_a_deadline() -> None:
    """What was written may not leave: the peer does not read."""
    session, link = on_fake_link(close_timeout=0.5)
    link.close = lambda: link.calls.append("close")  # type: ignore[method-assign]
    with pytest.raises(asyncio.CancelledError):
        await leave(session, asyncio.CancelledError())
    with link.time.passing():
        await session.wait_closed()
    assert link.calls[-1] == "abort"
    assert link.time.time() == 0.5


async def test_cancelled_while_it_closes() -> None:
    session, link = on_fake_link()
    leaving = asyncio.create_task(leave(session, None))
    await steps()
    assert link.closes == [CloseReason(1000)]
    leaving.cancel()
    await steps()
    assert leaving.cancelled()
    assert link.calls[-1] == "abort"


async def test_cancelled_after_the_session_ended() -> None:
    session, link = on_fake_link()
    link.lose()
    calls = list(link.calls)
    with pytest.raises(asyncio.CancelledError):
        await leave(session, asyncio.CancelledError())
    assert link.calls == calls


async def test_cancelled_while_the_peer_closes() -> None:
    session, link = on_fake_link()
    link.peer_closes(4001)
    with pytest.raises(asyncio.CancelledError):
        await leave(session, asyncio.CancelledError())
    await session.wait_closed()
    assert link.closes == [CloseReason(4001)]
    assert session.close_reason == CloseReason(4001)


# --- close_reason and what a session shows


async def test_the_reason_of_an_open_session() -> None:
    session, link = on_fake_link()
    pending = session.close_reason
    assert not pending
    assert pending.code is None
    assert (pending.message, pending.initiator, pending.clean) == ("", None, False)
    assert (str(pending), repr(pending)) == ("still open", "CloseReason(<still open>)")
    waiting = [asyncio.ensure_future(session.close_reason) for _ in range(3)]
    await steps()
    waiting[0].cancel()
    await steps()
    link.peer_closes(1001, "bye")
    assert await waiting[1] == await waiting[2] == await pending == CloseReason(1001, "bye")
    assert session.close_reason
    assert await session.close_reason is await session.close_reason
    link.lose()


async def test_sessions_show_their_state() -> None:
    session, link = on_fake_link()
    assert repr(session) == "<DefaultClientWebSocketSession open>"
    link.peer_closes(1001, "bye")
    assert repr(session) == "<DefaultClientWebSocketSession CloseReason(GOING_AWAY, 'bye')>"
    link.lose()


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 2999, 5000])
async def test_codes_that_may_not_be_sent(code: int) -> None:
    session, link = on_fake_link()
    with pytest.raises(ValueError, match="may not be sent"):
        await session.close(CloseReason(code))
    with pytest.raises(
        TypeError, match=rf"CloseReason, not {code}: close\(CloseReason\({code}\)\)"
    ):
        await session.close(code)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="still open"):
        Frame.Close(session.close_reason)
    assert session.is_open
    assert not link.sent


async def test_watchers_are_called_once_and_at_once_if_it_is_late() -> None:
    session, link = on_fake_link()
    seen: list[str] = []
    session._core.on_closed(lambda _: seen.append("early"))
    link.peer_closes()
    assert seen == []
    link.lose()
    session._core.on_closed(lambda _: seen.append("late"))
    assert seen == ["early", "late"]


async def test_every_end_stops_every_timer() -> None:
    session, link = on_fake_link(ping_interval=5)
    link.peer_closes()
    link.lose()
    assert repr(link.time) == "<VirtualClock at 0 s, 0 timers>"
    session.ping_interval = 1
    assert repr(link.time) == "<VirtualClock at 0 s, 0 timers>"
