"""What `receive`, `send` and the iterators return behaves as a coroutine, in both twins."""

from __future__ import annotations

import asyncio
import collections.abc
import contextvars
import gc
import inspect
import warnings
import weakref
from collections.abc import AsyncIterator, Callable
from typing import Any, TypeAlias

import pytest

from ktor_client import Channels, ConnectionClosedError, Frame, bounded
from ktor_client.errors import WrongLoopError
from ktor_client.frames import BinaryFrame, TextFrame
from ktor_client.link.sender import BATCH, STEP
from ktor_client.session import DefaultWebSocketSession
from ktor_client.session.core import SessionCore
from tests.support.fake_transport import FakeTransport, feed, link_on, unmasked
from tests.support.raw_server import BINARY, PING, TEXT, frame

Call: TypeAlias = Any
"""A coroutine, or what stands in for one."""


def opened(**options: Any) -> tuple[DefaultWebSocketSession, FakeTransport]:
    """A session on a transport that only notes."""
    link, transport, _ = link_on(start=False)
    settings: dict[str, Any] = {"channels": Channels(), "max_frame_size": 1 << 24, **options}
    return DefaultWebSocketSession(SessionCore(link, **settings)), transport


def read(session: DefaultWebSocketSession, *texts: str) -> None:
    link: Any = session._link
    feed(link, b"".join(frame(TEXT, text.encode()) for text in texts))


async def in_a_step(session: DefaultWebSocketSession) -> None:
    """Go to where messages are joined to those that leave at the end of the step."""
    await session.send("first")
    await session.send("second")


ROADS: dict[str, Callable[[DefaultWebSocketSession], Call]] = {
    "receive": lambda session: session.incoming.receive(),
    "next frame": lambda session: aiter(session.incoming).__anext__(),
    "next message": lambda session: aiter(session).__anext__(),
    "send": lambda session: session.send("x"),
}


@pytest.fixture(params=ROADS)
def road(request: pytest.FixtureRequest) -> Callable[[DefaultWebSocketSession], Call]:
    return ROADS[request.param]


@pytest.fixture
async def ready() -> AsyncIterator[DefaultWebSocketSession]:
    """A session in which nothing has to be waited for."""
    session, _ = opened()
    read(session, *map(str, range(100)))
    await in_a_step(session)
    yield session
    await session._core.sending.flush()
    session._core.cancel()


Road: TypeAlias = Callable[[DefaultWebSocketSession], Call]


async def test_it_is_a_coroutine_to_asyncio(ready: DefaultWebSocketSession, road: Road) -> None:
    for use in (asyncio.create_task, asyncio.ensure_future, asyncio.gather, asyncio.shield):
        call = road(ready)
        assert asyncio.iscoroutine(call)
        assert inspect.isawaitable(call)
        assert inspect.iscoroutine(call)
        assert isinstance(call, collections.abc.Coroutine)
        await use(call)
    await asyncio.wait_for(road(ready), 10)
    async with asyncio.TaskGroup() as group:
        for _ in range(20):
            group.create_task(road(ready), name="named")


async def test_names_and_repr(ready: DefaultWebSocketSession, road: Road) -> None:
    call = road(ready)
    assert call.__qualname__.endswith("." + call.__name__)
    assert repr(call).startswith(f"<coroutine object {call.__qualname__} at 0x")
    assert call.cr_await is None
    task = asyncio.ensure_future(call)
    assert call.__qualname__ in repr(task)
    await task


async def test_inspect_tells_its_state(ready: DefaultWebSocketSession, road: Road) -> None:
    call = road(ready)
    assert inspect.getcoroutinestate(call) == inspect.CORO_CREATED
    assert call.cr_frame.f_globals["__name__"].startswith("ktor_client.session.")
    await call
    assert inspect.getcoroutinestate(call) == inspect.CORO_CLOSED
    closed = road(ready)
    closed.close()
    assert inspect.getcoroutinestate(closed) == inspect.CORO_CLOSED


async def test_who_drives_it_by_hand_gets_its_result() -> None:
    session, _ = opened()
    read(session, "a", "b", "c")
    kept = []
    for _ in range(3):
        with pytest.raises(StopIteration) as caught:
            next(session.incoming.receive().__await__())  # which is gone when the error is handled
        kept.append(caught.value)
    assert [error.value for error in kept] == [TextFrame("a"), TextFrame("b"), TextFrame("c")]
    session._core.cancel()


async def test_it_gives_its_result_without_suspending(
    ready: DefaultWebSocketSession, road: Road
) -> None:
    call = road(ready)
    with pytest.raises(StopIteration):
        call.send(None)
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        await call
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        call.throw(ZeroDivisionError)
    call.close()


async def test_it_may_be_awaited_through_another(
    ready: DefaultWebSocketSession, road: Road
) -> None:
    class Wrapped:
        def __await__(self) -> Any:
            return (yield from road(ready).__await__())

    async def outer() -> object:
        return await road(ready)

    await Wrapped()
    await outer()


async def test_nothing_but_none_is_sent_at_first(
    ready: DefaultWebSocketSession, road: Road
) -> None:
    call = road(ready)
    with pytest.raises(TypeError, match="can't send non-None value to a just-started coroutine"):
        call.send(1)
    call.close()


@pytest.mark.parametrize("end", ["close", "throw", "task"])
async def test_what_never_begins_takes_and_sends_nothing(
    ready: DefaultWebSocketSession, road: Road, end: str
) -> None:
    queued, taken = len(ready.incoming), ready._link.taken
    call = road(ready)
    if end == "close":
        call.close()
        call.close()
    elif end == "throw":
        with pytest.raises(ZeroDivisionError, match="why"):
            call.throw(ZeroDivisionError("why"))
    else:
        task = asyncio.ensure_future(call)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    with pytest.raises(RuntimeError, match="cannot reuse already awaited coroutine"):
        call.send(None)
    assert (len(ready.incoming), ready._link.taken) == (queued, taken)


async def test_what_is_never_awaited_is_told(ready: DefaultWebSocketSession, road: Road) -> None:
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        call = road(ready)
        name = call.__qualname__
        del call
        gc.collect()
    assert [str(warning.message) for warning in told] == [f"coroutine '{name}' was never awaited"]
    assert told[0].category is RuntimeWarning


async def test_a_cycle_with_it_is_collected(ready: DefaultWebSocketSession, road: Road) -> None:
    class Holder:
        call: Call
        itself: object  # the cycle

    holder = Holder()
    holder.call = road(ready)
    holder.call.close()
    holder.itself = holder
    gone = weakref.ref(holder)
    del holder
    gc.collect()
    assert gone() is None


async def test_contexts_and_cancellation_pass(ready: DefaultWebSocketSession, road: Road) -> None:
    variable = contextvars.ContextVar("variable", default=0)

    async def body() -> int:
        variable.set(1)
        await road(ready)
        return variable.get()

    assert await asyncio.create_task(body()) == 1
    assert variable.get() == 0
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await road(ready)  # as it does not suspend, nobody is told yet
    with pytest.raises(asyncio.CancelledError):
        await asyncio.sleep(0)
    task.uncancel()


# --- receiving ---


async def test_frames_go_in_the_order_in_which_they_are_awaited() -> None:
    session, _ = opened()
    read(session, "1", "2", "3")
    first, second, third = (session.incoming.receive() for _ in range(3))
    assert await third == Frame.Text("1")
    assert await first == Frame.Text("2")
    assert await second == Frame.Text("3")
    session._core.cancel()


@pytest.mark.parametrize("name", ["receive", "next frame", "next message"])
async def test_one_that_finds_nothing_waits_as_any_other(name: str) -> None:
    session, _ = opened()
    read(session, "1")
    late = ROADS[name](session)
    await session.incoming.receive()
    task = asyncio.ensure_future(late)
    await asyncio.sleep(0)
    assert not task.done()
    assert late.cr_await is not None
    assert inspect.getcoroutinestate(late) == inspect.CORO_SUSPENDED
    read(session, "2")
    got = await task
    assert (got if isinstance(got, str) else got.text) == "2"
    read(session, "3")
    cancelled = ROADS[name](session)
    await session.incoming.receive()
    task = asyncio.ensure_future(cancelled)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    read(session, "4")
    assert await session.incoming.receive() == Frame.Text("4")  # nothing was lost
    read(session, "5")
    closed = ROADS[name](session)
    await session.incoming.receive()
    closed.send(None)
    closed.close()
    read(session, "6")
    assert await session.incoming.receive() == Frame.Text("6")
    session._core.cancel()


async def test_both_kinds_of_messages_are_iterated() -> None:
    session, _ = opened()
    link: Any = session._link
    feed(link, frame(TEXT, "ä".encode()) + frame(PING, b"") + frame(BINARY, b"\xff"))
    found: list[str | bytes] = []
    async for message in session:
        found.append(message)
        if len(found) == 2:
            break
    assert found == ["ä", b"\xff"]
    session._core.cancel()


async def test_iteration_ends_quietly_behind_what_is_queued() -> None:
    session, _ = opened()
    link: Any = session._link
    feed(link, frame(TEXT, b"a") * 3 + frame(8, b"\x03\xe8"))
    assert [one.text async for one in session.incoming if type(one) is TextFrame] == ["a"] * 3
    with pytest.raises(ConnectionClosedError):
        await session.incoming.receive()
    with pytest.raises(StopAsyncIteration):
        await anext(aiter(session))
    session._core.cancel()


async def test_marks_are_kept() -> None:
    session, transport = opened(channels=Channels(incoming=bounded(4)))
    read(session, *"123456")
    await asyncio.sleep(0)
    assert not transport.reading
    for _ in range(4):
        await session.incoming.receive()
    assert transport.reading
    session._core.cancel()


def test_another_loop_takes_nothing() -> None:
    async def make() -> DefaultWebSocketSession:
        session, _ = opened()
        read(session, "1", "2")
        return session

    async def take(session: DefaultWebSocketSession) -> None:
        for road in ("receive", "next frame", "next message"):
            with pytest.raises(WrongLoopError):
                await ROADS[road](session)
        assert len(session.incoming) == 2

    with asyncio.Runner() as first, asyncio.Runner() as second:
        session = first.run(make())
        second.run(take(session))
        assert first.run(ROADS["receive"](session)) == Frame.Text("1")
        first.run(aclosing(session))


async def aclosing(session: DefaultWebSocketSession) -> None:
    session._core.cancel()
    await asyncio.sleep(0)


# --- sending ---


async def test_messages_of_one_step_leave_together_and_in_order() -> None:
    session, transport = opened()
    sent: list[str | bytes] = [
        "",
        "a",
        "ä€𝄞",
        "x" * 125,
        "x" * 126,
        "x" * 65535,
        b"",
        b"\x00\xff",
        b"y" * 300,
    ]
    for message in sent:
        await session.send(message)
    await asyncio.sleep(0)
    got = unmasked(b"".join(transport.writes))
    assert got == [(0x81, one.encode()) if isinstance(one, str) else (0x82, one) for one in sent]
    assert session.statistics.frames_sent == len(sent)
    assert session.statistics.bytes_sent == sum(map(len, transport.writes))
    session._core.cancel()


async def test_other_kinds_and_names_and_long_ones() -> None:
    session, transport = opened()
    await in_a_step(session)

    class Text(str):
        __slots__ = ()

    await session.send(message="by name")
    await session.send(bytearray(b"array"))
    await session.send(memoryview(b"view"))
    await session.send(Text("sub"))
    await session.send(TextFrame("text frame"))
    await session.send(BinaryFrame(b"binary frame"))
    await session.send("x" * 70_000)
    await session.flush()
    got = unmasked(b"".join(transport.writes))[2:]
    texts = (b"by name", b"array", b"view", b"sub", b"text frame", b"binary frame", b"x" * 70_000)
    assert [payload for _, payload in got] == [*texts]
    send: Any = session.send
    with pytest.raises(TypeError, match="send takes str, bytes or a Frame, not int"):
        await send(1)
    for wrong in ((), ("a", "b")):
        with pytest.raises(TypeError, match="argument"):
            send(*wrong)
    with pytest.raises(TypeError, match="argument"):
        send(massage="a")
    session._core.cancel()


async def test_a_lone_surrogate_is_refused() -> None:
    session, transport = opened()
    await in_a_step(session)
    with pytest.raises(UnicodeEncodeError, match="surrogates not allowed"):
        await session.send("a\ud800")
    await session.send("good")
    await asyncio.sleep(0)
    assert unmasked(b"".join(transport.writes))[-1] == (0x81, b"good")
    session._core.cancel()


async def test_a_batch_is_written_and_a_spent_step_waits() -> None:
    session, transport = opened()
    await in_a_step(session)
    message, size = "x" * 1000, 1008
    for _ in range(BATCH // size + 1):
        await session.send(message)
    assert len(transport.writes) == 2
    ended = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(ended.set_result, None)
    count = 0
    while not ended.done():
        await session.send(message)
        count += 1
    assert STEP // size - BATCH // size <= count <= STEP // size + 2
    session._core.cancel()


async def test_a_session_that_has_ended_refuses() -> None:
    session, _ = opened()
    await in_a_step(session)
    late = session.send("late")
    session._core.cancel()
    with pytest.raises(ConnectionClosedError):
        await late
    with pytest.raises(ConnectionClosedError):
        await session.send("later")
