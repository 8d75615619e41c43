"""A response's body between app and client: bounded, so that each side waits for the other."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable

from ktor_client.errors import ConnectError
from ktor_client.http import ResponseBody

__all__ = ["AppBody"]

HIGH_WATER = 64 * 1024
"""Bytes that the app may be ahead of the client."""


class AppBody(ResponseBody):
    """What the app sends and the client has not taken yet."""

    def __init__(self, on_close: Callable[[], None], *, empty: bool) -> None:
        """Make the body of a response.

        Args:
            on_close: called when the client wants no more.
            empty: whether the response has no body whatever the app sends, as for HEAD.
        """
        self._on_close = on_close
        self._empty = empty
        self._chunks: deque[bytes] = deque()
        self._size = 0
        self._changed = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._complete = False
        self._closed = False
        self._error: BaseException | None = None

    # --- the app's side ---

    async def put(self, data: bytes) -> None:
        """Add a chunk, and wait while the client is behind."""
        self._add(data)
        while self._size >= HIGH_WATER and not self._closed:
            self._changed.clear()
            await self._changed.wait()

    def finish(self, data: bytes = b"", error: BaseException | None = None) -> None:
        """Add the last chunk and end the body; with an error, for the client to raise."""
        if not self._complete:
            self._add(data)
            self._complete = True
            self._error = error
            self._changed.set()

    def _add(self, data: bytes) -> None:
        if data and not self._empty and not self._closed:
            self._chunks.append(data)
            self._size += len(data)
            self._changed.set()

    # --- the client's side ---

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; see `ResponseBody.chunks`. Raises what the app raised."""
        while True:
            while not self._chunks:
                if self._closed:  # by another task
                    raise ConnectError(
                        "TestEngine did not get the whole body: the response was closed"
                    )
                if self._complete:
                    if self._error is not None:
                        raise self._error
                    return
                self._changed.clear()
                await self._changed.wait()
            chunk = self._chunks.popleft()
            self._size -= len(chunk)
            self._changed.set()
            yield chunk

    async def close(self) -> None:
        """Tell the app that nobody listens any more."""
        self._closed = True
        self._chunks.clear()
        if not self._loop.is_closed():  # else the app does not go on, nor who reads
            self._changed.set()
            self._on_close()
