"""The bytes of a request (RFC 9112 3, 5, 7.1): its head, and chunks of a body without length."""

from __future__ import annotations

from collections.abc import Sequence

from ktor_client.errors import UnsafeHeaderError

__all__ = ["LAST_CHUNK", "chunk", "request_head"]

LAST_CHUNK = b"0\r\n\r\n"

_CONTROLS = bytes({*range(32), 127} - {9})


def request_head(method: str, target: str, host: str, fields: Sequence[tuple[str, str]]) -> bytes:
    """Return a head: one Host, and that first; a Host among `fields` takes its place.

    Raises:
        UnsafeHeaderError: a control character or a lone surrogate would leave with it.
    """
    lines = [f"{name}: {value}\r\n" for name, value in fields if name.lower() != "host"]
    if len(lines) != len(fields):
        host = next(value for name, value in reversed(fields) if name.lower() == "host")
    try:
        head = f"{method} {target} HTTP/1.1\r\nHost: {host}\r\n{''.join(lines)}\r\n".encode()
    except UnicodeEncodeError:
        head = b""  # the error shows all of it, so that it is no context of ours
    if not head:
        raise UnsafeHeaderError("a header has a lone surrogate in it")
    if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(lines) + 3):
        raise UnsafeHeaderError("a header has a control character (CR, LF, NUL ...) in it")
    return head


def chunk(data: bytes) -> bytes:
    """Return a chunk; never of an empty `data`, which would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data)
