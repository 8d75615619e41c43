"""DEFLATE in its two wrappings, gzip (RFC 1952) and zlib (RFC 1950), and in none; no I/O.

Which coding a body has, and what to do about errors, is not decided here.
"""

from __future__ import annotations

import zlib
from collections.abc import Generator, Iterator

__all__ = ["PIECE", "CodingError", "Inflate"]

PIECE = 256 * 1024
"""Bytes that come out at a time, whatever the ratio."""

_SLICE = 64 * 1024
"""Bytes that go in at a time: what does not fit into a piece is copied."""

_MAX_HEADER = 64 * 1024
_MAGIC = b"\x1f\x8b"
_EXTRA, _NAME, _COMMENT, _HEADER_CHECKSUM = 4, 8, 16, 2
_DICTIONARY = 32


class CodingError(ValueError):
    """The data is damaged or not whole; the message goes on after "the body ..."."""


class Inflate:
    """Undoes "gzip", or "deflate" with zlib's header or, as some servers send it, without.

    Members of gzip follow one another (RFC 1952 2.2); what else comes behind the end is left out,
    as browsers do. A checksum that is there must be right; one that is missing is not missed.
    """

    def __init__(self, coding: str) -> None:
        self._coding = coding
        self._is_gzip = coding == "gzip"
        self._kept = b""  # the beginning of a header or of a trailer
        self._inflate: zlib._Decompress | None = None  # None: a header comes
        self._members = 0
        self._trailer = 0
        self._checksum = self._size = 0
        self._is_over = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what comes out of the next bytes. Raises `CodingError`."""
        for at in range(0, len(data), _SLICE):
            part = data[at : at + _SLICE]
            while part and not self._is_over:
                if self._inflate is None:
                    part = self._begin(self._kept + part)
                elif not self._inflate.eof:
                    part = yield from self._go_on(self._inflate, part)
                else:
                    part = self._end_member(self._kept + part)

    def end(self) -> None:
        """Take note that no more comes.

        Raises:
            CodingError: the data has begun and not ended.
        """
        if self._inflate is None:
            cut = len(self._kept) >= (2 if self._members else 1)
        else:
            cut = not self._inflate.eof
        if cut and not self._is_over:
            raise CodingError(f"ended in the middle of its {self._coding} data")

    def _begin(self, data: bytes) -> bytes:
        """Take a header, if it is whole; return what is behind it."""
        size = self._gzip_header(data) if self._is_gzip else self._zlib_header(data)
        if size is None or self._is_over:
            self._kept = data
            return b""
        self._kept = b""
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._checksum, self._size = 0 if self._is_gzip else 1, 0
        return data[size:]

    def _gzip_header(self, data: bytes) -> int | None:
        if not _MAGIC.startswith(data[:2]):
            if self._members:  # padding
                self._is_over = True
                return None
            raise CodingError("is not gzip, though its Content-Encoding says so")
        if len(data) < 10:
            return None
        if data[2] != zlib.DEFLATED or len(data) > _MAX_HEADER:
            raise CodingError("has a gzip header that cannot be read")
        flags, size = data[3], 10
        if flags & _EXTRA:
            size += 2 + int.from_bytes(data[10:12], "little")
        for flag in (_NAME, _COMMENT):
            if flags & flag:
                size = data.find(b"\0", size) + 1
                if not size:
                    return None
        if flags & _HEADER_CHECKSUM:
            size += 2
        self._trailer = 8
        return size if size <= len(data) else None

    def _zlib_header(self, data: bytes) -> int | None:
        if len(data) < 2:
            return None
        if data[0] & 15 != zlib.DEFLATED or int.from_bytes(data[:2]) % 31:
            self._trailer = 0
            return 0
        if data[1] & _DICTIONARY:
            raise CodingError("needs a dictionary to inflate it")
        self._trailer = 4
        return 2

    def _go_on(self, inflate: zlib._Decompress, data: bytes) -> Generator[bytes, None, bytes]:
        """Yield what comes out, and return what is behind the end."""
        while True:
            try:
                piece = inflate.decompress(data, PIECE)
            except zlib.error as error:
                raise CodingError(f"has damaged {self._coding} data ({error})") from error
            if piece and self._trailer:
                self._size += len(piece)
                update = zlib.crc32 if self._is_gzip else zlib.adler32
                self._checksum = update(piece, self._checksum)
            if piece:
                yield piece
            if inflate.eof:
                self._is_over = not self._trailer
                return inflate.unused_data
            data = inflate.unconsumed_tail
            if not data and len(piece) < PIECE:  # behind a full one there may be more inside
                return b""

    def _end_member(self, data: bytes) -> bytes:
        """Take a trailer, if it is whole; return what is behind it."""
        size = self._trailer
        if len(data) < size:
            self._kept = data
            return b""
        if self._is_gzip:
            told = int.from_bytes(data[:4], "little"), int.from_bytes(data[4:8], "little")
            is_right = told == (self._checksum, self._size & 0xFFFFFFFF)
        else:
            is_right = int.from_bytes(data[:4]) == self._checksum
        if not is_right:
            raise CodingError(f"does not agree with the checksum of its {self._coding} data")
        self._kept, self._inflate = b"", None
        self._members += 1
        self._is_over = not self._is_gzip
        return data[size:]
