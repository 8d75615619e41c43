"""permessage-deflate at work: windows, fragments, limits, bombs, damage; against zlib itself."""

from __future__ import annotations

import itertools
import os
import random
import zlib
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ktor_client.frames import Frame
from ktor_client.protocol.deflate import DeflateCodec, WebSocketDeflate
from ktor_client.protocol.encoder import FrameEncoder
from ktor_client.protocol.extensions import ExtensionCodec
from tests.protocol.wire import (
    BINARY,
    CONT,
    PING,
    TEXT,
    decode,
    frame,
    frames,
    single_bytes,
)

TAIL = b"\x00\x00\xff\xff"


def codec(answer: dict[str, str | None] | None = None, **options: Any) -> DeflateCodec:
    return WebSocketDeflate(**options).accept(list((answer or {}).items()))


def pairs(which: ExtensionCodec) -> list[tuple[int, ExtensionCodec]]:
    return [(0x40, which)]


def pack(data: bytes, **options: Any) -> bytes:
    """Compress one message with zlib alone."""
    options.setdefault("wbits", -15)
    packer = zlib.compressobj(**options)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)


def unpack(data: bytes) -> bytes:
    """Inflate one message with zlib alone."""
    return zlib.decompressobj(-15).decompress(data + TAIL)


# --- the examples of the RFC ---

HELLO = bytes.fromhex("f248cdc9c90700")
AGAIN = bytes.fromhex("f200110000")


def test_examples_of_the_rfc() -> None:
    whole = frame(TEXT, HELLO, rsv=0x40)
    halves = frame(TEXT, HELLO[:3], rsv=0x40, fin=False) + frame(CONT, HELLO[3:])
    for stream in (whole, halves):
        for pieces in ([stream], single_bytes(stream)):
            assert frames(pieces, extensions=pairs(codec())) == [Frame.Text("Hello")]
    shared = frame(TEXT, HELLO, rsv=0x40) + frame(TEXT, AGAIN, rsv=0x40)
    assert frames(shared, extensions=pairs(codec())) == [Frame.Text("Hello")] * 2
    stored = bytes.fromhex("000500faff48656c6c6f00")
    final = bytes.fromhex("f348cdc9c9070000")
    two = bytes.fromhex("f248050000 00ffffcac9c90700".replace(" ", ""))
    for data in (stored, final, two):
        stream = frame(TEXT, data, rsv=0x40)
        assert frames(stream * 2, extensions=pairs(codec())) == [Frame.Text("Hello")] * 2


def test_hello_as_we_send_it() -> None:
    encoder = FrameEncoder(masked=False, extensions=pairs(codec()))
    assert encoder.encode(Frame.Text("Hello")) == frame(TEXT, HELLO, rsv=0x40)
    assert encoder.encode(Frame.Text("Hello")) == frame(TEXT, AGAIN, rsv=0x40)


# --- sending ---


def inflate_with_256(data: bytes) -> bytes:
    """Inflate byte by byte, so that nothing can be taken from further back than the window."""
    inflater = zlib.decompressobj(-8)
    result = b""
    while piece := inflater.decompress(data, 1):
        result += piece
        data = inflater.unconsumed_tail
    return result


@given(
    bits=st.sampled_from([8, 9, 10]),
    level=st.integers(1, 9),
    mem_level=st.integers(1, 9),
    distance=st.integers(200, 300),
    seed=st.binary(min_size=4, max_size=4),
)
@example(bits=8, level=6, mem_level=8, distance=250, seed=b"seed")
@example(bits=8, level=6, mem_level=8, distance=256, seed=b"seed")
def test_a_window_of_256_is_enough_for_8_bits(
    bits: int, level: int, mem_level: int, distance: int, seed: bytes
) -> None:
    """Though zlib compresses with no less than 9; beyond 256 this way of inflating fails."""
    unit = random.Random(seed).randbytes(distance)
    data = unit * 8
    sender = codec(client_max_window_bits=bits, level=level, mem_level=mem_level)
    packed = sender.encode(data, first=True, fin=True) + TAIL
    if bits < 10:
        assert inflate_with_256(packed) == data
    elif distance > 256 and len(packed) < 600:  # it has looked back
        with pytest.raises(zlib.error, match="too far back"):
            inflate_with_256(packed)


@pytest.mark.parametrize("bits", range(8, 16))
@pytest.mark.parametrize("mem_level", [1, 8, 9])
@pytest.mark.parametrize("level", [-1, 0, 1, 6, 9])
def test_level_memory_and_window_are_zlibs(level: int, mem_level: int, bits: int) -> None:
    sender = codec(client_max_window_bits=bits, level=level, mem_level=mem_level)
    data = bytes(i * i % 251 for i in range(5000)) + b"abc" * 2000
    packed = sender.encode(data, first=True, fin=True)
    assert packed == pack(data, level=level, memLevel=mem_level, wbits=-max(bits, 9))
    assert unpack(packed) == data


def test_the_window_is_kept_or_not() -> None:
    data = os.urandom(400)
    kept, fresh = codec(), codec(client_no_context_takeover=True)
    first, second = (kept.encode(data, first=True, fin=True) for _ in range(2))
    assert len(first) > 400
    assert len(second) < 20
    first, second = (fresh.encode(data, first=True, fin=True) for _ in range(2))
    assert first == second
    asked = codec({"client_no_context_takeover": None})
    assert asked.encode(data, first=True, fin=True) == first
    assert asked.encode(data, first=True, fin=True) == first


@pytest.mark.parametrize("keep", [True, False])
def test_empty_messages_and_fragments(keep: bool) -> None:
    sender = codec(client_no_context_takeover=not keep)
    receiver = codec({} if keep else {"server_no_context_takeover": None})
    encoder = FrameEncoder(masked=False, extensions=pairs(sender))
    sent = [
        Frame.Text(""),
        Frame.Text("x"),
        Frame.Text(""),
        Frame.Binary(b"", fin=False),
        Frame.Binary(b"", fin=False),
        Frame.Binary(b""),
        Frame.Binary(b"a", fin=False),
        Frame.Binary(b""),
        Frame.Binary(b"", fin=False),
        Frame.Binary(b"a"),
    ]
    data = b"".join(map(encoder.encode, sent))
    assert data.startswith(b"\xc1\x01\x00")
    for pieces in ([data], single_bytes(data)):
        receiver = codec({} if keep else {"server_no_context_takeover": None})
        assert frames(pieces, extensions=pairs(receiver)) == [
            Frame.Text(""),
            Frame.Text("x"),
            Frame.Text(""),
            Frame.Binary(b""),
            Frame.Binary(b"a"),
            Frame.Binary(b"a"),
        ]


def test_the_threshold_counts_bytes() -> None:
    sender = codec(threshold=4)
    assert not sender.wants(Frame.Text("é" + "x"))
    assert sender.wants(Frame.Text("éé"))
    assert not sender.wants(Frame.Binary(b"123"))
    assert sender.wants(Frame.Binary(b"1234"))
    encoder = FrameEncoder(masked=False, extensions=pairs(sender))
    assert encoder.encode(Frame.Text("abc")) == frame(TEXT, b"abc")
    assert encoder.encode(Frame.Text("abcd"))[0] == 0xC1


def test_compress_if_is_asked_beyond_the_threshold() -> None:
    asked: list[Frame] = []

    def texts_only(message: Frame) -> bool:
        asked.append(message)
        return isinstance(message, Frame.Text)

    encoder = FrameEncoder(
        masked=False, extensions=pairs(codec(threshold=3, compress_if=texts_only))
    )
    assert encoder.encode(Frame.Text("ab"))[0] == 0x81
    assert encoder.encode(Frame.Text("abc"))[0] == 0xC1
    assert encoder.encode(Frame.Binary(b"abc")) == frame(BINARY, b"abc")
    assert encoder.encode(Frame.Ping(b"abcd")) == frame(PING, b"abcd")
    assert asked == [Frame.Text("abc"), Frame.Binary(b"abc")]


def test_a_message_left_out_leaves_the_window_alone() -> None:
    sender, receiver = codec(threshold=5), codec()
    encoder = FrameEncoder(masked=False, extensions=pairs(sender))
    sent = [Frame.Text(text) for text in ("hello hello", "no", "hello hello", "no", "hello")]
    data = b"".join(map(encoder.encode, sent))
    assert frames(data, extensions=pairs(receiver)) == sent


def test_zlib_objects_are_made_when_needed_and_freed() -> None:
    both = codec(client_no_context_takeover=True)
    assert both._deflater is None
    assert both._inflater is None
    both.encode(b"", first=True, fin=True)
    assert both._deflater is None
    both.encode(b"a", first=True, fin=False)
    assert both._deflater is not None
    both.encode(b"", first=False, fin=True)
    assert both._deflater is None
    both.decode(HELLO, first=True, fin=True, limit=99)
    assert both._inflater is not None
    both.encode(b"a", first=True, fin=False)
    both.close()
    assert both._deflater is None
    assert both._inflater is None
    forgets = codec({"server_no_context_takeover": None})
    forgets.decode(HELLO, first=True, fin=True, limit=99)
    assert forgets._inflater is None


# --- receiving ---


def test_control_frames_between_compressed_fragments() -> None:
    data = pack(b"to be or not to be" * 10)
    stream = (
        frame(TEXT, data[:5], rsv=0x40, fin=False)
        + frame(PING, b"\x00raw")
        + frame(CONT, data[5:9], fin=False)
        + frame(PING)
        + frame(CONT, data[9:])
    )
    for pieces in ([stream], single_bytes(stream)):
        result = decode(pieces, extensions=pairs(codec()))
        assert result.messages == [Frame.Text("to be or not to be" * 10)]
        assert result.control == [Frame.Ping(b"\x00raw"), Frame.Ping()]


def test_compressed_and_plain_messages_mix() -> None:
    receiver = codec()
    stream = frame(TEXT, HELLO, rsv=0x40) + frame(TEXT, b"plain") + frame(TEXT, AGAIN, rsv=0x40)
    expected = [Frame.Text("Hello"), Frame.Text("plain"), Frame.Text("Hello")]
    assert frames(stream, extensions=pairs(receiver)) == expected


def test_the_servers_window() -> None:
    half = os.urandom(600)
    answer: dict[str, str | None] = {"server_max_window_bits": "9"}
    near, far = (
        b"".join(frame(BINARY, part, rsv=0x40) for part in packed_together(half, bits))
        for bits in (9, 15)
    )
    assert frames(near, extensions=pairs(codec(answer))) == [Frame.Binary(half)] * 2
    result = decode(far, extensions=pairs(codec(answer)))
    assert result.messages == [Frame.Binary(half)]
    assert result.violation is not None
    assert "invalid distance too far back" in result.violation[1]


def test_a_fragment_may_end_in_what_looks_like_a_tail() -> None:
    """Here 00 00 FF FF is how a new stream begins: with a stored block of 0xFF00 bytes."""
    first = finished(b"hello") + TAIL
    rest = b"\x00" + bytes(0xFF00) + b"\x00"
    receiver = codec()
    result = receiver.decode(first, first=True, fin=False, limit=1 << 20)
    result += receiver.decode(rest, first=False, fin=True, limit=1 << 20)
    assert result == b"hello" + bytes(0xFF00)


def packed_together(data: bytes, bits: int) -> list[bytes]:
    """Compress the same message twice with one window."""
    packer = zlib.compressobj(wbits=-bits)
    return [
        (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH)).removesuffix(TAIL)
        for _ in range(2)
    ]


def test_without_context_takeover_the_window_is_empty() -> None:
    stream = frame(TEXT, HELLO, rsv=0x40) + frame(TEXT, AGAIN, rsv=0x40)
    result = decode(stream, extensions=pairs(codec({"server_no_context_takeover": None})))
    assert result.messages == [Frame.Text("Hello")]
    assert result.code == 1002


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xff\xff\xff",
        b"\x06",
        HELLO[:3] + b"\xff" * 5,
        pack(b"some words of the dictionary", zdict=b"some words of the dictionary"),
        zlib.compress(b"with a header of zlib"),
        b"\x00\x05\x00\x00\x00",
    ],
)
def test_damaged_data(data: bytes) -> None:
    """Also a preset dictionary, which permessage-deflate does not know."""
    for pieces in ([frame(TEXT, data, rsv=0x40)], single_bytes(frame(TEXT, data, rsv=0x40))):
        result = decode(pieces, extensions=pairs(codec()))
        assert result.violation is not None
        assert result.violation[0] == 1002
        assert result.violation[1].startswith("Compressed data is damaged: ")
        assert result.messages == []


def test_inflated_text_is_utf8() -> None:
    wrong = frame(TEXT, pack(b"a\xff"), rsv=0x40)
    assert decode(wrong, extensions=pairs(codec())).code == 1007
    first = frame(TEXT, pack(b"a\xff") + TAIL, rsv=0x40, fin=False)
    assert decode(first, extensions=pairs(codec())).code == 1007
    assert frames(frame(BINARY, pack(b"a\xff"), rsv=0x40), extensions=pairs(codec())) == [
        Frame.Binary(b"a\xff")
    ]


@pytest.mark.parametrize("parts", [1, 2])
def test_a_message_without_any_payload_is_empty(parts: int) -> None:
    """Nobody should send it (RFC 7692 7.2.3.6), and it leaves the window as it was."""
    empty = frame(TEXT, rsv=0x40) if parts == 1 else frame(TEXT, rsv=0x40, fin=False) + frame(CONT)
    stream = empty + frame(TEXT, HELLO, rsv=0x40) + empty + frame(TEXT, AGAIN, rsv=0x40)
    expected = [Frame.Text(text) for text in ("", "Hello", "", "Hello")]
    assert frames(stream, extensions=pairs(codec())) == expected


def finished(data: bytes) -> bytes:
    """Compress so that the last block says BFINAL."""
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush(zlib.Z_FINISH)


@pytest.mark.parametrize("keep", [True, False])
def test_final_blocks(keep: bool) -> None:
    answer: dict[str, str | None] = {} if keep else {"server_no_context_takeover": None}
    stream = b"".join(
        [
            frame(TEXT, finished(b"one") + b"\x00", rsv=0x40),
            frame(TEXT, finished(b"two"), rsv=0x40),
            frame(TEXT, finished(b"th") + pack(b"ree"), rsv=0x40),
            frame(TEXT, finished(b"fo"), rsv=0x40, fin=False),
            frame(CONT, finished(b"ur") + finished(b"!"), fin=False),
            frame(CONT),
            frame(TEXT, HELLO, rsv=0x40),
        ]
    )
    for pieces in ([stream], single_bytes(stream)):
        found = frames(pieces, extensions=pairs(codec(answer)))
        assert [f.data for f in found] == [b"one", b"two", b"three", b"four!", b"Hello"]


def test_endless_final_blocks_are_refused() -> None:
    few = frame(BINARY, finished(b"") * 63 + pack(b"end"), rsv=0x40)
    assert frames(few, extensions=pairs(codec())) == [Frame.Binary(b"end")]
    many = frame(BINARY, finished(b"") * 100_000, rsv=0x40)
    result = decode(many, extensions=pairs(codec()))
    assert result.violation == (1002, "Compressed data is damaged: it ends again and again")


# --- against zlib ---


@given(
    messages=st.lists(st.lists(st.binary(max_size=200), min_size=1, max_size=4), max_size=8),
    bits=st.integers(8, 15),
    keep=st.booleans(),
    level=st.integers(0, 9),
)
def test_zlib_reads_what_we_send(
    messages: list[list[bytes]], bits: int, keep: bool, level: int
) -> None:
    sender = codec(client_max_window_bits=bits, client_no_context_takeover=not keep, level=level)
    inflater = zlib.decompressobj(-bits)
    for fragments in messages:
        if not keep:
            inflater = zlib.decompressobj(-bits)
        last = len(fragments) - 1
        packed = [
            sender.encode(data, first=at == 0, fin=at == last) for at, data in enumerate(fragments)
        ]
        assert all(packed[:1])
        assert packed[-1]
        assert inflater.decompress(b"".join(packed) + TAIL) == b"".join(fragments)
        assert not inflater.eof


@given(
    messages=st.lists(st.binary(max_size=500), max_size=8),
    cuts=st.lists(st.integers(0, 500), max_size=4),
    bits=st.integers(8, 15),
    keep=st.booleans(),
    level=st.integers(0, 9),
    final=st.booleans(),
)
def test_we_read_what_zlib_sends(
    messages: list[bytes], cuts: list[int], bits: int, keep: bool, level: int, final: bool
) -> None:
    answer: dict[str, str | None] = {"server_max_window_bits": str(bits)}
    if not keep:
        answer["server_no_context_takeover"] = None
    receiver = codec(answer)
    packer = zlib.compressobj(level=level, wbits=-max(bits, 9))
    for message in messages:
        if not keep or final:
            packer = zlib.compressobj(level=level, wbits=-max(bits, 9))
        mode = zlib.Z_FINISH if final else zlib.Z_SYNC_FLUSH
        packed = (packer.compress(message) + packer.flush(mode)).removesuffix(TAIL) or b"\x00"
        marks = [0, *sorted(min(cut, len(packed)) for cut in cuts), len(packed)]
        found = b"".join(
            receiver.decode(
                packed[start:stop], first=at == 0, fin=at == len(marks) - 2, limit=len(message)
            )
            for at, (start, stop) in enumerate(itertools.pairwise(marks))
        )
        assert found == message
