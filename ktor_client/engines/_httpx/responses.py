"""httpx's responses as ours: head, and the body while it streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ktor_client.engine.upload import Upload
from ktor_client.engines._httpx.errors import ERRORS
from ktor_client.engines._httpx.settle import settle
from ktor_client.http import Headers, HttpRequest, HttpResponse, ResponseBody

if TYPE_CHECKING:
    import httpx

__all__ = ["to_response"]


def to_response(
    request: HttpRequest, response: httpx.Response, upload: Upload | None = None
) -> HttpResponse:
    """Return our response for httpx's; it owns the body, except after a 101."""
    body = b"" if response.status_code == 101 else _Body(request, response, upload)
    return HttpResponse(
        request,
        response.status_code,
        Headers([(_text(name), _text(value)) for name, value in response.headers.raw]),
        body,
        reason=response.reason_phrase,
        http_version=response.http_version.removeprefix("HTTP/"),
    )


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


class _Body(ResponseBody):
    """httpx's body, decoded, with its exceptions mapped."""

    def __init__(
        self, request: HttpRequest, response: httpx.Response, upload: Upload | None
    ) -> None:
        self._request = request
        self._response = response
        self._upload = upload

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; see `ResponseBody.chunks`."""
        stream = self._response.aiter_bytes()
        while True:
            with ERRORS.mapped(self._request, self._upload):
                chunk = await anext(stream, None)
            if chunk is None:
                return
            if chunk:
                yield chunk

    async def close(self) -> None:
        """Give the connection back, or drop it when the body was not read to its end."""
        await settle(self._response.aclose())
