"""Frames out: headers, masks, the order of fragments, and the part of extensions."""

from __future__ import annotations

import itertools

import pytest

from ktor_client.frames import CloseReason, Frame
from ktor_client.protocol import encoder as module
from ktor_client.protocol.encoder import FrameEncoder
from tests.protocol.test_extensions import Reverse, Upper
from tests.protocol.wire import CONT, PING, TEXT, decode, deflate, frame, frames

SIZES = [0, 1, 125, 126, 127, 65535, 65536, 70000]


@pytest.mark.parametrize("size", SIZES)
def test_headers_are_the_shortest(size: int) -> None:
    encoder = FrameEncoder(masked=False)
    payload = b"x" * size
    assert encoder.encode(Frame.Text("x" * size)) == frame(TEXT, payload)
    assert encoder.encode(Frame.Binary(payload)) == frame(2, payload)


@pytest.mark.parametrize("size", SIZES)
def test_clients_mask(size: int) -> None:
    encoder = FrameEncoder()
    payload = bytes(i % 251 for i in range(size))
    data = encoder.encode(Frame.Binary(payload))
    assert data[1] & 0x80
    start = 2 if size < 126 else 4 if size < 65536 else 10
    key = data[start : start + 4]
    assert data == frame(2, payload, mask=key)
    assert frames(data, masked=True) == [Frame.Binary(payload)]


def test_each_frame_has_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = (number.to_bytes(4, "big") for number in itertools.count())
    monkeypatch.setattr(module, "take_key", drawn.__next__)
    encoder = FrameEncoder()
    keys = [encoder.encode(Frame.Binary(b""))[2:] for _ in range(3)]
    assert keys == [b"\0\0\0\0", b"\0\0\0\1", b"\0\0\0\2"]


def test_servers_need_no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "take_key", None)
    assert FrameEncoder(masked=False).encode(Frame.Ping(b"p")) == frame(PING, b"p")


def test_another_xor_is_used_if_there_is_one() -> None:
    asked: list[bytes | memoryview] = []

    def mask(payload: bytes | memoryview, key: bytes) -> bytearray:
        asked.append(payload)
        return bytearray(byte ^ key[at % 4] for at, byte in enumerate(payload))

    payload = bytes(range(200))
    for source in (payload, b""):
        data = FrameEncoder(mask=mask).encode(Frame.Binary(source))
        assert type(data) is bytes
        assert frames(data, masked=True) == [Frame.Binary(source)]
    assert asked == [payload, b""]


def test_control_frames() -> None:
    encoder = FrameEncoder(masked=False)
    assert encoder.encode(Frame.Ping(b"p")) == b"\x89\x01p"
    assert encoder.encode(Frame.Pong()) == b"\x8a\x00"
    assert encoder.encode(Frame.Close(CloseReason(1000, "bye"))) == b"\x88\x05\x03\xe8bye"
    assert encoder.encode(Frame.Close()) == b"\x88\x00"


@pytest.mark.parametrize("make", [Frame.Text, Frame.Binary])
def test_fragments_carry_their_type_once(make: type[Frame.Text] | type[Frame.Binary]) -> None:
    encoder = FrameEncoder(masked=False)
    opcode = make.frame_type
    assert not encoder.in_message
    parts = [make(b"a", fin=False), Frame.Ping(b"p"), make(b"", fin=False), make(b"c")]
    data = [encoder.encode(part) for part in parts]
    assert data == [
        frame(opcode, b"a", fin=False),
        frame(PING, b"p"),
        frame(CONT, b"", fin=False),
        frame(CONT, b"c"),
    ]
    assert not encoder.in_message
    assert frames(b"".join(data)) == [make(b"ac")]
    assert encoder.encode(make(b"d")) == frame(opcode, b"d")


def test_another_type_cannot_continue_a_message() -> None:
    encoder = FrameEncoder()
    encoder.encode(Frame.Text("a", fin=False))
    for fin in (False, True):
        with pytest.raises(ValueError, match="BINARY frame cannot continue an unfinished TEXT"):
            encoder.encode(Frame.Binary(b"b", fin=fin))
    assert encoder.in_message
    encoder.encode(Frame.Text("b"))
    assert not encoder.in_message


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("bit", ["rsv1", "rsv2", "rsv3"])
def test_rsv_bits_need_an_extension(bit: str, raw: bool) -> None:
    encoder = FrameEncoder(raw=raw)
    bits = {bit: True}
    for bad in (Frame.Binary(b"", **bits), Frame.Text("", fin=False, **bits)):
        with pytest.raises(ValueError, match="RSV bits are set by negotiated extensions only"):
            encoder.encode(bad)
    assert not encoder.in_message
    ping = Frame.by_type(Frame.Ping.frame_type, b"", **bits)
    with pytest.raises(ValueError, match="a control frame has no RSV bits"):
        encoder.encode(ping)


def test_raw_frames_go_as_they_are() -> None:
    encoder = FrameEncoder(masked=False, raw=True, extensions=deflate())
    assert not encoder.transforms
    packed = b"\xf2\x48\xcd\xc9\xc9\x07\x00"
    assert encoder.encode(Frame.Text(packed, rsv1=True)) == frame(TEXT, packed, rsv=0x40)
    assert encoder.encode(Frame.Text("plain")) == frame(TEXT, b"plain")
    assert encoder.encode(Frame.Text(packed, rsv1=True, fin=False)) == frame(
        TEXT, packed, rsv=0x40, fin=False
    )
    assert encoder.encode(Frame.Text(b"")) == frame(CONT)
    with pytest.raises(ValueError, match="RSV bits"):
        encoder.encode(Frame.Text(packed, rsv2=True))


def test_rsv_bits_are_not_the_users_while_extensions_work() -> None:
    encoder = FrameEncoder(extensions=deflate())
    assert encoder.transforms
    with pytest.raises(ValueError, match="RSV bits"):
        encoder.encode(Frame.Binary(b"", rsv1=True))


def test_what_a_raw_session_received_it_can_send() -> None:
    stream = frame(TEXT, b"a", fin=False) + frame(CONT, b"b", fin=False) + frame(CONT, b"c")
    encoder = FrameEncoder(masked=False, raw=True)
    assert b"".join(map(encoder.encode, frames(stream, raw=True))) == stream


def test_extensions_in_negotiated_order() -> None:
    """bar(foo(data)), where the answer said "foo, bar" (RFC 6455 9.1)."""
    extensions = [(0x20, Upper().accept([])), (0, Reverse().accept([]))]
    encoder = FrameEncoder(masked=False, extensions=extensions)
    assert encoder.encode(Frame.Text("abc")) == frame(TEXT, b"CBA", rsv=0x20)
    extensions = [(0, Reverse().accept([])), (0x20, Upper().accept([]))]
    encoder = FrameEncoder(masked=False, extensions=extensions)
    assert encoder.encode(Frame.Text("abc")) == frame(TEXT, b"CBA", rsv=0x20)


def test_wants_is_asked_once_a_message() -> None:
    upper = Upper().accept([])
    encoder = FrameEncoder(masked=False, extensions=[(0x20, upper)])
    upper.wanted = False
    assert encoder.encode(Frame.Text("ab", fin=False)) == frame(TEXT, b"ab", fin=False)
    upper.wanted = True
    assert encoder.encode(Frame.Ping(b"p")) == frame(PING, b"p")
    assert encoder.encode(Frame.Text("c")) == frame(CONT, b"c")
    assert encoder.encode(Frame.Text("ab", fin=False)) == frame(TEXT, b"AB", fin=False, rsv=0x20)
    upper.wanted = False
    assert encoder.encode(Frame.Text("c")) == frame(CONT, b"C")
    assert upper.asked == ["ab", "ab"]


def test_an_error_in_wants_changes_nothing() -> None:
    upper = Upper().accept([])
    upper.trouble = RuntimeError("the user's own")
    encoder = FrameEncoder(masked=False, extensions=[(0x20, upper)])
    with pytest.raises(RuntimeError, match="the user's own"):
        encoder.encode(Frame.Text("ab", fin=False))
    assert not encoder.in_message
    upper.trouble = None
    assert encoder.encode(Frame.Text("ab")) == frame(TEXT, b"AB", rsv=0x20)


@pytest.mark.parametrize("masked", [False, True])
def test_every_frame_comes_back(masked: bool) -> None:
    sent = [
        Frame.Text("é" * 40_000),
        Frame.Binary(bytes(300)),
        Frame.Text("", fin=False),
        Frame.Pong(b"x" * 125),
        Frame.Text("end"),
    ]
    encoder = FrameEncoder(masked=masked)
    result = decode(b"".join(map(encoder.encode, sent)), masked=masked)
    assert result.messages == [sent[0], sent[1], Frame.Text("end")]
    assert result.control == [sent[3]]
