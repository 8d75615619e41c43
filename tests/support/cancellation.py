"""Cancelling a coroutine at a chosen one of its suspension points."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class _CancelsAt(Generic[T]):
    """Awaits a coroutine, and cancels the task when it suspends for the `at`th time."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], at: int) -> None:
        self._coroutine = coroutine
        self._at = at

    def __await__(self) -> Generator[Any, Any, T]:
        steps = self._coroutine.__await__()
        error: BaseException | None = None
        suspensions = 0
        while True:
            try:
                waits_for = next(steps) if error is None else steps.throw(error)
            except StopIteration as done:
                result: T = done.value
                return result
            suspensions += 1
            if suspensions == self._at:
                task = asyncio.current_task()
                assert task is not None
                task.cancel()
            error = None
            try:
                yield waits_for
            except BaseException as raised:
                error = raised


async def cancelled_at(coroutine: Coroutine[Any, Any, T], at: int) -> T | None:
    """Run a coroutine in a task that is cancelled when it suspends for the `at`th time (from 1).

    Returns:
        Its result if it suspends less often; None if it was cancelled.
    """

    async def run() -> T:
        return await _CancelsAt(coroutine, at)

    task = asyncio.ensure_future(run())
    await asyncio.wait({task})
    return None if task.cancelled() else task.result()
