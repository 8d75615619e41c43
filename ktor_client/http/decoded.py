"""A response's body with its content coding undone while it streams; the rules are in `codings`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from ktor_client.errors import ConnectError, ResponseError
from ktor_client.http.body import ResponseBody, opened
from ktor_client.http.codings import MAX_DECODED_SIZE, CodingError, Decoder, max_decoded_size

if TYPE_CHECKING:
    from ktor_client.http.response import HttpResponse

__all__ = ["DecodedBody"]

_PIECES_A_STEP = 16
"""After so many pieces of one read, other tasks have their turn."""


class DecodedBody(ResponseBody):
    """Made to read the body of a response once; `raw` is what the engine hands over."""

    is_decoded = True

    def __init__(self, response: HttpResponse, raw: ResponseBody, decoder: Decoder) -> None:
        self._response = response
        self._raw = raw
        self._decoder = decoder
        self._limit = response.request.attributes.get(max_decoded_size)
        self._way_out = "raise the limit"

    def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body in pieces; see `ResponseBody.chunks`.

        Raises:
            ConnectError: the coded data is damaged, or ends in the middle.
            ResponseError: it is larger than the request's own limit.
        """
        return self._pieces()

    def hold_to_limit(self) -> None:
        """Be held to `MAX_DECODED_SIZE` where the request has no limit: all of it is kept."""
        if self._limit is None:
            self._limit = MAX_DECODED_SIZE
            self._way_out = "stream it, or raise the limit"

    async def _pieces(self) -> AsyncIterator[bytes]:
        decoder, limit, size = self._decoder, self._limit, 0
        where = self._response.request.url.authority
        try:
            async with opened(self._raw.chunks()) as chunks:
                async for data in chunks:
                    for count, piece in enumerate(decoder.decode(data), 1):
                        size += len(piece)
                        if limit is not None and size > limit:
                            raise ResponseError(
                                f"the body from {where} has more than {limit} bytes when it is "
                                f"decoded (max_decoded_size); {self._way_out}",
                                self._response,
                            )
                        yield piece
                        if not count % _PIECES_A_STEP:
                            await asyncio.sleep(0)
                decoder.end()
        except CodingError as error:
            raise ConnectError(f"the body from {where} {error}") from error

    async def close(self) -> None:
        """Close what came."""
        await self._raw.close()
