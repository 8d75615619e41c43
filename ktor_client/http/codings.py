"""Which content codings there are (RFC 9110 8.4.1), and undoing lists of them; no I/O.

The one place that decodes: engines hand over what came over the wire, alike on every engine.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, partial
from typing import Protocol

from ktor_client.http.attributes import AttributeKey
from ktor_client.http.headers import Headers
from ktor_client.http.inflate import CodingError, Inflate
from ktor_client.http.installed_codings import Brotli, Zstandard, brotli, zstandard

__all__ = [
    "MAX_DECODED_SIZE",
    "CodingError",
    "Decoder",
    "accept_encoding",
    "decoder_for",
    "hindrance",
    "max_decoded_size",
    "remedy",
]

MAX_DECODED_SIZE = 1 << 30
"""Bytes of a body that is read whole, once it is decoded; a stream has no limit of its own."""

MAX_CODINGS = 5
"""Codings of one body; nobody applies more than two, and each multiplies what a bomb can do."""

max_decoded_size = AttributeKey["int | None"]("max_decoded_size")
"""Attribute of a request: another limit, which then holds for streams too; None as without."""


class Decoder(Protocol):
    """Undoes one coding, or several."""

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield, in small pieces, what comes out of the next bytes. Raises `CodingError`."""
        ...

    def end(self) -> None:
        """Take note that no more comes. Raises `CodingError` where the data is not whole."""
        ...


_ALIASES = {"x-gzip": "gzip"}
_REMEDIES = {"br": "pip install 'brotli>=1.2'", "zstd": "pip install backports.zstd"}


@cache
def _known() -> dict[str, Callable[[], Decoder]]:
    """Return what makes a decoder, by coding, in the order in which they are offered."""
    known: dict[str, Callable[[], Decoder]] = {
        name: partial(Inflate, name) for name in ("gzip", "deflate")
    }
    if brotli() is not None:
        known["br"] = Brotli
    if zstandard() is not None:
        known["zstd"] = Zstandard
    return known


@cache
def accept_encoding(of_a_part: bool = False, /) -> str:
    """Return the `Accept-Encoding` that says just what can be decoded, such as "gzip, deflate".

    Nothing can of a part of a coded body, which is what a request with `Range` may get.
    """
    return "identity" if of_a_part else ", ".join(_known())


def codings_of(headers: Headers) -> list[str]:
    """Return the codings of a body in the order in which they were applied, without "identity"."""
    values = ",".join(headers.get_all("content-encoding")).lower().split(",")
    names = [value.strip(" \t") for value in values]
    return [_ALIASES.get(name, name) for name in names if name not in ("", "identity")]


def hindrance(headers: Headers) -> str | None:
    """Return why a body with these headers cannot be decoded, and what helps; None if it can."""
    codings = codings_of(headers)
    if len(codings) > MAX_CODINGS:
        return f"it has {len(codings)} codings; at most {MAX_CODINGS} are undone"
    return next((why for coding in codings if (why := remedy(coding)) is not None), None)


def remedy(coding: str) -> str | None:
    """Return why a coding cannot be undone, and what helps; None if it can."""
    if coding in _known() or coding in ("identity", "*"):
        return None
    helps = _REMEDIES.get(coding)
    return f"{coding!r} is not known here" + (f"; {helps}" if helps else "")


def decoder_for(headers: Headers) -> Decoder | None:
    """Return what decodes a body; None where nothing is to be done, or `hindrance` says why not."""
    codings = codings_of(headers)
    if not codings or hindrance(headers) is not None:
        return None
    chain: Decoder = _known()[codings[0]]()
    for coding in codings[1:]:
        chain = _Chain(_known()[coding](), chain)
    return chain


class _Chain:
    """Undoes a coding that was applied behind others, and then those."""

    def __init__(self, outer: Decoder, inner: Decoder) -> None:
        self._outer = outer
        self._inner = inner

    def decode(self, data: bytes) -> Iterator[bytes]:
        for piece in self._outer.decode(data):
            yield from self._inner.decode(piece)

    def end(self) -> None:
        self._outer.end()
        self._inner.end()
