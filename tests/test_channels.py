"""Channels: who gets what and when, marks, strict limits, and the end; without a session."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

import pytest

from ktor_client.channels import (
    ChannelLimit,
    ChannelOverflow,
    Channels,
    ReceiveChannel,
    bounded,
    unlimited,
)
from ktor_client.errors import ConnectionClosedError

CLOSE = ChannelOverflow.CLOSE


class Session:
    """Owns a channel of byte strings, and keeps what the channel tells."""

    def __init__(self, limit: ChannelLimit) -> None:
        self.told: list[str] = []
        self.channel: ReceiveChannel[bytes] = ReceiveChannel(
            limit,
            size_of=len,
            on_choke=lambda: self.told.append("choke"),
            on_relief=lambda: self.told.append("relief"),
        )

    def read(self, *items: bytes, size: int | None = None) -> None:
        """Append what one read has brought."""
        self.channel._queue.extend(items)
        self.channel._arrived(sum(map(len, items)) if size is None else size)

    def end(self, *, quietly: bool = False) -> None:
        self.channel._close(lambda: ConnectionClosedError("it is over"), quietly=quietly)


async def started(*awaitables: Awaitable[bytes]) -> list[asyncio.Task[bytes]]:
    """Return tasks that have run up to where they wait."""
    tasks = [asyncio.ensure_future(awaitable) for awaitable in awaitables]
    await asyncio.sleep(0)
    assert all(isinstance(task, asyncio.Task) for task in tasks)
    return tasks


# --- limits as values ---


def test_limits() -> None:
    assert repr(bounded(5)) == (
        "bounded(5, on_overflow=ChannelOverflow.SUSPEND, max_bytes=4194304)"
    )
    assert repr(unlimited()) == "unlimited()"
    assert bounded(5) == bounded(5)
    assert hash(bounded(5)) == hash(bounded(5))
    assert bounded(5) != bounded(6)
    assert bounded(5) != bounded(5, on_overflow=CLOSE)
    assert bounded(5) != bounded(5, max_bytes=1)
    assert bounded(5) != "bounded(5)"
    assert unlimited() == unlimited()
    for capacity, size in ((0, 1), (1, 0), (-1, 1)):
        with pytest.raises(ValueError, match="at least 1 message and 1 byte"):
            bounded(capacity, max_bytes=size)


@pytest.mark.parametrize("wrong", [5, "unlimited", unlimited])
def test_limits_are_made_by_their_functions(wrong: Any) -> None:
    for name in ("incoming", "outgoing"):
        with pytest.raises(TypeError, match=r"limit is bounded\(64\) or unlimited\(\), not"):
            Channels(**{name: wrong})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"capacity": 1.5}, "are numbers of messages and bytes"),
        ({"capacity": None}, "see unlimited"),
        ({"capacity": 1, "max_bytes": None}, "are numbers of messages and bytes"),
        ({"capacity": 1, "on_overflow": "close"}, "takes a ChannelOverflow, not 'close'"),
    ],
)
def test_limits_of_another_type_are_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        bounded(**options)


def test_both_directions_have_64_messages() -> None:
    channels = Channels()
    assert channels.incoming == channels.outgoing == bounded(64, max_bytes=4 * 1024 * 1024)
    chosen = Channels(incoming=bounded(1), outgoing=unlimited())
    assert repr(chosen) == f"Channels(incoming={bounded(1)!r}, outgoing=unlimited())"


# --- receiving ---


async def test_what_is_queued_comes_without_waiting() -> None:
    session = Session(bounded(9))
    session.read(b"1", b"2", b"3")
    channel = session.channel
    assert len(channel) == 3
    with pytest.raises(StopIteration) as first:
        channel.receive().send(None)
    assert first.value.value == b"1"
    with pytest.raises(StopIteration) as second:
        channel.__anext__().send(None)
    assert second.value.value == b"2"
    assert channel.receive_nowait() == b"3"
    with pytest.raises(asyncio.QueueEmpty, match="await receive"):
        channel.receive_nowait()


async def test_waiters_are_served_in_the_order_of_their_calls() -> None:
    session = Session(bounded(9))
    tasks = await started(*(session.channel.receive() for _ in range(3)))
    session.read(b"1", b"2")
    session.read(b"3", b"4")
    assert await asyncio.gather(*tasks) == [b"1", b"2", b"3"]
    assert session.channel.receive_nowait() == b"4"


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
    session.channel._queue.append(b"1")  # by the read that also brought the end
    session.end()
    await asyncio.wait([task])
    assert task.cancelled()
    assert await session.channel.receive() == b"1"


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
    assert list(session.channel._queue) == [b"1", b"2"]


async def test_items_given_back_keep_their_order() -> None:
    session = Session(bounded(9))
    tasks = await started(*(session.channel.receive() for _ in range(3)))
    session.read(b"1", b"2", b"3", b"4")
    for task in reversed(tasks):
        task.cancel()
    await asyncio.wait(tasks)
    assert list(session.channel._queue) == [b"1", b"2", b"3", b"4"]


async def test_an_item_given_back_after_an_earlier_one_was_taken() -> None:
    session = Session(bounded(9))
    tasks = await started(session.channel.receive(), session.channel.receive())
    taken: list[bytes] = []
    session.read(b"1")
    asyncio.get_running_loop().call_soon(lambda: taken.append(session.channel.receive_nowait()))
    session.read(b"2", b"3")
    for task in tasks:
        task.cancel()
    await asyncio.wait(tasks)
    assert taken == [b"1"]
    assert list(session.channel._queue) == [b"2", b"3"]


async def test_an_item_given_back_counts_again() -> None:
    session = Session(bounded(9, on_overflow=CLOSE, max_bytes=10))
    (task,) = await started(session.channel.receive())
    session.read(b"x" * 8)
    task.cancel()
    await asyncio.wait([task])
    session.read(b"y" * 8)
    assert session.channel._overflowing()
    assert list(session.channel._queue) == [b"x" * 8]


async def test_a_timeout_loses_nothing() -> None:
    session = Session(bounded(9))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await session.channel.receive()
    session.read(b"1")
    assert await session.channel.receive() == b"1"


# --- the end ---


async def test_what_is_queued_stays_readable() -> None:
    session = Session(bounded(9))
    session.read(b"1", b"2", b"3")
    assert repr(session.channel) == "<ReceiveChannel open, 3 queued>"
    session.end()
    assert session.channel.is_closed
    assert repr(session.channel) == "<ReceiveChannel closed, 3 queued>"
    assert await session.channel.receive() == b"1"
    assert session.channel.receive_nowait() == b"2"
    assert await anext(session.channel) == b"3"
    for _ in range(2):
        with pytest.raises(ConnectionClosedError, match="it is over"):
            await session.channel.receive()
        with pytest.raises(ConnectionClosedError, match="it is over"):
            session.channel.receive_nowait()


async def test_all_waiters_learn_of_the_end() -> None:
    session = Session(bounded(9))
    tasks = await started(*(session.channel.receive() for _ in range(4)))
    tasks[1].cancel()
    session.channel._queue.append(b"1")  # appended, `_arrived` not called yet
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
    session.channel._close(lambda: ConnectionClosedError("another"), quietly=True)
    with pytest.raises(ConnectionClosedError, match="it is over"):
        await session.channel.receive()


@pytest.mark.parametrize("waits", [False, True])
async def test_a_quiet_end_ends_the_loop(waits: bool) -> None:
    session = Session(bounded(9))
    found: list[bytes] = []

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
    assert found == [b"1"]
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
