"""Limits: from the header, inclusive, over all fragments; and the memory that a peer can take."""

from __future__ import annotations

import tracemalloc
from collections import deque

import pytest

from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import Frame
from ktor_client.protocol import decoder as decoder_room
from ktor_client.protocol import plain
from ktor_client.protocol.decoder import WORK
from ktor_client.protocol.message import MAX_FRAGMENTS
from ktor_client.protocol.payload import OpenPayload
from ktor_client.protocol.plain import take_copied
from ktor_client.protocol.violation import Violation
from tests.protocol.test_deflate_codec import pack
from tests.protocol.wire import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    TEXT,
    Feeding,
    Outcome,
    TransportLike,
    decode,
    deflate,
    frame,
    frames,
    single_bytes,
)

LIMITS = [1, 10, 124, 125, 126, 300, 511, 512, 513, 1000, 1535, 1536, 1537, 65535, 65536, 100_000]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("limit", LIMITS)
def test_the_limit_is_inclusive(limit: int, opcode: int, masked: bool) -> None:
    mask = KEY if masked else None
    exact, over = (frame(opcode, b"x" * size, mask=mask) for size in (limit, limit + 1))
    for pieces in ([exact + exact], [exact[:3], exact[3:], exact]):
        assert len(frames(pieces, max_size=limit, masked=masked)) == 2
    for pieces in ([exact + over], [exact, over[:1], over[1:]]):
        result = decode(pieces, limit, masked=masked)
        assert len(result.messages) == 1
        assert result.violation == (
            1009,
            f"Message of {limit + 1} bytes is too big: max_frame_size is {limit}",
        )


@pytest.mark.parametrize("size", [11, 125, 126, 65535, 65536, 1 << 40, (1 << 63) - 1])
def test_the_header_is_enough(size: int) -> None:
    header = frame(BINARY, length=b"") + (
        bytes((size,))
        if size < 126
        else b"\x7e" + size.to_bytes(2, "big")
        if size < 65536
        else b"\x7f" + size.to_bytes(8, "big")
    )
    for pieces in ([header], single_bytes(header)):
        assert decode(pieces, 10).code == 1009
    assert decode(header[:-1], 10).violation is None
    masked = header[:1] + bytes((header[1] | 0x80,)) + header[2:]  # and its key has not come
    for pieces in ([masked], single_bytes(masked), [masked + KEY[:3]]):
        assert decode(pieces, 10, masked=True).code == 1009


@pytest.mark.parametrize("limit", [10, 1000, 70_000])
def test_fragments_are_summed(limit: int) -> None:
    half = b"x" * (limit // 2)
    start = frame(TEXT, half, fin=False) + frame(CONT, half, fin=False)
    assert frames(start + frame(CONT), max_size=limit) == [Frame.Text("x" * limit)]
    for fin in (False, True):
        last = frame(CONT, b"y", fin=fin)[:2]
        for pieces in ([start + last], single_bytes(start + last)[-2000:]):
            if len(pieces) == 1 or limit < 100:
                result = decode(pieces, limit)
                assert result.violation == (
                    1009,
                    f"Message of {limit + 1} bytes is too big: max_frame_size is {limit}",
                )


def test_each_message_has_the_whole_limit() -> None:
    message = frame(TEXT, b"12345", fin=False) + frame(CONT, b"67890")
    assert len(frames(message * 3, max_size=10)) == 3


@pytest.mark.parametrize("limit", [1, 10])
def test_control_frames_are_not_limited(limit: int) -> None:
    stream = frame(PING, b"x" * 125) + frame(CLOSE, b"\x03\xe8" + b"y" * 123)
    assert len(decode(stream, limit).control) == 2


def test_raw_limits_frames_not_messages() -> None:
    stream = frame(BINARY, b"x" * 10, fin=False) + frame(CONT, b"y" * 10)
    assert len(frames(stream, max_size=10, raw=True)) == 2
    result = decode(stream + frame(BINARY, b"z" * 11)[:2], 10, raw=True)
    assert len(result.messages) == 2
    assert result.code == 1009


def test_the_limit_can_change_between_frames() -> None:
    feeding = Feeding(1000)
    feeding.feed(frame(BINARY, bytes(1000)) + frame(BINARY, bytes(600))[:100])
    feeding.codec.max_size = 500
    feeding.feed(frame(BINARY, bytes(600))[100:])  # its header came before the change
    assert [len(message.data) for message in feeding.messages] == [1000, 600]
    feeding.fails(
        frame(BINARY, bytes(501)), "Message of 501 bytes is too big: max_frame_size is 500"
    )


def test_the_limit_can_change_within_a_message() -> None:
    feeding = Feeding(1000)
    feeding.feed(frame(BINARY, bytes(600), fin=False))
    feeding.codec.max_size = 500
    feeding.fails(frame(CONT), "Message of 600 bytes")


def test_the_limit_can_grow() -> None:
    feeding = Feeding(10)
    feeding.feed(frame(BINARY, bytes(8), fin=False))
    feeding.codec.max_size = 20
    feeding.feed(frame(CONT, bytes(12)) + frame(TEXT, b"x" * 20))
    assert [len(message.data) for message in feeding.messages] == [20, 20]


# --- reading in place ---


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [65536, 66549, 66550, 66554, 200_000, 1 << 20])
def test_long_payloads_are_received_in_place(size: int, masked: bool) -> None:
    transport = TransportLike(buffer_size=1024, masked=masked)
    payload = bytes(i % 253 for i in range(size))
    transport.receive(frame(BINARY, payload, mask=KEY if masked else None))
    assert transport.messages == [Frame.Binary(payload)]
    assert transport.size == size
    header = 14 if masked else 10
    assert transport.direct_reads == (1 if size - (1024 - header) >= 65536 else 0)
    assert transport.codec.direct_buffer() is None


def test_short_reads_in_place() -> None:
    feeding = Feeding()
    codec = feeding.codec
    payload = bytes(range(250)) * 4000
    feeding.feed(frame(BINARY, payload)[:20])
    at = 10
    while (room := codec.direct_buffer()) is not None:
        room[:7777] = payload[at : at + 7777]
        codec.feed_direct(7777)
        at += 7777
    assert codec._payload is not None
    assert len(payload) - at < 65536
    feeding.feed(payload[at:] + frame(TEXT, b"next"))
    assert feeding.messages == [Frame.Binary(payload), Frame.Text("next")]


def test_no_place_without_a_long_payload() -> None:
    feeding = Feeding()
    assert feeding.codec.direct_buffer() is None
    feeding.feed(frame(BINARY, bytes(65535))[:10])
    assert feeding.codec._payload is not None
    assert feeding.codec.direct_buffer() is None


def test_a_violation_in_place_ends_it_all() -> None:
    packed = pack(bytes(range(256)) * 800, level=0)
    transport = TransportLike(160_000, buffer_size=1024, extensions=deflate())
    transport.receive(frame(BINARY, packed[:170_000], rsv=0x40))
    assert transport.direct_reads == 1
    assert transport.outcome().code == 1009
    assert transport.codec.finished
    assert transport.codec.direct_buffer() is None
    assert transport.codec._payload is None


def test_fragments_in_place_are_summed_too() -> None:
    transport = TransportLike(300_000, buffer_size=1024)
    transport.receive(frame(BINARY, b"x" * 200_000, fin=False))
    transport.fails(frame(CONT, b"x" * 100_001)[:10], "Message of 300001 bytes")
    assert transport.direct_reads == 1


def test_a_text_needs_no_place() -> None:
    """It is decoded as it comes."""
    transport = TransportLike(400_000, buffer_size=1024)
    transport.receive(frame(TEXT, b"x" * 200_000, fin=False))
    transport.receive(frame(CONT, b"y" * 100_000))
    assert transport.direct_reads == 0
    assert transport.messages == [Frame.Text("x" * 200_000 + "y" * 100_000)]


def test_fragments_of_a_text_are_summed_too() -> None:
    transport = TransportLike(300_000, buffer_size=1024)
    transport.receive(frame(TEXT, b"x" * 200_000, fin=False))
    transport.receive(frame(CONT, b"x" * 10, fin=False))
    transport.fails(frame(CONT, b"x" * 99_991)[:10], "Message of 300001 bytes")


# --- memory ---


def peak(feeding: Feeding, pieces: list[bytes]) -> int:
    """Return the most bytes that were allocated at once while feeding."""
    views = [memoryview(piece) for piece in pieces]
    tracemalloc.start()
    try:
        for view in views:
            feeding.feed(view)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def batched(stream: bytes) -> list[bytes]:
    """Cut a stream of short frames into reads that are taken at once."""
    return [stream[at : at + 1024] for at in range(0, len(stream), 1024)]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_one_byte_fragments_stay_cheap(opcode: int) -> None:
    count = 50_000
    stream = frame(opcode, b"x", fin=False) + frame(CONT, b"x", fin=False) * count
    feeding = Feeding()
    assert peak(feeding, batched(stream)) < 4 * count
    feeding.feed(frame(CONT))
    assert feeding.messages[0].data == b"x" * (count + 1)


def test_short_fragments_of_a_text_stay_cheap() -> None:
    """Each is a string of its own at first, and those weigh 50 bytes."""
    count = 50_000
    stream = frame(TEXT, b"ab", fin=False) + frame(CONT, b"cd", fin=False) * count
    feeding = Feeding()
    assert peak(feeding, batched(stream)) < 4 * count
    feeding.feed(frame(CONT, b"e"))
    assert feeding.messages == [Frame.Text("ab" + "cd" * count + "e")]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_empty_fragments_cost_nothing(opcode: int) -> None:
    stream = frame(opcode, fin=False) + frame(CONT, fin=False) * 50_000
    assert peak(Feeding(10), batched(stream)) < 10_000


def test_a_header_split_into_bytes_keeps_only_itself() -> None:
    header = frame(BINARY, bytes(100_000))[:9]
    assert peak(Feeding(), single_bytes(header)) < 5_000


def test_a_big_message_is_held_once() -> None:
    size = 8 << 20
    stream = frame(BINARY, bytes(size))
    pieces = [stream[i : i + 65536] for i in range(0, len(stream), 65536)]
    assert peak(Feeding(size), pieces) < size * 1.1


def test_a_big_text_is_held_in_pieces_and_whole() -> None:
    size = 8 << 20
    stream = frame(TEXT, bytes(size))
    pieces = [stream[i : i + 65536] for i in range(0, len(stream), 65536)]
    assert peak(Feeding(size), pieces) < size * 2.1


def test_unread_bytes_after_a_violation_are_dropped() -> None:
    feeding = Feeding(1 << 24)
    feeding.feed(frame(BINARY, bytes(1 << 20), fin=False))
    feeding.fails(b"\x83\x00", "unknown opcode")
    assert peak(feeding, [bytes(1 << 20)]) < 10_000  # of a MiB; coverage takes some itself
    assert feeding.codec._message is None


class Starved(OpenPayload):
    """A payload that finds no memory."""

    def __init__(self, first: int, size: int, key: bytes, *, is_kept: bool) -> None:
        raise MemoryError(f"no {size} bytes")


def test_no_memory_is_told_as_that(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoder_room, "OpenPayload", Starved)
    feeding = Feeding()
    feeding.feed(frame(PING, b"before") + frame(BINARY, bytes(1000))[:10])
    assert feeding.control == [Frame.Ping(b"before")]
    violation = feeding.violation
    assert violation is not None
    assert (violation.code, violation.error_type) == (1011, ConnectionClosedError)
    assert "memory" in violation.message
    assert isinstance(violation.__cause__, MemoryError)
    assert str(violation.__cause__) == "no 1000 bytes"
    assert feeding.codec.finished


@pytest.mark.parametrize("size", [1 << 62, (1 << 63) - 1])
def test_a_length_beyond_all_memory(size: int) -> None:
    feeding = Feeding(1 << 64)
    feeding.fails(b"\x82\x7f" + size.to_bytes(8, "big") + b"x", "Out of memory")
    assert isinstance(feeding.violation, Violation)
    assert isinstance(feeding.violation.__cause__, MemoryError)


@pytest.mark.parametrize("wrong", [frame(TEXT, b"\xff"), frame(CLOSE, b"\x03\xe8\xff")])
def test_a_violation_keeps_nothing_alive(wrong: bytes) -> None:
    """Neither the decoder nor what was read, and there is no ring for the collector to find."""
    feeding = Feeding()
    feeding.feed(wrong)
    violation = feeding.violation
    assert violation is not None
    assert isinstance(violation.__cause__, UnicodeDecodeError)
    assert violation.__traceback__ is violation.__cause__.__traceback__ is None


# --- how many fragments ---


@pytest.mark.parametrize("pieces", [1, 3])
@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("payload", [b"", b"x"])
def test_a_message_has_so_many_fragments(opcode: int, payload: bytes, pieces: int) -> None:
    message = frame(opcode, payload, fin=False) + frame(CONT, payload, fin=False) * 8
    size = len(message) // pieces + 1

    def read(last: bytes) -> Outcome:
        stream = message + last
        cut = [stream[at : at + size] for at in range(0, len(stream), size)]
        return decode(cut, max_fragments=10)

    assert read(frame(CONT)).violation is None
    assert len(read(frame(CONT) * 1 + message + frame(CONT)).messages) == 2
    many = read(frame(CONT, fin=False) + frame(CONT)[:2])
    assert many.violation == (1008, "Message has more than max_fragments=10")
    with_pings = read(frame(PING) * 30 + frame(CONT))
    assert with_pings.violation is None
    assert len(with_pings.control) == 30


def test_the_cap_by_itself() -> None:
    feeding = Feeding()
    feeding.feed(frame(BINARY, fin=False) + frame(CONT, fin=False) * (MAX_FRAGMENTS - 1))
    assert MAX_FRAGMENTS == 131_072
    assert feeding.violation is None
    feeding.fails(frame(CONT), "more than max_fragments=131072")
    assert feeding.steps > 128, "and each thousand is a step of its own"


def test_raw_sessions_see_endless_messages() -> None:
    stream = frame(BINARY, fin=False) + frame(CONT, fin=False) * 20
    assert len(frames(stream, raw=True, max_fragments=10)) == 21


# --- how much is taken at a time


@pytest.mark.parametrize("raw", [False, True])
def test_many_frames_leave_a_rest(raw: bool) -> None:
    feeding = Feeding(raw=raw)
    codec = feeding.codec
    stream = frame(PING, b"p") * (2 * WORK) + frame(TEXT, b"last")
    fed = codec.feed(memoryview(stream))
    assert fed is not None
    assert len(fed.control) == WORK
    assert fed.rest == stream[3 * WORK :]
    fed = codec.feed(fed.rest)
    assert fed is not None
    assert len(fed.control) == WORK
    fed = codec.feed(fed.rest + frame(TEXT, b"more"))
    assert fed is None or not (fed.rest or fed.control)
    assert feeding.messages[-2:] == [Frame.Text("last"), Frame.Text("more")]


@pytest.mark.parametrize("fragments", [0, 1])
def test_control_frames_within_a_message_are_work(fragments: int) -> None:
    between = frame(PING, b"p") + frame(CONT, b"x", fin=False) * fragments
    feeding = Feeding()
    feeding.feed(frame(BINARY, b"x", fin=False) + between * (3 * WORK) + frame(CONT))
    assert len(feeding.messages) == 1
    assert len(feeding.control) == 3 * WORK
    assert feeding.steps >= 3 * (1 + fragments)


@pytest.mark.parametrize("pieces", [1, 2])
def test_what_inflates_is_work(pieces: int) -> None:
    feeding = Feeding(extensions=deflate())
    data = pack(bytes(1 << 20))
    bomb = frame(BINARY, data, rsv=0x40)
    if pieces == 2:
        bomb = frame(BINARY, data[:9], fin=False, rsv=0x40) + frame(CONT, data[9:])
    fed = feeding.codec.feed(memoryview(bomb * 40))
    assert len(feeding.messages) == 4, "4 MiB are enough for one step"
    feeding.feed(feeding.took(fed, 0))
    assert len(feeding.messages) == 40
    assert feeding.size == 40 << 20


@pytest.mark.parametrize("between", [frame(PING), frame(BINARY, b"x", fin=False) + frame(CONT)])
def test_what_is_no_whole_message_costs_no_second_copy(
    monkeypatch: pytest.MonkeyPatch, between: bytes
) -> None:
    copied = 0

    def count(data: bytes, max_size: int, messages: deque[Frame]) -> int:
        nonlocal copied
        copied += len(data)
        return take_copied(data, max_size, messages)

    monkeypatch.setattr(plain, "take_copied", count)
    rounds = 300
    stream = (frame(TEXT, b"x" * 1000) + between) * rounds
    assert len(frames(stream)) == rounds * (1 if between == frame(PING) else 2)
    assert copied <= rounds * 4096
