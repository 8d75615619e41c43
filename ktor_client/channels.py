"""Channels as their users see them, and their limits (Ktor's channels).

Behind these interfaces stand `session/incoming.py` and `session/sending.py`: what is queued, who
waits, who is woken.
"""

from __future__ import annotations

import enum
from abc import abstractmethod
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Generic, NamedTuple, NoReturn, TypeVar

from ktor_client.frames import CloseReason
from ktor_client.mistakes import TaughtABC, TaughtEnum

__all__ = [
    "ChannelLimit",
    "ChannelOverflow",
    "Channels",
    "ReceiveChannel",
    "SendChannel",
    "bounded",
    "unlimited",
]

T_co = TypeVar("T_co", covariant=True)
S_contra = TypeVar("S_contra", contravariant=True)

DEFAULT_CAPACITY = 64
DEFAULT_MAX_BYTES = 4 * 1024 * 1024
OVERFLOW_CODE = CloseReason.Codes.VIOLATED_POLICY
"""What the peer is told when a channel with `ChannelOverflow.CLOSE` is full."""


class ChannelOverflow(enum.Enum, metaclass=TaughtEnum):
    """What a full channel does (Ktor's `ChannelOverflow`)."""

    SUSPEND = "suspend"
    """Wait: reading from the socket pauses, `send` waits. Nothing is lost."""
    CLOSE = "close"
    """End the session with `ChannelOverflowError`; what is queued stays readable."""


class ChannelLimit(NamedTuple):
    """How much a channel holds; made by `bounded` and `unlimited`."""

    capacity: int | None
    on_overflow: ChannelOverflow
    max_bytes: int | None

    @property
    def suspends(self) -> bool:
        """Whether a sender waits while the channel is full."""
        return self.capacity is not None and self.on_overflow is ChannelOverflow.SUSPEND

    def __repr__(self) -> str:
        if self.capacity is None:
            return "unlimited()"
        overflow = f"on_overflow=ChannelOverflow.{self.on_overflow.name}"
        return f"bounded({self.capacity}, {overflow}, max_bytes={self.max_bytes})"


def bounded(
    capacity: int,
    *,
    on_overflow: ChannelOverflow = ChannelOverflow.SUSPEND,
    max_bytes: int = DEFAULT_MAX_BYTES,
) -> ChannelLimit:
    """Limit a channel to `capacity` messages and `max_bytes` bytes of payload.

    With SUSPEND both are thresholds, not hard limits: everything that one read from the socket
    brings is queued, then reading pauses until the channel is half empty. With CLOSE the limit is
    strict and counts each message.

    Raises:
        ValueError: a limit below 1.
        TypeError: an argument of another type.
    """
    if not isinstance(capacity, int) or not isinstance(max_bytes, int):
        raise TypeError("capacity and max_bytes are numbers of messages and bytes; see unlimited()")
    if not isinstance(on_overflow, ChannelOverflow):
        raise TypeError(f"on_overflow takes a ChannelOverflow, not {on_overflow!r}")
    if capacity < 1 or max_bytes < 1:
        raise ValueError("a bounded channel holds at least 1 message and 1 byte")
    return ChannelLimit(capacity, on_overflow, max_bytes)


def unlimited() -> ChannelLimit:
    """Set no limit: a fast peer and a slow consumer can then use up all memory."""
    return ChannelLimit(None, ChannelOverflow.SUSPEND, None)


class Channels:
    """The limits of both directions: `Channels(incoming=bounded(16), outgoing=unlimited())`."""

    __slots__ = ("_adapts", "incoming", "outgoing")

    def __init__(
        self, *, incoming: ChannelLimit | None = None, outgoing: ChannelLimit | None = None
    ) -> None:
        for limit in (incoming, outgoing):
            if not isinstance(limit, ChannelLimit | None):
                raise TypeError(f"a channel's limit is bounded(64) or unlimited(), not {limit!r}")
        self._adapts = incoming is None
        """Whether `incoming` was left open, and may be limited as suits the engine."""
        self.incoming = bounded(DEFAULT_CAPACITY) if incoming is None else incoming
        self.outgoing = bounded(DEFAULT_CAPACITY) if outgoing is None else outgoing

    def __repr__(self) -> str:
        return f"Channels(incoming={self.incoming!r}, outgoing={self.outgoing!r})"


class SendChannel(Generic[S_contra], metaclass=TaughtABC):
    """The sending end of a channel."""

    @abstractmethod
    async def send(self, item: S_contra) -> None:
        """Put an item; waits while the channel is full.

        A cancelled `send` has put the whole item or nothing.

        Raises:
            ConnectionClosedError: the channel has ended.
        """

    @abstractmethod
    def send_nowait(self, item: S_contra) -> None:
        """Put an item at once.

        Raises:
            ConnectionClosedError: the channel has ended.
            asyncio.QueueFull: the channel is full.
        """


class ReceiveChannel(Generic[T_co], metaclass=TaughtABC):
    """The receiving end of a channel: `await receive()`, or `async for`.

    Any number of tasks may receive; each item goes to one of them, in the order of their calls.
    Cancelling a `receive` loses nothing.
    """

    __slots__ = ()

    @abstractmethod
    async def receive(self) -> T_co:
        """Return the next item; does not suspend while one is queued.

        Raises:
            ConnectionClosedError: nothing is queued and nothing more will arrive.
            WrongLoopError: the session belongs to another event loop.
        """

    @abstractmethod
    def receive_nowait(self) -> T_co:
        """Return the next item if one is queued.

        Raises:
            asyncio.QueueEmpty: nothing is queued now.
            ConnectionClosedError, WrongLoopError: as `receive`.
        """

    if not TYPE_CHECKING:  # for type checkers a channel has none

        def __iter__(self) -> NoReturn:
            raise TypeError("what arrives is awaited; write `async for frame in session.incoming:`")

    def __aiter__(self) -> AsyncIterator[T_co]:
        return self

    @abstractmethod
    async def __anext__(self) -> T_co:
        """Return the next item; a quiet end of the session ends the iteration."""

    @abstractmethod
    def __len__(self) -> int:
        """Items that are queued."""

    @property
    @abstractmethod
    def is_closed(self) -> bool:
        """Whether nothing more will be queued; what is queued can still be received."""

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        return f"<ReceiveChannel {state}, {len(self)} queued>"
