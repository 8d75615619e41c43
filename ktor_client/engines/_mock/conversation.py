"""What went to and fro in a WebSocket of a `MockEngine`, and how a test is told what was wrong."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from ktor_client.engines._mock.matching import show
from ktor_client.frames import Frame
from ktor_client.http import HttpRequest, redacted

__all__ = ["Conversation", "Entry", "ExpectationError", "Side"]

Side: TypeAlias = Literal["client", "peer"]

SHOWN = 20
"""Frames of a conversation that a message shows."""


class ExpectationError(AssertionError):
    """The client did not follow the test's script; `conversation` shows where, if there is one."""

    def __init__(self, message: str, conversation: Conversation | None = None) -> None:
        super().__init__(message)
        self.conversation = conversation

    def again(self) -> ExpectationError:
        """Return a twin to raise elsewhere, so that this one keeps its own traceback."""
        twin = ExpectationError(str(self), self.conversation)
        twin.__cause__ = self.__cause__
        return twin.with_traceback(self.__traceback__)


ExpectationError.__module__ = "ktor_client.testing"  # where users find it


class Entry(NamedTuple):
    """One frame of a conversation."""

    sender: Side
    frame: Frame
    time: float
    """Seconds on the engine's clock."""


class Conversation:
    """The frames of one WebSocket in the order in which its peer saw and sent them."""

    def __init__(self, request: HttpRequest) -> None:
        self.request = request
        """The handshake."""
        self.entries: list[Entry] = []
        self.expected: str | None = None
        """What the peer is waiting for, while it is."""
        self.end = ""
        """How it ended without a Close frame; empty otherwise."""

    def frames(self, sender: Side | None = None) -> list[Frame]:
        """Return the frames of one side, or of both."""
        return [entry.frame for entry in self.entries if sender in (None, entry.sender)]

    def describe(self) -> str:
        """Return the conversation as lines, the last frames only where it is long."""
        hidden = len(self.entries) - SHOWN
        lines = [f"    ... {hidden} frames before"] if hidden > 0 else []
        lines += [
            f"    {entry.sender:<7} {show(entry.frame)}{_at(entry.time)}"
            for entry in self.entries[-SHOWN:]
        ]
        if self.end:
            lines.append(f"    {self.end}")
        return "\n".join(lines) or "    (nothing was sent)"

    def failure(self, what: str, detail: str = "") -> ExpectationError:
        """Return the error that says what was wrong, with the conversation."""
        message = (
            f"MockEngine, peer of {redacted(self.request.url)}: {what}\n"
            f"Conversation, as the peer saw it:\n{self.describe()}"
        )
        return ExpectationError(message + (f"\n{detail}" if detail else ""), self)

    def __repr__(self) -> str:
        return f"<Conversation of {redacted(self.request.url)}, {len(self.entries)} frames>"


def _at(time: float) -> str:
    return f"    at {time:g} s" if time else ""
