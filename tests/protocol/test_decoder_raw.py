"""Raw mode: each frame as it came, control frames and fragments included."""

from __future__ import annotations

import pytest

from ktor_client.frames import CloseReason, Frame, FrameType
from ktor_client.protocol.encoder import FrameEncoder
from tests.protocol.wire import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    PONG,
    TEXT,
    decode,
    deflate,
    frame,
    frames,
    single_bytes,
)


@pytest.mark.parametrize("masked", [False, True])
def test_every_frame_in_order(masked: bool) -> None:
    mask = KEY if masked else None
    stream = b"".join(
        [
            frame(TEXT, b"whole", mask=mask),
            frame(TEXT, b"a\xc3", fin=False, mask=mask),
            frame(PING, b"p", mask=mask),
            frame(CONT, b"\xa9", fin=False, mask=mask),
            frame(CONT, b"", mask=mask),
            frame(BINARY, b"\xff", fin=False, mask=mask),
            frame(CONT, b"\xfe", mask=mask),
            frame(PONG, b"q", mask=mask),
            frame(CLOSE, b"\x03\xe8", mask=mask),
        ]
    )
    for pieces in ([stream], single_bytes(stream)):
        result = decode(pieces, raw=True, masked=masked)
        assert result.violation is None
        kinds = [(f.frame_type, f.data, f.fin, f.is_continuation) for f in result.messages]
        assert kinds == [
            (FrameType.TEXT, b"whole", True, False),
            (FrameType.TEXT, b"a\xc3", False, False),
            (FrameType.PING, b"p", True, False),
            (FrameType.TEXT, b"\xa9", False, True),
            (FrameType.TEXT, b"", True, True),
            (FrameType.BINARY, b"\xff", False, False),
            (FrameType.BINARY, b"\xfe", True, True),
            (FrameType.PONG, b"q", True, False),
            (FrameType.CLOSE, b"\x03\xe8", True, False),
        ]
        assert result.messages[0] == Frame.Text("whole")
        assert result.control == [
            Frame.Ping(b"p"),
            Frame.Pong(b"q"),
            Frame.Close(CloseReason(1000)),
        ]


def test_a_final_fragment_is_no_whole_message() -> None:
    first, last = frames(frame(TEXT, b"a", fin=False) + frame(CONT, b"b"), raw=True)
    for part in (first, last):
        assert isinstance(part, Frame.Text)
        with pytest.raises(ValueError, match="fragment"):
            part.read_text()


@pytest.mark.parametrize("masked", [False, True])
def test_compressed_frames_stay_compressed(masked: bool) -> None:
    mask = KEY if masked else None
    packed = b"\xf2\x48\xcd\xc9\xc9\x07\x00"  # "Hello" (RFC 7692 7.2.3.1)
    stream = b"".join(
        [
            frame(TEXT, packed, rsv=0x40, mask=mask),
            frame(TEXT, packed[:3], rsv=0x40, fin=False, mask=mask),
            frame(CONT, packed[3:], mask=mask),
            frame(TEXT, b"plain", mask=mask),
            frame(BINARY, packed, rsv=0x40, mask=mask),
        ]
    )
    for pieces in ([stream], single_bytes(stream)):
        found = frames(pieces, raw=True, masked=masked, extensions=deflate())
        assert [(f.data, f.rsv1, f.fin) for f in found] == [
            (packed, True, True),
            (packed[:3], True, False),
            (packed[3:], False, True),
            (b"plain", False, True),
            (packed, True, True),
        ]
        assert found[3] == Frame.Text("plain")
        assert found[4] == Frame.Binary(packed, rsv1=True)
        assert found[0] == Frame.Text(packed, rsv1=True)
        assert not hasattr(found[0], "text")


NOT_TEXT = [b"\xff", b"he\xc3\x28o", b"\xed\xa0\x80", b"\xe2\x82", b"\x80" * 70_000]


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("data", NOT_TEXT, ids=lambda data: repr(data[:6]))
def test_what_is_called_a_text_and_is_none(data: bytes, masked: bool) -> None:
    """Whole, in pieces, in fragments: it comes as it was sent."""
    mask = KEY if masked else None
    whole = frame(TEXT, data, mask=mask)
    parts = frame(TEXT, data[:1], fin=False, mask=mask) + frame(CONT, data[1:], mask=mask)
    stream = whole + parts + frame(TEXT, b"after", mask=mask)
    reads = single_bytes(stream) if len(stream) < 100 else [stream[:5], stream[5:20], stream[20:]]
    for pieces in ([stream], reads):
        found = frames(pieces, raw=True, masked=masked)
        assert [one.data for one in found] == [data, data[:1], data[1:], b"after"]
        odd = found[0]
        assert isinstance(odd, Frame.Text)
        assert odd.fin
        assert not hasattr(odd, "text")
        with pytest.raises(ValueError, match=r"not UTF-8 text; its bytes are in \.data"):
            odd.read_text()
        assert found[3] == Frame.Text("after")
    assert decode(whole, masked=masked).code == 1007


def test_a_text_that_is_none_can_be_passed_on() -> None:
    (odd,) = frames(frame(TEXT, b"\xff"), raw=True)
    assert FrameEncoder(masked=False, raw=True).encode(odd) == frame(TEXT, b"\xff")
    with pytest.raises(ValueError, match="not UTF-8"):
        FrameEncoder(masked=False).encode(odd)


def test_a_bad_close_is_not_delivered() -> None:
    result = decode(frame(PING) + frame(CLOSE, b"\x00"), raw=True)
    assert result.messages == result.control == [Frame.Ping()]
    assert result.code == 1002
