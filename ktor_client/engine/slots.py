"""Places for requests on one way to the network: who comes first is served first."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from ktor_client.engine.phases import waiting_for_a_slot
from ktor_client.errors import ClientClosedError

__all__ = ["Slots"]


class Slots:
    """A fixed number of places; each is taken until it is given back."""

    def __init__(self, count: int, engine: str) -> None:
        self._engine = engine
        self._count = count
        self._free = count
        self._waiters: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._is_closed = False

    @property
    def taken(self) -> int:
        """How many places are taken."""
        return self._count - self._free

    def take_now(self) -> bool:
        """Take a place if one is free. Raises what `take` raises."""
        if self._is_closed:
            raise self._closed()
        if not self._free:
            return False
        self._free -= 1
        return True

    async def take(self) -> None:
        """Wait for a place; the caller gives it back.

        Raises:
            ClientClosedError: the engine is closed.
        """
        if self.take_now():
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = None
        try:
            with waiting_for_a_slot(self._count):
                await waiter
        except asyncio.CancelledError:
            self._waiters.pop(waiter, None)
            if not waiter.cancelled() and waiter.exception() is None:
                self.give_back()  # it had come in the same moment
            raise
        if self._is_closed:  # in the same moment
            raise self._closed()

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
                waiter.set_exception(self._closed())

    def _closed(self) -> ClientClosedError:
        return ClientClosedError(f"{self._engine} was closed before the request was sent")
