"""httpx's responses as ours: head, and the body while it streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import httpx

from ktor_client.engine.error_table import place
from ktor_client.engine.received import ReceivedHeaders
from ktor_client.engine.settle import settle
from ktor_client.engine.upload import Upload
from ktor_client.engines._httpx.errors import BODY_ERRORS, ERRORS
from ktor_client.engines._httpx.transport import OwnResponse
from ktor_client.errors import ConnectError
from ktor_client.http import HttpRequest, HttpResponse, ResponseBody

__all__ = ["to_response"]


def to_response(
    request: HttpRequest, response: httpx.Response, upload: Upload | None = None
) -> HttpResponse:
    """Return our response for httpx's; it owns the body, except after a 101."""
    body = b"" if response.status_code == 101 else _Body(request, response, upload)
    if isinstance(response, OwnResponse):
        head = response.head
        return HttpResponse(
            request,
            head.status,
            ReceivedHeaders(head.fields),
            body,
            reason=head.reason.decode("latin-1"),
            http_version=head.version,
        )
    return HttpResponse(
        request,
        response.status_code,
        ReceivedHeaders(response.headers.raw),
        body,
        reason=response.reason_phrase,
        http_version=response.http_version.removeprefix("HTTP/"),
    )


class _Body(ResponseBody):
    """httpx's body, with its exceptions mapped."""

    def __init__(
        self, request: HttpRequest, response: httpx.Response, upload: Upload | None
    ) -> None:
        self._request = request
        self._response = response
        self._upload = upload
        # A transport or a hook may have read the body, and httpx has decoded it then.
        self.is_decoded = response.is_stream_consumed
        self._raw: AsyncIterator[bytes] | None = None
        self._reading = False
        self._closing: asyncio.Task[None] | None = None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; see `ResponseBody.chunks`."""
        if self.is_decoded:
            content = self._content()
            if content:
                yield content
            return
        self._raw = self._response.aiter_raw()
        while (chunk := await self._next(self._raw)) is not None:
            if chunk:
                yield chunk

    def _content(self) -> bytes:
        try:
            return self._response.content
        except httpx.ResponseNotRead as error:
            raise ConnectError(
                f"HttpxEngine has no body from {place(self._request)}: a response hook of the "
                "client has streamed it; let the hook call `await response.aread()` instead"
            ) from error

    async def _next(self, raw: AsyncIterator[bytes]) -> bytes | None:
        self._reading = True
        try:
            return await anext(raw, None)
        except ERRORS.foreign as error:
            BODY_ERRORS.fail(error, self._request, self._upload)
        finally:
            self._reading = False

    async def close(self) -> None:
        """Give the connection back, or drop it when the body was not read to its end."""
        if not self._response.is_closed:
            if self._closing is None:  # two may close at a time: who reads, and who is done
                self._closing = asyncio.ensure_future(self._close())
            await settle(self._closing)

    async def _close(self) -> None:
        if self._raw is not None:
            await self._unwind(self._raw)
        await self._response.aclose()

    async def _unwind(self, raw: AsyncIterator[bytes]) -> None:
        """Drop the connection and let the generators of httpx and httpcore run to their ends.

        Left to the garbage collector, each would end in a task of its own, later.
        """
        stream = self._response.extensions.get("network_stream")
        if stream is not None and self._response.http_version.startswith("HTTP/1"):
            await stream.aclose()
            with suppress(*ERRORS.foreign):
                while not self._reading and await anext(raw, None) is not None:
                    pass
