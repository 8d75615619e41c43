"""A wait on the engine's clock that others may end: at once, or with an error.

A computer that sleeps stops the clocks that event loops use. What the clock on the wall says more
than ours is time that it has slept.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from ktor_client.link.contract import Clock, Timer
from ktor_client.link.sleeping import passing
from ktor_client.reconnect.budget import Budget

__all__ = ["Waits"]

LOOK_EVERY = 1.0
"""Seconds between two looks at the clock on the wall."""
JUMP = 3.0
"""Seconds that it must be ahead to be taken for a sleep, not for a correction."""


class Waits:
    """One wait at a time."""

    def __init__(self, clock: Clock, wall: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._wall = wall
        self._over: asyncio.Future[None] | None = None
        self._is_pause = False
        self._is_over = False

    async def pause(self, delay: float) -> None:
        """Wait so many seconds, or until `wake`. Raises what `fail` was given.

        After `end` it raises CancelledError.
        """
        if self._is_over:
            raise asyncio.CancelledError
        if delay <= 0:
            await asyncio.sleep(0)
            return
        over = asyncio.get_running_loop().create_future()
        watch = _Watch(self._clock, self._wall, self.wake)
        timer = self._clock.call_later(delay, self.wake)
        self._is_pause = True
        try:
            await self._wait(over)
        finally:
            self._is_pause = False
            timer.cancel()
            watch.stop()

    async def turn(self, budget: Budget) -> None:
        """Wait for a turn. Raises what `fail` was given."""
        turn = asyncio.get_running_loop().create_future()
        budget.ask(turn, self._clock)
        if turn.done():
            return
        try:
            await self._wait(turn)
        except BaseException:
            budget.leave(turn)
            raise

    def wake(self) -> None:
        """End the pause now, if there is one."""
        if self._is_pause and self._over is not None and not self._over.done():
            self._over.set_result(None)

    def end(self) -> None:
        """Let no further pause begin."""
        self._is_over = True

    def fail(self, error: Exception) -> None:
        """Let the wait raise, if there is one."""
        if self._over is not None and not self._over.done():
            self._over.set_exception(error)

    async def _wait(self, over: asyncio.Future[None]) -> None:
        self._over = over
        try:
            with passing(self._clock):
                await over
        finally:
            self._over = None


class _Watch:
    """Looks now and then whether the computer has slept; virtual time never does."""

    def __init__(
        self, clock: Clock, wall: Callable[[], float], slept: Callable[[], object]
    ) -> None:
        self._clock = clock
        self._wall = wall
        self._slept = slept
        self._ahead = self._difference()
        self._timer: Timer | None = None
        if not hasattr(clock, "passing"):
            self._timer = clock.call_later(LOOK_EVERY, self._look)

    def stop(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _difference(self) -> float:
        return self._wall() - self._clock.time()

    def _look(self) -> None:
        before, self._ahead = self._ahead, self._difference()
        if self._ahead - before > JUMP:
            self._slept()
        else:
            self._timer = self._clock.call_later(LOOK_EVERY, self._look)
