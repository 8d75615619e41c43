"""How many attempts all sessions of a client may make together: each gets its turn, in order."""

from __future__ import annotations

import asyncio
from collections import deque

from ktor_client.link.contract import Clock, Timer

__all__ = ["Budget"]


class Budget:
    """Turns that are `1 / per_second` apart. Who leaves the queue gives no turn away unused."""

    def __init__(self, per_second: float) -> None:
        self._apart = (1 + 1e-9) / per_second  # rounding must not make it one too many
        self._free_at = float("-inf")
        self._queue: deque[asyncio.Future[None]] = deque()
        self._timer: Timer | None = None

    def __len__(self) -> int:
        """How many wait."""
        return len(self._queue)

    def ask(self, turn: asyncio.Future[None], clock: Clock) -> None:
        """Give `turn` its result when it has come: now, if nobody is before it."""
        now = clock.time()
        if self._timer is None and now >= self._free_at:
            self._free_at = now + self._apart
            turn.set_result(None)
            return
        self._queue.append(turn)
        if self._timer is None:
            self._timer = clock.call_later(self._free_at - now, self._next, clock)

    def leave(self, turn: asyncio.Future[None]) -> None:
        """Wait no longer for a turn; one that has just come is lost."""
        if turn in self._queue:
            self._queue.remove(turn)
        if not self._queue and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _next(self, clock: Clock) -> None:
        self._timer = None
        while self._queue:
            turn = self._queue.popleft()
            if not turn.done():
                self._free_at = clock.time() + self._apart
                turn.set_result(None)
                break
        if self._queue:
            self._timer = clock.call_later(self._apart, self._next, clock)
