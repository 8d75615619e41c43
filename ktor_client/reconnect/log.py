"""The events of one feed in order, each with its place among the messages."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from ktor_client.link.home_loop import wake
from ktor_client.reconnect.events import FeedEvent

__all__ = ["AllEvents", "EventLog"]

KEPT = 1024
"""Events that are kept for who has not read them yet; older ones are forgotten."""


class EventLog:
    """Keeps the last events; any number of readers, each from the first one that is kept."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, FeedEvent]] = deque(maxlen=KEPT)
        self._count = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.is_over = False

    def tell(self, event: FeedEvent, at: int) -> None:
        """Add an event that happened after so many messages."""
        self._kept.append((at, event))
        self._count += 1
        self.notify()

    def end(self) -> None:
        """Take note that there will be no more."""
        self.is_over = True
        self.notify()

    def notify(self) -> None:
        """Let readers look again: there is an event, or a message."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            wake(one)

    def get(self, number: int) -> tuple[int, int, FeedEvent] | None:
        """Return event `number`, or the first one behind it that is kept: number, place, event."""
        number = max(number, self._count - len(self._kept))
        if number >= self._count:
            return None
        at, event = self._kept[number - self._count]
        return number, at, event

    async def changed(self) -> None:
        """Wait for `notify`."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        finally:
            if waiter in self._waiting:
                self._waiting.remove(waiter)


class Events(AsyncIterator[FeedEvent]):
    """Iterates over the events, from the first one that is kept to `Stopped`."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._next = 0

    async def __anext__(self) -> FeedEvent:
        while (found := self._log.get(self._next)) is None:
            if self._log.is_over:
                raise StopAsyncIteration
            await self._log.changed()
        self._next = found[0] + 1
        return found[2]


class AllEvents:
    """`feed.events`: `async for event in feed.events`, as often as you like."""

    def __init__(self, log: EventLog) -> None:
        self._log = log

    def __aiter__(self) -> Events:
        return Events(self._log)
