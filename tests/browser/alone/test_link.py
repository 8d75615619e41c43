"""A link: what comes before the session, delivering, sending, and every end."""

import asyncio
from typing import Any

import pytest

from ktor_client import (
    CloseReason,
    Frame,
    UnsupportedCapabilityError,
)
from ktor_client.engines import BrowserEngine
from ktor_client.engines._browser import link as link_module
from ktor_client.engines._browser.bursts import IN_A_ROW, SLICE
from ktor_client.engines._browser.leaving import POLL
from ktor_client.frames import CloseFrame
from ktor_client.link import LinkOptions
from tests.support.receiver import Receiver

from .conftest import Pair, opened, opening
from .fake_browser import CLOSED, Browser, Socket

# --- before the session has started


async def test_what_came_before_start_is_delivered_first(browser: Browser) -> None:
    link, socket = await opened(browser)
    socket.fire_message("early")
    socket.fire_message(b"bird")
    socket.fire_close(4001, "bye")
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert list(receiver.messages) == [Frame.Text("early"), Frame.Binary(b"bird")]
    assert receiver.controls == [Frame.Close(CloseReason(4001, "bye"))]
    assert await receiver.end is None


async def test_lost_before_start(browser: Browser) -> None:
    link, socket = await opened(browser)
    socket.fire_close(1006)
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert not receiver.end.done()
    assert isinstance(await receiver.end, ConnectionError)
    link.close()
    link.abort()
    link.send(CloseFrame())
    link.send_text("nobody hears this")
    link.send_binary(b"nor this")
    assert link.frames_sent == 0


# --- delivering


async def test_what_discard_leaves_out(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    link.pause()
    browser.socket.fire_message("before")
    link.resume()
    link.discard()
    browser.socket.fire_message("after")
    browser.socket.fire_close(1000)
    assert list(receiver.messages) == [Frame.Text("before")]
    assert receiver.controls == []
    assert await receiver.end is None


async def test_the_limit_can_be_changed(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    link.set_max_frame_size(4)
    browser.socket.fire_message("éé")
    browser.socket.fire_message("éé!")
    assert list(receiver.messages) == [Frame.Text("éé")]
    assert receiver.violation is not None
    assert receiver.violation.code == 1009


@pytest.mark.parametrize("how", ["message", "close"])
async def test_a_receiver_that_raises(
    browser: Browser, pair: Pair, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, receiver = pair
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: told.append(context))

    def fail(_: object) -> None:
        raise KeyError("on purpose")

    if how == "message":
        monkeypatch.setattr(receiver, "arrived", fail)
        browser.socket.fire_message("x")
        assert browser.socket.closed_with == [()]
        assert isinstance(await receiver.end, KeyError)
    else:
        monkeypatch.setattr(receiver, "control", fail)
        browser.socket.fire_close(1000)
        assert await receiver.end is None
    assert [type(context["exception"]) for context in told] == [KeyError]


async def test_a_message_that_breaks_before_start(browser: Browser) -> None:
    link, socket = await opened(browser)
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    socket.onmessage(object())
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert isinstance(await receiver.end, AttributeError)


async def test_aborting_tells_the_receiver_later_and_once(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    link.abort()
    link.abort()
    assert not receiver.end.done()
    assert await receiver.end is None
    assert browser.socket.onmessage is None


async def test_close_lets_the_browser_finish(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    link.send(CloseFrame(CloseReason(1000)))
    link.close()
    assert browser.socket.closed_with == [(1000, "")]
    browser.socket.fire_close(1005)
    assert receiver.controls == [Frame.Close()]
    assert await receiver.end is None


# --- bursts: collected by the browser, delivered in slices


def _burst(socket: Socket, count: int) -> list[Frame]:
    """Let more messages come than anybody waits for."""
    for at in range(count):
        socket.fire_message(f"{at}" if at % 2 else b"%d" % at)
    return [Frame.Text(f"{at}") if at % 2 else Frame.Binary(b"%d" % at) for at in range(count)]


async def _pass() -> None:
    """Give everybody else a turn."""
    await asyncio.sleep(0)


async def test_a_burst_comes_over_in_slices(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    takes_single_messages = browser.socket.onmessage
    in_slices = 2 * SLICE + 1
    sent = _burst(browser.socket, IN_A_ROW + in_slices)
    counts = []
    while browser.socket.onmessage is not takes_single_messages:
        counts.append(len(receiver.messages) - IN_A_ROW)
        await _pass()
    assert counts == [0, SLICE, 2 * SLICE, in_slices]
    assert list(receiver.messages) == sent
    assert link.frames_received == len(sent)
    browser.socket.fire_message("alone")
    assert receiver.messages[-1] == Frame.Text("alone")


async def test_a_second_burst(browser: Browser, pair: Pair) -> None:
    _, receiver = pair
    takes_single_messages = browser.socket.onmessage
    for _ in range(2):
        sent = _burst(browser.socket, IN_A_ROW + 1)
        while browser.socket.onmessage is not takes_single_messages:
            await _pass()
        assert list(receiver.messages) == sent
        receiver.messages.clear()


async def test_bursts_on_two_sockets(browser: Browser) -> None:
    engine = BrowserEngine()
    receivers = []
    for _ in range(2):
        task = await opening(browser, engine)
        browser.socket.fire_open()
        link = (await task).link
        assert link is not None
        receivers.append(Receiver())
        link.start(receivers[-1], LinkOptions(max_frame_size=100))
        browser.opened.clear()
    sent = [_burst(socket, IN_A_ROW + 3) for socket in browser.sockets]
    await _pass()
    assert [list(receiver.messages) for receiver in receivers] == sent
    await engine.close()
    for receiver in receivers:
        await receiver.end


async def test_messages_that_somebody_waits_for_are_no_burst(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    takes_single_messages = browser.socket.onmessage
    for _ in range(3 * IN_A_ROW):
        link.create_future()
        browser.socket.fire_message("x")
    assert browser.socket.onmessage is takes_single_messages
    assert len(receiver.messages) == 3 * IN_A_ROW


@pytest.mark.parametrize("code", [1000, 1006])
async def test_the_end_of_a_burst_comes_before_the_end_of_the_connection(
    browser: Browser, pair: Pair, code: int
) -> None:
    _, receiver = pair
    sent = _burst(browser.socket, IN_A_ROW + 2 * SLICE)
    browser.socket.fire_close(code)
    assert list(receiver.messages) == sent
    assert (await receiver.end is None) == (code == 1000)
    assert len(receiver.messages) == len(sent)


async def test_a_burst_before_start(browser: Browser) -> None:
    link, socket = await opened(browser)
    sent = _burst(socket, IN_A_ROW + 2)
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert list(receiver.messages) == sent[:IN_A_ROW]
    await _pass()
    assert list(receiver.messages) == sent
    link.abort()
    await receiver.end


async def test_a_receiver_that_raises_in_a_burst(
    browser: Browser, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, receiver = pair
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: None)
    _burst(browser.socket, IN_A_ROW + 1)

    def fail(_: object) -> None:
        raise KeyError("on purpose")

    monkeypatch.setattr(receiver, "arrived", fail)
    await _pass()
    assert browser.socket.closed_with == [()]
    assert isinstance(await receiver.end, KeyError)


# --- sending


async def test_senders_wait_until_the_buffer_has_drained(
    browser: Browser, pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(link_module, "POLL", 0)
    link, receiver = pair
    link.send_text("a" * link_module.BURST)
    assert not link.writable
    link.send_text("b")
    await receiver.room.wait()
    assert link.writable
    receiver.room.clear()
    browser.socket.bufferedAmount = link_module.HIGH_WATER + 1
    link.send_text("c" * link_module.BURST)
    for _ in range(5):
        await asyncio.sleep(0)
        assert not link.writable
    browser.socket.bufferedAmount = link_module.LOW_WATER + 1
    await asyncio.sleep(0)
    assert not link.writable
    browser.socket.bufferedAmount = link_module.LOW_WATER
    await receiver.room.wait()
    assert link.writable


async def test_many_small_messages_give_way_too(pair: Pair) -> None:
    link, receiver = pair
    sent = 0
    while link.writable:
        link.send_text("")
        sent += 1
    assert sent == link_module.BURST // link_module.MESSAGE_WEIGHT
    await receiver.room.wait()


async def test_losing_the_connection_while_draining(browser: Browser, pair: Pair) -> None:
    link, receiver = pair
    browser.socket.bufferedAmount = link_module.HIGH_WATER + 1
    link.send_text("a" * link_module.BURST)
    await asyncio.sleep(0)
    browser.socket.fire_close(1006)
    assert isinstance(await receiver.end, ConnectionError)
    assert not link.writable


async def test_writable_before_start(browser: Browser) -> None:
    link, _ = await opened(browser)
    link.send_text("a" * link_module.BURST)
    assert not link.writable
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert link.writable
    link.abort()


async def test_frames_that_a_browser_sends(browser: Browser, pair: Pair) -> None:
    link, _ = pair
    large = bytes(link_module.LARGE)
    frames = [Frame.Text("é"), Frame.Binary(b"ab"), Frame.Binary(large)]
    for frame in frames:
        link.send(frame)
    link.send_binary(bytearray(b"cd"))
    link.send_binary(memoryview(large)[::2])
    assert browser.socket.sent == ["é", b"ab", large, b"cd", large[::2]]
    assert (link.frames_sent, link.bytes_sent) == (5, 2 + 2 + len(large) + 2 + len(large) // 2)
    with pytest.raises(UnicodeEncodeError):
        link.send_text("\ud83d")
    assert link.frames_sent == 5


@pytest.mark.parametrize(
    ("frame", "named"),
    [
        (Frame.Ping(), "PingCapability"),
        (Frame.Pong(), "PingCapability"),
        (Frame.Text("a", fin=False), "FragmentationCapability"),
        (Frame.Binary(b"a", rsv2=True), "FragmentationCapability"),
    ],
)
async def test_frames_that_it_does_not_send(pair: Pair, frame: Frame, named: str) -> None:
    with pytest.raises(UnsupportedCapabilityError, match=named):
        pair[0].send(frame)


async def test_what_has_left(browser: Browser, pair: Pair) -> None:
    link, socket = pair[0], browser.socket
    told: asyncio.Queue[int] = asyncio.Queue()
    link.send_text("nobody watches")
    link.watch_leaving(lambda: told.put_nowait(link.left[0]))
    socket.bufferedAmount = 3
    link.send_binary(b"one")
    link.send_text("two")
    size = link.taken
    assert link.left == (size - 3, size - 3)
    await asyncio.sleep(4 * POLL)
    assert told.empty()
    socket.bufferedAmount = 0
    assert await told.get() == size
    link.send_text("three")
    socket.bufferedAmount = 2
    socket.fire_close(1006)  # it does not begin anew at 0 then
    assert link.left == (link.taken - 2, link.taken - 2)
    taken = link.taken
    link.send_text("late")
    link.send_binary(b"")
    assert (link.taken, link.left[1]) == (taken + 2, taken - 2)


@pytest.mark.parametrize(
    ("code", "left"),
    [(1000, 1000), (1001, 1000), (1002, 4002), (1014, 4014), (3000, 3000), (4999, 4999)],
)
async def test_codes_that_leave(browser: Browser, pair: Pair, code: int, left: int) -> None:
    link, _ = pair
    link.send(CloseFrame(CloseReason(code, "why")))
    assert browser.socket.closed_with == [(left, "why")]
    assert link.map_close(CloseReason(code, "why")) == CloseReason(left, "why")


async def test_a_close_without_a_code(browser: Browser, pair: Pair) -> None:
    pair[0].send(CloseFrame())
    assert browser.socket.closed_with == [()]


def test_states_are_the_standards() -> None:
    assert link_module.CLOSED == CLOSED
