"""Limits: from the header, inclusive, over all fragments; and the memory that a peer can take."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest

from ktor_client.frames import Frame
from ktor_client.protocol import plain
from ktor_client.protocol.decoder import WORK, FrameDecoder
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
    TransportLike,
    decode,
    decoder,
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
    codec = decoder(1000)
    codec.feed(memoryview(frame(BINARY, bytes(1000)) + frame(BINARY, bytes(600))[:100]))
    codec.max_size = 500
    codec.feed(memoryview(frame(BINARY, bytes(600))[100:]))  # its header came before the change
    assert [len(message.data) for message in codec.messages] == [1000, 600]
    with pytest.raises(Violation, match="Message of 501 bytes is too big: max_frame_size is 500"):
        codec.feed(memoryview(frame(BINARY, bytes(501))))


def test_the_limit_can_change_within_a_message() -> None:
    codec = decoder(1000)
    codec.feed(memoryview(frame(BINARY, bytes(600), fin=False)))
    codec.max_size = 500
    with pytest.raises(Violation, match="Message of 600 bytes"):
        codec.feed(memoryview(frame(CONT)))


def test_the_limit_can_grow() -> None:
    codec = decoder(10)
    codec.feed(memoryview(frame(BINARY, bytes(8), fin=False)))
    codec.max_size = 20
    codec.feed(memoryview(frame(CONT, bytes(12)) + frame(TEXT, b"x" * 20)))
    assert [len(message.data) for message in codec.messages] == [20, 20]


# --- reading in place ---


def whole_in_place(codec: FrameDecoder, payload: bytes, opcode: int = BINARY) -> int:
    """Feed one long frame as a transport with a small buffer does; return the reads in place."""
    transport = TransportLike(codec, 1024)
    transport.receive(frame(opcode, payload, mask=KEY if codec._masked else None))
    return transport.direct_reads


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", [65536, 66549, 66550, 66554, 200_000, 1 << 20])
def test_long_payloads_are_received_in_place(size: int, masked: bool) -> None:
    codec = decoder(masked=masked)
    payload = bytes(i % 253 for i in range(size))
    direct = whole_in_place(codec, payload)
    assert list(codec.messages) == [Frame.Binary(payload)]
    header = 14 if masked else 10
    assert direct == (1 if size - (1024 - header) >= 65536 else 0)
    assert codec.direct_buffer() is None


def test_short_reads_in_place() -> None:
    codec = decoder(1 << 20)
    payload = bytes(range(250)) * 4000
    codec.feed(memoryview(frame(BINARY, payload)[:20]))
    at = 10
    while (room := codec.direct_buffer()) is not None:
        room[:7777] = payload[at : at + 7777]
        codec.feed_direct(7777)
        at += 7777
    assert codec._payload is not None
    assert len(payload) - at < 65536
    codec.feed(memoryview(payload[at:] + frame(TEXT, b"next")))
    assert list(codec.messages) == [Frame.Binary(payload), Frame.Text("next")]


def test_no_place_without_a_long_payload() -> None:
    codec = decoder()
    assert codec.direct_buffer() is None
    codec.feed(memoryview(frame(BINARY, bytes(65535))[:10]))
    assert codec._payload is not None
    assert codec.direct_buffer() is None


def test_a_violation_in_place_ends_it_all() -> None:
    codec = decoder(raw=True)
    codec.feed(memoryview(frame(TEXT, bytes(200_000))[:10]))
    room = codec.direct_buffer()
    assert room is not None
    room[:3] = b"a\xff\xff"
    with pytest.raises(Violation, match="Text is not valid UTF-8"):
        codec.feed_direct(3)
    assert codec.finished
    assert codec.direct_buffer() is None
    assert codec._payload is None


def test_fragments_in_place_are_summed_too() -> None:
    codec = decoder(300_000)
    transport = TransportLike(codec, 1024)
    transport.receive(frame(BINARY, b"x" * 200_000, fin=False))
    with pytest.raises(Violation, match="Message of 300001 bytes"):
        transport.receive(frame(CONT, b"x" * 100_001))
    assert transport.direct_reads == 1


def test_a_text_needs_no_place() -> None:
    """It is decoded as it comes."""
    codec = decoder(400_000)
    transport = TransportLike(codec, 1024)
    transport.receive(frame(TEXT, b"x" * 200_000, fin=False))
    transport.receive(frame(CONT, b"y" * 100_000))
    assert transport.direct_reads == 0
    assert list(codec.messages) == [Frame.Text("x" * 200_000 + "y" * 100_000)]


def test_fragments_of_a_text_are_summed_too() -> None:
    codec = decoder(300_000)
    transport = TransportLike(codec, 1024)
    transport.receive(frame(TEXT, b"x" * 200_000, fin=False))
    transport.receive(frame(CONT, b"x" * 10, fin=False))
    with pytest.raises(Violation, match="Message of 300001 bytes"):
        transport.receive(frame(CONT, b"x" * 99_991))


# --- memory ---


def peak(codec: FrameDecoder, pieces: list[bytes]) -> int:
    """Return the most bytes that were allocated at once while feeding."""
    views = [memoryview(piece) for piece in pieces]
    tracemalloc.start()
    try:
        for view in views:
            codec.feed(view)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def batched(stream: bytes) -> list[bytes]:
    """Cut a stream of short frames into reads that are taken at once."""
    return [stream[at : at + WORK] for at in range(0, len(stream), WORK)]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_one_byte_fragments_stay_cheap(opcode: int) -> None:
    count = 50_000
    stream = frame(opcode, b"x", fin=False) + frame(CONT, b"x", fin=False) * count
    codec = decoder(1 << 20)
    assert peak(codec, batched(stream)) < 4 * count
    codec.feed(memoryview(frame(CONT)))
    assert codec.messages[0].data == b"x" * (count + 1)


def test_short_fragments_of_a_text_stay_cheap() -> None:
    """Each is a string of its own at first, and those weigh 50 bytes."""
    count = 50_000
    stream = frame(TEXT, b"ab", fin=False) + frame(CONT, b"cd", fin=False) * count
    codec = decoder(1 << 20)
    assert peak(codec, batched(stream)) < 4 * count
    codec.feed(memoryview(frame(CONT, b"e")))
    assert list(codec.messages) == [Frame.Text("ab" + "cd" * count + "e")]


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_empty_fragments_cost_nothing(opcode: int) -> None:
    stream = frame(opcode, fin=False) + frame(CONT, fin=False) * 50_000
    assert peak(decoder(10), batched(stream)) < 10_000


def test_a_header_split_into_bytes_keeps_only_itself() -> None:
    header = frame(BINARY, bytes(100_000))[:9]
    assert peak(decoder(), single_bytes(header)) < 5_000


def test_a_big_message_is_held_once() -> None:
    size = 8 << 20
    stream = frame(BINARY, bytes(size))
    pieces = [stream[i : i + 65536] for i in range(0, len(stream), 65536)]
    assert peak(decoder(size), pieces) < size * 1.1


def test_a_big_text_is_held_in_pieces_and_whole() -> None:
    size = 8 << 20
    stream = frame(TEXT, bytes(size))
    pieces = [stream[i : i + 65536] for i in range(0, len(stream), 65536)]
    assert peak(decoder(size), pieces) < size * 2.1


def test_unread_bytes_after_a_violation_are_dropped() -> None:
    codec = decoder(1 << 24)
    codec.feed(memoryview(frame(BINARY, bytes(1 << 20), fin=False)))
    with pytest.raises(Violation):
        codec.feed(memoryview(b"\x83\x00"))
    assert peak(codec, [bytes(1 << 20)]) < 1_000
    assert len(codec._message) == 0


# --- how much is taken at a time


@pytest.mark.parametrize("raw", [False, True])
def test_many_frames_leave_a_rest(raw: bool) -> None:
    codec = decoder(raw=raw)
    stream = frame(PING, b"p") * (2 * WORK) + frame(TEXT, b"last")
    assert codec.feed(memoryview(stream))
    assert len(codec.control) == WORK
    assert codec.taken + len(codec.rest) == len(stream)
    codec.feed(b"")
    assert codec.taken == WORK * 3
    codec.feed(memoryview(frame(TEXT, b"more")))
    assert codec.rest == b""
    assert len(codec.control) == 2 * WORK
    assert list(codec.messages)[-2:] == [Frame.Text("last"), Frame.Text("more")]


def test_a_rest_goes_with_the_end() -> None:
    codec = decoder()
    codec.feed(memoryview(frame(PING, b"p") * (2 * WORK)))
    codec.finish()
    assert codec.rest == b""


@pytest.mark.parametrize("pieces", [1, 2])
def test_what_inflates_is_work(pieces: int) -> None:
    codec = decoder(1 << 20, extensions=deflate())
    data = pack(bytes(1 << 20))
    bomb = frame(BINARY, data, rsv=0x40)
    if pieces == 2:
        bomb = frame(BINARY, data[:9], fin=False, rsv=0x40) + frame(CONT, data[9:])
    codec.feed(memoryview(bomb * 40))
    assert len(codec.messages) == 4, "4 MiB are enough for one step"
    while codec.rest:
        codec.feed(b"")
    assert len(codec.messages) == 40
    assert codec.inflated == 40 << 20


@pytest.mark.parametrize("between", [frame(PING), frame(BINARY, b"x", fin=False) + frame(CONT)])
def test_what_is_no_whole_message_costs_no_second_copy(
    monkeypatch: pytest.MonkeyPatch, between: bytes
) -> None:
    copied = 0

    def count(data: bytes, max_size: int, append: Callable[[Frame], None]) -> int:
        nonlocal copied
        copied += len(data)
        return take_copied(data, max_size, append)

    monkeypatch.setattr(plain, "take_copied", count)
    rounds = 300
    stream = (frame(TEXT, b"x" * 1000) + between) * rounds
    assert len(frames(stream)) == rounds * (1 if between == frame(PING) else 2)
    assert copied <= rounds * 4096
