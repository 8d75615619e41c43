"""permessage-deflate and limits: what comes out is counted, and a bomb costs at most the limit."""

from __future__ import annotations

import os
import sys
import tracemalloc
from typing import Any

import pytest

from ktor_client.frames import Frame
from ktor_client.protocol.extensions import ExtensionCodec
from tests.protocol.test_deflate_codec import TAIL, codec, finished, pack, pairs
from tests.protocol.wire import BINARY, CONT, TEXT, Feeding, decode, frame, frames


@pytest.mark.parametrize("size", [0, 1, 2043, 2044, 65535, 65536, 100_000])
@pytest.mark.parametrize("make", [lambda size: b"a" * size, os.urandom], ids=["dense", "random"])
def test_the_limit_counts_what_comes_out(make: Any, size: int) -> None:
    payload = make(size)
    for data in (pack(payload), pack(payload, level=0), pack(payload, memLevel=1)):
        stream = frame(BINARY, data, rsv=0x40)
        whole = frames(stream, extensions=pairs(codec()), max_size=max(size, 1))
        assert whole == [Frame.Binary(payload)]
        cut = len(data) // 2
        parts = frame(BINARY, data[:cut], rsv=0x40, fin=False) + frame(CONT, data[cut:])
        assert frames(parts, extensions=pairs(codec()), max_size=max(size, 1)) == whole
        if size > 1:
            for bad in (stream, parts):
                result = decode(bad, size - 1, extensions=pairs(codec()))
                assert result.violation == (
                    1009,
                    f"Message is too big: max_frame_size is {size - 1}",
                )


def test_compressed_frames_are_limited_from_the_header() -> None:
    header = b"\xc2\x7f" + (3000).to_bytes(8, "big")
    assert decode(b"\xc2\x7e\x10\x00", 1000, extensions=pairs(codec())).code == 1009
    assert decode(header, 1000, extensions=pairs(codec())).code == 1002
    started = frame(BINARY, pack(b"x" * 900) + TAIL, rsv=0x40, fin=False)
    result = decode(started + b"\x80\x7e\x10\x00", 1000, extensions=pairs(codec()))
    assert result.code == 1009


def test_plain_messages_have_the_exact_limit_beside_deflate() -> None:
    assert decode(frame(BINARY, bytes(1001))[:4], 1000, extensions=pairs(codec())).code == 1009


@pytest.mark.parametrize("limit", [sys.maxsize, 1 << 70])
def test_limits_beyond_memory(limit: int) -> None:
    cut = len(packed := pack(b"hello")) // 2
    stream = frame(TEXT, packed, rsv=0x40)
    stream += frame(TEXT, packed[:cut], rsv=0x40, fin=False) + frame(CONT, packed[cut:])
    for own in (None, limit):
        limited = pairs(codec(max_inflated_size=own))
        assert frames(stream, extensions=limited, max_size=limit) == [Frame.Text("hello")] * 2


def test_a_limit_of_its_own() -> None:
    def limited() -> list[tuple[int, ExtensionCodec]]:
        return pairs(codec(max_inflated_size=10))

    for data in (b"x" * 10, b"x" * 11):
        result = decode(frame(BINARY, pack(data), rsv=0x40), 1000, extensions=limited())
        expected = (1009, "Message is too big: max_inflated_size is 10") if len(data) > 10 else None
        assert result.violation == expected
    assert frames(frame(BINARY, b"x" * 11), extensions=limited()) == [Frame.Binary(b"x" * 11)]
    larger = pairs(codec(max_inflated_size=5000))
    result = decode(frame(BINARY, pack(b"x" * 11), rsv=0x40), 10, extensions=larger)
    assert result.violation == (1009, "Message is too big: max_frame_size is 10")


def test_a_limit_that_shrinks_within_a_message() -> None:
    first = frame(BINARY, pack(b"x" * 600) + TAIL, rsv=0x40, fin=False)
    for last in (frame(CONT, b"\x00"), frame(CONT, pack(b"y"))):
        shrinking = Feeding(1000, extensions=pairs(codec()))
        shrinking.feed(first)
        shrinking.codec.max_size = 100
        shrinking.fails(last, "Message")


def peak(feeding: Feeding, stream: bytes) -> int:
    """Return the most bytes that were allocated at once while a stream was refused."""
    tracemalloc.start()
    try:
        feeding.fails(stream, "too big")
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("fragments", [1, 7])
def test_a_bomb_costs_at_most_the_limit(fragments: int) -> None:
    limit = 1 << 20
    bomb = pack(bytes(100 << 20), level=9)
    assert len(bomb) < 200_000
    size = -(-len(bomb) // fragments)
    stream = b"".join(
        frame(CONT if at else BINARY, bomb[at : at + size], rsv=0 if at else 0x40, fin=False)
        for at in range(0, len(bomb), size)
    )
    for receiver in (codec(), codec(max_inflated_size=limit)):
        room = limit if receiver._options.max_inflated_size is None else 1 << 30
        assert peak(Feeding(room, extensions=pairs(receiver)), stream) < 2.5 * limit


def test_a_bomb_of_final_blocks() -> None:
    limit = 1 << 20
    stream = frame(BINARY, finished(bytes(limit // 2)) * 20, rsv=0x40)
    assert peak(Feeding(limit, extensions=pairs(codec())), stream) < 3.5 * limit


def test_what_was_inflated_is_counted() -> None:
    feeding = Feeding(extensions=pairs(codec()))
    feeding.feed(frame(BINARY, pack(bytes(5000)), rsv=0x40) + frame(TEXT, b"abc"))
    assert feeding.size == 5003
