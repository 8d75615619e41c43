"""The loop's time with timers that leave nothing behind.

A page's loop keeps what a cancelled timer would have called until it would have been due; a limit
of a minute for each chunk of a download would be a minute of chunks.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import Any

__all__ = ["PageClock"]

FEW = 64
"""Cancelled timers that are not worth a sweep."""


class _PageTimer:
    """What `call_later` returns."""

    __slots__ = ("_clock", "args", "callback")

    def __init__(self, clock: PageClock, callback: Callable[..., object], args: Any) -> None:
        self.callback: Callable[..., object] | None = callback
        self.args = args
        self._clock = clock

    def cancel(self) -> None:
        """Do not call, and hold nothing."""
        if self.callback is not None:
            self.callback, self.args = None, ()
            self._clock.cancelled()


class PageClock:
    """A `Clock`, of one event loop. The loop has a timer for the next that is due, or earlier."""

    def __init__(self) -> None:
        self._timers: list[tuple[float, int, _PageTimer]] = []
        self._numbers = count()
        self._cancelled = 0
        self._rings_at = inf

    def time(self) -> float:
        """Return the loop's time."""
        return asyncio.get_running_loop().time()

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> _PageTimer:
        """Call `callback(*args)` after `delay` seconds."""
        timer = _PageTimer(self, callback, args)
        heappush(self._timers, (self.time() + delay, next(self._numbers), timer))
        self._wind()
        return timer

    def cancelled(self) -> None:
        """Take note that one timer less counts."""
        self._cancelled += 1
        if self._cancelled > FEW and 2 * self._cancelled > len(self._timers):
            self._timers = [one for one in self._timers if one[2].callback is not None]
            heapify(self._timers)
            self._cancelled = 0

    def _wind(self) -> None:
        if self._timers and self._timers[0][0] < self._rings_at:
            loop = asyncio.get_running_loop()
            self._rings_at = self._timers[0][0]
            loop.call_later(max(0, self._rings_at - loop.time()), self._ring, self._rings_at)

    def _ring(self, at: float) -> None:
        if at != self._rings_at:
            return  # an earlier one has rung for it
        loop = asyncio.get_running_loop()
        self._rings_at = inf
        try:
            while self._timers and self._timers[0][0] <= max(at, loop.time()):
                timer = heappop(self._timers)[2]
                callback, timer.callback = timer.callback, None
                if callback is None:
                    self._cancelled -= 1
                else:
                    callback(*timer.args)
        finally:  # what fails is for the loop to tell, and the others have their turn
            self._wind()
