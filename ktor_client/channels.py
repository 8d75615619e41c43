"""Channels: the queues between a session and its user, and their limits (Ktor's channels).

What may be queued, who waits and who is woken is decided here. What an item is, and why a channel
ends, is the session's business: it hands in the error to raise.
"""

from __future__ import annotations

import asyncio
import enum
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Callable
from typing import Generic, TypeVar

from ktor_client.errors import ConnectionClosedError

__all__ = [
    "ChannelLimit",
    "ChannelOverflow",
    "Channels",
    "ReceiveChannel",
    "SendChannel",
    "bounded",
    "unlimited",
]

T = TypeVar("T")
S_contra = TypeVar("S_contra", contravariant=True)

DEFAULT_CAPACITY = 64
DEFAULT_MAX_BYTES = 4 * 1024 * 1024
_NO_LIMIT = 1 << 62


class ChannelOverflow(enum.Enum):
    """What a full channel does (Ktor's `ChannelOverflow`)."""

    SUSPEND = "suspend"
    """Wait: reading from the socket pauses, `send` waits. Nothing is lost."""
    CLOSE = "close"
    """End the session with `ChannelOverflowError`; what is queued stays readable."""


class ChannelLimit:
    """How much a channel holds; made by `bounded` and `unlimited`."""

    __slots__ = ("capacity", "max_bytes", "on_overflow")

    def __init__(
        self, capacity: int | None, on_overflow: ChannelOverflow, max_bytes: int | None
    ) -> None:
        self.capacity = capacity
        self.on_overflow = on_overflow
        self.max_bytes = max_bytes

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ChannelLimit) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

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

    With SUSPEND both are marks, not walls: what one read from the socket brings is queued to its
    end, then reading pauses; it resumes at half. With CLOSE the limit is strict, by message.

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
    """Put no limit: a fast peer with a slow consumer may take all memory."""
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


class SendChannel(ABC, Generic[S_contra]):
    """The sending end of a channel."""

    @abstractmethod
    async def send(self, item: S_contra) -> None:
        """Put an item, waiting while there is no room.

        A cancelled `send` has put all of the item or nothing.

        Raises:
            ConnectionClosedError: the channel has ended.
        """

    @abstractmethod
    def send_nowait(self, item: S_contra) -> None:
        """Put an item at once.

        Raises:
            ConnectionClosedError: the channel has ended.
            asyncio.QueueFull: there is no room.
        """


class ReceiveChannel(Generic[T]):
    """The receiving end of a channel: `await receive()`, or `async for`.

    Any number of tasks may receive; each item goes to one of them, in the order of their calls.
    Cancelling a `receive` loses nothing.
    """

    __slots__ = (
        "_bytes",
        "_check_at",
        "_check_loop",
        "_choked",
        "_create_future",
        "_end",
        "_ends_quietly",
        "_high",
        "_limit",
        "_low",
        "_low_bytes",
        "_max_bytes",
        "_on_choke",
        "_on_relief",
        "_queue",
        "_returned",
        "_size_of",
        "_waiters",
    )

    def __init__(
        self,
        limit: ChannelLimit,
        *,
        size_of: Callable[[T], int],
        on_choke: Callable[[], None],
        on_relief: Callable[[], None],
        create_future: Callable[[], asyncio.Future[T]] | None = None,
        check_loop: Callable[[], None] | None = None,
    ) -> None:
        """Make the channel; only sessions do.

        `on_choke` is called when the marks are reached, `on_relief` when half is free again.
        `create_future` makes what receivers await; by default the loop does. `check_loop` raises
        on another event loop than the session's.
        """
        self._queue: deque[T] = deque()  # new items are appended here, then `_arrived` is called
        self._waiters: list[asyncio.Future[T]] = []
        self._limit = limit
        self._high = _NO_LIMIT if limit.capacity is None else limit.capacity
        self._max_bytes = _NO_LIMIT if limit.max_bytes is None else limit.max_bytes
        self._low = self._high // 2
        self._low_bytes = self._max_bytes // 2
        self._size_of = size_of
        self._on_choke = on_choke
        self._on_relief = on_relief
        self._create_future = create_future or asyncio.get_running_loop().create_future
        self._check_loop = check_loop
        self._bytes = 0
        self._choked = False
        self._check_at = 0
        self._returned: list[T] | None = None
        self._end: Callable[[], ConnectionClosedError] | None = None
        self._ends_quietly = False

    # --- for users ---

    async def receive(self) -> T:
        """Return the next item; without suspending while one is queued.

        Raises:
            ConnectionClosedError: nothing is queued and nothing will come.
        """
        queue = self._queue
        if not queue:
            waiter = self._wait()
            try:
                return await waiter
            except BaseException as error:
                self._stop_waiting(waiter, error)
                raise
        item = queue.popleft()
        if self._choked and len(queue) <= self._check_at:
            self._relieve()
        return item

    def receive_nowait(self) -> T:
        """Return the next item if one is queued.

        Raises:
            asyncio.QueueEmpty: nothing is queued now.
            ConnectionClosedError: nothing is queued and nothing will come.
        """
        queue = self._queue
        if not queue:
            if self._end is not None:
                raise self._end()
            raise asyncio.QueueEmpty("nothing is queued; await receive() instead")
        item = queue.popleft()
        if self._choked and len(queue) <= self._check_at:
            self._relieve()
        return item

    def __aiter__(self) -> AsyncIterator[T]:
        return self

    async def __anext__(self) -> T:
        queue = self._queue
        if not queue:
            waiter = self._wait()
            try:
                return await waiter
            except BaseException as error:
                self._stop_waiting(waiter, error)
                if self._ends_quietly and isinstance(error, ConnectionClosedError):
                    raise StopAsyncIteration from None
                raise
        item = queue.popleft()
        if self._choked and len(queue) <= self._check_at:
            self._relieve()
        return item

    def __len__(self) -> int:
        """Items that are queued."""
        return len(self._queue)

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will be queued; what is queued can still be received."""
        return self._end is not None

    def __repr__(self) -> str:
        state = "closed" if self._end is not None else "open"
        return f"<ReceiveChannel {state}, {len(self._queue)} queued>"

    # --- for the session ---

    def _arrived(self, size: int) -> None:
        """Wake receivers and keep the marks, after items of `size` bytes were appended."""
        queue, waiters = self._queue, self._waiters
        while queue and waiters:  # `_hand_over`, for each message that is awaited
            waiter = waiters.pop(0)
            if not waiter.done():
                waiter.set_result(queue.popleft())
        if not queue:
            self._bytes = 0
            return
        self._bytes += size
        if self._choked:
            return
        if len(queue) >= self._high:
            self._choke()
        elif self._bytes >= self._max_bytes:
            self._bytes = sum(map(self._size_of, queue))  # what was taken is still counted
            if self._bytes >= self._max_bytes:
                self._choke()

    def _keep_queued(self) -> None:
        """Raise the marks to what is queued now, so that `_overflowing` drops only what follows."""
        self._high = max(self._high, len(self._queue))
        self._max_bytes = max(self._max_bytes, sum(map(self._size_of, self._queue)))

    def _overflowing(self, *, recount: bool = False, soft: bool = False) -> bool:
        """Drop what is beyond the limit, newest first; say whether anything was.

        `recount` counts items too that were appended without a call of `_arrived` yet. `soft` keeps
        the item that reaches the mark of bytes, however big it is.
        """
        queue, size_of = self._queue, self._size_of
        if recount:
            self._hand_over()
        elif len(queue) <= self._high and self._bytes <= self._max_bytes:
            return False
        total = kept = 0
        for item in queue:
            before, total = total, total + size_of(item)
            if kept == self._high or (
                before >= self._max_bytes if soft else total > self._max_bytes
            ):
                break
            kept += 1
        if kept == len(queue):
            self._bytes = total
            return False
        while len(queue) > kept:
            queue.pop()
        return True

    def _close(self, end: Callable[[], ConnectionClosedError], *, quietly: bool) -> None:
        """Let receivers have what is queued, then `end()`. The first call counts."""
        if self._end is not None:
            return
        self._hand_over()
        self._end = end
        self._ends_quietly = quietly
        waiters = self._waiters
        while waiters:
            waiter = waiters.pop(0)
            if not waiter.done():
                waiter.set_exception(end())

    # --- inside ---

    def _wait(self) -> asyncio.Future[T]:
        """Return the future of the next item; once the channel has ended it has failed."""
        waiter = self._create_future()
        if self._end is None:
            self._bytes = 0
            self._returned = None
            self._waiters.append(waiter)
        else:
            waiter.set_exception(self._end())
        return waiter

    def _stop_waiting(self, waiter: asyncio.Future[T], error: BaseException) -> None:
        """Lose nothing when a receiver gets an exception."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
        elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
            self._give_back(waiter.result())
            self._hand_over()
        if isinstance(error, RuntimeError) and self._check_loop is not None:
            self._check_loop()  # a task does not wait for a future of another loop

    def _detach(self) -> None:
        """Hold nobody back any more: there is nobody."""
        self._on_choke = self._on_relief = lambda: None

    def _give_back(self, item: T) -> None:
        """Put an item in front again, behind those that came before it and were given back too."""
        queue = self._queue
        returned = self._returned = [] if self._returned is None else self._returned
        while returned and not (queue and returned[0] is queue[0]):
            returned.pop(0)
        queue.insert(len(returned), item)
        returned.append(item)
        self._bytes += self._size_of(item)

    def _hand_over(self) -> None:
        queue, waiters = self._queue, self._waiters
        while queue and waiters:
            waiter = waiters.pop(0)
            if not waiter.done():
                waiter.set_result(queue.popleft())

    def _choke(self) -> None:
        self._choked = True
        self._set_check()
        self._on_choke()

    def _set_check(self) -> None:
        """Set the length at which to look again, so that sizes are summed up only now and then."""
        self._check_at = min(self._low, len(self._queue) * 3 // 4)

    def _relieve(self) -> None:
        self._bytes = sum(map(self._size_of, self._queue))
        if self._bytes <= self._low_bytes:
            self._choked = False
            self._on_relief()
        else:
            self._set_check()
