"""Pings that were sent and not yet answered, the application's and the keepalive's.

One sent as a frame (`send(Frame.Ping(...))`) is here only for the sake of those before it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from ktor_client.frames import PingFrame

if TYPE_CHECKING:
    from ktor_client.session.core import SessionCore

__all__ = ["Pings"]

OnPong: TypeAlias = Callable[[BaseException | None], None]


def _nobody(_: BaseException | None) -> None:
    """Tell nobody."""


class Pings:
    """Matches pongs with pings and measures the time between."""

    __slots__ = ("_link", "_sent", "latency", "time")

    def __init__(self, core: SessionCore) -> None:
        self._link = core.link
        # A loop's own time may be that of its last step; a clock of a test's is what counts there.
        on_loop = isinstance(core.clock, asyncio.AbstractEventLoop)
        self.time: Callable[[], float] = time.perf_counter if on_loop else core.clock.time
        self._sent: dict[bytes, tuple[float, OnPong]] = {}
        self.latency: float | None = None
        """Seconds of the last round trip; None before the first."""

    def send(self, payload: bytes, on_pong: OnPong) -> None:
        """Send a ping; `on_pong` is called once, with an error if the session ends first.

        Raises:
            ValueError: over 125 bytes, or a ping with that payload is under way.
        """
        frame = PingFrame(payload)
        if payload in self._sent:
            raise ValueError(f"a ping with payload {payload!r} is still under way")
        self._sent[payload] = (self.time(), on_pong)
        self._link.send(frame)  # past what waits

    def passed(self, payload: bytes) -> None:
        """Take note of a ping that was sent as a frame: its pong answers those before it too."""
        if self._sent:
            self._sent.setdefault(payload, (self.time(), _nobody))

    def forget(self, payload: bytes) -> None:
        """Do not wait for that pong any longer."""
        self._sent.pop(payload, None)

    def ponged(self, payload: bytes) -> None:
        """Match a pong. It answers earlier pings too (RFC 6455 5.5.3); others are ignored."""
        if payload not in self._sent:
            return
        now = self.time()
        payloads = list(self._sent)
        for earlier in payloads[: payloads.index(payload) + 1]:
            sent_at, on_pong = self._sent.pop(earlier)
            self.latency = now - sent_at
            on_pong(None)

    def fail(self, make_error: Callable[[], BaseException]) -> None:
        """Tell everybody who waits that no pong will come."""
        if self._sent:
            sent, self._sent = self._sent, {}
            for _, on_pong in sent.values():
                on_pong(make_error())
