"""A long payload that comes in pieces and is received in place. What it means is not known here."""

from __future__ import annotations

from io import BytesIO

__all__ = ["OpenPayload"]


class OpenPayload:
    """The payload of a frame of which bytes are missing."""

    __slots__ = ("_bytes", "_filled", "_lent", "_size", "_view")

    def __init__(self, size: int) -> None:
        """Make room. Raises `MemoryError` or `OverflowError` where there is none."""
        self._bytes = BytesIO(bytes(size))  # its bytes are handed out at last, without a copy
        self._view = self._bytes.getbuffer()
        self._lent: memoryview | None = None
        self._filled = 0
        self._size = size

    @property
    def filled(self) -> int:
        """Bytes that are here."""
        return self._filled

    @property
    def missing(self) -> int:
        """Bytes that are still to come."""
        return self._size - self._filled

    def lend(self) -> memoryview:
        """Return the room for what is missing, until the next call of this payload."""
        self._end_loan()
        self._lent = self._view[self._filled :]
        return self._lent

    def copy(self, data: memoryview) -> int:
        """Copy what belongs to this payload; return how many bytes, for `received`."""
        size = min(self.missing, len(data))
        self._view[self._filled : self._filled + size] = data[:size]
        return size

    def received(self, size: int) -> memoryview:
        """Take note of bytes that came, copied or into the lent room; return them, to be released.

        Whoever lent that room may keep it, in a traceback for instance; a collector that meets a
        `BytesIO` which is still exported crashes some versions of CPython.
        """
        self._end_loan()
        start = self._filled
        self._filled += size
        return self._view[start : self._filled]

    def close(self) -> bytes:
        """Give the room back, and return the bytes: all of them once nothing is missing."""
        self._end_loan()
        self._view.release()
        return self._bytes.getvalue()

    def _end_loan(self) -> None:
        if self._lent is not None:
            self._lent.release()
            self._lent = None
