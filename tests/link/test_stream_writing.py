"""`StreamLink` on a transport that only notes: when bytes leave, and who waits."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import Frame
from ktor_client.link.sender import BATCH, STEP, TRANSFORM
from ktor_client.link.write_room import PIECE
from ktor_client.plugins import WebSocketDeflate
from ktor_client.protocol.handshake import Negotiated
from tests.support.fake_transport import feed, link_on, spend_step, unmasked
from tests.support.raw_server import BINARY, TEXT, frame


async def test_the_first_frame_of_a_step_leaves_at_once_and_the_others_together() -> None:
    link, transport, receiver = link_on()
    link.send_text("1")
    assert len(transport.writes) == 1
    link.send_binary(bytearray(b"2"))
    link.send(Frame.Text("3"))
    link.send(Frame.Binary(b"4"))
    link.send(Frame.Ping(b"5"))
    assert len(transport.writes) == 1
    await asyncio.sleep(0)
    assert len(transport.writes) == 2
    link.send_text("6")
    assert len(transport.writes) == 3
    assert unmasked(b"".join(transport.writes)) == [
        (0x81, b"1"),
        (0x82, b"2"),
        (0x81, b"3"),
        (0x82, b"4"),
        (0x89, b"5"),
        (0x81, b"6"),
    ]
    assert link.frames_sent == 6
    assert link.bytes_sent == len(b"".join(transport.writes))
    assert not receiver.room.is_set()


async def test_flush_does_not_wait_for_the_end_of_the_step() -> None:
    link, transport, _ = link_on()
    for text in "abc":
        link.send_text(text)
    link.flush()
    link.flush()
    assert len(transport.writes) == 2
    await asyncio.sleep(0)
    assert len(transport.writes) == 2


async def test_an_answer_within_a_read_leaves_at_once() -> None:
    link, transport, _ = link_on()
    link.send_text("1")
    feed(link, frame(TEXT, b"x"))
    link.send_text("2")
    assert len(transport.writes) == 2
    link.send_text("3")
    feed(link, frame(TEXT, b"x"))
    link.send_text("4")  # behind what is held back
    await asyncio.sleep(0)
    assert [payload for _, payload in unmasked(b"".join(transport.writes))] == [
        b"1",
        b"2",
        b"3",
        b"4",
    ]


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 2 * PIECE - 1, 2 * PIECE, 300_001])
async def test_sizes(size: int) -> None:
    link, transport, _ = link_on()
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    link.send_binary(payload)
    link.send_text("x" * size)
    link.send_text("end")
    link.flush()
    frames = unmasked(b"".join(transport.writes))
    assert frames == [(0x82, payload), (0x81, b"x" * size), (0x81, b"end")]
    assert link.frames_sent == 3
    assert link.bytes_sent == sum(map(len, transport.writes))


async def test_the_header_of_a_long_message_leaves_with_its_first_piece() -> None:
    link, transport, _ = link_on()
    link.send_binary(bytes(2 * PIECE + 5))
    assert [len(data) for data in transport.writes] == [14 + PIECE, PIECE, 5]


async def test_a_long_message_stops_where_the_connection_is_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The standard loop warns about each write to a lost connection."""
    link, transport, _ = link_on()
    write = transport.write

    def write_and_lose(data: bytes) -> None:
        write(data)
        transport.closing = True

    monkeypatch.setattr(transport, "write", write_and_lose)
    link.send_binary(bytes(4 * PIECE))
    assert len(transport.writes) == 1


@pytest.mark.parametrize("size", [BATCH // 4, BATCH, 2 * STEP])
async def test_a_step_takes_so_much(size: int) -> None:
    """Then senders wait, so that they do not keep the loop from everything else."""
    link, transport, receiver = link_on()
    count = 0
    while link.writable:
        link.send_binary(bytes(size))
        count += 1
        assert count * size <= 1 << 20
    assert not receiver.room.is_set()
    await asyncio.sleep(0)
    assert link.writable
    assert receiver.room.is_set()
    assert len(unmasked(b"".join(transport.writes))) == count


@pytest.mark.parametrize("message", [bytes(STEP // 8), b""])
async def test_a_step_transforms_so_much(message: bytes) -> None:
    """However little is left of it: to compress costs more than to write."""
    deflate = WebSocketDeflate(threshold=0)
    negotiated = Negotiated(extensions=(deflate,), codecs=(deflate.accept([]),))
    link, transport, receiver = link_on(negotiated=negotiated)
    count = 0
    while link.writable:
        link.send_binary(message)
        count += 1
        assert count * max(len(message), TRANSFORM) <= STEP
    await receiver.room.wait()
    assert link.writable
    assert sum(map(len, transport.writes)) < STEP


async def test_one_big_frame_of_a_server_spends_the_step() -> None:
    link, transport, receiver = link_on(client=False)
    link.send_binary(bytes(STEP))
    assert not link.writable
    await receiver.room.wait()
    assert link.writable
    assert transport.writes == [frame(BINARY, bytes(STEP))]


async def test_a_congested_transport() -> None:
    link, _, receiver = link_on()
    link.pause_writing()
    assert not link.writable
    link.send_binary(bytes(BATCH))
    await asyncio.sleep(0)
    assert not link.writable  # the step is over, the transport is still full
    link.resume_writing()
    assert link.writable
    assert receiver.room.is_set()
    link.resume_writing()


async def test_room_before_the_end_of_a_spent_step() -> None:
    link, _, receiver = link_on()
    spend_step(link)
    link.pause_writing()
    link.resume_writing()
    assert not link.writable
    await asyncio.sleep(0)
    assert link.writable
    assert receiver.room.is_set()


async def test_room_on_a_link_that_nobody_started() -> None:
    link, _, _ = link_on(start=False)
    link.pause_writing()
    link.resume_writing()
    assert link.writable


async def test_fragments_leave_the_short_cut_and_come_back() -> None:
    link, transport, _ = link_on()
    link.send(Frame.Text("a", fin=False))
    link.send_text("b")
    link.send_binary(b"c")
    link.send(Frame.Binary(b"d", fin=False))
    link.send_binary(b"e")
    with pytest.raises(ValueError, match="RSV"):
        link.send(Frame.Binary(b"f", rsv1=True))
    link.flush()
    assert unmasked(b"".join(transport.writes)) == [
        (0x01, b"a"),
        (0x80, b"b"),
        (0x82, b"c"),
        (0x02, b"d"),
        (0x80, b"e"),
    ]


async def test_a_server_does_not_mask() -> None:
    link, transport, receiver = link_on(client=False)
    link.send_text("a")
    link.send_binary(b"b")
    link.flush()
    assert b"".join(transport.writes) == frame(TEXT, b"a") + frame(BINARY, b"b")
    feed(link, frame(TEXT, b"masked", mask=b"key!"))
    assert receiver.messages.popleft() == Frame.Text("masked")


async def test_keys_are_fresh() -> None:
    link, transport, _ = link_on()
    for _ in range(5000):
        link.send_binary(b"")
    link.flush()
    wire = b"".join(transport.writes)
    keys = {wire[at + 2 : at + 6] for at in range(0, len(wire), 6)}
    assert len(keys) > 4990
