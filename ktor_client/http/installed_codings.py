"""Brotli (RFC 7932) and Zstandard (RFC 8878), where a library for them is installed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from functools import cache
from importlib import import_module
from typing import Any

from ktor_client.http.inflate import PIECE, CodingError

__all__ = ["Brotli", "Zstandard", "brotli", "zstandard"]

_SMALL_SLICE = 128
"""Bytes that go at a time into zstandard, which knows no limit of what comes out: 4 MiB."""

_MAX_WINDOW_LOG = 23
"""8 MiB, which is what a recipient has to support and a sender may use (RFC 9659 3)."""

_MAGIC = b"\x28\xb5\x2f\xfd"
_SKIPPED = b"\x2a\x4d\x18"


def _first(names: Iterable[str], fits: Callable[[Any], bool] = bool) -> Any:
    """Return the first of these modules that can be imported and fits, or None."""
    for name in names:
        try:
            module = import_module(name)
        except ImportError:
            continue
        if fits(module):
            return module
    return None


@cache
def brotli() -> Any:
    """Return the module brotli or brotlicffi, 1.2 or newer; None without one.

    Older ones unpack whatever a few bytes are a bomb of.
    """
    return _first(("brotli", "brotlicffi"), _has_limit)


def _has_limit(module: Any) -> bool:
    try:
        module.Decompressor().process(b"", output_buffer_limit=PIECE)
    except TypeError:
        return False
    return True


@cache
def zstandard() -> Any:
    """Return the standard library's module, its backport, or zstandard; None without one."""
    return _first(("compression.zstd", "backports.zstd", "zstandard"))


class Brotli:
    """Undoes "br"."""

    def __init__(self) -> None:
        self._decompressor = brotli().Decompressor()
        self._is_empty = True

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what comes out of the next bytes. Raises `CodingError`."""
        decompressor = self._decompressor
        self._is_empty = self._is_empty and not data
        try:
            while not decompressor.is_finished():
                piece = decompressor.process(data, output_buffer_limit=PIECE)
                if piece:
                    yield piece
                elif decompressor.can_accept_more_data():  # which it also says with more inside
                    return
                data = b""
        except brotli().error as error:
            raise CodingError(f"has damaged br data ({error})") from error

    def end(self) -> None:
        """Take note that no more comes. Raises `CodingError` within the data."""
        if not (self._is_empty or self._decompressor.is_finished()):
            raise CodingError("ended in the middle of its br data")


class Zstandard:
    """Undoes "zstd"; frames may follow one another, and what is no frame is left out."""

    def __init__(self) -> None:
        self._library = zstandard()
        self._is_limited = hasattr(self._library, "DecompressionParameter")
        self._frame: Any = None  # None: one begins
        self._frames = 0
        self._kept = b""
        self._is_over = False

    def decode(self, data: bytes) -> Iterator[bytes]:
        """Yield what comes out of the next bytes. Raises `CodingError`."""
        size = max(len(data), 1) if self._is_limited else _SMALL_SLICE
        try:
            for at in range(0, len(data), size):
                part = data[at : at + size]
                while part and not self._is_over:
                    if self._frame is None:
                        part = self._begin(self._kept + part)
                    else:
                        part = yield from self._go_on(self._frame, part)
        except self._library.ZstdError as error:
            raise CodingError(f"has damaged zstd data ({error})") from error

    def _begin(self, data: bytes) -> bytes:
        """Begin a frame when its magic number is here."""
        if len(data) < 4:
            self._kept = data
            return b""
        is_frame = data[:4] == _MAGIC or (data[0] & 0xF0 == 0x50 and data[1:4] == _SKIPPED)
        if self._frames and not is_frame:
            self._is_over = True
            return b""
        library = self._library
        if self._is_limited:
            window = {library.DecompressionParameter.window_log_max: _MAX_WINDOW_LOG}
            self._frame = library.ZstdDecompressor(options=window)
        else:
            decompressor = library.ZstdDecompressor(max_window_size=1 << _MAX_WINDOW_LOG)
            self._frame = decompressor.decompressobj()
        self._kept = b""
        return data

    def _go_on(self, frame: Any, data: bytes) -> Generator[bytes, None, bytes]:
        """Yield what comes out, and return what is behind the end of the frame."""
        while True:
            piece = frame.decompress(data, PIECE) if self._is_limited else frame.decompress(data)
            if piece:
                yield piece
            if frame.eof:
                self._frame = None
                self._frames += 1
                return bytes(frame.unused_data)
            data = b""
            if not self._is_limited or frame.needs_input:
                return b""

    def end(self) -> None:
        """Take note that no more comes. Raises `CodingError` within the data."""
        if self._frame is not None or (self._kept and not self._frames):
            raise CodingError("ended in the middle of its zstd data")
