"""A wait that somebody else may end with an exception of theirs, as `asyncio.timeout` ends one."""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["Interruptible"]


class Interruptible:
    """Guards a `with` block in which a task waits; may be entered again and again."""

    __slots__ = ("_before", "_task", "error")

    def __init__(self) -> None:
        self._task: asyncio.Task[object] | None = None
        self._before = 0
        self.error: Exception | None = None
        """What `interrupt` was given; entering raises it then."""

    def interrupt(self, error: Exception) -> None:
        """End the block with `error`, and every later one. The task that calls goes on."""
        if self.error is None:
            self.error = error
            if self._task is not None and not self._is_in(self._task):
                self._task.cancel()
            else:
                self._task = None

    @staticmethod
    def _is_in(task: asyncio.Task[object]) -> bool:
        """Whether `task` calls, or goes on nowhere any more: its loop was closed."""
        return task.get_loop().is_closed() or task is asyncio.current_task()

    def _begin(self, task: asyncio.Task[object] | None) -> None:
        self._task = task
        if task is not None:
            self._before = task.cancelling()

    def _end(self, exc: BaseException | None) -> None:
        """Take back the cancellation of `interrupt`; raise its error where it has arrived."""
        task, self._task = self._task, None
        if self.error is not None and task is not None:
            if task.uncancel() <= self._before and isinstance(exc, asyncio.CancelledError):
                raise self.error from exc

    def __enter__(self) -> None:
        if self.error is not None:
            raise self.error
        self._begin(asyncio.current_task())

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end(exc)
