"""The limit of silence, `socket_timeout`: seconds in which no byte goes either way on a connection.

One timer serves all exchanges of a connection; it looks again when the time can first be over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ktor_client.errors import SocketTimeoutError

__all__ = ["Silence", "socket_timeout_error"]

_LOOKS = 4
"""How often the write buffer is looked at within the limit: nobody tells when a byte has left."""


def socket_timeout_error(engine: str, where: str, limit: float, phase: str) -> SocketTimeoutError:
    """Return the error for a `socket_timeout` that is over."""
    return SocketTimeoutError(
        f"{engine}: no byte came from {where} or went there for {limit:g} s (socket_timeout); "
        f"it was still {phase}"
    )


class Silence:
    """Counts the seconds without a byte, while somebody waits for one."""

    __slots__ = (
        "_buffered",
        "_heard",
        "_is_ours",
        "_limit",
        "_loop",
        "_on_over",
        "_timer",
        "_unsent",
    )

    def __init__(
        self,
        unsent: Callable[[], int],
        is_ours: Callable[[], bool],
        on_over: Callable[[float], None],
    ) -> None:
        """Take what tells of the connection.

        Args:
            unsent: returns how many bytes wait to leave.
            is_ours: returns whether we keep the peer waiting, and not it us: a reader that takes
                nothing, or a body that yields nothing.
            on_over: called with the limit when it is over; nothing is counted then.
        """
        self._loop = asyncio.get_running_loop()
        self._unsent = unsent
        self._is_ours = is_ours
        self._on_over = on_over
        self._limit: float | None = None
        self._heard = 0.0
        self._buffered = 0
        self._timer: asyncio.TimerHandle | None = None

    def begin(self, limit: float | None) -> None:
        """Count from now; None for no limit."""
        self._limit = limit
        if limit is None:
            return
        self._heard = self._loop.time()
        self._buffered = 0
        if self._timer is None or self._timer.when() > self._heard + limit:
            self._look_in(limit)

    def heard(self) -> None:
        """Count from now: a byte came, or one was given away."""
        self._heard = self._loop.time()

    def end(self) -> None:
        """Count no more, for now; the timer ends by itself."""
        self._limit = None

    def close(self) -> None:
        """Count no more at all."""
        self._limit = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_in(self, delay: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(delay, self._look)

    def _look(self) -> None:
        self._timer = None
        limit = self._limit
        if limit is None:
            return
        unsent = self._unsent()
        if self._is_ours() or unsent < self._buffered:
            self._heard = self._loop.time()
        self._buffered = unsent
        left = self._heard + limit - self._loop.time()
        if left > 0:
            self._look_in(min(left, limit / _LOOKS) if unsent else left)
            return
        self._limit = None
        self._on_over(limit)
