"""Undoing a response's content-encoding, in pieces that stay small whatever the ratio."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator

import httpx

__all__ = ["Decode", "decoder_for"]

Decode = Callable[[bytes | None], Iterator[bytes]]
"""Takes what came, and None at the end; raises `httpx.DecodingError`."""

_PIECE = 256 * 1024
_GZIP, _RAW = zlib.MAX_WBITS | 16, -zlib.MAX_WBITS


def decoder_for(response: httpx.Response, *, asked: bool) -> Decode:
    """Return what decodes a body.

    httpx knows more encodings than gzip and deflate, but no limit: an answer that was `asked` for
    none, which that of a handshake is, keeps them.
    """
    encoding = response.headers.get("content-encoding", "").strip().lower()
    if encoding in ("gzip", "deflate"):
        return _Inflate(encoding)
    if not asked or encoding in ("", "identity"):
        return _as_it_is
    known = response._get_content_decoder()

    def decode(data: bytes | None) -> Iterator[bytes]:
        chunk = known.flush() if data is None else known.decode(data)
        if chunk:
            yield chunk

    return decode


def _as_it_is(data: bytes | None) -> Iterator[bytes]:
    if data:
        yield data


class _Inflate:
    """gzip or deflate; the latter with zlib's header, or without as some servers send it."""

    def __init__(self, encoding: str) -> None:
        self._is_gzip = encoding == "gzip"
        self._inflate = zlib.decompressobj(_GZIP) if self._is_gzip else None
        self._is_over = False

    def __call__(self, data: bytes | None) -> Iterator[bytes]:
        if not data or self._is_over:
            return
        if self._inflate is None:
            self._inflate = zlib.decompressobj(zlib.MAX_WBITS if data[0] & 15 == 8 else _RAW)
        size = _PIECE
        while data or size == _PIECE:  # behind a full one there may be more inside
            if self._inflate.eof:
                if not data:
                    return
                if not self._is_gzip or data[0] != 0x1F:  # padding
                    self._is_over = True
                    return
                self._inflate = zlib.decompressobj(_GZIP)  # the next member (RFC 1952 2.2)
            try:
                chunk = self._inflate.decompress(data, _PIECE)
            except zlib.error as error:
                raise httpx.DecodingError(str(error)) from error
            data = self._inflate.unused_data or self._inflate.unconsumed_tail
            size = len(chunk)
            if chunk:
                yield chunk
