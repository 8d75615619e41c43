"""h11 beside ours on answers changed at random: alike, or explained by a row of the table of rules.

A row's name alone explains nothing: what it speaks of must be seen in the bytes, by other means
than ours.
"""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import h11

from ktor_client.http1 import AnswerError
from ktor_client.http1.rules import MAX_HEAD, RULES
from tests.http1.reading import pieces, read_answer

__all__ = [
    "ANSWERS",
    "DIFFERENCES",
    "Reading",
    "Unexplained",
    "by_h11",
    "by_ours",
    "changed",
    "compare",
    "explain",
]

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"

ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b c\r\n\r\nhello",
    _CHUNKED + b"\r\n5\r\nhello\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
    b"HTTP/1.1 103 Hints\r\nLink: <a>\r\n\r\n"
    b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\nnope",
    b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.0 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
    b"HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 304 Not Modified\r\nETag: x\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\tc\r\nContent-Length: 2,2\r\n\r\nhi",
    b"HTTP/1.1 200 OK\nX: a\nContent-Length: 2\n\nhi",
    _CHUNKED
    + b"Connection: close\r\n\r\n3\r\nabc\r\n00\r\nX: a\r\n b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 P\r\nX: 1\r\n\r\nHTTP/1.1 201 Created\r\n"
    b"Content-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
)
BITS = (
    b"\r", b"\n", b"\r\n", b" ", b"\t", b":", b";", b",", b"0", b"1", b"9", b"a", b"F", b"\x00",
    b"\x80", b"\x7f", b"\x0b", b"-", b"+", b"chunked", b"gzip", b"HTTP/1.1 ", b'"', b"\r\n ",
    b"Content-Length: 3\r\n", b"Transfer-Encoding: chunked\r\n", b"Connection: close\r\n",
    b"Keep-Alive: timeout=2\r\n",
)  # fmt: skip


class Reading(NamedTuple):
    """What a parser makes of an answer behind which the connection ends."""

    refusal: str | None = None
    status: int = 0
    reason: bytes = b""
    fields: tuple[tuple[bytes, bytes], ...] = ()
    content: bytes = b""
    trailer: tuple[tuple[bytes, bytes], ...] = ()
    surplus: bytes = b""
    keeps: bool | None = False
    """Whether the connection may be used again; None where the parser cannot tell."""


class Difference(NamedTuple):
    """A way in which the two differ."""

    rule: str
    """The row of the table that says so."""
    refusal: str
    """Part of what the one says that refuses."""
    shows: Callable[[bytes], object]
    """Whether the bytes have it."""


class Unexplained(AssertionError):
    """An answer that the two read in different ways, which no row explains."""


_FRAMING = {b"content-length", b"transfer-encoding"}
_first_lines = re.compile(rb"(?:\A|\n\r?\n)(HTTP/[0-9]\.[0-9] [^\n]*)")
_interim = re.compile(  # with a field of framing
    rb"(?i)HTTP/1\.[0-9] 1[0-9]{2}[^\n]*\n(?:[^\r\n][^\n]*\n)*?"
    rb"(?:transfer-encoding|content-length):"
).search
_last_chunk = re.compile(rb"\n0+[ \t]*(?:;[^\n]*)?\r\n")
_extension = re.compile(rb"\n[0-9A-Fa-f]+[ \t]*;[^\n]*[\x00-\x08\x0a-\x1f\x7f][^\n]*\r\n")


def _has_both_framings(data: bytes) -> bool:
    head = data.lower()
    return b"\ncontent-length:" in head and b"\ntransfer-encoding:" in head


def _has_two_spellings(data: bytes) -> bool:
    values = re.findall(rb"(?im)^content-length:([^\r\n]*)", data)
    items = [item.strip() for value in values for item in value.split(b",")]
    return len(set(items)) > 1


def _has_framing_in_trailer(data: bytes) -> bool:
    return any(
        re.search(rb"(?i)\n(transfer-encoding|content-length):", data[found.end() - 1 :])
        for found in _last_chunk.finditer(data)
    )


def _has_lone_lf_behind_last_chunk(data: bytes) -> bool:
    return any(
        re.search(rb"(?<!\r)\n", data[found.end() :]) for found in _last_chunk.finditer(data)
    )


STRICTER = (
    Difference(
        "other control characters", "control character",
        re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search,
    ),
    Difference(
        "another major version than 1", "it starts with",
        lambda data: any(line[5:6] != b"1" for line in _first_lines.findall(data)),
    ),
    Difference(
        "a length beside Transfer-Encoding", "a length beside Transfer-Encoding",
        _has_both_framings,
    ),
    Difference(
        "LF alone behind the last chunk, or in its trailer", "behind its last chunk",
        _has_lone_lf_behind_last_chunk,
    ),
    Difference(
        "control characters in a chunk's extension", "is not a chunk's size", _extension.search
    ),
)  # fmt: skip
INTERIM = "fields of framing in an interim answer, which has no body"
FRAMING_IN_TRAILER = "fields of framing behind the last chunk, which frame nothing"
LAXER = (
    Difference(
        "one length, written in two ways", "conflicting Content-Length", _has_two_spellings
    ),
    Difference(
        "blanks between a chunk's size and its extensions", "illegal chunk header",
        re.compile(rb"\n[0-9A-Fa-f]+[ \t]+;").search,
    ),
    Difference(INTERIM, "Transfer-Encoding", _interim),
    Difference(INTERIM, "Content-Length", _interim),
    Difference(FRAMING_IN_TRAILER, "Transfer-Encoding", _has_framing_in_trailer),
    Difference(FRAMING_IN_TRAILER, "Content-Length", _has_framing_in_trailer),
)  # fmt: skip
BODILESS = "any transfer coding where there is no body: to HEAD, with 204 and 304"
DIFFERENCES = frozenset({*(d.rule for d in STRICTER + LAXER), BODILESS})


def by_h11(data: bytes, method: str = "GET") -> Reading:
    """Read an answer with h11."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(data)
    answer: h11.Response | None = None
    content, has_ended = b"", False
    try:
        while True:
            event = connection.next_event()
            if event is h11.NEED_DATA and not has_ended:
                connection.receive_data(b"")
                has_ended = True
            elif isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                return Reading("101")
            elif isinstance(event, h11.Response):
                answer = event
            elif isinstance(event, h11.Data):
                content += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                assert answer is not None
                names = {bytes(name) for name, _ in answer.headers}
                ends = method == "HEAD" or answer.status_code in (204, 304) or names & _FRAMING
                is_done = connection.their_state is h11.DONE
                return Reading(
                    None,
                    answer.status_code,
                    bytes(answer.reason),
                    _comparable(answer.headers.raw_items()),
                    content,
                    _comparable(event.headers.raw_items()),
                    bytes(connection.trailing_data[0]),
                    # It keeps nothing of HTTP/1.0 (RFC 9112 9.3); that a body has ended with the
                    # connection, it leaves to its user.
                    None if answer.http_version == b"1.0" else is_done and bool(ends),
                )
            elif isinstance(event, h11.ConnectionClosed) or event is h11.NEED_DATA:
                return Reading("ended")
    except h11.RemoteProtocolError as error:
        return Reading(str(error))


def by_ours(parts: list[bytes], method: str = "GET") -> Reading:
    """Read an answer, cut into parts, with our parser."""
    try:
        head, content, surplus = read_answer(parts, method)
    except (AnswerError, EOFError) as error:
        return Reading(str(error) or "ended")
    return Reading(
        None,
        head.status,
        head.reason,
        _comparable(head.fields),
        content,
        _comparable(getattr(head.body, "trailer", [])),
        surplus,
        head.keeps,
    )


def _comparable(fields: list[tuple[bytes, bytes]]) -> tuple[tuple[bytes, bytes], ...]:
    """Leave out what h11 normalizes, and how many blanks a fold became."""
    return tuple(
        (name.lower(), b" ".join(value.split()))
        for name, value in fields
        if name.lower() not in (b"content-length", b"transfer-encoding")
    )


def changed(answer: bytes, source: random.Random) -> bytes:
    """Change an answer in one place, or in some."""
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


def explain(data: bytes, method: str = "GET", size: int = 1 << 20) -> str | None:
    """Read an answer with both; return the row that explains how they differ, None if they do not.

    Ours gets it in pieces of `size`.

    Raises:
        Unexplained: no row does.
    """
    theirs, ours = by_h11(data, method), by_ours(pieces(data, size), method)
    if theirs.refusal is not None and ours.refusal is not None:
        return None
    if ours.refusal is not None:
        for difference in STRICTER:
            if difference.refusal in ours.refusal and difference.shows(data):
                return difference.rule
    elif theirs.refusal is not None:
        if "Transfer-Encoding" in theirs.refusal and (
            method == "HEAD" or ours.status in (204, 304)
        ):
            return BODILESS
        for difference in LAXER:
            if difference.refusal in theirs.refusal and difference.shows(data):
                return difference.rule
    else:
        if theirs == (ours if theirs.keeps is not None else ours._replace(keeps=None)):
            return None
    raise Unexplained(f"{method} {data!r}: h11 {theirs}, ours {ours}")


def compare(seed: int, count: int) -> Counter[str]:
    """Compare on `count` answers; return how often each row was needed.

    Raises:
        Unexplained: no row explains a difference.
    """
    source = random.Random(seed)
    found: Counter[str] = Counter()
    for _ in range(count):
        data = changed(source.choice(ANSWERS), source)
        method = source.choice(("GET", "GET", "GET", "HEAD"))
        rule = explain(data, method, source.choice((1, 2, 5, 17, len(data) + 1)))
        if rule is not None:
            found[rule] += 1
    return found


assert {rule.what for rule in RULES} >= DIFFERENCES
