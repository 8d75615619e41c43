"""How far a connection had come when the time for opening it was over.

A deadline cancels, and the cancellation comes through the libraries as it is to who has set the
deadline. So what was under way is written on it, as a note.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

from ktor_client.causes import causes

__all__ = ["Phase", "waiting_for_a_slot", "was_still"]

_STILL = "still "


class Phase:
    """What a `with` block does, such as "connecting to example.org:443"."""

    __slots__ = ("_what",)

    def __init__(self, what: str) -> None:
        self._what = what

    def __enter__(self) -> None:
        """Begin."""

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(exc, asyncio.CancelledError):
            exc.add_note(_STILL + self._what)


def waiting_for_a_slot(limit: int) -> Phase:
    """Return what is done while all connections that there may be are in use."""
    return Phase(f"waiting for a free connection (limit={limit})")


def was_still(error: BaseException) -> str:
    """Return the end of a message: what was under way before `error`; "" where nobody knows."""
    for cause in causes(error, contexts=False):
        for note in getattr(cause, "__notes__", ()):
            if note.startswith(_STILL):
                return f"; it was {note}"
    return ""
