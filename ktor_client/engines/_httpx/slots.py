"""Places for requests on one way to the network: who comes first is served first."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from ktor_client.errors import ClientClosedError

__all__ = ["Slots"]


class Slots:
    """A fixed number of places; each is taken until it is given back."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._is_closed = False

    async def take(self) -> None:
        """Wait for a place; the caller gives it back.

        Raises:
            ClientClosedError: the engine is closed.
        """
        if self._is_closed:
            raise _closed()
        if self._free:
            self._free -= 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            await waiter
        except asyncio.CancelledError:
            self._waiters.pop(waiter, None)
            if not waiter.cancelled() and waiter.exception() is None:
                self.give_back()  # it had come in the same moment
            raise
        if self._is_closed:  # in the same moment
            raise _closed()

    def give_back(self) -> None:
        """Let the next one in."""
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_result(None)
                return
        self._free += 1

    def close(self) -> None:
        """Tell those who wait that it is over."""
        self._is_closed = True
        while self._waiters:
            waiter, _ = self._waiters.popitem(last=False)
            if not waiter.done():
                waiter.set_exception(_closed())


def _closed() -> ClientClosedError:
    return ClientClosedError("HttpxEngine was closed before the request was sent")
