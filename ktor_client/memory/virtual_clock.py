"""Virtual time for links in memory: it passes only while somebody waits for it, and then at once.

Deadlines (keepalive, close) are timers that wait. Time jumps from timer to timer once the loop has
nothing else to do, so a test over minutes takes microseconds, and always takes the same course.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from ktor_client.durations import Duration, seconds
from ktor_client.link.contract import Timer
from ktor_client.link.sleeping import sleep

__all__ = ["VirtualClock"]

MAX_ROUNDS = 100
"""Steps of the loop that a busy loop may hold time back: a task that polls must not stop it."""


class VirtualClock:
    """A `Clock` that starts at 0. `await clock.sleep(30)` lets 30 seconds pass.

    It ignores `asyncio.sleep`, sockets and threads: time does not wait for them.
    """

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[tuple[float, int, asyncio.Handle]] = []
        self._count = 0
        self._waiting = 0
        self._scheduled = False
        self._rounds = 0

    def time(self) -> float:
        """Return seconds since the clock was made."""
        return self._now

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call back when `delay` seconds have passed; that alone does not let them pass."""
        self._count += 1
        timer = asyncio.Handle(callback, args, asyncio.get_running_loop())
        heapq.heappush(self._timers, (self._now + max(0.0, delay), self._count, timer))
        self._schedule()
        return timer

    async def sleep(self, duration: Duration) -> None:
        """Let that many seconds, or a `timedelta`, pass."""
        await sleep(self, seconds(duration, "a virtual sleep"))

    @contextmanager
    def passing(self) -> Generator[None]:
        """Let time pass during the block, from one timer to the next."""
        self.hold()
        try:
            yield
        finally:
            self.release()

    def hold(self) -> None:
        """Let time pass until `release`."""
        self._waiting += 1
        self._schedule()

    def release(self) -> None:
        """End what `hold` began."""
        self._waiting -= 1

    # --- inside ---

    def _schedule(self) -> None:
        if self._waiting and self._timers and not self._scheduled:
            self._scheduled = True
            self._rounds = 0
            asyncio.get_running_loop().call_soon(self._step)

    def _step(self) -> None:
        """Fire the next timer, if the loop has nothing else to do."""
        self._scheduled = False
        loop = asyncio.get_running_loop()
        # A loop that does not show its queue (uvloop) counts as busy, for so many rounds.
        if getattr(loop, "_ready", True) and self._rounds < MAX_ROUNDS:
            self._rounds += 1
            loop.call_soon(self._step)
            self._scheduled = True
            return
        timers = self._timers
        while timers and timers[0][2].cancelled():
            heapq.heappop(timers)
        if self._waiting and timers:
            when, _, timer = heapq.heappop(timers)
            self._now = max(self._now, when)
            timer._run()
            self._schedule()

    def __repr__(self) -> str:
        pending = sum(not timer.cancelled() for _, _, timer in self._timers)
        return f"<VirtualClock at {self._now:g} s, {pending} timers>"
