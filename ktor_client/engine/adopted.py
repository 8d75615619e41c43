"""Objects that callers bring belong to one event loop, in however many engines they are."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from ktor_client.link.home_loop import HomeLoop

__all__ = ["check_home"]

_homes: WeakKeyDictionary[object, HomeLoop] = WeakKeyDictionary()


def check_home(adopted: object, what: str, loop: asyncio.AbstractEventLoop | None = None) -> None:
    """Bind an object to its event loop: the one it tells, else the one where it is first used.

    Raises:
        WrongLoopError: this is another one.
    """
    home = _homes.get(adopted)
    if home is None:
        advice = f"make the {what} and its engine on the loop that uses them"
        home = _homes[adopted] = HomeLoop(
            f"the {what} that the engine was given is bound to one event loop", advice, loop
        )
    home.check()
