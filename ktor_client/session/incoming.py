"""The incoming channel: what was read and not yet received, its marks, and who waits for more.

The session's calls are `arrived`, `closing` and `end`; links append to `queue`. Why a session ends
is not known here: the session hands in the error to raise.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Protocol

from ktor_client._twin import twin
from ktor_client.channels import ChannelLimit, ChannelOverflow, ReceiveChannel
from ktor_client.errors import ConnectionClosedError, WrongLoopError
from ktor_client.frames import Frame, TextFrame
from ktor_client.link.home_loop import HomeLoop, wake

__all__ = ["Incoming", "IncomingOwner"]

NO_LIMIT = 1 << 62
BURST = 8
"""Queued frames from which on one check of the loop is for the whole step; fewer have one each."""


def size_of(frame: Frame) -> int:
    """Return what a queued frame weighs, in characters or bytes."""
    if type(frame) is TextFrame:
        try:
            return len(frame.text)
        except AttributeError:  # a fragment, in a raw session
            pass
    return len(frame.data)


class IncomingOwner(Protocol):
    """What the channel tells."""

    def incoming_full(self) -> None:
        """Take note that a mark is reached: reading has to pause."""

    def incoming_relieved(self) -> None:
        """Take note that half of the channel is free again."""

    def incoming_overflowed(self) -> None:
        """Take note that a strict limit was exceeded; what is beyond it was dropped."""


@twin
class Incoming(ReceiveChannel[Frame]):
    """`session.incoming`."""

    __slots__ = (
        "_bytes",
        "_create_future",
        "_drops",
        "_end",
        "_ends_quietly",
        "_high",
        "_home",
        "_is_strict",
        "_look_at",
        "_max_bytes",
        "_owner",
        "_relief_at",
        "_returned",
        "_waiters",
        "is_full",
        "queue",
    )

    def __init__(
        self,
        limit: ChannelLimit,
        owner: IncomingOwner,
        home: HomeLoop,
        create_future: Callable[[], asyncio.Future[Frame]],
    ) -> None:
        """Make the channel of a session; `create_future` makes what receivers await."""
        self.queue: deque[Frame] = deque()
        """What can be received; a link appends here, then the session calls `arrived`."""
        self.is_full = False
        """Whether a mark was reached and half of the channel is not free yet."""
        self._waiters: list[asyncio.Future[Frame]] = []  # few: a deque takes 700 bytes
        self._high = NO_LIMIT if limit.capacity is None else limit.capacity
        self._max_bytes = NO_LIMIT if limit.max_bytes is None else limit.max_bytes
        self._is_strict = limit.on_overflow is ChannelOverflow.CLOSE
        self._drops = False
        self._owner: IncomingOwner | None = owner
        self._home: HomeLoop | None = home
        self._create_future = create_future
        self._bytes = 0  # at least what is queued; what was taken is counted until somebody looks
        self._relief_at = -1
        self._look_at = -1
        """Length of the queue up to which whoever takes from it calls `_look` first."""
        self._returned: list[Frame] | None = None
        self._end: Callable[[], ConnectionClosedError] | None = None
        self._ends_quietly = False

    # --- for users ---

    async def receive(self) -> Frame:
        """Return the next frame; see `ReceiveChannel.receive`."""
        queue = self.queue
        if not queue:
            return await self._next()
        frame = queue.popleft()
        if len(queue) <= self._look_at:
            self._look(frame)
        return frame

    def receive_nowait(self) -> Frame:
        """Return the next frame if one is queued; see `ReceiveChannel.receive_nowait`."""
        queue = self.queue
        if not queue:
            if self._end is not None:
                raise self._end()
            if self._home is not None:
                self._home.check()
            raise asyncio.QueueEmpty("nothing is queued; await receive() instead")
        frame = queue.popleft()
        if len(queue) <= self._look_at:
            self._look(frame)
        return frame

    async def __anext__(self) -> Frame:
        queue = self.queue
        if not queue:
            try:
                return await self._next()
            except ConnectionClosedError:
                if self._ends_quietly:
                    raise StopAsyncIteration from None
                raise
        frame = queue.popleft()
        if len(queue) <= self._look_at:
            self._look(frame)
        return frame

    def __len__(self) -> int:
        return len(self.queue)

    def __dir__(self) -> list[str]:
        return dir(ReceiveChannel)  # what is for users

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will be queued."""
        return self._end is not None

    # --- for the session ---

    def arrived(self, size: int = NO_LIMIT) -> None:
        """Wake receivers and keep the limits, after frames of `size` bytes were appended.

        Without a size everything is counted: for frames whose size is still to be told.
        """
        queue, waiters = self.queue, self._waiters
        while queue and waiters:
            waiter = waiters.pop(0)
            if not waiter.done():
                waiter.set_result(queue.popleft())
        if not queue:
            self._bytes = 0
            return
        self._bytes += size
        self._distrust()
        if len(queue) >= self._high or self._bytes >= self._max_bytes:
            self._mark_reached()

    def closing(self) -> None:
        """Never be full from now on: keep what is queued, and to the marks what follows."""
        self._drops = True
        self.is_full = False
        if self.queue:
            self._high = max(self._high, len(self.queue))
            self._max_bytes = max(self._max_bytes, sum(map(size_of, self.queue)))

    def end(self, error: Callable[[], ConnectionClosedError], *, quietly: bool) -> None:
        """Let receivers have what is queued, then `error()`. The first call counts.

        `quietly` ends iteration without an error.
        """
        if self._end is not None:
            return
        self._end = error
        self._ends_quietly = quietly
        self._owner = self._home = None  # what is left can be taken anywhere
        self.is_full = False
        self.arrived()
        while self._waiters:
            wake(self._waiters.pop(0), error=error())

    # --- inside ---

    async def _next(self) -> Frame:
        """Wait for the next frame."""
        if self._end is not None:
            raise self._end()
        if self._home is not None:
            self._home.check()
        self._bytes = 0
        self._returned = None
        waiter = self._create_future()
        self._waiters.append(waiter)
        try:
            return await waiter
        except BaseException:
            if waiter in self._waiters:
                self._waiters.remove(waiter)
            elif waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back(waiter.result())
            raise
        finally:
            del waiter  # its exception refers to this frame: else only the collector frees both

    def _give_back(self, frame: Frame) -> None:
        """Put a frame in front again, behind those that came before it and were given back too."""
        queue = self.queue
        returned = self._returned = [] if self._returned is None else self._returned
        while returned and not (queue and returned[0] is queue[0]):
            returned.pop(0)
        queue.insert(len(returned), frame)
        returned.append(frame)
        self.arrived(size_of(frame))

    def _mark_reached(self) -> None:
        """Do what the limit asks for, if it is really reached."""
        if self._is_strict or self._drops:
            self._bytes = sum(map(size_of, self.queue))
            if self._has_dropped() and self._owner is not None and not self._drops:
                self._owner.incoming_overflowed()
        elif self._owner is not None and not self.is_full:
            if len(self.queue) < self._high:
                self._bytes = sum(map(size_of, self.queue))
                if self._bytes < self._max_bytes:
                    return
            self.is_full = True
            self._limit_look()
            self._owner.incoming_full()

    def _has_dropped(self) -> bool:
        """Drop what is beyond the limit, newest first; say whether anything was.

        Where the marks are soft, the frame that reaches the one of bytes is kept, however big.
        """
        queue, most = self.queue, self._max_bytes
        total = kept = 0
        for frame in queue:
            before, total = total, total + size_of(frame)
            if kept == self._high or (total > most if self._is_strict else before >= most):
                break
            kept += 1
        has_dropped = kept < len(queue)
        while len(queue) > kept:
            queue.pop()
        return has_dropped

    def _distrust(self) -> None:
        """Let whoever takes a frame next show that it is on the right loop."""
        self._look_at = NO_LIMIT

    def _limit_look(self) -> None:
        """Set the length at which to count again, so that sizes are summed up only now and then."""
        self._relief_at = min(self._high // 2, len(self.queue) * 3 // 4)

    def _look(self, frame: Frame) -> None:
        """Check the loop for who takes `frame`, and see whether there is room again.

        In a burst the check is made once in a step: to ask for the loop is dear before Python 3.12.
        """
        queue, home = self.queue, self._home
        is_trusted = self._look_at < NO_LIMIT or home is None
        if home is not None and not is_trusted:
            try:
                home.check()
            except WrongLoopError:
                queue.appendleft(frame)
                raise
            if len(queue) >= BURST:
                is_trusted = True
                home.loop.call_soon(self._distrust)
        if self.is_full and len(queue) <= self._relief_at:
            self._bytes = sum(map(size_of, queue))
            if self._bytes > self._max_bytes // 2:
                self._limit_look()
            else:
                self.is_full = False
                if self._owner is not None:
                    self._owner.incoming_relieved()
        if is_trusted:
            self._look_at = self._relief_at if self.is_full else -1
