"""Futures whose waiters run as soon as the browser's event is over: by microtask.

A loop in a browser wakes a task by a timer of the page, which costs more than everything else that
happens to a short message. Only what receivers wait for is made here; it is set by events, one a
message, so that the page stays responsive.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

__all__ = ["PromptFuture", "Wakeups"]

_Due = tuple[Callable[..., object], "PromptFuture", Context]


class Wakeups:
    """Runs the callbacks of futures that are done, each in a microtask. An engine's."""

    def __init__(self, js: Any, ffi: Any) -> None:
        self._queue = js.queueMicrotask
        self._create_proxy = ffi.create_proxy
        self._proxy: Any = None
        self._due: list[_Due] = []
        self._closed = False

    def create_future(self) -> PromptFuture:
        """Return a future of the running loop."""
        return PromptFuture(self, asyncio.get_running_loop())

    def schedule(self, due: list[_Due]) -> None:
        """Run callbacks soon, with their future, each in its context."""
        if self._closed:
            for callback, future, context in due:
                future.get_loop().call_soon(callback, future, context=context)
            return
        if due and not self._due:
            if self._proxy is None:
                self._proxy = self._create_proxy(self._run)
            self._queue(self._proxy)
        self._due += due

    def close(self) -> None:
        """Leave what comes to the loop, and give the proxy back. Idempotent."""
        self._closed = True
        if not self._due:  # else the microtask under way needs it
            self._drop_proxy()

    def _run(self) -> None:
        callback, future, context = self._due.pop(0)
        if self._due:  # not behind this one, which may stand still in run_sync()
            self._queue(self._proxy)
        loop = future.get_loop()
        if asyncio.current_task(loop) is not None:  # it stands still in run_sync()
            loop.call_soon(callback, future, context=context)
        else:
            try:
                context.run(callback, future)
            except (SystemExit, KeyboardInterrupt) as error:
                loop.call_soon(_raise, error)  # where the loop knows what to do about them
            except BaseException as error:
                loop.call_exception_handler(
                    {"message": f"a callback of {future!r} failed", "exception": error}
                )
        if self._closed and not self._due:
            self._drop_proxy()

    def _drop_proxy(self) -> None:
        if self._proxy is not None:
            self._proxy.destroy()
            self._proxy = None


class PromptFuture(asyncio.Future[Any]):
    """An `asyncio.Future` that does not go through its loop to call back."""

    def __init__(self, wakeups: Wakeups, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop=loop)
        self._wakeups = wakeups
        self._waiting: list[_Due] = []

    def add_done_callback(
        self, fn: Callable[..., object], /, *, context: Context | None = None
    ) -> None:
        """Call back when the future is done; see `asyncio.Future`."""
        self._waiting.append((fn, self, copy_context() if context is None else context))
        if self.done():
            self._wake()

    def remove_done_callback(self, fn: Callable[..., object], /) -> int:
        """Do not call back; see `asyncio.Future`."""
        before = len(self._waiting)
        self._waiting = [due for due in self._waiting if due[0] != fn]
        return before - len(self._waiting)

    def set_result(self, result: Any, /) -> None:
        """Be done with a result."""
        super().set_result(result)
        self._wake()

    def set_exception(self, exception: type | BaseException, /) -> None:
        """Be done with an exception."""
        super().set_exception(exception)
        self._wake()

    def cancel(self, msg: Any | None = None) -> bool:
        """Be done by cancellation, if not done yet."""
        if not super().cancel(msg):
            return False
        self._wake()
        return True

    def _wake(self) -> None:
        due, self._waiting = self._waiting, []
        self._wakeups.schedule(due)


def _raise(error: BaseException) -> None:
    raise error
