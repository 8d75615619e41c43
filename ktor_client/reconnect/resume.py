"""How a stream goes on where its connection was cut: the plug, and two kinds of it.

What is done with the answers is in `resuming.py`.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ktor_client.errors import ProtocolViolationError
from ktor_client.frames import CloseReason
from ktor_client.session import DefaultClientWebSocketSession

__all__ = ["Message", "Position", "PositionResume", "Resume", "Resumed", "SequenceResume"]

DIGITS = 20
"""Of the largest number that fits into the eight bytes in front of a binary message."""

Message: TypeAlias = str | bytes
"""A whole message: text or bytes."""


@dataclass(frozen=True, slots=True)
class Resumed:
    """What a server answered to `Resume.on_open`."""

    complete: bool | None = None
    """True: it goes on right behind the position. False: it cannot, the position is too old. None:
    it does not say; the positions of what comes will tell."""
    acknowledged: int | None = None
    """How many of the messages that were sent it has, where it says that."""


class Resume(ABC):
    """One way of continuing after a lost connection, for you to implement; an instance serves one
    feed.

    Positions are whatever the server counts in; only `missed` compares them. Sent messages are
    numbered from 1, in the order in which they leave.
    """

    _before_all: Any = None
    """The position in front of the first message, where streams count from there."""

    def begin(self) -> Any:
        """Begin a new feed; return the position to continue from, or None to start anywhere."""
        return None

    @abstractmethod
    async def on_open(
        self, session: DefaultClientWebSocketSession, position: Any
    ) -> Resumed | bool | None:
        """Ask the server to continue; runs on each connection, before any other traffic.

        Args:
            session: the new connection. Messages received here do not reach the user.
            position: of the last message that arrived; None if there was none.

        Returns:
            What the server says: a `Resumed`, or only its `complete`.
        """

    def position_of(self, message: Message) -> Any:
        """Return the position of a message, or None if it has none."""
        return None

    def missed(self, after: Any, before: Any) -> int | None:
        """Return how many messages are missing between two positions.

        0 means none. Below 0, `after` repeats a message or comes too late. None means unknown,
        which is the default for every pair.
        """
        return None

    def acknowledges(self, message: Message) -> int | bool | None:
        """Return the number up to which a message acknowledges what was sent.

        True acknowledges only the oldest open message; None and False acknowledge nothing. If a
        subclass has this method, receipts wait for it.
        """
        return None

    async def reload(self) -> Any:
        """Reload the state that the messages change, because the server cannot continue.

        Messages that arrive meanwhile are held back. Returns the position of the reloaded state, or
        None.
        """
        return None

    # --- where messages are wrapped on the wire ---

    def received(self, message: Message) -> Message | None:
        """Return what the user sees of a message, or None if it is not for the user."""
        return message

    def sent(self, message: Message, number: int) -> Message:
        """Return what is sent for a message; a repeated message keeps its number."""
        return message

    def receipt(self, position: Any) -> Message | None:
        """Return a message that acknowledges everything up to a position, or None to wait."""
        return None


@dataclass(frozen=True, slots=True)
class Position:
    """An offset in a stream, and the stream's epoch: each epoch counts from the start."""

    offset: int
    epoch: str | None = None


class PositionResume(Resume):
    """Continues from an offset, for servers that number their messages without gaps.

    Repeated messages are dropped; missing ones become a `Gap` with their count. Pass functions, or
    write a subclass.
    """

    def __init__(
        self,
        ask: Callable[
            [DefaultClientWebSocketSession, Position | None],
            Awaitable[Resumed | bool | None],
        ],
        position_of: Callable[[Message], Position | int | None],
        reload: Callable[[], Awaitable[Position | int | None]] | None = None,
        *,
        start: Position | int | None = None,
    ) -> None:
        """Keep the functions.

        Args:
            ask: asks the server to continue after a position, which is None on the first
                connection.
            position_of: returns the position of a message, or None; an int is an offset without an
                epoch.
            reload: reloads the state and returns its position.
            start: where to begin, for instance a position saved by an earlier run.
        """
        self._start = _position(start)
        self._ask = ask
        self._position_of = position_of
        self._reload = reload

    def begin(self) -> Any:
        """Begin at `start`."""
        return self._start

    async def on_open(
        self, session: DefaultClientWebSocketSession, position: Any
    ) -> Resumed | bool | None:
        """See `Resume.on_open`."""
        return await self._ask(session, position)

    def position_of(self, message: Message) -> Any:
        """See `Resume.position_of`."""
        return _position(self._position_of(message))

    def missed(self, after: Any, before: Any) -> int | None:
        """See `Resume.missed`."""
        if after.epoch != before.epoch:
            return None
        missing: int = before.offset - after.offset - 1
        return missing

    async def reload(self) -> Any:
        """See `Resume.reload`."""
        return None if self._reload is None else _position(await self._reload())


class SequenceResume(Resume):
    """Both sides number what they send, acknowledge what arrives, and keep the rest for repetition.

    The documentation describes the messages on the wire, so that any server can speak this
    protocol. With `Outbox(mode="at_least_once")` nothing is lost or duplicated as long as the
    server remembers the stream.
    """

    _before_all = 0

    def __init__(
        self,
        reload: Callable[[], Awaitable[object]] | None = None,
        *,
        acknowledge_every: int = 16,
    ) -> None:
        """Keep the options.

        Args:
            reload: awaited when the server has forgotten the stream.
            acknowledge_every: received messages between two acknowledgements.
        """
        if acknowledge_every < 1:
            raise ValueError(f"acknowledge_every must be at least 1, not {acknowledge_every}")
        self._stream = ""
        self._reload = reload
        self._every = acknowledge_every
        self._told = 0
        self._was_reset = False

    def begin(self) -> Any:
        """Name a new stream that the server does not know yet."""
        self._stream = secrets.token_hex(16)
        self._told = 0
        self._was_reset = False

    async def on_open(
        self, session: DefaultClientWebSocketSession, position: Any
    ) -> Resumed | bool | None:
        """Tell the server which stream this is and how much has arrived, and learn the same from
        it.

        A server says only once that it has forgotten the stream; it counts for us until we have
        reloaded, whatever becomes of the connection.
        """
        self._told = 0 if self._was_reset else position or 0
        await session.send(f"resume {self._stream} {self._told}")
        answer = await session.receive_text()
        word, _, number = answer.partition(" ")
        if word not in ("resumed", "reset") or not _is_number(number):
            raise _violation(f"the server answered {answer[:40]!r} to a resume")
        self._was_reset |= word == "reset"
        return Resumed(not self._was_reset, int(number))

    def position_of(self, message: Message) -> Any:
        """Return the number of a message."""
        if isinstance(message, bytes):
            return int.from_bytes(message[:8], "big")
        number = message.partition(" ")[0]
        return int(number) if _is_number(number) else None

    def missed(self, after: Any, before: Any) -> int | None:
        """Count."""
        missing: int = before - after - 1
        return missing

    def acknowledges(self, message: Message) -> int | bool | None:
        """Return the number of `ack N`."""
        if isinstance(message, bytes) or not message.startswith("ack "):
            return None
        return int(message[4:]) if _is_number(message[4:]) else None

    async def reload(self) -> Any:
        """Reload; the server then counts from the start."""
        if self._reload is not None:
            await self._reload()
        self._told = 0
        self._was_reset = False

    def received(self, message: Message) -> Message | None:
        """Remove the number."""
        if isinstance(message, bytes):
            if len(message) < 8 or not any(message[:8]):
                raise _violation("the server sent bytes without a number from 1 on")
            return message[8:]
        if self.acknowledges(message) is not None:
            return None
        number, blank, text = message.partition(" ")
        if not (blank and _is_number(number) and int(number)):
            raise _violation(f"the server sent {message[:40]!r}, which has no number from 1 on")
        return text

    def sent(self, message: Message, number: int) -> Message:
        """Put the number before a message."""
        if isinstance(message, bytes):
            return number.to_bytes(8, "big") + message
        return f"{number} {message}"

    def receipt(self, position: Any) -> Message | None:
        """Acknowledge now and then."""
        if position - self._told < self._every:
            return None
        self._told = position
        return f"ack {position}"


def _position(value: Position | int | None) -> Position | None:
    return Position(value) if isinstance(value, int) else value


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= DIGITS


def _violation(message: str) -> ProtocolViolationError:
    return ProtocolViolationError(message, reason=CloseReason(CloseReason.Codes.PROTOCOL_ERROR))
