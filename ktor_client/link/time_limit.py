"""A time limit by an engine's clock, as `asyncio.timeout` is one by the loop's."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ktor_client.link.contract import Clock, Timer

__all__ = ["TimeLimit"]


class TimeLimit:
    """Guards an `async with` block, which raises `TimeoutError` where it takes longer."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        """Keep the time; counting begins with the block."""
        self._clock = clock
        self._seconds = seconds
        self._block = asyncio.timeout(None)
        self._timer: Timer | None = None

    def begin(self) -> None:
        """Count from now, with all of the time: another attempt begins."""
        self.pause()
        self.deadline = self._clock.time() + self._seconds
        self._timer = self._clock.call_later(self._seconds, self._expire)

    def pause(self) -> None:
        """Count no more until `begin`."""
        if self._timer is not None:
            self._timer.cancel()

    @property
    def is_over(self) -> bool:
        """Whether the limit has ended the block."""
        return self._block.expired()

    async def __aenter__(self) -> None:
        await self._block.__aenter__()
        self.begin()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.pause()
        await self._block.__aexit__(exc_type, exc, traceback)

    def _expire(self) -> None:
        self._block.reschedule(asyncio.get_running_loop().time())
