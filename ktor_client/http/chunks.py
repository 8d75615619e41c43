"""A response's body on its way to who streams it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from ktor_client.http.body import opened

if TYPE_CHECKING:
    from ktor_client.http.response import HttpResponse

__all__ = ["Chunks"]


class Chunks(AsyncGenerator[bytes, None]):
    """An async generator; but after a wait that was cancelled, what came is not taken for all."""

    __slots__ = ("_generator", "_is_cut")

    def __init__(self, response: HttpResponse) -> None:
        self._generator = _chunks(response)
        self._is_cut = False

    async def __anext__(self) -> bytes:
        try:
            return await anext(self._generator)
        except asyncio.CancelledError:
            self._is_cut = True
            raise
        except StopAsyncIteration:
            if self._is_cut:
                raise RuntimeError(
                    "the body is not whole: a wait for its next chunk was cancelled, and that "
                    "closed the response"
                ) from None
            raise

    async def asend(self, value: None, /) -> bytes:
        return await self._generator.asend(value)

    async def athrow(self, *error: Any) -> bytes:
        return await self._generator.athrow(*error)

    async def aclose(self) -> None:
        await self._generator.aclose()


async def _chunks(response: HttpResponse) -> AsyncGenerator[bytes]:
    if response._read is not None:
        if response._read:
            yield response._read
        return
    response._begin_reading()
    try:
        async with opened(response._decoding().chunks()) as chunks:
            while True:
                try:
                    with response._waiting or nullcontext():
                        chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                yield chunk
    finally:
        await response.close()
