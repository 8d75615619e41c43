"""The response: status, headers, and a body that is read, decoded or streamed."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any, TypeVar

from ktor_client.errors import KtorClientError, RequestTimeoutError
from ktor_client.http.body import BytesBody, ResponseBody
from ktor_client.http.headers import Headers
from ktor_client.http.request import HttpRequest
from ktor_client.http.typed_json import from_json

__all__ = ["HttpResponse"]

T = TypeVar("T")

MAX_REFUSAL_BODY = 1 << 20
"""Bytes that are kept of the body of a refused handshake."""

_NO_BODY = BytesBody()
_charset = re.compile(r'charset\s*=\s*"?([\w.:-]+)', re.IGNORECASE).search


class HttpResponse:
    """A response. `client.get` returns it read; `prepare_get` gives it while it streams."""

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
        self.status = status
        self.headers = headers
        self.reason = reason
        self.http_version = http_version
        self.body_error: KtorClientError | None = None
        """Why `body_as_bytes` gives less than was sent, where an error carries the response."""
        self._read: bytes | None = None
        if isinstance(body, bytes):
            self._read, body = body, BytesBody(body) if body else _NO_BODY
        self._body = body
        self._streamed = False
        self._closed = False
        self._given_back = False

    async def body_as_bytes(self) -> bytes:
        """Read the body to its end, once; later calls return the same bytes.

        Raises:
            ConnectError: the connection broke before the end.
            RuntimeError: `chunks()` has already consumed the body, or the response was closed.
        """
        if self._read is None:
            self._begin_reading()
            try:
                self._read = await self._body.read()
            finally:
                self._closed = True
                await self._body.close()
                self._given_back = True
        return self._read

    async def body_as_text(self) -> str:
        """Read the body as text, in the charset of `Content-Type`, else UTF-8.

        Bytes that are not of that charset become U+FFFD.
        """
        data = await self.body_as_bytes()
        found = _charset(self.headers.get("content-type", ""))
        try:
            return data.decode(found[1] if found else "utf-8", "replace")
        except (LookupError, UnicodeError):  # no charset, or one that cannot replace
            return data.decode("utf-8", "replace")

    async def body(self, type_: type[T]) -> T:
        """Read the body as `bytes`, `str`, or JSON of that type; dataclasses are built.

        Raises:
            DeserializationError: the body is not JSON, or not of that type.
        """
        value: Any
        if type_ is bytes:
            value = await self.body_as_bytes()
        elif type_ is str:
            value = await self.body_as_text()
        else:
            value = from_json(await self.body_as_bytes(), type_)
        result: T = value
        return result

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body as it arrives; memory stays flat.

        Raises:
            ConnectError: the connection broke before the end.
            RuntimeError: the body was streamed before and is gone, or the response was closed.
        """
        if self._read is not None:
            if self._read:
                yield self._read
            return
        self._begin_reading()
        try:
            async for chunk in self._body.chunks():
                yield chunk
        finally:
            await self.close()

    def _begin_reading(self) -> None:
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
        """Keep at most `limit` bytes of the body and close the rest: for errors that carry it.

        Of a body that breaks, cannot be decoded, or is not there `in_time` (which then raises
        `TimeoutError`), what came is kept; `body_error` says why there is no more.
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
                self.body_error = error
            except TimeoutError as error:
                self.body_error = RequestTimeoutError(
                    f"the body of the {self.status} did not end in time"
                )
                self.body_error.__cause__ = error
            finally:
                await chunks.aclose()  # type: ignore[attr-defined]  # an async generator
                await self.close()
            self._read = bytes(kept)

    async def close(self) -> None:
        """Give the connection back. Idempotent; what was read stays readable."""
        self._closed = True
        if not self._given_back:
            await self._body.close()
            self._given_back = True

    @property
    def retry_after(self) -> float | None:
        """Seconds of the `Retry-After` header, given as a number or a date; None without one."""
        value = self.headers.get("retry-after", "").strip()
        if value.isascii() and value.isdigit():
            return float(value)
        if not value:
            return None
        from email.utils import parsedate_to_datetime

        try:
            return max(0.0, parsedate_to_datetime(value).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None

    def __repr__(self) -> str:
        return f"HttpResponse({self.status} {self.request.method} {self.request.url!r})"
