"""aiohttp's responses as ours: head, and the body while it streams."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ktor_client.engine.received import ReceivedHeaders
from ktor_client.engine.upload import Upload
from ktor_client.engines._aiohttp.errors import ERRORS
from ktor_client.engines._aiohttp.exchange import Answer
from ktor_client.http import HttpRequest, HttpResponse, ResponseBody

if TYPE_CHECKING:
    import aiohttp

__all__ = ["to_response"]


def to_response(
    request: HttpRequest, response: aiohttp.ClientResponse | Answer, upload: Upload | None = None
) -> HttpResponse:
    """Return our response for aiohttp's; it owns the body, except after a 101."""
    version = response.version
    assert version is not None  # the head is here
    return HttpResponse(
        request,
        response.status,
        ReceivedHeaders(response.raw_headers),
        b"" if response.status == 101 else _Body(request, response, upload),
        reason=response.reason or "",
        http_version=f"{version.major}.{version.minor}",
    )


class _Body(ResponseBody):
    """aiohttp's payload stream, with its exceptions mapped."""

    def __init__(
        self, request: HttpRequest, response: aiohttp.ClientResponse | Answer, upload: Upload | None
    ) -> None:
        self._request = request
        self._response = response
        self._upload = upload

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; see `ResponseBody.chunks`."""
        source = _source_of(self._response)
        while True:
            try:
                chunk = await source.readany()
            except ERRORS.foreign as error:
                ERRORS.fail(error, self._request, self._upload)
            if not chunk:
                return
            yield chunk

    async def read(self) -> bytes:
        """Return the whole body; see `ResponseBody.read`."""
        try:
            return await _source_of(self._response).read()
        except ERRORS.foreign as error:
            ERRORS.fail(error, self._request, self._upload)

    async def close(self) -> None:
        """Drop the connection; after the whole body it is back in the pool already."""
        if isinstance(self._response, Answer):
            await self._response.aclose()
        elif not self._response.closed:
            self._response.close()


def _source_of(response: aiohttp.ClientResponse | Answer) -> Answer | aiohttp.StreamReader:
    return response if isinstance(response, Answer) else response.content
