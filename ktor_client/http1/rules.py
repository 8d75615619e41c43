"""What of an answer is accepted, repaired or refused, with the section that says so, and limits.

The table is data: the docs print it, and the tests hold every row against every engine.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

__all__ = [
    "MAX_CHUNK_LINE",
    "MAX_FIELDS",
    "MAX_HEAD",
    "MAX_INTERIM",
    "MAX_TRAILER",
    "RULES",
    "AnswerError",
    "Rule",
]

MAX_HEAD = 64 * 1024
"""Bytes of a head, from the status line to the blank line."""
MAX_FIELDS = 256
"""Fields of a head, or of a trailer."""
MAX_INTERIM = 16
"""Answers of status 1xx before the one that counts."""
MAX_CHUNK_LINE = 4 * 1024
"""Bytes of the line before a chunk: its size, and extensions, which are skipped."""
MAX_TRAILER = 16 * 1024
"""Bytes of the fields behind the last chunk."""


class AnswerError(ValueError):
    """What came is no answer that HTTP/1.1 knows; the message says what, to follow a colon."""


Outcome = Literal["accepted", "repaired", "refused"]


class Rule(NamedTuple):
    """One row of the table."""

    outcome: Outcome
    what: str
    section: str
    answer: bytes
    """An example, to a GET."""
    body: bytes | None = None
    """What the example's body is; None where it is refused."""
    status: int = 200
    """What the example's status is, where it is not refused."""
    by_h11: Outcome | None = None
    """What h11, the parser below httpx, makes of the example, where that differs."""


_OK = b"HTTP/1.1 200 OK\r\n"
_TWO = b"Content-Length: 2\r\n\r\nhi"
_CHUNKED = _OK + b"Transfer-Encoding: chunked\r\n\r\n"

RULES: tuple[Rule, ...] = (
    Rule("accepted", "no reason phrase, nor the blank before it", "RFC 9112 4",
         b"HTTP/1.1 200\r\n" + _TWO, b"hi"),
    Rule("accepted", "a minor version that is not known yet", "RFC 9110 2.5",
         b"HTTP/1.2 200 OK\r\n" + _TWO, b"hi"),
    Rule("accepted", "HTTP/1.0; the body ends with the connection", "RFC 9112 6.3 (8)",
         b"HTTP/1.0 200 OK\r\n\r\nhi", b"hi"),
    Rule("accepted", "lines that end in LF alone", "RFC 9112 2.2",
         b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", b"hi"),
    Rule("accepted", "bytes beyond ASCII in a value", "RFC 9110 5.5",
         _OK + b"X-Name: gr\xc3\xbcn\r\n" + _TWO, b"hi"),
    Rule("accepted", "several lengths that are equal", "RFC 9110 8.6",
         _OK + b"Content-Length: 2, 2\r\n" + _TWO, b"hi"),
    Rule("accepted", "one length, written in two ways", "RFC 9110 8.6",
         _OK + b"Content-Length: 02\r\n" + _TWO, b"hi", by_h11="refused"),
    Rule("accepted", "up to 16 interim answers", "RFC 9110 15.2",
         b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + _OK + _TWO, b"hi"),
    Rule("accepted", "extensions of a chunk, which are skipped", "RFC 9112 7.1.1",
         _CHUNKED + b"2;a=b\r\nhi\r\n0\r\n\r\n", b"hi"),
    Rule("accepted", "blanks between a chunk's size and its extensions", "RFC 9112 7.1.1",
         _CHUNKED + b"2 ;a=b\r\nhi\r\n0\r\n\r\n", b"hi", by_h11="refused"),
    Rule("accepted", "fields behind the last chunk", "RFC 9112 7.1.2",
         _CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 1\r\n\r\n", b"hi"),
    Rule("accepted", "fields of framing behind the last chunk, which frame nothing",
         "RFC 9110 6.5.1", _CHUNKED + b"2\r\nhi\r\n0\r\nTransfer-Encoding: gzip\r\n\r\n", b"hi",
         by_h11="refused"),
    Rule("accepted", "no length at all: the body ends with the connection", "RFC 9112 6.3 (8)",
         _OK + b"\r\nhi", b"hi"),
    Rule("accepted", "any transfer coding where there is no body: to HEAD, with 204 and 304",
         "RFC 9112 6.3 (1)", b"HTTP/1.1 204 No Content\r\nTransfer-Encoding: gzip\r\n\r\n", b"",
         status=204, by_h11="refused"),
    Rule("accepted", "fields of framing in an interim answer, which has no body",
         "RFC 9112 6.3 (1)", b"HTTP/1.1 103 Early Hints\r\nTransfer-Encoding: gzip\r\n\r\n" + _OK
         + _TWO, b"hi", by_h11="refused"),
    Rule("repaired", "a folded field: each fold becomes a blank", "RFC 9112 5.2",
         _OK + b"X-Long: a\r\n  b\r\n" + _TWO, b"hi"),
    Rule("repaired", "bytes behind the answer are dropped, with their connection", "RFC 9112 6.3",
         _OK + _TWO + b"HTTP/1.1 200 OK\r\n" + _TWO, b"hi"),
    Rule("refused", "what does not begin as HTTP/1", "RFC 9112 4", b"SSH-2.0-OpenSSH\r\n"),
    Rule("refused", "another major version than 1", "RFC 9112 2.3",
         b"HTTP/2.0 200 OK\r\n" + _TWO, by_h11="accepted"),
    Rule("refused", "a status that is not three digits", "RFC 9112 4",
         b"HTTP/1.1 20 OK\r\n" + _TWO),
    Rule("refused", "a status under 100", "RFC 9110 15", b"HTTP/1.1 099 Hm\r\n" + _TWO),
    Rule("refused", "a CR that ends no line", "RFC 9112 2.2",
         _OK + b"X: a\rb\r\n" + _TWO),
    Rule("refused", "NUL", "RFC 9110 5.5", _OK + b"X: a\x00b\r\n" + _TWO),
    Rule("refused", "other control characters", "RFC 9110 5.5", _OK + b"X: a\x01b\r\n" + _TWO,
         by_h11="accepted"),
    Rule("refused", "a blank before the colon", "RFC 9112 5.1", _OK + b"X : a\r\n" + _TWO),
    Rule("refused", "a name that is no token, or none", "RFC 9110 5.6.2",
         _OK + b": a\r\n" + _TWO),
    Rule("refused", "a line without a colon", "RFC 9112 5", _OK + b"X-Id\r\n" + _TWO),
    Rule("refused", "a blank before the first field", "RFC 9112 2.2",
         _OK + b" X: a\r\n" + _TWO),
    Rule("refused", "lengths that differ", "RFC 9112 6.3 (5)",
         _OK + b"Content-Length: 3\r\n" + _TWO),
    Rule("refused", "a length that is no number", "RFC 9112 6.3 (5)",
         _OK + b"Content-Length: +2\r\n\r\nhi"),
    Rule("refused", "a length beside Transfer-Encoding", "RFC 9112 6.3 (3)",
         _OK + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
         by_h11="accepted"),
    Rule("refused", "a transfer coding that was not asked for", "RFC 9112 6.1",
         _OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    Rule("refused", "a chunk's size that is no hexadecimal number", "RFC 9112 7.1",
         _CHUNKED + b"0x2\r\nhi\r\n0\r\n\r\n"),
    Rule("refused", "a chunk that is longer than its size", "RFC 9112 7.1",
         _CHUNKED + b"2\r\nhi!\r\n0\r\n\r\n"),
    Rule("refused", "control characters in a chunk's extension", "RFC 9112 7.1.1",
         _CHUNKED + b"2;a=\x7f\r\nhi\r\n0\r\n\r\n", by_h11="accepted"),
    Rule("refused", "LF alone behind a chunk, or behind its size", "RFC 9112 7.1",
         _CHUNKED + b"2\nhi\n0\n\n"),
    Rule("refused", "LF alone behind the last chunk, or in its trailer", "RFC 9112 7.1",
         _CHUNKED + b"2\r\nhi\r\n0\r\nX-Sum: 1\n\r\n", by_h11="accepted"),
    Rule("refused", "a body that ends before its length", "RFC 9112 8", _OK + b"Content-Length: 3"
         b"\r\n\r\nhi"),
    Rule("refused", "a body that ends before its last chunk", "RFC 9112 8",
         _CHUNKED + b"2\r\nhi\r\n"),
    Rule("refused", "101 to a request that asked for nothing of the kind", "RFC 9110 15.2.2",
         b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
    Rule("refused", f"a head of more than {MAX_HEAD // 1024} KiB", "RFC 9112 3",
         _OK + b"X: " + b"a" * MAX_HEAD + b"\r\n" + _TWO),
    Rule("refused", f"more than {MAX_FIELDS} fields", "RFC 9110 5.4",
         _OK + b"X: a\r\n" * (MAX_FIELDS + 1) + _TWO),
    Rule("refused", f"more than {MAX_INTERIM} interim answers", "RFC 9110 15.2",
         b"HTTP/1.1 102 Processing\r\n\r\n" * (MAX_INTERIM + 1) + _OK + _TWO),
)  # fmt: skip
