"""The event loop that something belongs to, and the refusal to use it from elsewhere."""

from __future__ import annotations

import asyncio
from typing import Any

from ktor_client.errors import WrongLoopError

__all__ = ["HomeLoop", "cancel", "session_loop", "wake"]


class HomeLoop:
    """A loop that something is bound to: the one that was running when this was made."""

    __slots__ = ("_advice", "_what", "loop")

    def __init__(
        self, what: str, advice: str, loop: asyncio.AbstractEventLoop | None = None
    ) -> None:
        """Take a loop, or the running one; `what` and `advice` are for the error's message."""
        self.loop = asyncio.get_running_loop() if loop is None else loop
        self._what = what
        self._advice = advice

    @property
    def is_closed(self) -> bool:
        """Whether the loop has ended for good: nothing of it will be heard any more."""
        return self.loop.is_closed()

    @property
    def is_elsewhere(self) -> bool:
        """Whether this is another loop, or a thread beside the one that the loop runs in.

        A loop that rests is at home everywhere; one that has ended for good, nowhere.
        """
        running = asyncio._get_running_loop()
        if running is None:
            return self.loop.is_closed() or self.loop.is_running()
        return running is not self.loop

    def check(self) -> None:
        """Check that this is the right place for a call.

        Raises:
            WrongLoopError: another loop runs here, or the right one runs in another thread.
        """
        if asyncio._get_running_loop() is self.loop or not self.is_elsewhere:
            return
        if self.loop.is_running() and asyncio._get_running_loop() is None:
            raise WrongLoopError(
                f"{self._what}, which runs in another thread; hand the call over by "
                "asyncio.run_coroutine_threadsafe(..., loop) or loop.call_soon_threadsafe(...)"
            )
        state = "closed" if self.is_closed else "still there"
        raise WrongLoopError(
            f"{self._what} ({state}), and this is another one; {self._advice}, for instance "
            "inside the coroutine that asyncio.run(...) runs"
        )


def session_loop() -> HomeLoop:
    """Return the running loop as the home of a session."""
    return HomeLoop(
        "this session belongs to the event loop that it was opened on", "open and use it on one"
    )


def wake(
    waiter: asyncio.Future[Any], result: object = None, *, error: BaseException | None = None
) -> None:
    """Tell a waiter, unless it has heard already or nobody can hear: its loop is closed."""
    if waiter.done() or waiter.get_loop().is_closed():
        return
    if error is None:
        waiter.set_result(result)
    else:
        waiter.set_exception(error)


def cancel(task: asyncio.Task[Any]) -> None:
    """Cancel a task, unless its loop is closed: there it never goes on."""
    if not task.get_loop().is_closed():
        task.cancel()
