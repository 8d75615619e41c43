"""The incoming channel without a session: who gets what and when, the loop, and the end."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Coroutine

import pytest

from ktor_client.channels import ChannelLimit, ChannelOverflow, bounded
from ktor_client.errors import ConnectionClosedError, WrongLoopError
from ktor_client.frames import Frame
from ktor_client.link.home_loop import HomeLoop, session_loop
from ktor_client.session.incoming import BURST, Incoming

CLOSE = ChannelOverflow.CLOSE


class Session:
    """Owns a channel, reads byte strings into it, and keeps what the channel tells."""

    def __init__(self, limit: ChannelLimit) -> None:
        self.told: list[str] = []
        create_future = asyncio.get_running_loop().create_future
        self.channel = Incoming(limit, self, session_loop(), create_future)

    def incoming_full(self) -> None:
        self.told.append("full")

    def incoming_relieved(self) -> None:
        self.told.append("relieved")

    def incoming_overflowed(self) -> None:
        self.told.append("overflowed")

    def read(self, *items: bytes, size: int | None = None) -> None:
        """Append what one read has brought."""
        self.channel.queue.extend(map(Frame.Binary, items))
        self.channel.arrived(sum(map(len, items)) if size is None else size)

    def end(self, *, quietly: bool = False) -> None:
        self.channel.end(lambda: ConnectionClosedError("it is over"), quietly=quietly)

    @property
    def queued(self) -> list[bytes]:
        return [frame.data for frame in self.channel.queue]


async def started(*awaitables: Awaitable[Frame]) -> list[asyncio.Task[bytes]]:
    """Return tasks that have run up to where they wait; their results are payloads."""

    async def payload(awaitable: Awaitable[Frame]) -> bytes:
        return (await awaitable).data

    tasks = [asyncio.ensure_future(payload(awaitable)) for awaitable in awaitables]
    await asyncio.sleep(0)
    return tasks


# --- receiving ---


async def test_what_is_queued_comes_without_waiting() -> None:
    session = Session(bounded(9))
    session.read(b"1", b"2", b"3")
    channel = session.channel
    assert len(channel) == 3
    with pytest.raises(StopIteration) as first:
        channel.receive().send(None)
    assert first.value.value == Frame.Binary(b"1")
    with pytest.raises(StopIteration) as second:
        channel.__anext__().send(None)
    assert second.value.value == Frame.Binary(b"2")
    assert channel.receive_nowait() == Frame.Binary(b"3")
    with pytest.raises(asyncio.QueueEmpty, match="await receive"):
        channel.receive_nowait()


async def test_waiters_are_served_in_the_order_of_their_calls() -> None:
    session = Session(bounded(9))
    tasks = await started(*(session.channel.receive() for _ in range(3)))
    session.read(b"1", b"2")
    session.read(b"3", b"4")
    assert await asyncio.gather(*tasks) == [b"1", b"2", b"3"]
    assert session.channel.receive_nowait() == Frame.Binary(b"4")


async def test_a_cancelled_receive_takes_nothing() -> None:
    session = Session(bounded(9))
    tasks = await started(session.channel.receive(), session.channel.receive())
    tasks[0].cancel()
    await asyncio.wait(tasks[:1])
    session.read(b"1")
    assert await tasks[1] == b"1"
    assert tasks[0].cancelled()


async def test_a_receive_cancelled_before_it_has_run_on() -> None:
    session = Session(bounded(9))
    tasks = await started(session.channel.receive(), session.channel.receive())
    tasks[0].cancel()
    session.read(b"1")  # the waiter is cancelled, its task does not know yet
    assert await tasks[1] == b"1"
    assert len(session.channel) == 0


async def test_a_receive_cancelled_before_the_end_takes_nothing() -> None:
    session = Session(bounded(9))
    [task] = await started(session.channel.receive())
    task.cancel()
    session.channel.queue.append(Frame.Binary(b"1"))  # by the read that also brought the end
    session.end()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await session.channel.receive() == Frame.Binary(b"1")


async def test_an_item_handed_to_a_cancelled_receive_goes_to_the_next() -> None:
    session = Session(bounded(9))
    tasks = await started(*(session.channel.receive() for _ in range(3)))
    session.read(b"1", b"2")
    tasks[0].cancel()
    await asyncio.wait(tasks[:2])
    assert tasks[0].cancelled()
    assert await tasks[1] == b"2"
    assert await tasks[2] == b"1"


async def test_an_item_handed_to_a_cancelled_receive_is_first_again() -> None:
    session = Session(bounded(9))
    (task,) = await started(session.channel.receive())
    session.read(b"1", b"2")
    task.cancel()
    await asyncio.wait([task])
    assert session.queued == [b"1", b"2"]


async def test_items_given_back_keep_their_order() -> None:
    session = Session(bounded(9))
    tasks = await started(*(session.channel.receive() for _ in range(3)))
    session.read(b"1", b"2", b"3", b"4")
    for task in reversed(tasks):
        task.cancel()
    await asyncio.wait(tasks)
    assert session.queued == [b"1", b"2", b"3", b"4"]


async def test_an_item_given_back_after_an_earlier_one_was_taken() -> None:
    session = Session(bounded(9))
    tasks = await started(session.channel.receive(), session.channel.receive())
    taken: list[Frame] = []
    session.read(b"1")
    asyncio.get_running_loop().call_soon(lambda: taken.append(session.channel.receive_nowait()))
    session.read(b"2", b"3")
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert taken == [Frame.Binary(b"1")]
    assert session.queued == [b"2", b"3"]


async def test_an_item_given_back_counts_again() -> None:
    session = Session(bounded(9, on_overflow=CLOSE, max_bytes=10))
    (task,) = await started(session.channel.receive())
    session.read(b"x" * 8)
    task.cancel()
    await asyncio.wait([task])
    session.read(b"y" * 8)
    assert session.told == ["overflowed"]
    assert session.queued == [b"x" * 8]


async def test_a_timeout_loses_nothing() -> None:
    session = Session(bounded(9))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await session.channel.receive()
    session.read(b"1")
    assert await session.channel.receive() == Frame.Binary(b"1")


# --- the end ---


async def test_what_is_queued_stays_readable() -> None:
    session = Session(bounded(9))
    session.read(b"1", b"2", b"3")
    assert repr(session.channel) == "<ReceiveChannel open, 3 queued>"
    session.end()
    assert session.channel.is_closed
    assert repr(session.channel) == "<ReceiveChannel closed, 3 queued>"
    assert await session.channel.receive() == Frame.Binary(b"1")
    assert session.channel.receive_nowait() == Frame.Binary(b"2")
    assert await anext(session.channel) == Frame.Binary(b"3")
    for _ in range(2):
        with pytest.raises(ConnectionClosedError, match="it is over"):
            await session.channel.receive()
        with pytest.raises(ConnectionClosedError, match="it is over"):
            session.channel.receive_nowait()


async def test_all_waiters_learn_of_the_end() -> None:
    session = Session(bounded(9))
    tasks = await started(*(session.channel.receive() for _ in range(4)))
    tasks[1].cancel()
    session.channel.queue.append(Frame.Binary(b"1"))  # `arrived` not called yet
    session.end()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert results[0] == b"1"
    assert isinstance(results[1], asyncio.CancelledError)
    errors = results[2:]
    assert all(isinstance(error, ConnectionClosedError) for error in errors)
    assert errors[0] is not errors[1]


async def test_the_first_end_counts() -> None:
    session = Session(bounded(9))
    session.end()
    session.channel.end(lambda: ConnectionClosedError("another"), quietly=True)
    with pytest.raises(ConnectionClosedError, match="it is over"):
        await session.channel.receive()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_quiet_end_ends_the_loop(waits: bool) -> None:
    session = Session(bounded(9))
    found: list[Frame] = []

    async def loop() -> None:
        async for item in session.channel:
            found.append(item)

    session.read(b"1")
    if waits:
        task = asyncio.ensure_future(loop())
        await asyncio.sleep(0)
        session.end(quietly=True)
        await task
    else:
        session.end(quietly=True)
        await loop()
    assert found == [Frame.Binary(b"1")]
    with pytest.raises(ConnectionClosedError):
        await session.channel.receive()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_loud_end_breaks_the_loop(waits: bool) -> None:
    session = Session(bounded(9))

    async def loop() -> None:
        async for _ in session.channel:
            pass

    if waits:
        task = asyncio.ensure_future(loop())
        await asyncio.sleep(0)
        session.end()
    else:
        session.end()
        task = asyncio.ensure_future(loop())
    with pytest.raises(ConnectionClosedError, match="it is over"):
        await task


async def test_a_receive_cancelled_at_the_end() -> None:
    session = Session(bounded(9))
    (task,) = await started(session.channel.receive())
    session.end()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert len(session.channel) == 0


# --- another loop, another thread ---


async def take(channel: Incoming) -> Frame:
    return await channel.receive()


async def iterate(channel: Incoming) -> Frame:
    return await anext(channel)


async def take_now(channel: Incoming) -> Frame:
    return channel.receive_nowait()


WAYS = [take, iterate, take_now]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("taken", [0, 1])
async def test_what_is_queued_is_for_its_own_loop(
    way: Callable[[Incoming], Coroutine[None, None, Frame]], taken: int
) -> None:
    session = Session(bounded(2))
    session.read(*(b"1", b"2", b"3")[: 2 + taken])
    for _ in range(taken):
        await session.channel.receive()
    await asyncio.sleep(0)
    before = (session.queued, list(session.told))
    with pytest.raises(WrongLoopError):
        await asyncio.to_thread(asyncio.run, way(session.channel))
    with pytest.raises(WrongLoopError, match="runs in another thread"):
        await asyncio.to_thread(session.channel.receive_nowait)
    assert (session.queued, session.told) == before
    assert await way(session.channel) == Frame.Binary(before[0][0])


@pytest.mark.parametrize("way", WAYS)
async def test_nobody_waits_on_another_loop(
    way: Callable[[Incoming], Coroutine[None, None, Frame]],
) -> None:
    session = Session(bounded(2))
    with pytest.raises(WrongLoopError):
        await asyncio.to_thread(asyncio.run, way(session.channel))
    with pytest.raises(WrongLoopError):
        await asyncio.to_thread(session.channel.receive_nowait)
    assert not session.channel._waiters


async def test_what_is_left_behind_the_end_can_be_taken_anywhere() -> None:
    session = Session(bounded(9))
    session.read(b"1", b"2")
    session.end()
    assert await asyncio.to_thread(session.channel.receive_nowait) == Frame.Binary(b"1")
    assert await asyncio.to_thread(asyncio.run, take(session.channel)) == Frame.Binary(b"2")


def channels() -> int:
    return sum(isinstance(thing, Incoming) for thing in gc.get_objects())


@pytest.mark.parametrize("way", [take, iterate])
async def test_who_hears_of_the_end_leaves_no_ring(
    way: Callable[[Incoming], Coroutine[None, None, Frame]],
) -> None:
    session = Session(bounded(9))
    task = asyncio.ensure_future(way(session.channel))
    await asyncio.sleep(0)
    gc.collect()
    gc.disable()
    try:
        before = channels()
        session.end()
        await asyncio.wait([task])
        assert isinstance(task.exception(), ConnectionClosedError)
        del session, task
        assert channels() == before - 1
    finally:
        gc.enable()


async def test_a_burst_is_checked_once_for_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few frames are checked one by one; and whoever comes first after a read is checked anyway."""
    checks: list[object] = []
    check = HomeLoop.check

    def counted(home: HomeLoop) -> None:
        checks.append(home)
        check(home)

    monkeypatch.setattr(HomeLoop, "check", counted)
    session = Session(bounded(9))
    channel = session.channel
    for _ in range(2):
        session.read(*[b"x"] * 100)
        for _ in range(100):
            await channel.receive()
        assert len(checks) == 1
        checks.clear()
    session.read(*[b"x"] * BURST)
    for _ in range(BURST):
        channel.receive_nowait()
    assert len(checks) == BURST
    session.read(*[b"x"] * 100)
    channel.receive_nowait()
    await asyncio.sleep(0)  # the step ends, and with it the trust
    checks.clear()
    for _ in range(99):
        channel.receive_nowait()
    assert len(checks) == 1
