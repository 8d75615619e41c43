"""The payload of a data frame that comes in pieces. What it means is not known here."""

from __future__ import annotations

from io import BytesIO

from ktor_client._twin import twin

__all__ = ["OpenPayload"]


@twin
def new_room(size: int) -> bytes:
    """Return bytes to be written over; what they are until then is not said."""
    return bytes(size)


class OpenPayload:
    """The payload of a frame of which bytes are missing: kept here, or counted only."""

    __slots__ = ("_bytes", "_lent", "_view", "first", "is_kept", "key", "missing")

    def __init__(self, first: int, size: int, key: bytes, *, is_kept: bool) -> None:
        """Begin with the first byte of the frame, its size, and its mask or b"".

        Raises:
            MemoryError: there is no room.
        """
        self.first = first
        self.key = key
        self.missing = size
        """Bytes that are still to come."""
        self.is_kept = is_kept
        try:
            # Its bytes are handed out at last, without a copy.
            self._bytes = BytesIO(new_room(size if is_kept else 0))
        except OverflowError as error:
            raise MemoryError(f"{size} bytes are more than can be addressed here") from error
        self._view = self._bytes.getbuffer()
        self._lent: memoryview | None = None

    def lend(self) -> memoryview:
        """Return the room for what is missing, until the next call of this payload.

        Whoever lent it may keep it, in a traceback for instance; a collector that meets a `BytesIO`
        which is still exported crashes some versions of CPython.
        """
        self._end_loan()
        self._lent = self._view[len(self._view) - self.missing :]
        return self._lent

    def take(self, data: memoryview) -> memoryview:
        """Take what belongs to this payload of what came elsewhere, and return it."""
        piece = data[: self.missing]
        if self.is_kept:
            self.lend()[: len(piece)] = piece
        self.received(len(piece))
        return piece

    def received(self, size: int) -> None:
        """Take note of bytes that came, into the lent room if they are kept."""
        self._end_loan()
        self.missing -= size

    def close(self) -> bytes:
        """Give the room back, and return the bytes: all of them once nothing is missing."""
        self._end_loan()
        self._view.release()
        return self._bytes.getvalue()

    def _end_loan(self) -> None:
        if self._lent is not None:
            self._lent.release()
            self._lent = None
