"""A read that steps who receives: the same tasks, messages and ends as by the loop's next turn.

What comes over real sockets, on both loops and through TLS, is in `test_eager_engines.py`.
"""

from __future__ import annotations

import asyncio
import contextvars
import gc
import random
import sys
from collections.abc import Callable
from typing import Any

import pytest

from ktor_client import CloseReason, ConnectionClosedError, Frame, _twin
from ktor_client.link import stream as stream_room
from ktor_client.protocol.plain import ONE_READ
from ktor_client.session import DefaultWebSocketSession
from tests.session.test_awaitables import opened, read
from tests.support.fake_transport import feed
from tests.support.raw_server import TEXT, close_frame, frame

pytestmark = pytest.mark.skipif(_twin._core is None, reason="only the compiled core wakes eagerly")

WAYS: dict[str, Callable[[DefaultWebSocketSession], Any]] = {
    "receive": lambda session: session.incoming.receive(),
    "next frame": lambda session: anext(session.incoming),
    "next message": lambda session: anext(aiter(session)),
    "receive_text": lambda session: session.receive_text(),
}


@pytest.fixture(params=WAYS)
def way(request: pytest.FixtureRequest) -> Callable[[DefaultWebSocketSession], Any]:
    return WAYS[request.param]


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream_room, "new_wakeups", lambda loop: _twin._core.new_wakeups(loop))


def text_of(message: Frame | str | bytes) -> str:
    found = message if isinstance(message, str) else getattr(message, "text", None)
    assert isinstance(found, str)
    return found


class Reads:
    """Lets bytes come as a transport does: outside of every task. Notes what happens around it."""

    def __init__(self, session: DefaultWebSocketSession) -> None:
        self.session = session
        self.log: list[object] = []

    async def of(self, data: bytes, context: contextvars.Context | None = None) -> None:
        """Return at the end of the read, before the loop's next turn has begun."""
        loop = asyncio.get_running_loop()
        done = loop.create_future()

        def in_callback() -> None:
            assert asyncio.current_task() is None
            self.log.append("read")
            link: Any = self.session._link
            feed(link, data)
            self.log.append("end")
            assert asyncio.current_task() is None
            done.set_result(None)

        loop.call_soon(in_callback, context=context)
        await done

    async def text(self, *texts: str, **options: Any) -> None:
        await self.of(b"".join(frame(TEXT, text.encode()) for text in texts), **options)


async def started(call: Any, **options: Any) -> asyncio.Task[Any]:
    """A task that waits already."""

    async def body() -> Any:
        return await call

    task = asyncio.get_running_loop().create_task(body(), **options)
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_task_runs_within_the_read(way: Callable[..., Any]) -> None:
    session, _ = opened()
    reads = Reads(session)

    async def body() -> None:
        while len(reads.log) < 8:
            reads.log.append(text_of(await way(session)))

    task = await started(body())
    for text in ("a", "b", "c"):
        await reads.text(text)
    assert reads.log == ["read", "a", "end", "read", "b", "end", "read", "c", "end"]
    await task
    session._core.cancel()


async def test_a_task_keeps_its_name_its_context_and_its_place() -> None:
    session, _ = opened()
    reads = Reads(session)
    variable = contextvars.ContextVar("variable", default="outside")
    variable.set("ours")

    async def body() -> None:
        variable.set("the task's")
        await session.receive_text()
        task = asyncio.current_task()
        assert task is not None
        reads.log += [variable.get(), task.get_name(), task in asyncio.all_tasks()]
        variable.set("the task's own")

    task = await started(body(), name="reader")
    await reads.text("x")
    assert reads.log == ["read", "the task's", "reader", True, "end"]
    assert variable.get() == "ours"
    await task
    session._core.cancel()


async def test_what_a_task_feeds_waits_for_the_loop(way: Callable[..., Any]) -> None:
    session, _ = opened()
    task = await started(way(session))
    read(session, "a")  # as a pipe in memory does, within this task
    assert not task.done()
    assert text_of(await task) == "a"
    session._core.cancel()


async def test_one_task_a_read_at_most() -> None:
    session, _ = opened()
    reads = Reads(session)

    async def body() -> None:
        reads.log.append(await session.receive_text())

    tasks = [asyncio.create_task(body()) for _ in range(5)]
    await asyncio.sleep(0)
    await reads.text("a", "b", "c")
    assert reads.log == ["read", "end", "a", "b", "c"]
    await reads.text("d")
    assert reads.log[5:] == ["read", "d", "end"]
    tasks[4].cancel()
    await asyncio.wait(tasks)
    session._core.cancel()


@pytest.mark.parametrize("extra", [0, 1])
async def test_a_long_read_goes_through_the_loop(extra: int) -> None:
    session, _ = opened()
    reads = Reads(session)

    async def body() -> None:
        await session.receive_text()
        reads.log.append("x")

    task = await started(body())
    await reads.text("x" * (ONE_READ - 4 + extra))
    await task
    assert reads.log == (["read", "end", "x"] if extra else ["read", "x", "end"])
    session._core.cancel()


async def test_all_messages_of_a_read_come_and_no_other() -> None:
    """A loop that receives ends its step with the read, however many messages are to come."""
    session, _ = opened()
    reads = Reads(session)

    async def body() -> None:
        async for message in session:
            reads.log.append(message)

    task = asyncio.create_task(body())
    await asyncio.sleep(0)
    expected: list[object] = []
    for number in range(50):
        texts = [f"{number}.{part}" for part in range(number % 4 + 1)]
        await reads.text(*texts)
        expected += ["read", *texts, "end"]
        assert reads.log == expected
    session._core.cancel()
    await task


# --- what a step may do ---


async def test_an_exception_is_the_tasks() -> None:
    session, _ = opened()
    reads = Reads(session)

    async def body() -> None:
        await session.receive_text()
        raise ZeroDivisionError("mine")

    task = await started(body())
    await reads.text("x")
    assert reads.log == ["read", "end"]
    with pytest.raises(ZeroDivisionError, match="mine"):
        await task
    assert session.is_open
    session._core.cancel()


@pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit])
def test_what_ends_a_program_is_for_the_loop(error: type[BaseException]) -> None:
    log: list[object] = []
    kept: list[Any] = []

    async def main() -> None:
        session, _ = opened()
        reads = Reads(session)
        reads.log = log
        kept.append(session)

        async def body() -> None:
            await session.receive_text()
            raise error("now")

        kept.append(await started(body()))
        await reads.text("x")
        await asyncio.sleep(10)

    loop = asyncio.new_event_loop()
    task = loop.create_task(main())
    with pytest.raises(error, match="now"):
        loop.run_until_complete(task)
    assert log == ["read", "end"]  # the transport has not heard of it
    with pytest.raises(error):
        kept[1].result()
    assert kept[0].is_open
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    kept[0]._core.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def test_a_task_cancels_itself() -> None:
    session, _ = opened()
    reads = Reads(session)

    async def body() -> None:
        await session.receive_text()
        task = asyncio.current_task()
        assert task is not None
        task.cancel("enough")
        reads.log.append("asked")
        await session.receive_text()

    task = await started(body())
    await reads.text("x")
    assert reads.log == ["read", "asked", "end"]
    with pytest.raises(asyncio.CancelledError, match="enough"):
        await task
    await reads.text("y")
    assert await session.receive_text() == "y"  # nothing was lost
    session._core.cancel()


@pytest.mark.parametrize("end", ["cancel", "close", "frame", "stop"])
async def test_a_task_ends_its_session_within_the_read(end: str) -> None:
    session, transport = opened()
    reads = Reads(session)

    async def body() -> None:
        await session.receive_text()
        if end == "cancel":
            session.cancel()
        elif end == "close":
            await session.close(CloseReason(4000, "enough"))
        elif end == "frame":
            await session.send(Frame.Close(CloseReason(4000, "enough")))
        else:
            session._core.close_without_waiting(CloseReason(4000, "enough"))
        reads.log.append("ended")

    task = await started(body())
    await reads.text("x")
    if end == "close":
        assert reads.log == ["read", "end"]
        await reads.of(close_frame(4000, "enough"))
        await task
    else:
        assert reads.log == ["read", "ended", "end"]
        await task
        assert transport.calls == ({"cancel": ["abort"], "stop": ["close"]}.get(end) or [])
    await reads.text("late")
    session._core.cancel()
    with pytest.raises(ConnectionClosedError):
        while True:
            await session.receive_text()


@pytest.mark.parametrize("tail", ["close", "wrong", "ping", "fragment"])
async def test_all_of_a_read_is_booked_before_the_task_runs(tail: str) -> None:
    session, transport = opened()
    reads = Reads(session)
    tails = {
        "close": close_frame(4001, "bye"),
        "wrong": b"\xff\xff",
        "ping": frame(9, b"p"),
        "fragment": frame(TEXT, b"half", fin=False),
    }

    async def body() -> None:
        reads.log.append(await session.receive_text())
        statistics = session.statistics
        reads.log.append((statistics.frames_received, session.is_open, len(transport.writes)))

    task = await started(body())
    data = frame(TEXT, b"x") + tails[tail]
    await reads.of(data)
    found = {"close": (2, False, 1), "wrong": (1, True, 0), "ping": (2, True, 1)}
    assert reads.log == ["read", "x", found.get(tail, (1, True, 0)), "end"]
    assert session.statistics.bytes_received == len(data)
    await task
    session._core.cancel()


async def test_the_loop_may_not_be_closed() -> None:
    session, _ = opened()
    reads = Reads(session)
    loop = asyncio.get_running_loop()

    async def body() -> None:
        await session.receive_text()
        with pytest.raises(RuntimeError, match="Cannot close a running event loop"):
            loop.close()
        reads.log.append("refused")

    task = await started(body())
    await reads.text("x")
    assert reads.log == ["read", "refused", "end"]
    await task
    session._core.cancel()


def test_a_loop_that_is_stopped_within_the_read() -> None:
    log: list[object] = []

    async def main() -> DefaultWebSocketSession:
        session, _ = opened()
        reads = Reads(session)
        reads.log = log

        async def body() -> None:
            await session.receive_text()
            asyncio.get_running_loop().stop()
            await asyncio.sleep(0)
            log.append("goes on")

        asyncio.get_running_loop().create_task(body()).add_done_callback(log.append)
        await asyncio.sleep(0)
        await reads.text("x")
        log.append("main")
        return session

    loop = asyncio.new_event_loop()
    task = loop.create_task(main())
    loop.run_forever()
    assert log[:2] == ["read", "end"]
    session = loop.run_until_complete(task)
    loop.run_until_complete(asyncio.sleep(0))
    assert "goes on" in log
    session._core.cancel()
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


async def test_timeouts_groups_and_shields() -> None:
    session, _ = opened()
    reads = Reads(session)
    got: list[str] = []

    async def body() -> None:
        async with asyncio.timeout(30):
            got.append(await session.receive_text())
        got.append(await asyncio.wait_for(session.receive_text(), 30))
        got.append(await asyncio.shield(session.receive_text()))
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(session.receive_text()).add_done_callback(
                    lambda task: got.append(task.result())
                )
        got.extend(await asyncio.gather(*(session.receive_text() for _ in range(3))))

    task = asyncio.create_task(body())
    number = 0
    while not task.done():
        await asyncio.sleep(0)
        if session._core.incoming._waiters:
            await reads.text(str(number))
            number += 1
    await task
    assert sorted(got, key=int) == [str(number) for number in range(9)]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await session.receive_text()
    await reads.text("kept")
    assert await session.receive_text() == "kept"
    session._core.cancel()


@pytest.mark.skipif(sys.version_info < (3, 12), reason="eager tasks came with Python 3.12")
async def test_eager_tasks() -> None:
    session, _ = opened()
    reads = Reads(session)
    loop = asyncio.get_running_loop()
    factory: Any = asyncio.eager_task_factory  # type: ignore[attr-defined,unused-ignore]  # 3.12
    loop.set_task_factory(factory)

    async def inner() -> str:
        reads.log.append("inner")
        return await session.receive_text()

    async def body() -> str:
        await session.receive_text()
        mine = asyncio.current_task()
        task = asyncio.ensure_future(inner())  # begins at once, within this step
        assert asyncio.current_task() is mine
        return await task

    try:
        task = asyncio.ensure_future(body())
        await reads.text("a")
        assert reads.log == ["read", "inner", "end"]
        await reads.text("b")
        assert await task == "b"
    finally:
        loop.set_task_factory(None)
        session._core.cancel()


async def test_tasks_of_python() -> None:
    """The class that is asyncio's own where there is no compiled one."""
    session, _ = opened()
    reads = Reads(session)
    kind: Any = asyncio.tasks._PyTask  # type: ignore[attr-defined]  # so it is named there

    async def body() -> None:
        reads.log.append(await session.receive_text())
        reads.log.append(await session.receive_text())

    task = kind(body(), loop=asyncio.get_running_loop())
    await asyncio.sleep(0)
    await reads.text("a")
    assert reads.log == ["read", "a", "end"]
    await reads.text("b")
    await task
    session._core.cancel()


async def test_a_context_that_is_entered_waits_for_the_loop() -> None:
    session, _ = opened()
    reads = Reads(session)
    context = contextvars.copy_context()

    async def body() -> None:
        reads.log.append(await session.receive_text())

    task = await started(body(), context=context)
    await reads.text("x", context=context)
    await task
    assert reads.log == ["read", "end", "x"]
    session._core.cancel()


async def test_who_is_stepped_may_cancel_who_waits() -> None:
    session, _ = opened()
    reads = Reads(session)
    second: asyncio.Task[str]

    async def body() -> None:
        await session.receive_text()
        second.cancel()

    first = await started(body())
    second = await started(session.receive_text())
    await reads.text("x")
    await first
    with pytest.raises(asyncio.CancelledError):
        await second
    await reads.text("y")
    assert await session.receive_text() == "y"
    session._core.cancel()


async def test_a_timeout_that_is_due_in_the_same_turn_loses_nothing() -> None:
    session, _ = opened()
    reads = Reads(session)
    for before in (True, False):
        task = await started(session.receive_text())
        if before:
            asyncio.get_running_loop().call_soon(task.cancel)
        await reads.text("x")
        if not before:
            task.cancel()
        results = await asyncio.gather(task, return_exceptions=True)
        if isinstance(results[0], BaseException):
            assert session.incoming.receive_nowait() == Frame.Text("x")
        else:
            assert results[0] == "x"
        assert len(session.incoming) == 0
    session._core.cancel()


# --- chaos ---


@pytest.mark.parametrize("seed", range(40))
async def test_whatever_is_cancelled_each_message_comes_once(seed: int) -> None:
    source = random.Random(seed)
    session, _ = opened()
    reads = Reads(session)
    got: list[str] = []
    sent: list[str] = []
    tasks: list[asyncio.Task[None]] = []

    async def receiver() -> None:
        limit = source.choice((1, 2, 5))
        for _ in range(limit):
            way = source.choice(list(WAYS.values()))
            got.append(text_of(await way(session)))
            match source.randrange(8):
                case 0:
                    await asyncio.sleep(0)
                case 1:
                    source.choice(tasks).cancel()
                case 2:
                    await session.send("answer")
                case _:
                    pass

    for _ in range(200):
        match source.randrange(6):
            case 0 | 1:
                tasks.append(asyncio.create_task(receiver()))
            case 2 if tasks:
                source.choice(tasks).cancel()
            case 3:
                await asyncio.sleep(0)
            case _:
                texts = [str(len(sent) + part) for part in range(source.choice((1, 1, 1, 3)))]
                sent += texts
                await reads.text(*texts)
        if source.randrange(50) == 0:
            gc.collect()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    while len(session.incoming):
        got.append(text_of(session.incoming.receive_nowait()))
    assert sorted(got, key=int) == sent
    assert not session._core.incoming._waiters
    session._core.cancel()


@pytest.mark.parametrize("seed", range(10))
async def test_one_receiver_gets_all_in_order_whatever_is_cancelled(seed: int) -> None:
    source = random.Random(seed)
    session, _ = opened()
    reads = Reads(session)
    got: list[str] = []

    async def receiver() -> None:
        async for message in session:
            got.append(text_of(message))

    task = asyncio.create_task(receiver())
    for number in range(300):
        await reads.text(str(number))
        if source.randrange(5) == 0:
            task.cancel()
            if source.randrange(2):
                await asyncio.wait([task])
            task = asyncio.create_task(receiver())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert got == [str(number) for number in range(300)]
    task.cancel()
    session._core.cancel()


# --- what is waited for ---


async def test_it_is_a_future_to_asyncio() -> None:
    session, _ = opened()
    call = session.incoming.receive()
    waiter: Any = call.send(None)
    assert asyncio.isfuture(waiter)
    assert waiter.get_loop() is asyncio.get_running_loop()
    assert repr(waiter) == "<Waiter pending>"
    assert (waiter.done(), waiter.cancelled()) == (False, False)
    for get in (waiter.result, waiter.exception):
        with pytest.raises(asyncio.InvalidStateError):
            get()
    with pytest.raises(RuntimeError, match="await wasn't used with future"):
        call.send(None)
    assert not session._core.incoming._waiters

    call = session.incoming.receive()
    waiter = call.send(None)
    told: list[object] = []
    others: list[object] = []
    waiter.add_done_callback(told.append)
    waiter.add_done_callback(told.append, context=contextvars.copy_context())
    waiter.add_done_callback(others.append)
    for wrong in ((), (1, 2)):
        with pytest.raises(TypeError):
            waiter.add_done_callback(*wrong)
    with pytest.raises(TypeError):
        waiter.add_done_callback(print, contexts=None)
    assert waiter.remove_done_callback(others.append) == 1
    read(session, "x")
    assert waiter.result() == Frame.Text("x")
    assert waiter.exception() is None
    assert waiter.cancel() is False
    for again in (waiter.set_result, waiter.set_exception):
        with pytest.raises(asyncio.InvalidStateError):
            again(ValueError())
    waiter.add_done_callback(told.append)
    assert told == []
    await asyncio.sleep(0)
    assert (told, others) == ([waiter] * 3, [])
    with pytest.raises(StopIteration) as done:
        call.send(None)
    assert done.value.value == Frame.Text("x")
    session._core.cancel()


async def test_it_may_fail_and_be_cancelled() -> None:
    session, _ = opened()
    calls = [session.incoming.receive() for _ in range(4)]
    cancelled, named, failed, made = (call.send(None) for call in calls)
    assert cancelled.cancel()
    assert named.cancel(msg="why")
    failed.set_exception(ZeroDivisionError("mine"))
    made.set_exception(ZeroDivisionError)
    assert [repr(one) for one in (named, failed)] == ["<Waiter cancelled>", "<Waiter failed>"]
    assert (cancelled.cancelled(), failed.cancelled()) == (True, False)
    with pytest.raises(asyncio.CancelledError):
        cancelled.exception()
    with pytest.raises(asyncio.CancelledError, match="why"):
        named.result()
    assert repr(failed.exception()) == "ZeroDivisionError('mine')"
    for call, error in zip(
        calls, [asyncio.CancelledError] * 2 + [ZeroDivisionError] * 2, strict=True
    ):
        with pytest.raises(error):
            call.send(None)
    assert not session._core.incoming._waiters
    session._core.cancel()


@pytest.mark.parametrize("end", ["throw", "throw class", "close", "drop", "cycle"])
async def test_who_waits_no_more_gives_back_what_came(end: str, way: Callable[..., Any]) -> None:
    for has_come in (False, True):
        session, _ = opened()

        async def body(session: DefaultWebSocketSession = session) -> None:
            await way(session)

        call: Any = body()
        call.send(None)
        if has_come:
            read(session, "first")
            read(session, "second")
        match end:
            case "throw":
                with pytest.raises(ZeroDivisionError, match="why"):
                    call.throw(ZeroDivisionError("why"))
            case "throw class":
                with pytest.raises(ZeroDivisionError):
                    call.throw(ZeroDivisionError)
            case "close":
                call.close()
            case "cycle":
                cycle: list[object] = [call]
                cycle.append(cycle)
                del call, cycle
                gc.collect()
            case _:
                del call
        assert not session._core.incoming._waiters
        if has_come:
            assert [await session.receive_text() for _ in range(2)] == ["first", "second"]
        else:
            read(session, "third")
            assert await session.receive_text() == "third"
        session._core.cancel()


async def test_a_cycle_gives_back_what_came_time_after_time() -> None:
    session, _ = opened()

    def make(has_come: bool) -> None:
        call: Any = session.incoming.receive()
        call.send(None)
        if has_come:
            read(session, "first")
        cycle: list[object] = [call]
        cycle.append(cycle)

    for _ in range(10):
        make(has_come=False)
        gc.collect()
        assert not session._core.incoming._waiters
        make(has_come=True)
        gc.collect()
        assert session.incoming.receive_nowait() == Frame.Text("first")
    session._core.cancel()


async def test_an_end_is_told_to_all_who_wait() -> None:
    session, _ = opened()
    reads = Reads(session)
    quiet = [await started(WAYS[name](session)) for name in ("next frame", "next message")]
    told = [await started(WAYS[name](session)) for name in ("receive", "receive_text")]
    await reads.of(close_frame(1000))
    for task in quiet:
        with pytest.raises(StopAsyncIteration):
            await task
    for task in told:
        with pytest.raises(ConnectionClosedError):
            await task
    session._core.cancel()
