"""Timers that may be late by up to a second: those of a loop that are due in one second are one.

Ten thousand idle sessions would have ten thousand timers, and wake the loop as often. What is due
in the same second is called together, a slice in each step, so that others have their turn.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Callable
from weakref import WeakKeyDictionary, WeakValueDictionary

from ktor_client.link.contract import Clock, Timer

__all__ = ["call_later"]

COARSE = 5.0
"""Seconds of a delay from which on a second more does not count."""
SLICE = 200
"""Calls that are made in one step of the loop."""


class _Call:
    """What `call_later` returns."""

    __slots__ = ("_callback", "_context", "_second")

    def __init__(self, second: _Second, callback: Callable[[], object]) -> None:
        self._second = second
        self._callback = callback
        self._context = contextvars.copy_context()

    def make(self) -> None:
        """Call, as a timer of one's own would."""
        self._context.run(self._callback)

    def cancel(self) -> None:
        """Do not call."""
        self._second.drop(self)


class _Second:
    """The calls of one second, with a timer as long as there are any."""

    __slots__ = ("__weakref__", "_calls", "_timer")

    def __init__(self) -> None:
        self._calls: dict[_Call, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(
        self, loop: asyncio.AbstractEventLoop, at: int, callback: Callable[[], object]
    ) -> Timer:
        if self._timer is None:
            self._timer = loop.call_at(at, self._begin, loop)
        call = _Call(self, callback)
        self._calls[call] = None
        return call

    def drop(self, call: _Call) -> None:
        self._calls.pop(call, None)
        if not self._calls and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        self._timer = None
        self._go_on(loop)

    def _go_on(self, loop: asyncio.AbstractEventLoop) -> None:
        try:
            for _ in range(min(SLICE, len(self._calls))):
                call, _ = self._calls.popitem()
                call.make()
        finally:  # one that raises is told to the loop, and the others go on
            if self._calls:
                loop.call_soon(self._go_on, loop)


_seconds: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakValueDictionary[int, _Second]] = (
    WeakKeyDictionary()
)
"""By loop and whole second of its time; who holds a second is the loop, by its timer."""


def call_later(clock: Clock, delay: float, callback: Callable[[], object]) -> Timer:
    """Call back after `delay` seconds of a clock, never early; from 5 s on up to a second late."""
    if delay < COARSE or not isinstance(clock, asyncio.AbstractEventLoop):
        return clock.call_later(delay, callback)
    at = math.ceil(clock.time() + delay)
    seconds = _seconds.get(clock)
    if seconds is None:
        seconds = _seconds[clock] = WeakValueDictionary()
    second = seconds.get(at)
    if second is None:
        second = seconds[at] = _Second()
    return second.add(clock, at, callback)
