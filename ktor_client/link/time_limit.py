"""A time limit by an engine's clock, as `asyncio.timeout` is one by the loop's."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ktor_client.http.interruptible import Interruptible
from ktor_client.link.contract import Clock, Timer

__all__ = ["TimeLimit"]


class TimeLimit(Interruptible):
    """Guards an `async with` block, which raises `TimeoutError` where it takes longer."""

    __slots__ = ("_clock", "_seconds", "_timer", "deadline", "is_over")

    def __init__(self, clock: Clock, seconds: float) -> None:
        """Keep the time; counting begins with the block."""
        super().__init__()
        self._clock = clock
        self._seconds = seconds
        self._timer: Timer | None = None
        self.is_over = False
        """Whether the limit has ended the block."""

    def begin(self) -> None:
        """Count from now, with all of the time: another attempt begins."""
        if self._timer is not None:
            self._timer.cancel()
        self.deadline = self._clock.time() + self._seconds
        self._timer = self._clock.call_later(self._seconds, self._expire)

    def pause(self) -> None:
        """Count no more until `begin`."""
        if self._timer is not None:
            self._timer.cancel()

    async def __aenter__(self) -> None:
        self._begin(asyncio.current_task())
        self.begin()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.pause()
        try:
            self._end(exc)
        finally:
            self.error = None  # its traceback has frames that refer to this

    def _expire(self) -> None:
        self.is_over = True
        self.interrupt(TimeoutError())
