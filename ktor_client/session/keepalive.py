"""Keepalive: one ping after each interval, and a limit for its pong (Ktor's `PingPong.kt`).

When the consumer is slow and we stop reading, the pong cannot be seen; such time does not count
against the peer.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from ktor_client.link.contract import Timer

if TYPE_CHECKING:
    from ktor_client.session.core import SessionCore

__all__ = ["Keepalive"]

PAYLOAD_SIZE = 8


class Keepalive:
    """The pinger of one session."""

    __slots__ = ("_core", "_interval", "_payload", "_timeout", "_timer")

    def __init__(self, core: SessionCore, interval: float | None, timeout: float | None) -> None:
        self._core = weakref.proxy(core)
        self._interval = interval
        self._timeout = timeout
        self._payload: bytes | None = None
        self._timer: Timer | None = None

    @property
    def interval(self) -> float | None:
        """Seconds between a pong and the next ping; None is off."""
        return self._interval

    @interval.setter
    def interval(self, value: float | None) -> None:
        self._interval = value
        self.start()

    @property
    def timeout(self) -> float | None:
        """Seconds that a pong may take: twice the interval unless set."""
        if self._timeout is not None or self._interval is None:
            return self._timeout
        return 2 * self._interval

    @timeout.setter
    def timeout(self, value: float | None) -> None:
        self._timeout = value
        self.start()

    def start(self) -> None:
        """Begin anew: the next ping comes after one interval."""
        self.stop()
        if self._interval is not None and self._core.is_open:
            self._timer = self._core.clock.call_later(self._interval, self._ping)

    def stop(self) -> None:
        """Send no more pings."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._payload is not None:
            self._core.pings.forget(self._payload)
            self._payload = None

    def relieved(self) -> None:
        """Give an outstanding pong its full time again: until now we were not reading."""
        if self._payload is not None:
            self._limit_pong()

    def _ping(self) -> None:
        self._payload = os.urandom(PAYLOAD_SIZE)
        self._core.pings.send(self._payload, self._ponged)
        self._limit_pong()

    def _ponged(self, _: BaseException | None) -> None:
        self._payload = None
        self.start()

    def _limit_pong(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        timeout = self.timeout
        assert timeout is not None
        self._timer = self._core.clock.call_later(timeout, self._expired)

    def _expired(self) -> None:
        self._timer = None
        if not self._core.incoming.is_full:
            self._core.ping_timed_out()
