"""h11 beside ours on answers changed at random: alike, or the rule that differs is named."""

from __future__ import annotations

import random

import h11
import pytest

from ktor_client.http1 import AnswerError
from tests.http1.reading import read_answer

ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b c\r\n\r\nhello",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
    b"HTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\n"
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nnope",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\nContent-Length: 2,2\r\n\r\nhi",
)
BITS = (
    b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b";", b",", b"0", b"1", b"9", b"a", b"F", b"\x00",
    b"\x80", b"\x7f", b"\x0b", b"-", b"+", b"chunked", b"gzip", b"HTTP/1.1 ",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n",
)  # fmt: skip

STRICTER = (
    "control character",  # h11 lets all but NUL and blanks pass (RFC 9110 5.5: invalid)
    "it begins",  # h11 takes any HTTP/x.y for 1.1 (RFC 9112 2.3)
    "has a length beside Transfer-Encoding",  # h11 drops the length (RFC 9112 6.3: an error)
    "does not end in CR LF",  # LF alone ends h11's trailers (RFC 9112 7.1)
    "before its last chunk",  # likewise
    "b'' is no field",  # likewise
    "is no chunk's size",  # DEL within an extension (RFC 9112 7.1.1)
    "too long",
    "the line before a chunk",
)
LAXER = (
    "conflicting Content-Length",  # "2, 02": two spellings of one number (RFC 9110 8.6)
    "illegal chunk header",  # a blank before an extension (RFC 9112 7.1.1: BWS)
)


def by_h11(data: bytes) -> tuple[object, ...]:
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=64 * 1024)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    status, fields, content, has_ended = 0, [], b"", False
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA and not has_ended:
                connection.receive_data(b"")
                has_ended = True
            elif isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                return "refused", "101"
            elif isinstance(event, h11.Response):
                status = event.status_code
                fields = [(bytes(n).lower(), bytes(v)) for n, v in event.headers.raw_items()]
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                return "ok", status, without_lengths(fields), content
            elif isinstance(event, h11.ConnectionClosed) or event is h11.NEED_DATA:
                return "refused", "ended"
    except h11.RemoteProtocolError as error:
        return "refused", str(error)


def by_ours(data: bytes) -> tuple[object, ...]:
    try:
        head, content, _ = read_answer([data])
    except (AnswerError, EOFError) as error:
        return "refused", str(error)
    return "ok", head.status, without_lengths([(n.lower(), v) for n, v in head.fields]), content


def without_lengths(fields: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    """Leave out what h11 normalizes, and how many blanks a fold became."""
    return [
        (name, b" ".join(value.split()))
        for name, value in fields
        if name not in (b"content-length", b"transfer-encoding")
    ]


def changed(answer: bytes, source: random.Random) -> bytes:
    data = bytearray(answer)
    for _ in range(source.choice((1, 1, 1, 2, 3))):
        at = source.randrange(len(data) + 1)
        match source.randrange(4):
            case 0:
                data[at:at] = source.choice(BITS)
            case 1:
                del data[at : at + source.randrange(1, 6)]
            case 2 if at < len(data):
                data[at] = source.randrange(256)
            case _:
                bits = source.choice(BITS)
                data[at : at + len(bits)] = bits
    return bytes(data)


def compare(seed: int, count: int) -> None:
    source = random.Random(seed)
    for _ in range(count):
        data = changed(source.choice(ANSWERS), source)
        theirs, ours = by_h11(data), by_ours(data)
        if theirs == ours or theirs[0] == ours[0] == "refused":
            continue
        if theirs[0] == "ok" and ours[0] == "refused":
            assert any(reason in str(ours[1]) for reason in STRICTER), (data, theirs, ours)
        elif ours[0] == "ok" and theirs[0] == "refused":
            assert any(reason in str(theirs[1]) for reason in LAXER), (data, theirs, ours)
        else:
            raise AssertionError((data, theirs, ours))


@pytest.mark.parametrize("seed", range(4))
def test_alike_or_explained(seed: int) -> None:
    compare(seed, 1500)


@pytest.mark.exhaustive
@pytest.mark.hours
@pytest.mark.parametrize("seed", range(100, 150))
def test_alike_or_explained_at_length(seed: int) -> None:
    compare(seed, 20_000)
