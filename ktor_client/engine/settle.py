"""Cleaning up to the end, whoever cancels: what is cut off here would leave a socket or a slot."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["settle"]


async def settle(cleanup: Coroutine[Any, Any, None] | asyncio.Task[None]) -> None:
    """Await a short clean-up that a cancellation does not interrupt; it is passed on afterwards."""
    task = asyncio.ensure_future(cleanup)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
        except Exception:
            break
    if cancelled is not None:
        raise cancelled
    task.result()
