"""What a test's other side raised, told apart from the end of the task that runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

__all__ = ["outcome"]


async def outcome(
    who: str, function: Callable[..., Awaitable[object]], *args: Any
) -> BaseException | None:
    """Run somebody's coroutine function, and return what it raised.

    Raises:
        CancelledError, GeneratorExit: the task was to end, or its loop.
    """
    task = asyncio.current_task()
    assert task is not None
    try:
        await function(*args)
    except (asyncio.CancelledError, GeneratorExit) as ended:
        if task.cancelling() or asyncio.current_task(task.get_loop()) is not task:
            raise
        error = RuntimeError(f"{who} raised {type(ended).__name__}, but nobody had cancelled it")
        error.__cause__ = ended
        return error
    except BaseException as raised:  # such as that of pytest.fail()
        return raised
    return None
