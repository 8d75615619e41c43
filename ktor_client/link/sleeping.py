"""Waiting on an engine's clock, be it the event loop's or a virtual one. No timer outlives it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, nullcontext

from ktor_client.link.contract import Clock

__all__ = ["passing", "sleep"]


def passing(clock: Clock) -> AbstractContextManager[object]:
    """Let time pass while the block waits: a virtual clock stands still unless somebody does."""
    let_pass = getattr(clock, "passing", nullcontext)
    block: AbstractContextManager[object] = let_pass()
    return block


async def sleep(clock: Clock, delay: float) -> None:
    """Wait so many seconds of that clock; 0 only gives way to others."""
    if delay <= 0:
        await asyncio.sleep(0)
        return
    over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    timer = clock.call_later(delay, _end, over)
    try:
        with passing(clock):
            await over
    finally:
        timer.cancel()


def _end(over: asyncio.Future[None]) -> None:
    if not over.done():
        over.set_result(None)
