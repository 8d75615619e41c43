"""Frames and close reasons: values, their rules, and how they are shown."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

from ktor_client.frames import (
    CONTINUATION,
    CloseReason,
    Frame,
    FrameType,
    TextFrame,
    may_be_sent,
)
from tests.protocol.wire import CONT, TEXT, deflate, frame, frames

ALL = [Frame.Text, Frame.Binary, Frame.Close, Frame.Ping, Frame.Pong]
CONTROL = [Frame.Close, Frame.Ping, Frame.Pong]


def continued(data: bytes) -> Frame:
    """Return the last fragment of a text, as a raw session gets it."""
    return frames(frame(TEXT, b"", fin=False) + frame(CONT, data), raw=True)[1]


# --- text ---


def test_text() -> None:
    one = Frame.Text("hé")
    assert one.read_text() == one.text == "hé"
    assert one.data == one.read_bytes() == b"h\xc3\xa9"
    assert one.fin
    assert not any((one.rsv1, one.rsv2, one.rsv3, one.is_continuation))
    assert one.frame_type is FrameType.TEXT
    for data in (b"h\xc3\xa9", bytearray(b"h\xc3\xa9"), memoryview(b"h\xc3\xa9")):
        assert Frame.Text(data) == one  # type: ignore[arg-type]  # any bytes will do


def test_text_of_bytes_is_utf8() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        Frame.Text(b"\xff")
    with pytest.raises(TypeError, match=r"Frame\.Text takes str or UTF-8 bytes, not int"):
        Frame.Text(5)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fragment", [Frame.Text("a", fin=False), Frame.Text(b"\xc3", fin=False), continued(b"b")]
)
def test_fragments_have_data_but_no_text(fragment: Frame) -> None:
    assert isinstance(fragment, Frame.Text)
    assert len(fragment.data) == 1
    with pytest.raises(ValueError, match="only be read from a whole message; this is a fragment"):
        fragment.read_text()
    assert not hasattr(fragment, "text")
    match fragment:
        case Frame.Text(text):
            pytest.fail(f"a fragment has matched as the text {text!r}")
        case Frame.Text():
            pass


def test_text_with_rsv_bits_is_an_extensions_data() -> None:
    packed = Frame.Text(b"\xf2\x48\xcd\xc9\xc9\x07\x00", rsv1=True)
    assert packed.data == b"\xf2\x48\xcd\xc9\xc9\x07\x00"
    assert packed.rsv1
    assert not hasattr(packed, "text")
    with pytest.raises(ValueError, match="not UTF-8 text; its bytes are in"):
        packed.read_text()
    received = frames(frame(TEXT, packed.data, rsv=0x40), raw=True, extensions=deflate())
    assert received == [packed]
    plain = Frame.Text("plain", rsv2=True)
    assert plain.read_text() == plain.text == "plain"
    assert plain.data == b"plain"
    assert plain != Frame.Text("plain")


def test_a_text_that_is_not_utf8() -> None:
    """As only raw sessions get it."""
    (odd,) = frames(frame(TEXT, b"\xff"), raw=True)
    assert odd.data == b"\xff"
    assert odd.fin
    assert repr(odd) == "Frame.Text(b'\\xff')"
    assert odd == copy.copy(odd) == pickle.loads(pickle.dumps(odd))
    assert kind_of(odd) == "fragment"


def test_no_other_attributes() -> None:
    for one in (Frame.Text("a"), Frame.Binary(b"a")):
        with pytest.raises(AttributeError, match="has no attribute 'payload'"):
            getattr(one, "payload")  # noqa: B009  # type checkers would refuse the other way
        with pytest.raises(AttributeError):
            setattr(one, "payload", b"")  # noqa: B010


# --- the others ---


@pytest.mark.parametrize("data", [b"ab", bytearray(b"ab"), memoryview(b"ab")])
def test_binary_is_a_copy(data: Any) -> None:
    one = Frame.Binary(data)
    assert one.data == one.read_bytes() == b"ab"
    assert type(one.data) is bytes


@pytest.mark.parametrize("kind", [Frame.Binary, Frame.Ping, Frame.Pong])
@pytest.mark.parametrize("wrong", ["text", 5])
def test_bytes_are_no_str_and_no_int(kind: Any, wrong: object) -> None:
    with pytest.raises(TypeError, match=f"takes bytes, not {type(wrong).__name__}"):
        kind(wrong)


@pytest.mark.parametrize("kind", CONTROL)
def test_control_frames_carry_125_bytes(kind: Any) -> None:
    assert kind(b"x" * 125).data == b"x" * 125
    with pytest.raises(ValueError, match="at most 125 bytes, not 126"):
        kind(b"x" * 126)
    assert kind().data == b""
    assert kind().fin


def test_frame_is_abstract() -> None:
    with pytest.raises(TypeError, match="Frame is abstract"):
        Frame()


def test_close_of_a_reason() -> None:
    one = Frame.Close(CloseReason(1000, "bye"))
    assert one.data == b"\x03\xe8bye"
    assert one.read_reason() == CloseReason(1000, "bye")
    assert Frame.Close().read_reason() is None
    assert Frame.Close(CloseReason(1005)).data == b""
    assert Frame.Close(b"\x0f\xa0").read_reason() == CloseReason(4000)
    assert len(Frame.Close(CloseReason(1000, "é" * 61)).data) == 124


@pytest.mark.parametrize(("data", "message"), [(b"\x03", "one byte"), (b"\x03\xe8\xff", "utf-8")])
def test_close_payloads_that_say_nothing(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Frame.Close(data).read_reason()


def test_no_close_of_an_open_session() -> None:
    still_open = CloseReason.__new__(CloseReason)
    still_open.code = None
    with pytest.raises(ValueError, match="still open"):
        Frame.Close(still_open)


# --- by type ---


@pytest.mark.parametrize("kind", ALL)
def test_by_type(kind: Any) -> None:
    one = Frame.by_type(kind.frame_type, b"ab")
    assert one == kind(b"ab")
    assert isinstance(one, kind)
    bits = Frame.by_type(kind.frame_type, b"ab", rsv1=True, rsv3=True)
    assert (bits.rsv1, bits.rsv2, bits.rsv3) == (True, False, True)
    assert kind.frame_type.is_control == (kind in CONTROL)


def test_by_type_makes_fragments_of_data_only() -> None:
    for kind in (FrameType.TEXT, FrameType.BINARY):
        assert not Frame.by_type(kind, b"\xc3", fin=False).fin
    for kind in (FrameType.CLOSE, FrameType.PING, FrameType.PONG):
        with pytest.raises(ValueError, match="a control frame cannot be a fragment"):
            Frame.by_type(kind, b"", fin=False)


# --- equality ---

DIFFERENT: list[Frame] = [
    Frame.Text("ab"),
    Frame.Text("ab", fin=False),
    Frame.Text("ab", rsv1=True),
    Frame.Text("ab", rsv2=True),
    Frame.Text("ab", rsv3=True),
    continued(b"ab"),
    Frame.Text("ac"),
    Frame.Binary(b"ab"),
    Frame.Binary(b"ab", fin=False),
    Frame.Ping(b"ab"),
    Frame.Pong(b"ab"),
    Frame.Close(b"ab"),
]


def test_frames_are_values() -> None:
    for at, one in enumerate(DIFFERENT):
        for index, other in enumerate(DIFFERENT):
            assert (one == other) == (at == index)
    assert len(set(DIFFERENT)) == len(DIFFERENT)
    assert Frame.Text("ab") == Frame.Text(b"ab")
    assert hash(Frame.Text("ab")) == hash(Frame.Text(b"ab"))
    assert Frame.Text("ab") != "ab"
    assert Frame.Binary(b"ab") != b"ab"


@pytest.mark.parametrize("one", DIFFERENT, ids=repr)
def test_frames_can_be_copied_and_pickled(one: Frame) -> None:
    for twin in (copy.copy(one), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert twin == one
        assert type(twin) is type(one)
        assert repr(twin) == repr(one)


# --- shown ---


@pytest.mark.parametrize(
    ("one", "shown"),
    [
        (Frame.Text("hi"), "Frame.Text('hi')"),
        (Frame.Text("x" * 48), f"Frame.Text('{'x' * 48}')"),
        (Frame.Text("x" * 49), f"Frame.Text('{'x' * 48}'... 49 characters)"),
        (Frame.Text("a", fin=False), "Frame.Text(b'a', fin=False)"),
        (Frame.Text("a", rsv1=True), "Frame.Text(b'a', rsv1=True)"),
        (continued(b"\xff"[:0]), "Frame.Text(b'')"),
        (Frame.Binary(b"x" * 33), f"Frame.Binary({b'x' * 32!r}... 33 bytes)"),
        (
            Frame.Binary(b"a", fin=False, rsv2=True, rsv3=True),
            "Frame.Binary(b'a', fin=False, rsv2=True, rsv3=True)",
        ),
        (Frame.Ping(b"p"), "Frame.Ping(b'p')"),
        (Frame.Close(), "Frame.Close(b'')"),
    ],
)
def test_repr(one: Frame, shown: str) -> None:
    assert repr(one) == shown


# --- matching ---


def kind_of(one: Frame) -> str:
    match one:
        case Frame.Text(text):
            return f"text {text}"
        case Frame.Binary(data):
            return f"binary {data!r}"
        case Frame.Close():
            return f"close {one.read_reason()}"
        case Frame.Ping(data) | Frame.Pong(data):
            return f"control {data!r}"
        case _:
            return "fragment"


def test_matching() -> None:
    assert kind_of(Frame.Text("a")) == "text a"
    assert kind_of(Frame.Binary(b"b")) == "binary b'b'"
    assert kind_of(Frame.Close(CloseReason(1000))) == "close 1000 NORMAL"
    assert kind_of(Frame.Pong(b"p")) == "control b'p'"
    assert kind_of(Frame.Text("a", fin=False)) == "fragment"


def test_continuation_is_no_type_of_its_own() -> None:
    part = continued(b"x")
    assert part.is_continuation
    assert part._bits == CONTINUATION
    assert type(part) is TextFrame


# --- close reasons ---


def test_a_close_reason_is_a_value() -> None:
    one = CloseReason(1000, "bye", initiator="peer", clean=True, received=CloseReason(1000))
    assert one == CloseReason(1000, "bye")
    assert hash(one) == hash(CloseReason(1000, "bye"))
    assert one != CloseReason(1001, "bye")
    assert one != CloseReason(1000)
    assert one != 1000
    assert (one.initiator, one.clean, one.sent) == ("peer", True, None)
    assert one
    match one:
        case CloseReason(1000, message):
            assert message == "bye"
        case _:
            pytest.fail("it does not match")


async def test_a_final_reason_can_be_awaited() -> None:
    one = CloseReason(1000)
    assert await one is one
    assert await one is one


@pytest.mark.parametrize("code", [-1, 65536])
def test_codes_have_two_bytes(code: int) -> None:
    with pytest.raises(ValueError, match=r"within 0\.\.65535"):
        CloseReason(code)
    assert CloseReason(0)
    assert CloseReason(65535).known_reason is None


def test_messages_have_123_bytes() -> None:
    CloseReason(1000, "x" * 123)
    for message in ("x" * 124, "é" * 62):
        with pytest.raises(ValueError, match="at most 123 UTF-8 bytes, not 124"):
            CloseReason(1000, message)


def test_codes_have_the_names_of_the_registry() -> None:
    names = {code.name: code.value for code in CloseReason.Codes}
    assert names == {
        "NORMAL": 1000,
        "GOING_AWAY": 1001,
        "PROTOCOL_ERROR": 1002,
        "CANNOT_ACCEPT": 1003,
        "RESERVED": 1004,
        "NO_STATUS": 1005,
        "CLOSED_ABNORMALLY": 1006,
        "NOT_CONSISTENT": 1007,
        "VIOLATED_POLICY": 1008,
        "TOO_BIG": 1009,
        "NO_EXTENSION": 1010,
        "INTERNAL_ERROR": 1011,
        "SERVICE_RESTART": 1012,
        "TRY_AGAIN_LATER": 1013,
        "BAD_GATEWAY": 1014,
        "TLS_HANDSHAKE_FAILED": 1015,
        "UNAUTHORIZED": 3000,
        "FORBIDDEN": 3003,
        "TIMEOUT": 3008,
    }
    assert CloseReason.Codes["UNEXPECTED_CONDITION"] is CloseReason.Codes.INTERNAL_ERROR
    for code in CloseReason.Codes:
        reason = CloseReason(code)
        assert reason.known_reason is code
        assert type(reason.code) is int
    assert CloseReason(4001).known_reason is None


def test_which_codes_may_be_sent_and_which_are_normal() -> None:
    sent = [code for code in range(-1, 65537) if may_be_sent(code)]
    assert sent == [1000, 1001, 1002, 1003, *range(1007, 1015), *range(3000, 5000)]
    assert [code for code in range(5000) if CloseReason(code).is_normal] == [1000, 1001, 1005]


@pytest.mark.parametrize("wrong", [None, "1000", 1000.0, True])
def test_a_code_is_an_int(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"close code is an int.* not {type(wrong).__name__}"):
        CloseReason(wrong)


@pytest.mark.parametrize("wrong", [None, b"bye", 5])
def test_a_message_is_text(wrong: Any) -> None:
    with pytest.raises(TypeError, match=f"close message is a str, not {type(wrong).__name__}"):
        CloseReason(1000, wrong)


def test_how_reasons_are_shown() -> None:
    assert repr(CloseReason(1000)) == "CloseReason(NORMAL)"
    assert repr(CloseReason(4001, "a'b")) == 'CloseReason(4001, "a\'b")'
    assert str(CloseReason(1000)) == "1000 NORMAL"
    assert str(CloseReason(4001, "why")) == "4001: why"
    still_open = CloseReason.__new__(CloseReason)
    still_open.code = None
    assert repr(still_open) == "CloseReason(<still open>)"
    assert str(still_open) == "still open"
    assert still_open.known_reason is None
    assert not still_open
    assert not still_open.is_normal
