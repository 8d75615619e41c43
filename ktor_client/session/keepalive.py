"""Keepalive: one ping after each interval, and a limit for its pong (Ktor's `PingPong.kt`).

What we cannot see is not held against the peer: while we do not read there is no ping, and while
bytes of ours wait and are taken, its pong may be late. Who takes none of them is dead all the same.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

from ktor_client.link.contract import Timer
from ktor_client.session.shared_timers import call_later

if TYPE_CHECKING:
    from ktor_client.session.core import SessionCore

__all__ = ["Keepalive"]

PAYLOAD_SIZE = 8


class Keepalive:
    """The pinger of one session, which it does not keep alive itself."""

    __slots__ = ("_core", "_payload", "_seen", "_timer", "interval", "own_timeout")

    def __init__(self, core: SessionCore, interval: float | None, timeout: float | None) -> None:
        self._core = weakref.ref(core)
        self.interval = interval
        """Seconds between a pong and the next ping; None is off."""
        self.own_timeout = timeout
        """What was set in place of twice the interval, if anything was."""
        self._payload: bytes | None = None
        self._timer: Timer | None = None
        self._seen: tuple[int, bool] | None = None
        """What had left when we looked last, and whether more was waiting."""

    @property
    def timeout(self) -> float | None:
        """Seconds that a pong may take: twice the interval unless set."""
        if self.own_timeout is not None or self.interval is None:
            return self.own_timeout
        return 2 * self.interval

    def start(self) -> None:
        """Begin anew: the next ping comes after one interval."""
        self.stop()
        if self.interval is not None:
            self._look_in(self.interval)

    def stop(self) -> None:
        """Send no more pings."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._payload is not None and (core := self._core()) is not None:
            core.pings.forget(self._payload)
        self._payload = self._seen = None

    def relieved(self) -> None:
        """Give an outstanding pong its full time again: until now we were not reading."""
        if self._payload is not None:
            self._look_in(self.timeout)

    # --- inside ---

    def _look_in(self, delay: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        core = self._core()
        if core is not None and core.is_open and delay is not None:
            self._timer = call_later(core.clock, delay, self._look)

    def _look(self) -> None:
        """Send a ping, or judge the peer by what has happened since we looked last."""
        self._timer = None
        core = self._core()
        if core is None:
            return
        link = core.link
        left, waits = link.progress
        before, waited = self._seen or (left, False)
        self._seen = left, waits
        if core.incoming.is_full:  # a pong would not be seen, a ping could destroy what waits
            if waited and left == before and not link.writable:
                return self._give_up(core, "nothing of what we send was taken")
        elif self._payload is None:
            self._payload = os.urandom(PAYLOAD_SIZE)
            self._look_in(self.timeout)  # first: should the link raise, it is judged all the same
            return core.pings.send(self._payload, self._ponged)
        elif left == before or not (waited or waits):
            return self._give_up(core, "no pong came")
        return self._look_in(self.timeout)

    def _ponged(self, _: BaseException | None) -> None:
        self._payload = None
        self.start()

    def _give_up(self, core: SessionCore, what: str) -> None:
        if self.own_timeout is None:
            option = f"twice ping_interval={self.interval:g}"
        else:
            option = f"timeout={self.own_timeout:g}"
        at = core.link.received_at
        last = "no data" if at is None else f"the last data {core.clock.time() - at:.1f} s before"
        core.ping_timed_out(f"Ping timeout: {what} within {self.timeout:g} s ({option}); {last}")
