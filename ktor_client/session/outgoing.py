"""The outgoing channel: frames that wait because the transport is above its mark, in order.

While the link is writable nothing is queued. Then frames wait here, each with the future of its
`send`; they are written by the link's call, so a cancelled `send` wrote all of its frame or none.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING

from ktor_client.channels import ChannelLimit, ChannelOverflow, SendChannel
from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import Frame, PingFrame, PongFrame

if TYPE_CHECKING:
    from ktor_client.session.core import SessionCore

__all__ = ["Outgoing"]


class _Waiting:
    """A place in the queue: a frame to write, or without one a turn (for `flush`, streams)."""

    __slots__ = ("done", "frame", "is_stream", "size")

    def __init__(self, frame: Frame | None, done: asyncio.Future[None] | None) -> None:
        self.frame = frame
        self.done = done
        self.is_stream = False
        self.size = 0 if frame is None else len(frame.data)


class Outgoing(SendChannel[Frame]):
    """`session.outgoing`. Its limit counts only frames that wait."""

    __slots__ = (
        "_bytes",
        "_core",
        "_end",
        "_ending",
        "_limit",
        "_link",
        "_queue",
        "_ready",
        "_stream",
    )

    def __init__(self, core: SessionCore, limit: ChannelLimit) -> None:
        self._core = weakref.proxy(core)  # it lives until the end, and refers to this channel
        self._ending = core.ending
        self._link = core.link
        self._limit = limit
        self._queue: list[_Waiting] = []
        self._bytes = 0
        self._end: Callable[[], ConnectionClosedError] | None = None
        self._stream = False
        self._ready = True
        """Whether a frame may be written at once."""

    # --- for users ---

    async def send(self, item: Frame) -> None:
        """Send a frame; see `WebSocketSession.send`."""
        _check_frame(item)
        if self._ready and not item.frame_type.is_control:
            self._write(item)
            return
        await self._send_slowly(item)

    def send_nowait(self, item: Frame) -> None:
        """Send a frame, or queue it while the transport is busy.

        Raises:
            ConnectionClosedError: the session has ended.
            asyncio.QueueFull: as many frames as the limit allows are waiting; a Ping or Pong is
                never queued, and raises it while the transport is busy.
            ChannelOverflowError: likewise, with `ChannelOverflow.CLOSE`; the session ends.
        """
        _check_frame(item)
        self._raise_if_ended()
        if isinstance(item, PingFrame | PongFrame) and not self._link.writable:
            raise asyncio.QueueFull("the transport is busy; await send() instead")
        if self._core.sent_as_control(item):
            return
        if self._ready:
            self._write(item)
            return
        if not self._has_room(item):
            if self._limit.on_overflow is ChannelOverflow.CLOSE:
                raise self._core.overflow("outgoing")
            raise asyncio.QueueFull(f"outgoing is full ({self._limit!r}); await send() instead")
        self._enqueue(_Waiting(item, None))

    def __len__(self) -> int:
        """Frames that wait."""
        return sum(1 for waiting in self._queue if waiting.frame is not None)

    @property
    def is_closed(self) -> bool:
        """Whether sending is over."""
        return self._end is not None

    def __repr__(self) -> str:
        state = "closed" if self._end is not None else "open"
        return f"<SendChannel {state}, {len(self)} waiting>"

    # --- for the session ---

    async def _send_slowly(self, frame: Frame) -> None:
        """Send a frame that may have to wait its turn."""
        self._raise_if_ended()
        self._core.home.check()
        was_writable = self._link.writable
        if self._core.sent_as_control(frame):
            if not (was_writable or self._end):  # it has passed what waits, but is no way around
                await self._core.wait_writable()
            return
        if self._ready:
            self._write(frame)
            return
        limit = self._limit
        if limit.capacity is None:
            self._enqueue(_Waiting(frame, None))
            return
        if limit.on_overflow is ChannelOverflow.CLOSE:
            if not self._has_room(frame):
                raise self._core.overflow("outgoing")
            self._enqueue(_Waiting(frame, None))
            return
        await self._wait_for(_Waiting(frame, self._new_future()))

    async def _flush(self) -> None:
        """Wait until everything queued before this call was handed to the link, and flush it.

        After a Close of ours nothing is left to hand over: what was queued has raised.
        """
        if self._end is not None and self._ending.sent is not None:
            return
        self._raise_if_ended()
        self._core.home.check()
        if self._queue or self._stream:
            await self._wait_for(_Waiting(None, self._new_future()))
        self._link.flush()

    async def _begin_stream(self) -> None:
        """Wait for a turn in which no other data may be sent, until `_end_stream`."""
        self._raise_if_ended()
        if self._ready:
            self._stream = True
            self._ready = False
            return
        waiting = _Waiting(None, self._new_future())
        waiting.is_stream = True
        await self._wait_for(waiting)

    def _end_stream(self) -> None:
        """Let others send again."""
        self._stream = False
        self._drain()

    async def _stream_fragment(self, frame: Frame) -> None:
        """Send a fragment within the turn, once the link is writable."""
        self._raise_if_ended()
        while not self._link.writable:
            await self._core.wait_writable()
            self._raise_if_ended()
        self._link.send(frame)

    def _drain(self) -> None:
        """Write what waits, while the link takes it."""
        queue, link = self._queue, self._link
        while queue and link.writable and not self._stream and self._end is None:
            waiting = queue.pop(0)
            self._bytes -= waiting.size
            done = waiting.done
            if done is not None and done.done():
                continue
            if waiting.is_stream:
                self._stream = True
            elif waiting.frame is not None:
                try:
                    link.send(waiting.frame)
                except ValueError as error:
                    if done is not None:
                        done.set_exception(error)
                    else:
                        self._report(error, waiting.frame)
                    continue
            if done is not None:
                done.set_result(None)
        self._ready = not queue and link.writable and not self._stream and self._end is None

    def _not_writable(self) -> None:
        """Take note that the link wants no more for now."""
        self._ready = False

    def _finish(self, end: Callable[[], ConnectionClosedError]) -> None:
        """Refuse further frames and let those that wait raise. Called once."""
        self._end = end
        self._ready = False
        queue, self._queue = self._queue, []
        self._bytes = 0
        for waiting in queue:
            if waiting.done is not None and not waiting.done.done():
                waiting.done.set_exception(end())

    def _raise_if_ended(self) -> None:
        """Raise the error that ended the channel, if it has ended."""
        if self._end is not None:
            raise self._end()

    # --- inside ---

    def _write(self, frame: Frame) -> None:
        link = self._link
        link.send(frame)
        if not link.writable:
            self._ready = False

    def _has_room(self, frame: Frame) -> bool:
        limit = self._limit
        return (limit.capacity is None or len(self._queue) < limit.capacity) and (
            limit.max_bytes is None or self._bytes + len(frame.data) <= limit.max_bytes
        )

    def _enqueue(self, waiting: _Waiting) -> None:
        self._queue.append(waiting)
        self._bytes += waiting.size

    async def _wait_for(self, waiting: _Waiting) -> None:
        self._enqueue(waiting)
        done = waiting.done
        assert done is not None
        try:
            await done
        except asyncio.CancelledError:
            if waiting in self._queue:
                self._queue.remove(waiting)
                self._bytes -= waiting.size
                self._drain()
            elif waiting.is_stream and self._stream and done.done() and not done.cancelled():
                self._end_stream()
            raise

    @staticmethod
    def _report(error: ValueError, frame: Frame) -> None:
        """Tell the loop of a frame that nobody waits for and that cannot be sent as it is."""
        asyncio.get_running_loop().call_exception_handler(
            {"message": f"queued {frame!r} cannot be sent", "exception": error}
        )

    @staticmethod
    def _new_future() -> asyncio.Future[None]:
        return asyncio.get_running_loop().create_future()


def _check_frame(item: object) -> None:
    if not isinstance(item, Frame):
        raise TypeError(
            f"outgoing takes frames such as Frame.Text(...), not {type(item).__name__}; "
            "session.send takes str and bytes too"
        )
