"""The incoming channel: when reading pauses and resumes, and what a strict limit drops."""

from __future__ import annotations

from ktor_client.channels import bounded, unlimited
from ktor_client.frames import Frame
from tests.session.test_incoming_channel import CLOSE, Session, started


async def test_the_mark_for_messages() -> None:
    session = Session(bounded(4))
    session.read(b"1", b"2", b"3")
    assert session.told == []
    session.read(b"4", b"5", b"6")
    assert session.told == ["full"]
    session.read(b"7")
    assert session.told == ["full"]
    received = [(await session.channel.receive()).data for _ in range(4)]
    assert session.told == ["full"]
    received.append(session.channel.receive_nowait().data)
    assert session.told == ["full", "relieved"]
    assert len(session.channel) == 2
    received += [(await anext(session.channel)).data for _ in range(2)]
    assert received == [b"1", b"2", b"3", b"4", b"5", b"6", b"7"]
    session.read(b"8", b"9", b"0", b"-")
    assert session.told == ["full", "relieved", "full"]


async def test_the_mark_for_bytes() -> None:
    session = Session(bounded(100, max_bytes=1000))
    session.read(b"x" * 999)
    assert session.told == []
    session.read(b"x")
    assert session.told == ["full"]
    assert len((await session.channel.receive()).data) == 999
    assert session.told == ["full", "relieved"]


async def test_relief_comes_when_half_of_the_bytes_are_free() -> None:
    session = Session(bounded(1000, max_bytes=1000))
    session.read(*[b"x" * 100] * 10)
    assert session.told == ["full"]
    while session.told == ["full"]:
        await anext(session.channel)
    assert len(session.channel) <= 5
    assert session.told == ["full", "relieved"]


async def test_one_large_message_is_no_reason_to_stay_full() -> None:
    session = Session(bounded(2, max_bytes=10))
    session.read(b"x" * 50)
    assert session.told == ["full"]
    await session.channel.receive()
    assert session.told == ["full", "relieved"]


async def test_a_message_that_somebody_waits_for_is_not_counted() -> None:
    session = Session(bounded(1, max_bytes=10))
    (task,) = await started(session.channel.receive())
    session.read(b"x" * 50)
    assert session.told == []
    assert len(await task) == 50


async def test_what_was_taken_is_not_counted_for_ever() -> None:
    session = Session(bounded(10, max_bytes=1000))
    for _ in range(20):
        session.read(b"x" * 100, b"y" * 100)
        await session.channel.receive()
        await session.channel.receive()
        session.read(b"z")
        await session.channel.receive()
    assert session.told == []


async def test_bytes_of_unfinished_messages_do_not_fill_it_for_ever() -> None:
    session = Session(bounded(4, max_bytes=1000))
    session.read(b"1", b"2", b"3", b"4", size=900)
    assert session.told == ["full"]
    session.read(size=5000)
    for _ in range(4):
        await session.channel.receive()
    assert session.told == ["full", "relieved"]


async def test_a_capacity_of_one() -> None:
    session = Session(bounded(1))
    for item in (b"1", b"2"):
        session.read(item)
        assert session.told[-1] == "full"
        assert (await session.channel.receive()).data == item
        assert session.told[-1] == "relieved"
    assert len(session.told) == 4


async def test_unlimited_is_never_full() -> None:
    session = Session(unlimited())
    session.read(*[b"x" * 1000] * 10_000)
    assert session.told == []
    assert not session.channel.is_full


# --- strict limits ---


async def test_strict_by_message() -> None:
    session = Session(bounded(2, on_overflow=CLOSE))
    session.read(b"1", b"2")
    assert session.told == []
    session.read(b"3", b"4")
    assert session.told == ["overflowed"]
    assert session.queued == [b"1", b"2"]


async def test_strict_by_bytes() -> None:
    session = Session(bounded(9, on_overflow=CLOSE, max_bytes=10))
    session.read(b"x" * 6, b"y" * 4)
    assert session.told == []
    session.read(b"z", b"")
    assert session.told == ["overflowed"]
    assert session.queued == [b"x" * 6, b"y" * 4]


async def test_strict_counts_what_is_queued_not_what_came() -> None:
    session = Session(bounded(9, on_overflow=CLOSE, max_bytes=10))
    for _ in range(5):
        session.read(b"x" * 6)
        assert len((await session.channel.receive()).data) == 6
        session.read(b"")
        await session.channel.receive()
    assert session.told == []


async def test_what_is_not_announced_is_counted_when_asked_for() -> None:
    session = Session(bounded(1, on_overflow=CLOSE))
    (task,) = await started(session.channel.receive())
    session.channel.queue.extend([Frame.Binary(b"1"), Frame.Binary(b"2")])
    session.channel.arrived()
    assert session.told == []
    assert await task == b"1"
    session.channel.queue.append(Frame.Binary(b"3"))
    session.channel.arrived()
    assert session.told == ["overflowed"]
    assert session.queued == [b"2"]


# --- after our Close ---


async def test_the_message_that_reaches_the_mark_is_kept() -> None:
    session = Session(bounded(9, max_bytes=10))
    session.channel.closing()
    session.read(b"x" * 4, b"y" * 20, b"z")
    assert session.queued == [b"x" * 4, b"y" * 20]
    assert session.told == []


async def test_a_strict_limit_stays_strict() -> None:
    session = Session(bounded(9, on_overflow=CLOSE, max_bytes=10))
    session.channel.closing()
    session.read(b"x" * 4, b"y" * 20, b"z")
    assert session.queued == [b"x" * 4]
    assert session.told == []


async def test_what_is_queued_already_is_kept() -> None:
    session = Session(bounded(2, max_bytes=10))
    session.read(b"1" * 8, b"2" * 8, b"3" * 8)
    session.channel.closing()
    assert not session.channel.is_full
    session.read(b"4")
    assert len(session.channel) == 3
    assert session.told == ["full"]
