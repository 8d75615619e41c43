"""The head of an answer (RFC 9112 4, 5): status line and fields, checked; and what they mean.

How long the body is (RFC 9112 6.3) is decided here, reading it is the business of `bodies.py`.
"""

from __future__ import annotations

import re
from functools import lru_cache

from ktor_client.http1.bodies import (
    AnswerBody,
    ChunkedBody,
    LengthBody,
    UntilCloseBody,
)
from ktor_client.http1.rules import MAX_FIELDS, AnswerError

__all__ = ["AnswerHead", "is_bodiless", "parse_fields", "parse_head", "split_lines"]

_find_fields = re.compile(
    rb"^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([^\x00-\x20\x7f][^\x00-\x08\x0a-\x1f\x7f]*)?"
    rb"(?<![ \t])(?:\r?\n|\Z)",
    re.MULTILINE,
).findall
"""Finds lines that need no repair: a head is right where each of its lines is one of them."""

_is_status_line = re.compile(
    rb"HTTP/1\.([0-9]) ([1-9][0-9]{2})(?: ([^\x00-\x08\x0a-\x1f\x7f]*))?(?:\r?\n)?"
).fullmatch
_find_control = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]").search
_is_length = re.compile(rb"[0-9]{1,18}").fullmatch
_keep_alive_timeout = re.compile(rb"timeout\s*=\s*([0-9]{1,6})", re.IGNORECASE).search

_TOKEN = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

Fields = list[tuple[bytes, bytes]]


class AnswerHead:
    """What stands before an answer's body, and the reader of that body."""

    __slots__ = ("body", "fields", "idle_limit", "keeps", "reason", "status", "values", "version")

    body: AnswerBody

    def __init__(self, version: str, status: int, reason: bytes, fields: Fields) -> None:
        self.version = version
        """ "1.1" or "1.0"."""
        self.status = status
        self.reason = reason
        self.fields = fields
        self.values = _by_name(fields)
        """The fields by their names in lower case; repeated ones are joined."""
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
            raise AnswerError("it has a bare CR in its head (RFC 9112 2.2)")
    else:
        *before, last = head.split(b"\n")
        lines = [*(line.removesuffix(b"\r") for line in before), last]
        if any(b"\r" in line for line in lines):
            raise AnswerError("it has a bare CR in its head (RFC 9112 2.2)")
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
                raise AnswerError("its first field starts with a blank (RFC 9112 2.2)")
            name, before = fields[-1]
            fields[-1] = name, (before + b" " + line.strip(b" \t")).strip(b" ")
            continue
        if not colon:
            raise AnswerError(f"{line[:40]!r} is not a field (RFC 9112 5)")
        if not name or name.translate(None, _TOKEN):
            raise AnswerError(f"{name[:40]!r} is not a field name (RFC 9110 5.6.2)")
        fields.append((name, value.strip(b" \t")))
    return fields


def parse_head(head: bytes, method: str, *, is_handshake: bool) -> AnswerHead:
    """Return what a head says; `head` ends before the blank line.

    Raises:
        AnswerError: it breaks a rule.
    """
    line, end, rest = head.partition(b"\n")
    status_line = _status_line(line + end)
    fields: Fields = _find_fields(rest)
    if (
        status_line is None
        or len(fields) > MAX_FIELDS
        or len(fields) != rest.count(b"\n") + bool(rest)
    ):
        first, *others = split_lines(head)  # which finds what is wrong, as does `parse_fields`
        if status_line is None:
            raise AnswerError(f"it starts with {first[:40]!r}")
        fields = parse_fields(others)
    version, status, reason = status_line
    answer = AnswerHead(version, status, reason, fields)
    if 100 <= status < 200:
        if status == 101 and not is_handshake:
            raise AnswerError("it switches protocols, and nobody asked for that (RFC 9110 15.2.2)")
        answer.keeps = False
        answer.body = LengthBody(0)
        if status == 101 and {b"content-length", b"transfer-encoding"} <= answer.values.keys():
            raise AnswerError("it has a length beside Transfer-Encoding (RFC 9112 6.3)")
    else:
        _frame(answer, method)
    return answer


@lru_cache(64)
def _status_line(line: bytes) -> tuple[str, int, bytes] | None:
    """Return version, status and reason; None where it is no status line."""
    found = _is_status_line(line)
    if found is None:
        return None
    return "1.0" if found[1] == b"0" else "1.1", int(found[2]), found[3] or b""


def _by_name(fields: Fields) -> dict[bytes, bytes]:
    values = {name.lower(): value for name, value in fields}
    if len(values) != len(fields):
        values.clear()
        for name, value in fields:
            key = name.lower()
            values[key] = b"%b, %b" % (values[key], value) if key in values else value
    return values


def is_bodiless(method: str, status: int) -> bool:
    """Whether a final answer has no body, whatever its fields say (RFC 9112 6.3)."""
    return method == "HEAD" or status in (204, 304) or (method == "CONNECT" and 200 <= status < 300)


def _frame(answer: AnswerHead, method: str) -> None:
    """Decide how the body ends and whether the connection stays (RFC 9112 6.3, 9.3)."""
    values = answer.values
    length, coding = values.get(b"content-length"), values.get(b"transfer-encoding")
    size = None if length is None else _length(length)
    codings = [] if coding is None else _items(coding)
    options = _items(values[b"connection"]) if b"connection" in values else []
    if b"close" in options:
        answer.keeps = False
    elif answer.version == "1.0":  # whose Transfer-Encoding is faulty (RFC 9112 6.1)
        answer.keeps = b"keep-alive" in options and not codings
    if b"keep-alive" in values:
        found = _keep_alive_timeout(values[b"keep-alive"])
        answer.idle_limit = None if found is None else float(found[1])
    if is_bodiless(method, answer.status):
        answer.body = LengthBody(0)
    elif codings:
        if size is not None:
            raise AnswerError("it has a length beside Transfer-Encoding (RFC 9112 6.3)")
        if codings != [b"chunked"]:
            shown = b", ".join(codings)[:40]
            raise AnswerError(f"its transfer coding {shown!r} was not asked for (RFC 9112 6.1)")
        answer.body = ChunkedBody()
    elif size is None:
        answer.keeps = False
        answer.body = UntilCloseBody()
    else:
        answer.body = LengthBody(size)


def _items(value: bytes) -> list[bytes]:
    return [item.strip(b" \t").lower() for item in value.split(b",")]


def _length(value: bytes) -> int:
    if value.isdigit() and len(value) < 19:
        return int(value)
    sizes: set[int] = set()
    for item in value.split(b","):
        item = item.strip(b" \t")
        if _is_length(item) is None:
            raise AnswerError(f"its Content-Length is {value[:40]!r} (RFC 9112 6.3)")
        sizes.add(int(item))
    if len(sizes) > 1:
        raise AnswerError("it has two lengths that differ (RFC 9112 6.3)")
    return sizes.pop()
