"""Bodies: what a request sends, and the stream that an engine hands over with a response."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, aclosing, nullcontext
from typing import Any, TypeAlias

from ktor_client.errors import UnsafeHeaderError

__all__ = [
    "Body",
    "BytesBody",
    "OnceBody",
    "RequestBody",
    "ResponseBody",
    "WrappedBody",
    "encoded_text",
    "in_slices",
    "once_only",
    "opened",
    "passed_through",
]


_SLICE = 64 * 1024
"""Bytes of a body in memory that are handed on at once where it has to be streamed."""


def encoded_text(text: str, what: str = "body") -> bytes:
    """Return the bytes of a text that is sent.

    Raises:
        ValueError: a lone surrogate is in it, which no encoding can send; `what` it is.
    """
    try:
        return text.encode()
    except UnicodeEncodeError:
        pass  # it shows all of the text, so that it is no context of ours
    raise ValueError(f"{what} has a lone surrogate in it, which no encoding can send")


class Body(AsyncIterable[bytes]):
    """A request body that can be opened again, so that redirects, auth and retries can resend it.

    `async for chunk in body` opens it; whatever `open` returned is always closed at the end.
    """

    __slots__ = ("_open", "content_type", "length")

    def __init__(
        self,
        open: Callable[[], AsyncIterable[bytes]],
        length: int | None = None,
        content_type: str | None = None,
    ) -> None:
        """Take the parts.

        Args:
            open: returns the content from its beginning each time, such as an async generator
                function.
            length: bytes of the content if known; sent as `Content-Length`. A content of another
                length fails, because the server would wait, or take the rest for another request.
            content_type: sent unless the caller sets a `Content-Type`.

        Raises:
            TypeError: `open` is not a function.
            ValueError: the length is negative.
        """
        if not callable(open):
            hint = ""
            if isinstance(open, AsyncIterable):
                hint = "; what can be iterated only once is a body= itself"
            raise TypeError(f"Body takes a function that opens it, not {_name(open)}{hint}")
        if length is not None and (isinstance(length, bool) or not isinstance(length, int)):
            raise TypeError(f"length is a number of bytes, not {_name(length)}")
        if length is not None and length < 0:
            raise ValueError(f"length is a number of bytes, not {length}")
        self._open = open
        self.length = length
        self.content_type = content_type

    def __aiter__(self) -> AsyncGenerator[bytes]:
        """Open it, and yield its chunks; none is empty.

        Raises:
            UnsafeHeaderError: it is not of its length.
            TypeError: something else than bytes came; and whatever the content raises.
        """
        return _chunks(self._open(), self.length)

    def with_length(self, length: int) -> Body:
        """Return the same body with a required length."""
        return Body(lambda: self, length, self.content_type)

    def __repr__(self) -> str:
        size = "" if self.length is None else f" of {self.length} bytes"
        return f"<{type(self).__name__}{size}>"


class OnceBody(Body):
    """A body whose content is gone once it was sent: an async generator, a pipe."""

    __slots__ = ("kind",)

    def __init__(
        self,
        content: AsyncIterable[bytes],
        length: int | None = None,
        content_type: str | None = None,
        *,
        kind: str = "",
    ) -> None:
        """Take the content; `kind` says in messages what it was made of."""
        self.kind = kind or type(content).__name__
        left = [content]

        def open_once() -> AsyncIterable[bytes]:
            if not left:
                raise RuntimeError(
                    f"this body ({self.kind}) was sent already, and can be sent only once; "
                    "Body(open, ...) makes one that is opened again"
                )
            return left.pop()

        super().__init__(open_once, length, content_type)

    def with_length(self, length: int) -> Body:
        """See `Body.with_length`."""
        return OnceBody(self, length, self.content_type, kind=self.kind)


RequestBody: TypeAlias = bytes | AsyncIterable[bytes]
"""What an engine sends: bytes at once with their length, or chunks. A `Body` may know its length;
`once_only` says whether one can be sent again."""


def once_only(body: RequestBody | None) -> str | None:
    """Return what a body is that cannot be sent a second time, for messages; None if it can."""
    if isinstance(body, OnceBody):
        return body.kind
    if body is None or isinstance(body, bytes | Body) or not hasattr(body, "__anext__"):
        return None
    return type(body).__name__


def length_of(body: RequestBody | None) -> int | None:
    """Return how many bytes a body has; None where that is not known."""
    if body is None or isinstance(body, bytes):
        return len(body or b"")
    return body.length if isinstance(body, Body) else None


def passed_through(
    body: RequestBody, through: Callable[[AsyncIterable[bytes]], AsyncIterable[bytes]]
) -> Body:
    """Return a body that is as another one, but for what its chunks pass through on their way.

    It has the other's length and content type, and can be sent as often; `through` is called for
    each sending, and closes what it takes (`opened`).
    """
    chunks: AsyncIterable[bytes] = in_slices(body) if isinstance(body, bytes) else body
    length = length_of(body)
    content_type = body.content_type if isinstance(body, Body) else None
    if (once := once_only(body)) is not None:
        return OnceBody(through(chunks), length, content_type, kind=once)
    return Body(lambda: through(chunks), length, content_type)


def opened(chunks: AsyncIterable[bytes]) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
    """Return an iterator over chunks, for `async with`: left early, it is closed too."""
    iterator: Any = aiter(chunks)  # a generator, as a rule
    return aclosing(iterator) if hasattr(iterator, "aclose") else nullcontext(iterator)


def in_slices(body: bytes) -> Body:
    """Return bytes as a body that is streamed, for what would otherwise hold all of it twice."""

    async def slices() -> AsyncGenerator[bytes]:
        for at in range(0, len(body), _SLICE):
            yield body[at : at + _SLICE]

    return Body(slices, len(body))


async def _chunks(content: AsyncIterable[bytes], length: int | None) -> AsyncGenerator[bytes]:
    size = 0
    iterator: Any = aiter(content)
    try:
        async for chunk in iterator:
            size += len(checked_chunk(chunk))
            if length is not None:
                _check_length(size, length, at_end=False)
            if chunk:
                yield chunk
        if length is not None:
            _check_length(size, length, at_end=True)
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


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
        UnsafeHeaderError: it has another one, or the header is no number. A streamed body of
            unknown length raises it when that comes out.
    """
    if not (length.isascii() and length.isdigit()):
        raise UnsafeHeaderError(f"header 'Content-Length' is a number of bytes, not {length!r}")
    known = length_of(body)
    if known is not None:
        _check_length(known, int(length), at_end=True)
    elif isinstance(body, Body):
        return body.with_length(int(length))
    elif body is not None and not isinstance(body, bytes):
        once = once_only(body)
        if once is not None:
            return OnceBody(body, int(length), kind=once)
        return Body(lambda: body, int(length))
    return body


def _check_length(size: int, length: int, *, at_end: bool) -> None:
    if size > length or (at_end and size < length):
        more = "" if at_end else " or more"
        raise UnsafeHeaderError(
            f"header 'Content-Length' says {length} bytes, but the body has {size}{more}; "
            "leave the header out: the client sets it"
        )


def _name(value: object) -> str:
    return type(value).__name__


class ResponseBody(ABC):
    """The body of a response while it streams. The engine makes it, the response owns it.

    An engine passes on the bytes from the wire; the response decodes their `Content-Encoding`.
    """

    is_decoded: bool = False
    """Whether the platform has undone the `Content-Encoding` already, as browsers do."""

    @abstractmethod
    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives.

        Raises:
            ConnectError: the connection broke before the end.
            RequestTimeoutError: the engine's own limit expired.
        """

    async def read(self) -> bytes:
        """Return the whole body. Raises what `chunks` raises."""
        return b"".join([chunk async for chunk in self.chunks()])

    @abstractmethod
    async def close(self) -> None:
        """Release the connection or drop it. Idempotent."""


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
        self.is_decoded = inner.is_decoded

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the other one's chunks."""
        async with self.source() as chunks:
            async for chunk in chunks:
                yield chunk

    def source(self) -> AbstractAsyncContextManager[AsyncIterator[bytes]]:
        """Return the other one's chunks; see `opened`."""
        return opened(self.inner.chunks())

    async def close(self) -> None:
        """Close the other one."""
        await self.inner.close()
