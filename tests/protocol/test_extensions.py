"""Extensions: the header's grammar (RFC 6455 9.1), negotiation, conflicts, and third parties'."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ktor_client.frames import Frame
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.encoder import FrameEncoder
from ktor_client.protocol.extensions import (
    ExtensionCodec,
    ExtensionParameters,
    WebSocketExtension,
    check_conflicts,
    format_extension,
    format_offer,
    negotiate,
    parse_extensions,
)
from ktor_client.protocol.violation import Violation
from tests.protocol.wire import BINARY, CONT, PING, TEXT, Feeding, decode, deflate, frame, frames


class UpperCodec(ExtensionCodec):
    """Sends capitals and reads small letters; marks its messages."""

    def __init__(self) -> None:
        self.wanted = True
        self.asked: list[str] = []
        self.trouble: Exception | None = None
        self.calls: list[tuple[str, bool, bool]] = []
        self.limits: list[int] = []

    def wants(self, frame: Frame) -> bool:
        if self.trouble is not None:
            raise self.trouble
        self.asked.append(frame.data.decode())
        return self.wanted

    def encode(self, payload: bytes, *, first: bool, fin: bool) -> bytes:
        self.calls.append(("encode", first, fin))
        return payload.upper()

    def decode(self, payload: bytes, *, first: bool, fin: bool, limit: int) -> bytes:
        self.calls.append(("decode", first, fin))
        self.limits.append(limit)
        if payload == b"BAD":
            raise Violation.protocol("not upper enough")
        return payload.lower()


class Upper(WebSocketExtension):
    """An extension with a bit of its own."""

    name = "x-upper"
    rsv = 0x20

    def offers(self) -> Sequence[ExtensionParameters]:
        return [[("speed", "fast"), ("plain", None)], []]

    def accept(self, parameters: ExtensionParameters) -> UpperCodec:
        if parameters not in ([], [("speed", "fast")]):
            raise ValueError(f"x-upper cannot do {parameters}")
        return UpperCodec()


class ReverseCodec(ExtensionCodec):
    """Turns each fragment round."""

    def encode(self, payload: bytes, *, first: bool, fin: bool) -> bytes:
        return payload[::-1]

    def decode(self, payload: bytes, *, first: bool, fin: bool, limit: int) -> bytes:
        return payload[::-1]


class Reverse(WebSocketExtension):
    """An extension without a bit: it works on every message."""

    name = "x-reverse"

    def offers(self) -> Sequence[ExtensionParameters]:
        return [[]]

    def accept(self, parameters: ExtensionParameters) -> ReverseCodec:
        return ReverseCodec()


# --- grammar ---


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", []),
        (" \t", []),
        (",, ,", []),
        ("foo", [("foo", [])]),
        (" foo ", [("foo", [])]),
        ("foo, bar", [("foo", []), ("bar", [])]),
        (",foo,,\tbar ,", [("foo", []), ("bar", [])]),
        ("foo;a", [("foo", [("a", None)])]),
        ("foo ; a ; b=1 ;c = 2", [("foo", [("a", None), ("b", "1"), ("c", "2")])]),
        ('foo; a="1"', [("foo", [("a", "1")])]),
        ('foo; a="\\1\\0" ; b', [("foo", [("a", "10"), ("b", None)])]),
        ('foo; a="x,y"', ValueError),
        ('foo; a="x", bar; b="y"', [("foo", [("a", "x")]), ("bar", [("b", "y")])]),
        ("foo; a=1; a=2", [("foo", [("a", "1"), ("a", "2")])]),
        ("foo;", ValueError),
        ("foo; =1", ValueError),
        ("foo; a=", ValueError),
        ("foo; a=;", ValueError),
        ("foo bar", ValueError),
        ("foo; a b", ValueError),
        ("foo; a=1 2", ValueError),
        (";a", ValueError),
        ("=", ValueError),
        ('"foo"', ValueError),
        ('foo; "a"', ValueError),
        ('foo; a="1', ValueError),
        ('foo; a="1\\', ValueError),
        ('foo; a="1\\"', ValueError),
        ('foo; a=""', ValueError),
        ('foo; a="x y"', ValueError),
        ('foo; a="x"y', ValueError),
        ("föö", ValueError),
        ("foo; a=ü", ValueError),
        ("foo\r\nbar", ValueError),
        ("foo/1", ValueError),
    ],
)
def test_the_grammar(
    header: str, expected: list[tuple[str, ExtensionParameters]] | type[ValueError]
) -> None:
    if isinstance(expected, list):
        assert parse_extensions(header) == expected
    else:
        with pytest.raises(expected):
            parse_extensions(header)


def test_errors_show_the_place() -> None:
    with pytest.raises(ValueError, match=r"expected a token .* at '=1, bar'"):
        parse_extensions("foo; =1, bar")
    with pytest.raises(ValueError, match=r"expected ',' .* at 'bar'"):
        parse_extensions("foo bar")
    with pytest.raises(ValueError, match="unterminated quoted string"):
        parse_extensions('foo; a="')
    with pytest.raises(ValueError, match="'x y' is not a token once unquoted"):
        parse_extensions('foo; a="x y"')


def test_formatting() -> None:
    assert format_extension("foo", []) == "foo"
    assert format_extension("foo", [("a", None), ("b", "1")]) == "foo; a; b=1"
    offer = format_offer([Upper(), Reverse()])
    assert offer == "x-upper; speed=fast; plain, x-upper, x-reverse"
    assert format_offer([]) == ""
    assert [name for name, _ in parse_extensions(offer)] == ["x-upper", "x-upper", "x-reverse"]


@pytest.mark.parametrize(
    "parameter",
    [("a", "x y"), ("a", ""), ("a", 'x"'), ("a", "1\r\nX: y"), ("a b", None), ("", "1")],
)
def test_what_is_no_token_is_not_sent(parameter: tuple[str, str | None]) -> None:
    with pytest.raises(ValueError, match="cannot be a parameter"):
        format_extension("foo", [parameter])


# --- conflicts ---


def named(name: str, rsv: int = 0) -> WebSocketExtension:
    extension = Reverse()
    extension.name = name
    extension.rsv = rsv
    return extension


def test_extensions_that_agree() -> None:
    check_conflicts([])
    check_conflicts([WebSocketDeflate(), Upper(), Reverse(), named("x-third", 0x10)])


@pytest.mark.parametrize(
    ("extensions", "message"),
    [
        ([WebSocketDeflate(), WebSocketDeflate()], "permessage-deflate is installed twice"),
        ([WebSocketDeflate(), named("a", 0x40)], "permessage-deflate and a both claim RSV1"),
        ([named("a", 0x30), Upper()], "a and x-upper both claim RSV2"),
        ([named("a", 0x10), named("b", 0x70)], "a and b both claim RSV3"),
        ([named("no token")], "'no token' is not an extension name"),
        ([named("")], "'' is not an extension name"),
        ([named("a", 0x80)], "a claims bits 0x80 outside RSV1..RSV3"),
        ([named("a", 0x01)], "a claims bits 0x1 outside RSV1..RSV3"),
    ],
)
def test_extensions_that_do_not(extensions: list[WebSocketExtension], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_conflicts(extensions)


# --- negotiation ---


def test_the_answers_order_counts() -> None:
    installed = [Upper(), Reverse()]
    result = negotiate('x-reverse,x-upper;speed="fast"', installed)
    assert [extension for extension, _, _ in result] == [installed[1], installed[0]]
    assert [text for _, _, text in result] == ["x-reverse", "x-upper; speed=fast"]
    assert [type(codec) for _, codec, _ in result] == [ReverseCodec, UpperCodec]


def test_nothing_chosen() -> None:
    assert negotiate("", [Upper()]) == []


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("x-other", "chose extension 'x-other', which was not offered"),
        ("X-Upper", "chose extension 'X-Upper', which was not offered"),
        ("x-upper, x-upper", "chose extension 'x-upper' twice"),
        ("x-upper; slow", "x-upper cannot do"),
        ("x-upper;", "expected a token"),
    ],
)
def test_answers_that_are_refused(header: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        negotiate(header, [Upper(), Reverse()])


def test_by_default_a_server_declines_and_nothing_is_held() -> None:
    assert Reverse().agree([]) is None
    codec = Reverse().accept([])
    assert codec.wants(Frame.Text("a"))
    codec.close()


# --- third parties' extensions at work ---


def test_a_bit_of_its_own() -> None:
    upper = Upper().accept([])
    extensions = [(0x20, upper)]
    stream = b"".join(
        [
            frame(TEXT, b"ABC", rsv=0x20),
            frame(TEXT, b"ABC"),
            frame(BINARY, b"A", rsv=0x20, fin=False),
            frame(PING, b"P"),
            frame(CONT, b"B", fin=False),
            frame(CONT, b"C"),
        ]
    )
    result = decode(stream, extensions=extensions, max_size=99)
    assert result.messages == [Frame.Text("abc"), Frame.Text("ABC"), Frame.Binary(b"abc")]
    assert result.control == [Frame.Ping(b"P")]
    assert upper.calls == [
        ("decode", True, True),
        ("decode", True, False),
        ("decode", False, False),
        ("decode", False, True),
    ]
    assert upper.limits == [99] * 4
    assert decode(frame(TEXT, b"A", rsv=0x40), extensions=extensions).code == 1002
    assert decode(frame(TEXT, b"A", rsv=0x30), extensions=extensions).code == 1002


def test_without_a_bit_it_sees_every_message() -> None:
    extensions = [(0, Reverse().accept([]))]
    stream = frame(TEXT, b"abc") + frame(BINARY, b"ab", fin=False) + frame(CONT, b"cd")
    assert frames(stream, extensions=extensions) == [Frame.Text("cba"), Frame.Binary(b"badc")]
    assert decode(frame(TEXT, b"abc", rsv=0x10), extensions=extensions).code == 1002


def test_text_is_checked_after_the_transform() -> None:
    extensions = [(0, Reverse().accept([]))]
    assert frames(frame(TEXT, b"\xa9\xc3"), extensions=extensions) == [Frame.Text("é")]
    assert decode(frame(TEXT, b"\xc3\xa9"), extensions=extensions).code == 1007
    halves = frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"\xa9")
    assert frames(halves, extensions=extensions) == [Frame.Text("é")]
    wrong = frame(TEXT, b"\xc3", fin=False) + frame(CONT, b"(", fin=False)
    assert decode(wrong, extensions=extensions).code == 1007


def test_a_violation_that_an_extension_finds() -> None:
    result = decode(frame(TEXT, b"BAD", rsv=0x20), extensions=[(0x20, Upper().accept([]))])
    assert result.violation == (1002, "not upper enough")


class Grow(ReverseCodec):
    def decode(self, payload: bytes, *, first: bool, fin: bool, limit: int) -> bytes:
        return payload * 10


def test_what_comes_out_is_limited_too() -> None:
    extensions = [(0, Grow())]
    assert len(frames(frame(BINARY, b"x" * 10), extensions=extensions, max_size=100)) == 1
    assert decode(frame(BINARY, b"x" * 11), extensions=extensions, max_size=100).code == 1009
    start = frame(BINARY, b"x" * 5, fin=False)
    for size, code in ((5, None), (6, 1009)):
        result = decode(start + frame(CONT, b"y" * size), 100, extensions=extensions)
        assert result.code == code


def test_what_came_out_is_counted() -> None:
    feeding = Feeding(extensions=[(0, Grow())])
    feeding.feed(frame(BINARY, b"x" * 5) + frame(PING, b"1234"))
    assert feeding.size == 50


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("upper_wants", [True, False])
@pytest.mark.parametrize("cut", [None, 2])
def test_two_extensions_undo_each_other(
    order: tuple[int, int], upper_wants: bool, cut: int | None
) -> None:
    def both() -> list[tuple[int, ExtensionCodec]]:
        upper = Upper().accept([])
        upper.wanted = upper_wants
        pairs = [(0x20, upper), deflate()[0]]
        return [pairs[i] for i in order]

    encoder = FrameEncoder(extensions=both())
    texts = ["hello world", "", "hello world"]
    data = b""
    for text in texts:
        if cut is None:
            data += encoder.encode(Frame.Text(text))
        else:
            data += encoder.encode(Frame.Text(text[:cut], fin=False))
            data += encoder.encode(Frame.Text(text[cut:]))
    if not upper_wants or order == (0, 1):  # capitals would damage compressed bytes
        assert frames(data, masked=True, extensions=both()) == [Frame.Text(t) for t in texts]
    assert bool(data[0] & 0x20) == upper_wants
    assert data[0] & 0x40
