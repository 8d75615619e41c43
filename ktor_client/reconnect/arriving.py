"""What arrives on the connections of a feed, as one stream: messages and events in true order.

A session's messages come here as its link delivers them, without a queue or a task in between;
while the user is slow, the link is held back.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from ktor_client.channels import ChannelLimit
from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import CloseReason, Frame, TextFrame
from ktor_client.link.home_loop import session_loop
from ktor_client.link.oneshot import OneShot
from ktor_client.reconnect.events import FeedEvent
from ktor_client.reconnect.log import EventLog
from ktor_client.reconnect.session import ReconnectingSession
from ktor_client.session.incoming import NO_LIMIT, Incoming

__all__ = ["Arriving", "Merged", "Messages"]

_INTERNAL_ERROR = CloseReason(CloseReason.Codes.INTERNAL_ERROR)

WALL = 2
"""How often the marks of the channel may be full before no further connection is opened."""


class Arriving:
    """The receiving half of a feed; implements `IncomingOwner` for its channel."""

    def __init__(self, limit: ChannelLimit) -> None:
        """Begin without a connection; `limit` is of the messages that wait to be received."""
        self.log = EventLog()
        loop = asyncio.get_running_loop()
        self.incoming = _Stream(limit, self, session_loop(), loop.create_future)
        self.incoming.log = self.log
        self._limit = limit
        self.passes: Callable[[Frame], Frame | None] | None = None
        """Sees each message first, and returns what the user is to see, or None."""
        self.failure: Exception | None = None
        """What `passes` has raised; it ended the connection."""
        self._delivered = 0
        self._session: ReconnectingSession | None = None
        self._relief: OneShot[None] | None = None

    # --- for the feed ---

    def tell(self, event: FeedEvent) -> None:
        """Put an event behind the messages that have come."""
        self.log.tell(event, self._delivered)

    def attach(self, session: ReconnectingSession) -> None:
        """Take what comes on this session from now on, and what its `on_open` has left."""
        core = session._core
        self._session = session
        session._life.brought_message = False
        messages = core.messages

        def arrived(size: int = NO_LIMIT) -> None:
            try:
                while messages and self.failure is None:
                    self._take(messages.popleft())
            except Exception as error:
                self.failure = error
                reason = _INTERNAL_ERROR
                if isinstance(error, ConnectionClosedError):
                    reason = CloseReason(error.reason.code or 1002)
                core.close_without_waiting(reason)
            self.incoming.arrived(size)
            self.log.notify()

        core.arrived = arrived
        was_full, core.incoming.is_full = core.incoming.is_full, False
        arrived()
        if self.incoming.is_full:
            self.incoming_full()
        elif was_full:
            core.incoming_relieved()

    def detach(self) -> None:
        """Take note that the session has ended; all that it brought has come."""
        self._session = None

    async def wait_for_room(self) -> None:
        """Wait while so much is not received yet that another connection would bring too much."""
        capacity = self._limit.capacity
        while self.incoming.is_full and capacity is not None:
            if len(self.incoming) < WALL * capacity:
                break
            self._relief = OneShot()
            await self._relief.wait()

    # --- told by the channel ---

    def incoming_full(self) -> None:
        """Hold the connection back."""
        if self._session is not None and self._session.is_open:
            self._session._core.incoming.is_full = True  # keepalive sees no pongs meanwhile
            self._session._core.incoming_full()

    def incoming_relieved(self) -> None:
        """Let it come."""
        if self._relief is not None:
            self._relief.set(None)
        if self._session is not None:  # also of one that was cut: what had come is still to be read
            self._session._core.incoming.is_full = False
            self._session._core.incoming_relieved()

    def incoming_overflowed(self) -> None:
        """End the connection: a strict limit was exceeded."""
        if self._session is not None:
            self._session._core.incoming_overflowed()

    # --- inside ---

    @property
    def taken(self) -> int:
        """How many messages were received by the user."""
        return self._delivered - len(self.incoming)

    def _take(self, frame: Frame) -> None:
        shown = frame if self.passes is None else self.passes(frame)
        if shown is not None:
            assert self._session is not None
            self._session._life.brought_message = True
            self._delivered += 1
            self.incoming.queue.append(shown)


class _Stream(Incoming):
    """Tells also those who wait for events of a message that a cancelled receiver gives back."""

    __slots__ = ("log",)
    log: EventLog

    def _give_back(self, frame: Frame) -> None:
        super()._give_back(frame)
        self.log.notify()


class Messages(AsyncIterator[str | bytes]):
    """The messages alone."""

    def __init__(self, incoming: Incoming) -> None:
        self._incoming = incoming

    async def __anext__(self) -> str | bytes:
        return content(await self._incoming.__anext__())


class Merged(AsyncIterator[str | bytes | FeedEvent]):
    """Messages and events, each in its place."""

    def __init__(self, arriving: Arriving) -> None:
        self._arriving = arriving
        self._next = 0

    async def __anext__(self) -> str | bytes | FeedEvent:
        arriving = self._arriving
        incoming, log = arriving.incoming, arriving.log
        while True:
            found = log.get(self._next)
            if found is not None and found[1] <= arriving.taken:
                self._next = found[0] + 1
                return found[2]
            if len(incoming) or log.is_over:
                return content(await incoming.__anext__())
            await log.changed()


def content(frame: Frame) -> str | bytes:
    """Return what a message holds."""
    return frame.text if isinstance(frame, TextFrame) else frame.data
