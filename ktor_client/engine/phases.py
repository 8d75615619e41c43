"""How far a request had come when a time was over, in the words of the errors.

A deadline cancels, and the cancellation comes through the libraries as it is to who has set the
deadline. So what was under way is written on it, as a note.
"""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import TYPE_CHECKING

from ktor_client.causes import causes

if TYPE_CHECKING:
    from ktor_client.http1 import AnswerParser

__all__ = [
    "READING_THE_BODY",
    "WAITING_FOR_THE_ANSWER",
    "Phase",
    "phase_of_an_exchange",
    "waiting_for_a_slot",
    "was_still",
]

WAITING_FOR_THE_ANSWER = "waiting for the answer"
READING_THE_BODY = "reading the body"
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


def phase_of_an_exchange(answers: AnswerParser | None, *, is_sending: bool) -> str:
    """Return what is done on a connection; `answers` is None once the head is here."""
    if is_sending:
        return "sending the request"
    if answers is None:
        return READING_THE_BODY
    if answers.has_begun:
        return "waiting for the rest of the answer's head"
    return WAITING_FOR_THE_ANSWER


def was_still(error: BaseException) -> str:
    """Return the end of a message: what was under way before `error`; "" where nobody knows."""
    for cause in causes(error, contexts=False):
        for note in getattr(cause, "__notes__", ()):
            if note.startswith(_STILL):
                return f"; it was {note}"
    return ""
