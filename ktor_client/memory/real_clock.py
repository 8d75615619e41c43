"""Real time where an engine in memory would have virtual time: nothing is skipped."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from ktor_client.durations import Duration, seconds
from ktor_client.link.contract import Timer

__all__ = ["RealClock"]


class RealClock:
    """A `Clock` that starts at 0 and passes by itself, with what tests ask of a `VirtualClock`."""

    def __init__(self) -> None:
        self._start = time.monotonic()

    def time(self) -> float:
        """Return seconds since the clock was made."""
        return time.monotonic() - self._start

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call back when `delay` seconds have passed."""
        return asyncio.get_running_loop().call_later(delay, callback, *args)

    async def sleep(self, duration: Duration) -> None:
        """Wait so many seconds, or a `timedelta`."""
        await asyncio.sleep(seconds(duration, "a sleep"))

    def passing(self) -> AbstractContextManager[None]:
        """Do nothing: time passes anyway."""
        return nullcontext()

    def __repr__(self) -> str:
        return f"<RealClock at {self.time():g} s>"
