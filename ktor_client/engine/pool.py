"""The connections of an engine: how many there are, who gets one, which are kept.

What a connection is, and how it is made, is the engine's business.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, Protocol, TypeVar

from ktor_client.engine.slots import Slots

__all__ = ["Pool", "PooledConnection"]


class PooledConnection(Protocol):
    """What a pool asks of a connection."""

    @property
    def is_usable(self) -> bool:
        """Whether it may be used again, being idle."""
        ...

    def drop(self) -> None:
        """Close it now."""


C = TypeVar("C", bound=PooledConnection)
K = TypeVar("K", bound=Hashable)


class Pool(Generic[K, C]):
    """At most `limit` connections, idle ones among them; one user at a time on each.

    A slot is taken, then a connection is chosen or made and added; it is kept or forgotten.
    """

    def __init__(self, limit: int, engine: str) -> None:
        self._limit = limit
        self._slots = Slots(limit, engine)
        self._open: dict[C, K] = {}
        self._idle: dict[C, None] = {}  # longest idle first

    def take_slot_now(self) -> bool:
        """Take a slot if one is free. Raises what `take_slot` raises."""
        return self._slots.take_now()

    async def take_slot(self) -> None:
        """Wait for a slot. Raises `ClientClosedError` when the pool is closed."""
        await self._slots.take()

    def give_slot_back(self) -> None:
        """Let the next one in: no connection was made."""
        self._slots.give_back()

    def choose(self, key: K, *, fresh: bool = False) -> C | None:
        """Return an idle connection, for who has a slot; else make room for a new one.

        With `fresh` a new one is wanted whatever is there.
        """
        for connection in tuple(reversed(self._idle)) if self._idle and not fresh else ():
            if self._open[connection] == key:
                del self._idle[connection]
                if connection.is_usable:
                    return connection
                self._forget(connection)
        if self._slots.taken + len(self._idle) > self._limit:
            oldest = next(iter(self._idle))
            del self._idle[oldest]
            self._forget(oldest)
        return None

    def add(self, key: K, connection: C) -> None:
        """Take note of a connection that was made by who has a slot."""
        self._open[connection] = key

    def keep(self, connection: C) -> None:
        """Keep a connection for others, and give its slot back."""
        if connection in self._open:
            self._idle[connection] = None
            self._slots.give_back()

    def forget(self, connection: C, *, drop: bool = True) -> None:
        """Let go of a connection in use, and give its slot back. Once for each."""
        was_idle = connection in self._idle
        self._idle.pop(connection, None)
        if self._open.pop(connection, None) is not None and not was_idle:
            self._slots.give_back()
        if drop:
            connection.drop()

    def _forget(self, connection: C) -> None:
        del self._open[connection]
        connection.drop()

    def close(self) -> None:
        """Drop all connections; who waits for one hears of it."""
        self._slots.close()
        for connection in tuple(self._open):
            self.forget(connection)
