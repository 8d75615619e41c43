"""How long a handshake may take to open its session, and who may give it more time."""

from __future__ import annotations

import asyncio
from types import TracebackType

from ktor_client.http import AttributeKey
from ktor_client.link import Clock
from ktor_client.link.contract import Timer

__all__ = ["OPEN_LIMIT", "OpenLimit"]


class OpenLimit:
    """Guards a block with `open_timeout`; what is under way when it is over is cancelled."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        """Begin to count."""
        self._clock = clock
        self._seconds = seconds
        self._block = asyncio.timeout(None)
        self.begin()

    def begin(self) -> None:
        """Count from now: another attempt begins, which has as much time as the first one."""
        self.deadline = self._clock.time() + self._seconds
        self._timer: Timer = self._clock.call_later(self._seconds, self._expire)

    def pause(self) -> None:
        """Count no more until `begin`: nothing is under way but a wait."""
        self._timer.cancel()

    @property
    def is_over(self) -> bool:
        """Whether the block was ended."""
        return self._block.expired()

    async def __aenter__(self) -> None:
        await self._block.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._timer.cancel()
        await self._block.__aexit__(exc_type, exc, traceback)

    def _expire(self) -> None:
        self._block.reschedule(asyncio.get_running_loop().time())


OPEN_LIMIT: AttributeKey[OpenLimit] = AttributeKey("open_timeout, as it counts")
"""On the request of a handshake: whoever lets it wait, pauses the limit."""
