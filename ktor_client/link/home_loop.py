"""The event loop that something belongs to, and the refusal to use it on another one."""

from __future__ import annotations

import asyncio

from ktor_client.errors import WrongLoopError

__all__ = ["HomeLoop", "session_loop"]


class HomeLoop:
    """The loop that was running when this was made."""

    __slots__ = ("_advice", "_loop", "_what")

    def __init__(self, what: str, advice: str) -> None:
        """Take the running loop; `what` and `advice` are for the error's message."""
        self._loop = asyncio.get_running_loop()
        self._what = what
        self._advice = advice

    @property
    def is_closed(self) -> bool:
        """Whether the loop has ended for good: nothing of it will be heard any more."""
        return self._loop.is_closed()

    @property
    def is_elsewhere(self) -> bool:
        """Whether another loop is running; or none, and this one has ended for good."""
        running = asyncio._get_running_loop()
        if running is None:  # a destructor
            return self.is_closed
        return running is not self._loop

    def check(self) -> None:
        """Check that this loop is the running one.

        Raises:
            WrongLoopError: another one is.
        """
        if asyncio._get_running_loop() is self._loop:  # as always
            return
        if self.is_elsewhere:
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
