"""Bodies: what a request sends, and the stream that an engine hands over with a response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Any, TypeAlias

from ktor_client.errors import UnsafeHeaderError

__all__ = ["BytesBody", "RequestBody", "ResponseBody", "WrappedBody"]

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


def with_length(body: RequestBody | None, length: str) -> RequestBody | None:
    """Return a request's body that has the length of its `Content-Length` header.

    A server waits for bytes that the header promises, and takes what is beyond for a request.

    Raises:
        UnsafeHeaderError: it has another one, or the header is no number. A streamed body raises
            it when that comes out.
    """
    if not (length.isascii() and length.isdigit()):
        raise UnsafeHeaderError(f"header 'Content-Length' is a number of bytes, not {length!r}")
    if body is None or isinstance(body, bytes):
        _check_length(len(body or b""), int(length), at_end=True)
        return body
    return _counted(body, int(length))


async def _counted(body: AsyncIterable[bytes], length: int) -> AsyncIterator[bytes]:
    size = 0
    async for chunk in body:
        size += len(checked_chunk(chunk))
        _check_length(size, length, at_end=False)
        yield chunk
    _check_length(size, length, at_end=True)


def _check_length(size: int, length: int, *, at_end: bool) -> None:
    if size > length or (at_end and size < length):
        more = "" if at_end else " or more"
        raise UnsafeHeaderError(
            f"header 'Content-Length' says {length} bytes, but the body has {size}{more}; "
            "leave the header out: the client sets it"
        )


class ResponseBody(ABC):
    """The body of a response while it streams. The engine makes it, the response owns it.

    An engine hands over what came over the wire; the response undoes its `Content-Encoding`.
    """

    is_decoded: bool = False
    """Whether the platform has undone the `Content-Encoding` already, as browsers do."""

    @abstractmethod
    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

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


class WrappedBody(ResponseBody):
    """A body made of another one, such as a layer hands up in its place."""

    def __init__(self, inner: ResponseBody) -> None:
        self.inner = inner

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the other one's chunks."""
        async with self.source() as chunks:
            async for chunk in chunks:
                yield chunk

    def source(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Return the other one's chunks, for `async with`: left early, they are closed too."""
        chunks: Any = self.inner.chunks()  # a generator, as a rule
        return aclosing(chunks) if hasattr(chunks, "aclose") else nullcontext(chunks)

    async def close(self) -> None:
        """Close the other one."""
        await self.inner.close()
