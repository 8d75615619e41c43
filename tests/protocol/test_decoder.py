"""Frames and their order (RFC 6455 5.2 to 5.5): what is taken, and what breaks a rule."""

from __future__ import annotations

import pytest

from ktor_client.frames import CloseReason, Frame
from tests.protocol.wire import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    Feeding,
    decode,
    deflate,
    frame,
    frames,
    single_bytes,
)

SIZES = [
    0,
    1,
    2,
    124,
    125,
    126,
    127,
    255,
    256,
    511,
    512,
    513,
    1536,
    1537,
    4096,
    65534,
    65535,
    65536,
    70000,
]

# --- what is taken ---


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_each_length_form(size: int, masked: bool) -> None:
    payload = bytes(i % 251 for i in range(size))
    mask = KEY if masked else None
    stream = frame(BINARY, payload, mask=mask) + frame(TEXT, b"x" * size, mask=mask)
    expected = [Frame.Binary(payload), Frame.Text("x" * size)]
    for extensions in ((), deflate()):
        assert frames(stream, masked=masked, extensions=extensions) == expected
        pieces = [stream[:7], stream[7:]]
        assert frames(pieces, masked=masked, extensions=extensions) == expected


@pytest.mark.parametrize("cut", [65546 + 5, 2 * 65546 + 9, 3 * 65546 + 2, 10**6])
def test_long_frames_of_each_kind(cut: int) -> None:
    kilobytes = b"x" * 65536
    stream = frame(TEXT, kilobytes) + frame(BINARY, kilobytes)
    stream += frame(TEXT, kilobytes, fin=False) + frame(CONT, kilobytes) + frame(TEXT, b"short")
    text = kilobytes.decode()
    assert frames([stream[:cut], stream[cut:]]) == [
        Frame.Text(text),
        Frame.Binary(kilobytes),
        Frame.Text(2 * text),
        Frame.Text("short"),
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"\x81\x05\x48\x65\x6c\x6c\x6f", Frame.Text("Hello")),
        (b"\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f", Frame.Text("Hello")),
        (b"\x82\x7e\x01\x00" + bytes(256), Frame.Binary(bytes(256))),
        (b"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + bytes(65536), Frame.Binary(bytes(65536))),
    ],
)
def test_examples_of_the_rfc(data: bytes, expected: Frame) -> None:
    assert frames(data) == [expected]


def test_examples_of_the_rfc_with_masks() -> None:
    assert frames(b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", masked=True) == [
        Frame.Text("Hello")
    ]
    pong = decode(b"\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58", masked=True)
    assert pong.control == [Frame.Pong(b"Hello")]
    assert decode(b"\x89\x05\x48\x65\x6c\x6c\x6f").control == [Frame.Ping(b"Hello")]


def test_another_xor_is_used_if_there_is_one() -> None:
    keys: list[bytes] = []

    def mask(payload: bytes | memoryview, key: bytes) -> bytearray:
        keys.append(key)
        return bytearray(byte ^ key[at % 4] for at, byte in enumerate(payload))

    stream = frame(TEXT, b"hello", mask=KEY) + frame(BINARY, b"x", mask=KEY) + frame(PING, mask=KEY)
    result = decode(stream, masked=True, mask=mask)
    assert result.messages == [Frame.Text("hello"), Frame.Binary(b"x")]
    assert [type(message.data) for message in result.messages] == [bytes, bytes]
    assert result.control == [Frame.Ping()]
    assert keys == [KEY, KEY, KEY]


def test_messages_of_all_kinds_in_one_read_keep_their_order() -> None:
    stream = b"".join(
        [
            frame(TEXT, b"one"),
            frame(BINARY, b"2" * 300),
            frame(PING, b"p"),
            frame(TEXT, b"3" * 600),
            frame(TEXT, b"fo", fin=False),
            frame(PONG, b"q"),
            frame(CONT, b"ur"),
            frame(BINARY, b"5" * 70000),
            frame(TEXT, b"six"),
        ]
    )
    expected = [
        Frame.Text("one"),
        Frame.Binary(b"2" * 300),
        Frame.Text("3" * 600),
        Frame.Text("four"),
        Frame.Binary(b"5" * 70000),
        Frame.Text("six"),
    ]
    for pieces in ([stream], [stream[i : i + 1000] for i in range(0, len(stream), 1000)]):
        result = decode(pieces)
        assert result.messages == expected
        assert result.control == [Frame.Ping(b"p"), Frame.Pong(b"q")]
        assert not result.finished


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
def test_fragments_are_joined_empty_ones_too(opcode: int) -> None:
    stream = b"".join(
        [
            frame(opcode, b"", fin=False),
            frame(CONT, b"a", fin=False),
            frame(PING, b"between"),
            frame(CONT, b"", fin=False),
            frame(CONT, b"b", fin=False),
            frame(CONT, b""),
            frame(opcode, b"", fin=False),
            frame(CONT, b""),
        ]
    )
    kind = Frame.Text if opcode == TEXT else Frame.Binary
    for pieces in ([stream], single_bytes(stream)):
        result = decode(pieces)
        assert result.messages == [kind(b"ab"), kind(b"")]
        assert all(type(message.data) is bytes for message in result.messages)
        assert result.control == [Frame.Ping(b"between")]


def test_empty_reads_change_nothing() -> None:
    pieces = [b"", b"\x81", b"", b"\x02", b"", b"h", b"", b"i", b""]
    assert frames(pieces) == [Frame.Text("hi")]


def test_a_frame_of_bytes_is_not_a_view_of_the_buffer() -> None:
    feeding = Feeding()
    buffer = bytearray(frame(BINARY, b"short") + frame(BINARY, b"l" * 1000) + frame(PING, b"p"))
    feeding.feed(memoryview(buffer))
    buffer[:] = bytes(len(buffer))
    assert feeding.messages == [Frame.Binary(b"short"), Frame.Binary(b"l" * 1000)]
    assert [type(message.data) for message in feeding.messages] == [bytes, bytes]
    assert feeding.control == [Frame.Ping(b"p")]


def test_close_stops_the_parser() -> None:
    stream = frame(TEXT, b"in") + frame(CLOSE, b"\x03\xe8bye") + frame(TEXT, b"out") + b"\xff\xff"
    for pieces in ([stream], single_bytes(stream), [stream, b"\xff" * 20]):
        result = decode(pieces)
        assert result.messages == [Frame.Text("in")]
        assert result.control == [Frame.Close(CloseReason(1000, "bye"))]
        assert result.finished
        assert result.violation is None


def test_close_may_come_within_a_message() -> None:
    result = decode(frame(TEXT, b"half", fin=False) + frame(CLOSE))
    assert result.messages == []
    assert result.control == [Frame.Close()]


def test_what_came_before_a_violation_is_there() -> None:
    stream = frame(TEXT, b"one") + frame(BINARY, b"two") + frame(PING, b"p") + b"\x83\x00"
    for pieces in ([stream], single_bytes(stream)):
        result = decode(pieces)
        assert result.messages == [Frame.Text("one"), Frame.Binary(b"two")]
        assert result.control == [Frame.Ping(b"p")]
        assert result.code == 1002
        assert result.finished


def test_nothing_is_taken_after_a_violation() -> None:
    result = decode([frame(BINARY, b"x" * 200_000)[:1000]])
    assert result.messages == []
    feeding = Feeding()
    feeding.feed(frame(TEXT, b"\xff" * 200_000)[:10])  # the header alone
    feeding.fails(b"\xff", "not valid UTF-8")
    assert feeding.codec.finished
    assert feeding.codec._payload is None
    assert feeding.codec.direct_buffer() is None
    feeding.feed(frame(TEXT, b"later"))
    assert not feeding.messages


# --- rules ---

OPCODES = [(opcode, fin) for opcode in range(16) for fin in (False, True)]


@pytest.mark.parametrize(("opcode", "fin"), OPCODES)
def test_each_opcode(opcode: int, fin: bool) -> None:
    result = decode(frame(opcode, fin=fin))
    if opcode in (TEXT, BINARY) or (opcode in (CLOSE, PING, PONG) and fin):
        assert result.violation is None
        return
    assert result.code == 1002
    assert result.violation is not None
    if opcode == CONT:
        assert "a continuation of nothing" in result.violation[1]
    elif opcode in (CLOSE, PING, PONG):
        assert "a fragmented control frame" in result.violation[1]
    else:
        assert f"unknown opcode {opcode:#x}" in result.violation[1]


@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
@pytest.mark.parametrize("rsv", range(0x10, 0x80, 0x10))
def test_rsv_bits_that_nothing_explains(opcode: int, rsv: int) -> None:
    result = decode(frame(opcode, rsv=rsv))
    assert result.violation is not None
    assert result.violation == (
        1002,
        f"Received illegal frame: RSV bits {rsv >> 4:03b} that no extension explains",
    )
    assert decode(frame(opcode, rsv=rsv), raw=True).code == 1002
    started = frame(TEXT, fin=False) + frame(CONT, rsv=rsv)
    assert decode(started).code == 1002


@pytest.mark.parametrize("rsv", range(0x10, 0x80, 0x10))
def test_rsv_bits_with_deflate(rsv: int) -> None:
    legal = decode(frame(BINARY, b"\x00", rsv=rsv), extensions=deflate())
    assert legal.code == (None if rsv == 0x40 else 1002)
    for opcode in (CLOSE, PING, PONG):
        assert decode(frame(opcode, rsv=rsv), extensions=deflate()).code == 1002
    continued = frame(BINARY, b"\x00", rsv=0x40, fin=False) + frame(CONT, b"\x00", rsv=rsv)
    for raw in (False, True):
        assert decode(continued, extensions=deflate(), raw=raw).code == 1002


@pytest.mark.parametrize("opcode", [CLOSE, PING, PONG])
def test_control_frames_carry_125_bytes(opcode: int) -> None:
    payload = b"\x03\xe8" + b"x" * 123
    assert [f.data for f in decode(frame(opcode, payload)).control] == [payload]
    too_long = frame(opcode, payload + b"x")
    result = decode(too_long[:2])
    assert result.violation == (
        1002,
        "Received illegal frame: a control frame of over 125 bytes",
    )
    assert decode(frame(opcode, bytes(70000))[:2]).code == 1002


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("opcode", [TEXT, BINARY, CLOSE, PING, PONG])
def test_masks_are_for_clients_only(opcode: int, masked: bool) -> None:
    right = KEY if masked else None
    wrong = None if masked else KEY
    assert decode(frame(opcode, mask=right), masked=masked).violation is None
    result = decode(frame(opcode, mask=wrong), masked=masked)
    assert result.violation is not None
    assert result.violation[0] == 1002
    what = "unmasked frame from a client" if masked else "masked frame from a server"
    assert what in result.violation[1]
    assert decode(frame(opcode, mask=wrong)[:2], masked=masked).code == 1002


@pytest.mark.parametrize("size", [b"\x00\x80", b"\x01\x00"])
@pytest.mark.parametrize("marker", [0x7F, 0x80, 0x85, 0xFE, 0xFF])
def test_odd_headers_behind_a_good_frame(marker: int, size: bytes) -> None:
    """What could be taken for a 16-bit length in the fast lane is none."""
    for opcode, extensions in ((TEXT, ()), (BINARY, ()), (TEXT, deflate()), (BINARY, deflate())):
        stream = frame(TEXT, b"good") + bytes((0x80 | opcode, marker)) + size + b"x" * 600
        result = decode(stream, extensions=extensions)
        assert result.messages == [Frame.Text("good")]
        assert result.code == (1009 if marker == 0x7F else 1002)


@pytest.mark.parametrize("start", [b"\x00\x80", b"\x01\x00", b"\x02\x01"])
def test_payloads_that_look_like_lengths(start: bytes) -> None:
    payload = start + b"ab"
    for extensions in ((), deflate()):
        found = frames(frame(BINARY, payload) * 300, extensions=extensions)
        assert found == [Frame.Binary(payload)] * 300


def test_a_wrong_mask_bit_on_a_continuation() -> None:
    assert decode(frame(TEXT, b"a", fin=False) + frame(CONT, b"b", mask=KEY)).code == 1002


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize(
    ("marker", "digits", "size"),
    [(126, 2, 0), (126, 2, 125), (127, 8, 0), (127, 8, 125), (127, 8, 126), (127, 8, 65535)],
)
def test_lengths_have_their_shortest_form(
    marker: int, digits: int, size: int, masked: bool
) -> None:
    second = marker | (0x80 if masked else 0)
    header = bytes((0x82, second)) + size.to_bytes(digits, "big")
    for stream, extensions in ((header, ()), (header + KEY + bytes(size), deflate())):
        result = decode(stream, masked=masked, extensions=extensions)
        assert result.violation == (
            1002,
            "Received illegal frame: length not in its shortest form",
        )


@pytest.mark.parametrize("size", [1 << 63, (1 << 64) - 1, (1 << 63) | 5])
@pytest.mark.parametrize("max_size", [10, 1 << 62, 1 << 64])
def test_the_64_bit_length_has_no_sign(size: int, max_size: int) -> None:
    result = decode(b"\x82\x7f" + size.to_bytes(8, "big"), max_size=max_size)
    assert result.violation == (1002, "Received illegal frame: length with the top bit set")


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("fin", [False, True])
def test_a_new_message_within_a_message(opcode: int, fin: bool) -> None:
    for first in (b"", b"begun"):
        result = decode(frame(TEXT, first, fin=False) + frame(opcode, b"new", fin=fin))
        assert result.violation is not None
        assert result.violation[0] == 1002
        assert "before the last one was finished" in result.violation[1]


def test_a_continuation_after_the_end() -> None:
    whole = frame(TEXT, b"a")
    joined = frame(TEXT, b"a", fin=False) + frame(CONT, b"b")
    for start in (whole, joined):
        for fin in (False, True):
            result = decode(start + frame(CONT, b"c", fin=fin))
            assert len(result.messages) == 1
            assert result.code == 1002
