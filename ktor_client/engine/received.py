"""What came over the wire, in the types of `http`: alike for every library."""

from __future__ import annotations

from collections.abc import Iterable

from ktor_client.http import Headers

__all__ = ["received_headers"]


def received_headers(fields: Iterable[tuple[bytes, bytes]]) -> Headers:
    """Return header fields as text: UTF-8 if they are that, else Latin-1 (RFC 9110 5.5)."""
    fields = list(fields)
    try:
        return Headers([(name.decode(), value.decode()) for name, value in fields])
    except UnicodeDecodeError:
        return Headers([(_text(name), _text(value)) for name, value in fields])


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
