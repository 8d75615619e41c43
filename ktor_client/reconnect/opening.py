"""What belongs to the opening of a session beyond its handshake: `on_open`, and its time limit."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from ktor_client.errors import OpenTimeoutError
from ktor_client.link.contract import Clock
from ktor_client.link.sleeping import passing
from ktor_client.session import DefaultClientWebSocketSession

__all__ = ["OnOpen", "within"]

T = TypeVar("T")

OnOpen: TypeAlias = Callable[[DefaultClientWebSocketSession], Awaitable[object]]
"""What is done on each connection before anything else."""


async def within(clock: Clock, seconds: float, doing: Awaitable[T], what: str) -> T:
    """Wait for something at most so long.

    Raises:
        OpenTimeoutError: it took longer; `what` says what did.
    """
    limit, loop = asyncio.timeout(None), asyncio.get_running_loop()
    timer = clock.call_later(seconds, lambda: limit.reschedule(loop.time()))
    try:
        with passing(clock):
            async with limit:
                return await doing
    except TimeoutError as error:
        if not limit.expired():
            raise
        raise OpenTimeoutError(f"{what} was not done within open_timeout={seconds:g} s") from error
    finally:
        timer.cancel()
