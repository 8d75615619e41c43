"""Reading the body of a refused handshake: so much, and for so long, that the refusal is told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from ktor_client.engine.contract import WebSocketOptions
from ktor_client.http import HttpResponse
from ktor_client.http.response import MAX_REFUSAL_BODY

if TYPE_CHECKING:
    from ktor_client.link import Clock

__all__ = ["read_refusal"]


async def read_refusal(response: HttpResponse, options: WebSocketOptions, clock: Clock) -> None:
    """Keep the body of a refusal: 1 MiB, and what comes in half of the time until the deadline.

    In the other half the refusal is told, with the body's beginning.
    """
    deadline = options.deadline
    in_time = None if deadline is None else _within(clock, (deadline - clock.time()) / 2)
    await response.read_up_to(MAX_REFUSAL_BODY, in_time)


@asynccontextmanager
async def _within(clock: Clock, seconds: float) -> AsyncGenerator[None]:
    """Raise `TimeoutError` where the block takes longer, by that clock."""
    limit = asyncio.timeout(None)
    timer = clock.call_later(seconds, _expire, limit)
    try:
        async with limit:
            yield
    finally:
        timer.cancel()


def _expire(limit: asyncio.Timeout) -> None:
    limit.reschedule(asyncio.get_running_loop().time())
