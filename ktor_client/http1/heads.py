"""The head of an answer (RFC 9112 4, 5): status line and fields, checked; and what they mean.

How long the body is (RFC 9112 6.3) is decided here, reading it is the business of `bodies.py`.
"""

from __future__ import annotations

import re

from ktor_client.http1.bodies import (
    AnswerBody,
    ChunkedBody,
    LengthBody,
    UntilCloseBody,
)
from ktor_client.http1.rules import MAX_FIELDS, AnswerError

__all__ = ["AnswerHead", "is_bodiless", "parse_fields", "parse_head", "split_lines"]

_status_line = re.compile(rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: (.*))?").fullmatch
_find_control = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch
_keep_alive_timeout = re.compile(rb"timeout\s*=\s*([0-9]{1,6})", re.IGNORECASE).search

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_FRAMING = (b"connection", b"content-length", b"keep-alive", b"transfer-encoding")
_FRAMING_SIZES = frozenset(map(len, _FRAMING))

Fields = list[tuple[bytes, bytes]]


class AnswerHead:
    """What stands before an answer's body, and the reader of that body."""

    __slots__ = ("body", "fields", "idle_limit", "keeps", "reason", "status", "version")

    def __init__(self, version: str, status: int, reason: bytes, fields: Fields) -> None:
        self.version = version
        """ "1.1" or "1.0"."""
        self.status = status
        self.reason = reason
        self.fields = fields
        self.body: AnswerBody = LengthBody(0)
        self.keeps = version == "1.1"
        """Whether the connection may be used again, once the body has ended (RFC 9112 9.3)."""
        self.idle_limit: float | None = None
        """Seconds after which the server drops an idle connection, if it has told them."""

    def framing(self) -> bytes:
        """Return a head that says no more than where the body ends: for a parser of others."""
        end = self.body.framing
        close = b"" if self.keeps else b"Connection: close\r\n"
        return b"HTTP/1.1 %d OK\r\n%b%b\r\n" % (self.status, end, close)


def split_lines(head: bytes) -> list[bytes]:
    """Return the lines of a head or trailer without their ends.

    Raises:
        AnswerError: a CR that ends no line, or a control character.
    """
    ends = head.count(b"\n")
    if head.count(b"\r\n") == ends:
        lines = head.split(b"\r\n")
        if head.count(b"\r") != ends:
            raise AnswerError("a CR stands alone in its head (RFC 9112 2.2)")
    else:
        *before, last = head.split(b"\n")
        lines = [*(line.removesuffix(b"\r") for line in before), last]
        if any(b"\r" in line for line in lines):
            raise AnswerError("a CR stands alone in its head (RFC 9112 2.2)")
    if (found := _find_control(head)) is not None:
        raise AnswerError(f"its head has the control character {found[0]!r} (RFC 9110 5.5)")
    return lines


def parse_fields(lines: list[bytes]) -> Fields:
    """Return the fields of such lines; a folded one is joined by blanks.

    Raises:
        AnswerError: too many, or a line that is no field.
    """
    if len(lines) > MAX_FIELDS:
        raise AnswerError(f"it has more than {MAX_FIELDS} fields")
    fields: Fields = []
    for line in lines:
        name, colon, value = line.partition(b":")
        if line[:1] in (b" ", b"\t"):
            if not fields:
                raise AnswerError("its first field begins with a blank (RFC 9112 2.2)")
            name, before = fields[-1]
            fields[-1] = name, (before + b" " + line.strip(b" \t")).strip(b" ")
            continue
        if not colon:
            raise AnswerError(f"{line[:40]!r} is no field (RFC 9112 5)")
        if not name or name.translate(None, _TOKEN):
            raise AnswerError(f"{name[:40]!r} is no field name (RFC 9110 5.6.2)")
        fields.append((name, value.strip(b" \t")))
    return fields


def parse_head(head: bytes, method: str, *, is_handshake: bool) -> AnswerHead:
    """Return what a head says; `head` ends before the blank line.

    Raises:
        AnswerError: it breaks a rule.
    """
    lines = split_lines(head)
    found = _status_line(lines[0])
    if found is None:
        raise AnswerError(f"it begins {lines[0][:40]!r}")
    status = int(found[2])
    answer = AnswerHead(
        "1.0" if found[1] == b"0" else "1.1", status, found[3] or b"", parse_fields(lines[1:])
    )
    if 100 <= status < 200:
        if status == 101 and not is_handshake:
            raise AnswerError("it switches protocols, which nobody asked for (RFC 9110 15.2.2)")
        answer.keeps = False
        names = {name.lower() for name, _ in answer.fields}
        if status == 101 and {b"content-length", b"transfer-encoding"} <= names:
            raise AnswerError("it has a length beside Transfer-Encoding (RFC 9112 6.3)")
        return answer
    _frame(answer, method)
    return answer


def is_bodiless(method: str, status: int) -> bool:
    """Whether a final answer has no body, whatever its fields say (RFC 9112 6.3)."""
    return method == "HEAD" or status in (204, 304) or (method == "CONNECT" and 200 <= status < 300)


def _frame(answer: AnswerHead, method: str) -> None:
    """Decide how the body ends and whether the connection stays (RFC 9112 6.3, 9.3)."""
    length: int | None = None
    codings: list[bytes] = []
    options: set[bytes] = set()
    for name, value in answer.fields:
        if len(name) not in _FRAMING_SIZES or (key := name.lower()) not in _FRAMING:
            continue
        if key == b"content-length":
            length = _length(value, length)
        elif key == b"transfer-encoding":
            codings += [coding.strip(b" \t").lower() for coding in value.split(b",")]
        elif key == b"keep-alive":
            if (found := _keep_alive_timeout(value)) is not None:
                answer.idle_limit = float(found[1])
        else:
            options.update(option.strip(b" \t").lower() for option in value.split(b","))
    if b"close" in options:
        answer.keeps = False
    elif answer.version == "1.0":  # whose Transfer-Encoding is faulty (RFC 9112 6.1)
        answer.keeps = b"keep-alive" in options and not codings
    if is_bodiless(method, answer.status):
        return
    if codings:
        if length is not None:
            raise AnswerError("it has a length beside Transfer-Encoding (RFC 9112 6.3)")
        if codings != [b"chunked"]:
            shown = b", ".join(codings)[:40]
            raise AnswerError(f"its transfer coding {shown!r} was not asked for (RFC 9112 6.1)")
        answer.body = ChunkedBody()
    elif length is None:
        answer.keeps = False
        answer.body = UntilCloseBody()
    else:
        answer.body = LengthBody(length)


def _length(value: bytes, before: int | None) -> int:
    for item in value.split(b","):
        item = item.strip(b" \t")
        if _is_length(item) is None:
            raise AnswerError(f"its Content-Length is {value[:40]!r} (RFC 9112 6.3)")
        if before is not None and int(item) != before:
            raise AnswerError("it has two lengths that differ (RFC 9112 6.3)")
        before = int(item)
    assert before is not None
    return before
