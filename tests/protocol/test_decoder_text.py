"""UTF-8, checked as it comes (RFC 6455 8.1), and Close payloads (5.5.1, 7.4)."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from ktor_client.frames import CloseReason, Frame
from tests.protocol.wire import (
    BINARY,
    CLOSE,
    CONT,
    KEY,
    PING,
    TEXT,
    decode,
    deflate,
    frame,
    frames,
    single_bytes,
)

VALID = [
    "κόσμε",
    "\x00\x7f\x80\u07ff\u0800\uffff\U00010000\U0010ffff",
    "\ud7ff\ue000\ufffd\ufffe",
    "Hello-µ@ßöäüàá-UTF-8!!",
]
INVALID = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80edited",
    b"\x80",
    b"\xbf",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf5\x80\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xfe",
    b"\xff",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"a\xc3(",
    b"\xe2\x82(",
]
UNFINISHED = [b"\xc2", b"\xe2\x82", b"\xf0\x9f\x98", b"ok\xf4\x8f\xbf"]


def reference_prefix(data: bytes) -> int:
    """Return how many bytes can begin valid UTF-8, by the table 3-7 of the Unicode standard."""
    ranges = {0xE0: (0xA0, 0xBF), 0xED: (0x80, 0x9F), 0xF0: (0x90, 0xBF), 0xF4: (0x80, 0x8F)}
    missing, low, high = 0, 0x80, 0xBF
    for at, byte in enumerate(data):
        if missing:
            if not low <= byte <= high:
                return at
            missing, low, high = missing - 1, 0x80, 0xBF
        elif byte < 0x80:
            continue
        elif 0xC2 <= byte <= 0xF4:
            missing = 1 + (byte >= 0xE0) + (byte >= 0xF0)
            low, high = ranges.get(byte, (0x80, 0xBF))
        else:
            return at
    return len(data)


@pytest.mark.parametrize("text", VALID)
def test_valid_text_however_it_is_cut(text: str) -> None:
    data = text.encode()
    assert frames(frame(TEXT, data)) == [Frame.Text(text)]
    for cut in range(len(data) + 1):
        stream = frame(TEXT, data[:cut], fin=False) + frame(CONT, data[cut:])
        for pieces in ([stream], single_bytes(stream)):
            assert frames(pieces) == [Frame.Text(text)]
    for size in (200, 600, 70_000):
        long = text * (size // len(text))
        stream = frame(TEXT, long.encode())
        assert frames([stream]) == [Frame.Text(long)]
        assert frames([stream[:-1], stream[-1:]]) == [Frame.Text(long)]


@pytest.mark.parametrize("padding", [0, 120, 400, 1000, 70_000])
@pytest.mark.parametrize("data", INVALID + UNFINISHED)
def test_invalid_text_in_a_whole_frame(data: bytes, padding: int) -> None:
    payload = b"x" * padding + data
    modes: list[tuple[bool, dict[str, Any]]] = [
        (False, {}),
        (False, {"extensions": deflate()}),
        (True, {}),
    ]
    for masked, options in modes:
        stream = frame(TEXT, payload, mask=KEY if masked else None)
        for pieces in ([stream], [stream[:-1], stream[-1:]]):
            result = decode(pieces, masked=masked, **options)
            assert result.violation == (1007, "Text is not valid UTF-8")
            assert result.messages == []


@pytest.mark.parametrize("data", UNFINISHED)
def test_text_that_ends_within_a_character(data: bytes) -> None:
    for cut in range(len(data) + 1):
        stream = frame(TEXT, data[:cut], fin=False) + frame(CONT, data[cut:])
        for pieces in ([stream], single_bytes(stream)):
            assert decode(pieces).code == 1007
        assert decode(stream + frame(TEXT, b"\x80")).code == 1007


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("with_deflate", [False, True])
@pytest.mark.parametrize("data", INVALID)
def test_failing_fast_within_a_frame(data: bytes, with_deflate: bool, masked: bool) -> None:
    """As Autobahn 6.4.3 and 6.4.4 want it, and at the very byte."""
    options: dict[str, Any] = {
        "extensions": deflate() if with_deflate else (),
        "masked": masked,
    }
    stream = frame(TEXT, data + b"more", mask=KEY if masked else None)
    wrong = (6 if masked else 2) + reference_prefix(data)
    for pieces in (single_bytes(stream[:wrong]), [stream[:wrong]]):
        assert decode(pieces, **options).violation is None
    for pieces in (single_bytes(stream[: wrong + 1]), [stream[:-1]]):
        assert decode(pieces, **options).code == 1007


@pytest.mark.parametrize("data", INVALID)
def test_failing_fast_over_fragments(data: bytes) -> None:
    """As Autobahn 6.4.1 and 6.4.2 want it: the rest of the message has not come yet."""
    wrong = reference_prefix(data)
    for fragment_size in (1, 2, 3):
        head = b"".join(
            frame(CONT if at else TEXT, data[at : at + fragment_size], fin=False) + frame(PING)
            for at in range(0, len(data), fragment_size)
            if at <= wrong
        )
        result = decode(head)
        assert result.code == 1007
        before = wrong // fragment_size
        assert len(result.control) == before


def test_every_start_of_a_character_fails_at_the_right_byte() -> None:
    seconds = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF]
    for first, second, third in itertools.product(range(0xC0, 0x100), seconds, [0x7F, 0x80, 0xBF]):
        data = bytes((first, second, third))
        wrong = reference_prefix(data)
        pieces = single_bytes(frame(TEXT, data + b"\x80" * 20))
        assert decode(pieces[: 2 + wrong]).violation is None, data
        if wrong < len(data):
            assert decode(pieces[: 3 + wrong]).code == 1007, data


def test_the_check_starts_anew_with_each_message() -> None:
    half = frame(TEXT, "é".encode()[:1], fin=False)
    stream = half + frame(CONT, "é".encode()[1:]) + frame(TEXT, b"\x80", fin=False)
    result = decode(stream)
    assert result.messages == [Frame.Text("é")]
    assert result.code == 1007


def test_binary_may_hold_anything() -> None:
    for data in INVALID + UNFINISHED:
        stream = frame(BINARY, data) + frame(BINARY, data, fin=False) + frame(CONT, data)
        assert frames(single_bytes(stream)) == [Frame.Binary(data), Frame.Binary(data * 2)]


def test_control_payloads_within_text_are_not_text() -> None:
    stream = frame(TEXT, b"a", fin=False) + frame(PING, b"\xff\xfe") + frame(CONT, b"b")
    for pieces in ([stream], single_bytes(stream)):
        assert frames(pieces) == [Frame.Text("ab")]


# --- Close ---

LEGAL = [1000, 1001, 1002, 1003, *range(1007, 1015), 3000, 3999, 4000, 4999]
ILLEGAL = [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535]


@pytest.mark.parametrize("code", LEGAL)
def test_close_codes_that_may_be_sent(code: int) -> None:
    for reason in ("", "why", "é" * 61):
        result = decode(frame(CLOSE, code.to_bytes(2, "big") + reason.encode()))
        assert result.violation is None
        (close,) = result.control
        assert isinstance(close, Frame.Close)
        assert close.read_reason() == CloseReason(code, reason)


@pytest.mark.parametrize("raw", [False, True])
@pytest.mark.parametrize("code", ILLEGAL)
def test_close_codes_that_may_not(code: int, raw: bool) -> None:
    result = decode(frame(CLOSE, code.to_bytes(2, "big") + b"reason"), raw=raw)
    assert result.violation == (1002, f"Received illegal frame: Close with code {code}")
    assert result.control == result.messages == []
    assert result.finished


def test_the_table_of_close_codes_is_whole() -> None:
    legal = {1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)}
    for code in range(0x10000):
        result = decode(frame(CLOSE, code.to_bytes(2, "big")))
        assert (result.violation is None) == (code in legal), code


def test_an_empty_close_has_no_code() -> None:
    result = decode(frame(CLOSE))
    assert result.control == [Frame.Close()]
    assert result.finished


def test_a_close_of_one_byte() -> None:
    result = decode(frame(CLOSE, b"\x03"))
    assert result.violation == (1002, "Received illegal frame: a Close payload of one byte")


@pytest.mark.parametrize("reason", INVALID + UNFINISHED)
def test_close_reasons_are_utf8(reason: bytes) -> None:
    result = decode(frame(CLOSE, b"\x03\xe8" + reason))
    assert result.violation == (1007, "Close reason is not valid UTF-8")
    assert result.control == []
