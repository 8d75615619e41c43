"""What a process holds, and that it comes back to what it held before."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import stat
import sys
from collections.abc import Generator
from typing import Any


def open_sockets() -> int:
    """Return how many sockets this process has open."""
    count = 0
    for descriptor in os.listdir("/dev/fd"):
        try:
            count += stat.S_ISSOCK(os.fstat(int(descriptor)).st_mode)
        except OSError:  # it was the one that listed them
            pass
    return count


def our_timers() -> list[str]:
    """Return the calls that the package has put off; uvloop does not show them."""
    scheduled: list[Any] = getattr(asyncio.get_running_loop(), "_scheduled", [])
    return [
        repr(handle)
        for handle in scheduled
        if not handle.cancelled()
        and "ktor_client" in (getattr(handle._callback, "__module__", None) or "")
    ]


class Held:
    """Tasks, sockets and timers at one moment."""

    def __init__(self) -> None:
        self.tasks = asyncio.all_tasks()
        self.sockets = open_sockets()
        self.timers = len(our_timers())

    async def again(self) -> None:
        """Return when no more is held than at that moment; the watchdog ends a vain wait."""
        try:
            async with asyncio.timeout(10):
                while self.is_more():  # noqa: ASYNC110  # the kernel and the loop set no event
                    await asyncio.sleep(0.001)
        except TimeoutError:
            raise AssertionError(f"left: {self.is_more()}") from None

    def is_more(self) -> list[str]:
        """Return what is held beyond it."""
        more = [repr(task) for task in asyncio.all_tasks() - self.tasks]
        if len(timers := our_timers()) > self.timers:
            more += timers
        if (now := open_sockets()) > self.sockets:
            more.append(f"{now - self.sockets} sockets")
        return more


@contextlib.contextmanager
def quiet_destructors() -> Generator[list[object]]:
    """Let destructors fail: nobody takes away what a loop leaves behind that is closed too soon."""
    raised: list[object] = []
    before = sys.unraisablehook
    sys.unraisablehook = lambda unraisable: raised.append(unraisable.exc_value)
    logger = logging.getLogger("asyncio")
    logger.disabled = True
    try:
        yield raised
    finally:
        sys.unraisablehook = before
        logger.disabled = False
