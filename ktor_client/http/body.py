"""Bodies: what a request sends, and the stream that an engine hands over with a response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any, TypeAlias

__all__ = ["BytesBody", "RequestBody", "ResponseBody"]

RequestBody: TypeAlias = bytes | AsyncIterable[bytes]
"""Sent at once with its length, or streamed in chunks."""


def checked_chunk(chunk: Any) -> bytes:
    """Return a chunk of a streamed body as bytes.

    Raises:
        TypeError: it is something else.
    """
    if not isinstance(chunk, bytes | bytearray | memoryview):
        hint = "; encode it: text.encode()" if isinstance(chunk, str) else ""
        raise TypeError(f"a streamed body yields bytes, not {type(chunk).__name__}{hint}")
    return bytes(chunk)  # pyright: ignore[reportUnknownArgumentType]  # of a memoryview


class ResponseBody(ABC):
    """The body of a response while it streams. The engine makes it, the response owns it."""

    @abstractmethod
    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives, content-encoding undone.

        Raises:
            ConnectError: the connection broke before the end.
            RequestTimeoutError: the engine's own limit was over.
        """

    async def read(self) -> bytes:
        """Return the whole body. Raises what `chunks` raises."""
        return b"".join([chunk async for chunk in self.chunks()])

    @abstractmethod
    async def close(self) -> None:
        """Give the connection back or drop it. Idempotent."""


class BytesBody(ResponseBody):
    """A body that is already here."""

    def __init__(self, data: bytes = b"") -> None:
        self._data = data

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the whole body at once; nothing where it is empty."""
        if self._data:
            yield self._data

    async def close(self) -> None:
        """Do nothing: there is no connection."""
