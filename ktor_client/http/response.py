"""The response: status, headers, and a body that is read, decoded or streamed."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar, overload

from ktor_client.errors import KtorClientError, RequestTimeoutError, ResponseError
from ktor_client.http.body import BytesBody, ResponseBody, WrappedBody
from ktor_client.http.chunks import Chunks
from ktor_client.http.codings import decoder_for, hindrance
from ktor_client.http.conversion import CONVERTERS, from_body
from ktor_client.http.decoded import DecodedBody
from ktor_client.http.headers import Headers
from ktor_client.http.interruptible import Interruptible
from ktor_client.http.request import HttpRequest
from ktor_client.http.status import Status
from ktor_client.http.typed_json import from_json
from ktor_client.mistakes import Taught, subscripted
from ktor_client.unset import UNSET

__all__ = ["HttpResponse"]

T = TypeVar("T")

MAX_REFUSAL_BODY = 1 << 20
"""Bytes that are kept of the body of a refused handshake."""

DISCARD_TIMEOUT = 1.0
"""Seconds that the rest of a body is waited for that nobody wants."""

_NO_BODY = BytesBody()
_PORTABLE = "status", "headers", "reason", "http_version", "body_error", "_read", "_coded"
_charset = re.compile(r'charset\s*=\s*"?([\w.:-]+)', re.IGNORECASE).search


class HttpResponse(metaclass=Taught):
    """A response. `client.get` returns it fully read; `prepare_get` gives it while it streams."""

    body_error: KtorClientError | None = None
    """Why `body_as_bytes` gives less than was sent, where an error carries the response."""
    _read: bytes | None = None
    _coded: Headers | None = None
    """The headers whose `Content-Encoding` the body still has."""
    _decoded: DecodedBody | None = None
    """The body below which it is undone, however it was wrapped since."""
    _streamed = False
    _closed = False
    _given_back = False
    _source: HttpResponse | None = None
    _waiting: Interruptible | None = None
    _watched: set[HttpResponse] | None = None

    def __init__(
        self,
        request: HttpRequest,
        status: int,
        headers: Headers,
        body: ResponseBody | bytes = b"",
        *,
        reason: str = "",
        http_version: str = "1.1",
    ) -> None:
        self.request = request
        self.status: int = Status(status)
        self.headers = headers
        self.reason = reason
        self.http_version = http_version
        if isinstance(body, bytes):
            if not body or "content-encoding" not in headers:
                self._read = body
            else:
                self._coded = headers
            body = BytesBody(body) if body else _NO_BODY
        elif "content-encoding" in headers and not body.is_decoded:
            self._coded = headers
        self._body = body

    def copy(
        self,
        *,
        status: int | None = None,
        headers: Headers | None = None,
        reason: str | None = None,
        body: bytes | Callable[[ResponseBody], ResponseBody] | None = None,
        wire: Callable[[ResponseBody], ResponseBody] | None = None,
    ) -> HttpResponse:
        """Return a copy with the given changes, for layers that change responses.

        From then on, read the body from the copy; closing the copy closes this response.

        Args:
            status: replaces this one's.
            headers: replace this one's.
            reason: replaces this one's.
            body: bytes, or a function that wraps the decoded `ResponseBody`, streaming or already
                read.
            wire: a function that wraps the body as it comes over the wire, before decoding.

        Raises:
            RuntimeError: the body to wrap has already been streamed or, for `wire`, read.
        """
        coded, read, kept = self._coded, self._read, self._body
        is_at_hand = callable(body) and wire is None and read is not None
        if self._streamed and not is_at_hand and (callable(body) or wire is not None):
            raise RuntimeError("the body was read already; wrap it before")
        if wire is not None:
            read, kept = None, wire(kept)
        elif callable(body):
            kept, read = body(self._decoding() if read is None else BytesBody(read)), None
            if not (coded and hindrance(coded) and isinstance(kept, WrappedBody)):
                coded = None  # else what passes through is as it came
        elif body is not None:
            coded, read, kept = None, body, _NO_BODY
        twin = HttpResponse(
            self.request,
            self.status if status is None else status,
            self.headers if headers is None else headers,
            kept,
            reason=self.reason if reason is None else reason,
            http_version=self.http_version,
        )
        twin._coded, twin._decoded, twin._read = coded, self._decoded, read
        twin._source = self
        if not is_at_hand:
            twin._streamed, twin._closed = self._streamed, self._closed
        twin.body_error = self.body_error
        self._streamed = True
        return twin

    __copy__ = copy

    def __reduce__(self) -> tuple[Any, ...]:
        """Go to another process, as errors take it there: with its body if that was read."""
        request, state = self.request, {name: getattr(self, name) for name in _PORTABLE}
        return _arrived, ((request.method, request.url, request.headers), state)

    def is_made_of(self, other: HttpResponse) -> bool:
        """Whether this is the other response, or a `copy` of it."""
        return self is other or (self._source is not None and self._source.is_made_of(other))

    def _streams(self, other: HttpResponse) -> bool:
        """Whether who reads this one may still read the body of the other."""
        return self is other or (self._read is None and self.is_made_of(other))

    async def body_as_bytes(self) -> bytes:
        """Read the body to its end, once; later calls return the same bytes.

        `Content-Encoding` is decoded: gzip, deflate, br and zstd, also several in a row. Bytes in
        an unknown coding are returned as they are.

        Raises:
            ConnectError: the connection broke before the end, or the compressed data was cut off.
            ResponseError: a coded body is larger than 1 GiB; `chunks()` takes it.
            RuntimeError: `chunks()` has already consumed the body, or the response was closed.
        """
        if self._read is None:
            self._begin_reading()
            try:
                body = self._decoding()
                if self._decoded is not None:
                    self._decoded.hold_to_limit()
                if self._waiting is None:
                    self._read = await body.read()
                else:
                    with self._waiting:
                        self._read = await body.read()
            finally:
                await self.close()
        return self._read

    async def body_as_text(self) -> str:
        """Read the body as text, in the charset of `Content-Type`, else UTF-8.

        Bytes that the charset cannot decode become U+FFFD.

        Raises:
            ResponseError: the body has an unknown content coding.

        And what `body_as_bytes` raises.
        """
        data = await self._plain_bytes()
        found = _charset(self.headers.single("content-type") or "")
        try:
            return data.decode(found[1] if found else "utf-8", "replace")
        except (LookupError, UnicodeError):  # no charset, or one that cannot replace
            return data.decode("utf-8", "replace")

    @overload
    async def body(self, type_: type[T]) -> T: ...
    @overload
    async def body(self, type_: Any) -> Any: ...
    @subscripted("write `await response.body(dict)`")
    async def body(self, type_: Any = UNSET) -> Any:
        """Read the body as `bytes`, `str`, or an object of that type; `X | None` allows null.

        With `ContentNegotiation` a converter of the body's `Content-Type` builds it, and an empty
        body is None where the type allows that; without, it is JSON, and dataclasses are built.

        Raises:
            DeserializationError: the body is not of that type.
            ConverterError: no converter takes it, or the status is 406 or 415.

        And what `body_as_text` raises.
        """
        if type_ is bytes:
            return await self.body_as_bytes()
        if type_ is str:
            return await self.body_as_text()
        if type_ is UNSET:
            raise TypeError("body takes the type to read: `await response.body(dict)`")
        data = await self._plain_bytes()
        converters = self.request.attributes.get(CONVERTERS)
        if converters is None:
            return from_json(data, type_)
        return from_body(converters, self, data, type_)

    def chunks(self) -> AsyncGenerator[bytes]:
        """Yield the body as it arrives, decoded as by `body_as_bytes`; memory stays flat.

        Raises:
            ConnectError: the connection broke before the end, or the compressed data was cut off.
            RuntimeError: the body was already streamed, or the response was closed, as it is when
                a wait for a chunk is cancelled.
        """
        return Chunks(self)

    def _decoding(self) -> ResponseBody:
        """Return the body as it is to be read: with its content coding undone."""
        decoder = None if self._coded is None else decoder_for(self._coded)
        if decoder is None:
            return self._body
        self._decoded = DecodedBody(self, self._body, decoder)
        return self._decoded

    async def _plain_bytes(self) -> bytes:
        """Read the body for somebody who means what it says."""
        data = await self.body_as_bytes()
        why = hindrance(self._coded) if data and self._coded is not None else None
        if why is not None:
            assert self._coded is not None
            raise ResponseError(
                f"the body of the {self.status} from {self.request.url.authority} is in "
                f"Content-Encoding {self._coded['content-encoding']!r}, which cannot be undone: "
                f"{why}. body_as_bytes() gives it as it came",
                self,
            )
        return data

    async def _text_for_messages(self) -> str:
        """Return the text, for an error that tells of the status; "" where it cannot be had."""
        try:
            return await self.body_as_text()
        except ResponseError:
            return ""

    async def discard(self, *, up_to: int = 64 * 1024) -> None:
        """Read what is left, if it is short, so that the connection can be used again.

        If more than `up_to` bytes are left, or they take longer than a second, the connection is
        dropped instead. Errors while discarding are ignored.
        """
        announced = self.headers.single("content-length") or ""
        try:
            if self._read is None and not (self._streamed or self._closed):
                if not (announced.isascii() and announced.isdigit() and int(announced) > up_to):
                    await self._drain(up_to)
        finally:
            await self.close()

    async def _drain(self, up_to: int) -> None:
        self._begin_reading()
        chunks: Any = self._body.chunks()
        size = 0
        try:
            async with asyncio.timeout(DISCARD_TIMEOUT):
                async for chunk in chunks:
                    size += len(chunk)
                    if size > up_to:
                        return
        except (KtorClientError, TimeoutError):
            pass  # of what nobody wants

    def _begin_reading(self) -> None:
        if self._waiting is not None and self._waiting.error is not None:
            raise self._waiting.error
        if self._streamed:
            raise RuntimeError("the body has already been streamed; read it only once")
        if self._closed:
            raise RuntimeError(
                "the response is closed; read its body inside the `async with` or `execute`"
            )
        self._streamed = True

    async def read_up_to(
        self, limit: int, in_time: AbstractAsyncContextManager[object] | None = None
    ) -> None:
        """Keep at most `limit` bytes of the body and close the rest, for errors that carry it.

        If the body breaks off, cannot be decoded, or does not arrive `in_time` (which then raises
        `TimeoutError`), what arrived is kept, and `body_error` says why there is no more.
        """
        if self._read is None:
            kept = bytearray()
            chunks = self.chunks()
            try:
                async with in_time or nullcontext():
                    async for chunk in chunks:
                        kept += chunk[: limit - len(kept)]
                        if len(kept) >= limit:
                            break
            except KtorClientError as error:
                if self._waiting is not None and self._waiting.error is error:
                    raise  # the client was closed
                self.body_error = error
            except TimeoutError as error:
                self.body_error = RequestTimeoutError(
                    f"the body of the {self.status} did not end in time"
                )
                self.body_error.__cause__ = error
            finally:
                await chunks.aclose()
                await self.close()
            self._read = bytes(kept)
            self._body = _NO_BODY  # who keeps the refusal keeps no connection with it

    async def close(self) -> None:
        """Release the connection. Idempotent; what was read stays readable."""
        self._closed = True
        if not self._given_back:
            if self._watched is not None:
                self._watched.discard(self)
            try:
                await self._body.close()
                self._given_back = True
            finally:
                if self._source is not None:
                    await self._source.close()

    def _stream(self) -> None:
        """Be read once, and until it is closed, also if the engine had the whole body at once."""
        if self._read is not None and not self._streamed:
            self._body, self._read = BytesBody(self._read), None

    def _watch(self, watched: set[HttpResponse]) -> None:
        """Be one of the responses whose reading `_abandon` ends, until it is closed."""
        if not self._given_back:
            self._waiting, self._watched = Interruptible(), watched
            watched.add(self)

    def _abandon(self, error: Exception) -> None:
        """Let reading raise `error`, also where a task waits for more."""
        if self._waiting is not None:
            self._waiting.interrupt(error)

    @property
    def retry_after(self) -> float | None:
        """Seconds from the `Retry-After` header, a number or a date; None without one."""
        value = (self.headers.single("retry-after") or "").strip()
        if value.isascii() and value.isdigit():
            return float(value)
        if not value:
            return None
        from datetime import UTC
        from email.utils import parsedate_to_datetime

        try:
            date = parsedate_to_datetime(value)
            if date.tzinfo is None:  # as in the oldest of the forms, whose zone is always GMT
                date = date.replace(tzinfo=UTC)
            return max(0.0, date.timestamp() - time.time())
        except (ValueError, OverflowError):
            return None

    def __repr__(self) -> str:
        return f"HttpResponse({self.status} {self.request.method} {self.request.url!r})"


def _arrived(request: tuple[Any, ...], state: dict[str, Any]) -> HttpResponse:
    """Return a response from another process: no connection is behind it."""
    response = HttpResponse(HttpRequest(*request), state["status"], state["headers"])
    vars(response).update(state, _closed=True)
    return response
