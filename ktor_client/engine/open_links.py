"""The links that an engine has handed over and that still have a socket: its books.

An engine that is closed aborts what is left and waits until the sockets are gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from ktor_client.engine.xor import best_mask
from ktor_client.link import StreamLink
from ktor_client.protocol.masking import Mask

__all__ = ["LostTransport", "OpenLinks"]


class OpenLinks:
    """Makes links and knows which of them are still connected."""

    def __init__(self) -> None:
        self._mask: Mask | None = None  # looked for by the first link: that imports a library
        self._links: set[StreamLink] = set()
        self._owners: set[asyncio.Task[None]] = set()
        self._all_lost = asyncio.Event()
        self._on_lost = self._lost  # one for all links

    def __len__(self) -> int:
        return len(self._links)

    def __contains__(self, link: object) -> bool:
        return link in self._links

    def make(self, transport: asyncio.Transport, leading: bytes = b"") -> StreamLink:
        """Return a link on a transport; the caller then sets it as the transport's protocol."""
        if self._mask is None:
            self._mask = best_mask()
        link = StreamLink(transport, leading, mask=self._mask, on_lost=self._on_lost)
        self._links.add(link)
        return link

    def _lost(self, link: StreamLink) -> None:
        self._links.discard(link)
        if not self._links:
            self._all_lost.set()

    def own(self, carrier: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run a task that opens and carries a link; `abort` cancels it and waits for its end."""
        task = asyncio.get_running_loop().create_task(carrier)
        self._owners.add(task)
        task.add_done_callback(self._owners.discard)
        return task

    async def abort(self) -> None:
        """Abort every link and return when the last transport is gone."""
        for link in tuple(self._links):
            link.abort()
        if self._links:
            self._all_lost.clear()
            await self._all_lost.wait()
        if self._owners:
            for owner in self._owners:
                owner.cancel()
            await asyncio.wait(self._owners)


class LostTransport(asyncio.Transport):
    """Stands for a connection that ended before it could be handed over."""

    def is_closing(self) -> bool:
        return True

    def pause_reading(self) -> None:
        """Do nothing: there is nothing to read."""

    def resume_reading(self) -> None:
        """Do nothing: there is nothing to read."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Do nothing: nobody is there."""

    def close(self) -> None:
        """Do nothing: it is closed."""

    def abort(self) -> None:
        """Do nothing: it is closed."""
