"""What has left a browser's WebSocket: `bufferedAmount` tells, also of one that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

__all__ = ["POLL", "Leaving"]

POLL = 0.005
"""Seconds between two looks at `bufferedAmount`: browsers have no event for it."""


class Leaving:
    """The books of one socket. Nothing is looked at while nobody watches."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket
        self._callback: Callable[[], object] | None = None
        self._handle: asyncio.Handle | None = None
        self.dropped = 0
        """Messages that came too late to be given to the browser."""

    def of(self, sent: int) -> tuple[int, int]:
        """Return how many of the bytes that the browser was given have left; see `FrameLink`."""
        left = sent - int(self._socket.bufferedAmount)
        return left, left

    def watch(self, callback: Callable[[], object]) -> None:
        """Call back when all that was sent has left: what is on its way, and what follows."""
        self._callback = callback
        self.sent()

    def sent(self) -> None:
        """Take note that something was sent."""
        if self._callback is not None and self._handle is None:
            self._look_again(self._callback)

    def stop(self) -> None:
        """Look no more."""
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _look_again(self, callback: Callable[[], object]) -> None:
        self._handle = asyncio.get_running_loop().call_later(POLL, self._look, callback)

    def _look(self, callback: Callable[[], object]) -> None:
        self._handle = None
        if self._socket.bufferedAmount:
            self._look_again(callback)
        else:
            callback()
