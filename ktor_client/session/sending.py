"""The one room that decides when a frame is written, for `send`, `session.outgoing` and the core.

A frame may be written while the link is writable and nobody is before it in `queue`: messages that
wait, the stream whose turn it is, at last our Close, which nobody passes. What waits is written by
the link's call, so a cancelled `send` has written all of its frame or none. Control frames pass.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from ktor_client._twin import twin
from ktor_client.channels import ChannelLimit
from ktor_client.frames import (
    NOT_FINAL,
    BinaryFrame,
    CloseFrame,
    CloseReason,
    Frame,
    PingFrame,
    PongFrame,
    TextFrame,
)
from ktor_client.link.home_loop import wake
from ktor_client.link.oneshot import OneShot
from ktor_client.session.ending import checked_reason
from ktor_client.session.turns import NOBODY, OVER, Turn

if TYPE_CHECKING:
    from ktor_client.session.core import SessionCore

__all__ = ["Sending"]


@twin
class Sending:
    """The sending half of a session. Its limit counts only frames that wait."""

    __slots__ = (
        "_bytes",
        "_close",
        "_ending",
        "_has_left",
        "_home",
        "_limit",
        "_link",
        "_may_fragment",
        "_owed_pong",
        "_owner",
        "_room",
        "error",
        "is_closed",
        "on_end",
        "queue",
    )

    def __init__(self, limit: ChannelLimit, owner: SessionCore, *, may_fragment: bool) -> None:
        """Make a session's channel; `may_fragment` allows fragments of a message to be sent."""
        self.queue: deque[Turn] = NOBODY
        self.is_closed = False
        self._owner: SessionCore | None = owner
        self._link = owner.link
        self._home = owner.home
        self._ending = owner.ending
        self._limit = limit
        self._may_fragment = may_fragment
        self._bytes = 0
        self._close: Turn | None = None
        self._has_left = False
        self._owed_pong: PongFrame | None = None
        self._room: OneShot[None] | None = None
        self.on_end: list[Callable[[], None]] = []
        """What is called, once, when nothing more may be sent."""
        self.error = owner.ending.error
        """Makes the error that says how the session has ended."""

    # --- for users ---

    async def send_message(self, message: str | bytes | bytearray | memoryview | Frame) -> None:
        """Send a whole message, or a frame; see `WebSocketSession.send`."""
        link = self._link
        if link.writable and not self.queue:
            kind = type(message)
            if kind is str:
                link.send_text(message)  # type: ignore[arg-type]  # narrowed by its type
                return
            if kind is bytes:
                link.send_binary(message)  # type: ignore[arg-type]  # narrowed by its type
                return
        if isinstance(message, str):
            message = TextFrame(message)
            message.text.encode()  # a lone surrogate is refused before it waits
        elif isinstance(message, bytes | bytearray | memoryview):
            message = BinaryFrame(message)
        elif not isinstance(message, Frame):
            raise TypeError(
                f"send takes str, bytes or a Frame, not {type(message).__name__}; "
                "send_serialized(obj) sends objects"
            )
        await self.send(message)

    async def send(self, frame: Frame) -> None:
        """Send a frame; see `WebSocketSession.send`."""
        self._check(frame)
        if frame.frame_type.is_control:
            was_writable = self._link.writable
            self._send_control(frame)
            if not (was_writable or self.is_closed):  # it has passed what waits, as no way around
                await self._wait_for_room()
        elif self.is_free or not self._limit.suspends:
            self._put(frame)
        else:
            await self._wait_for(Turn(frame))

    def send_nowait(self, frame: Frame) -> None:
        """Send a frame, or queue it; see `Outgoing.send_nowait`."""
        self._check(frame)
        if not frame.frame_type.is_control:
            self._put(frame)
        elif self._link.writable or isinstance(frame, CloseFrame):
            self._send_control(frame)
        else:
            raise asyncio.QueueFull("the transport is busy; await send() instead")

    def __len__(self) -> int:
        """Messages that wait."""
        return sum(1 for place in self.queue if place.frame is not None and not place.stays)

    # --- for the members of a session ---

    @property
    def is_free(self) -> bool:
        """Whether a message may be written at once."""
        return self._link.writable and not self.queue

    def check_open(self) -> None:
        """Check that this is the session's loop, and that it may still send.

        Raises:
            ConnectionClosedError: it may not: this says how the session has ended.
            WrongLoopError: it is not.
        """
        if self.is_closed:
            raise self.error()
        self._home.check()

    async def flush(self) -> None:
        """Wait until everything queued before was handed to the link, and flush it.

        After a Close of ours nothing is to be waited for.
        """
        if self.is_closed and self._ending.said is not None:
            return
        self.check_open()
        if self.queue:
            await self._wait_for(Turn())
        self._link.flush()

    async def begin_stream(self) -> Turn:
        """Wait for a turn in which nobody else sends data, until `end_stream`."""
        self.check_open()
        turn = Turn(stays=True)
        if self.is_free:
            turn.has_turn = True
            self._enqueue(turn)
        else:
            await self._wait_for(turn)
        return turn

    async def send_fragment(self, turn: Turn, frame: Frame) -> None:
        """Send a fragment within the turn, once the link is writable."""
        while not (self._link.writable or self.is_closed):
            await self._wait_for_room()
        self.check_open()
        self._link.send(frame)
        turn.has_begun = True

    def end_stream(self, turn: Turn) -> None:
        """Let others send again."""
        if turn in self.queue:
            self.queue.remove(turn)
            self._drain()

    # --- for the session's state ---

    def send_pong(self, data: bytes) -> None:
        """Answer a ping; while the link is busy the newest is enough (RFC 6455 5.5.3)."""
        if self._close is not None and self._close.has_turn:
            return
        if self._link.writable:
            self._link.send(PongFrame(data))
        else:
            self._owed_pong = PongFrame(data)

    def writable(self) -> None:
        """Go on: the link takes frames again."""
        if self._owed_pong is not None:
            pong, self._owed_pong = self._owed_pong, None
            self._link.send(pong)
        self._make_room()
        self._drain()

    def close(self, frame: CloseFrame) -> None:
        """Send our Close behind what waits, and take nothing more; nothing if that is so already.

        A stream is cut off, and what waits for its end goes with it.
        """
        if self.is_closed:
            return
        self._release(lambda place: not place.stays)
        self._close = Turn(frame, stays=True)
        self._enqueue(self._close)
        self._stop()
        self._drain()

    def refuse(self) -> None:
        """Let who waits hear of the end; what was accepted stays. The peer expects no pong."""
        self._owed_pong = None
        self._release(lambda place: place.is_accepted or place is self._close)

    def hurry(self) -> None:
        """Hand what was accepted, and our Close, to the link at once, however busy it is."""
        self.refuse()
        self._drain(at_once=True)

    def drop(self) -> None:
        """Drop all that waits, and let those hear of the end who wait for it."""
        self._release(lambda place: False)

    def end(self) -> None:
        """Take nothing more and send nothing more, not even a Close."""
        self.drop()
        self._close = self._owner = None
        self.queue = OVER
        self._stop()

    # --- inside ---

    def _check(self, frame: Frame) -> None:
        self.check_open()
        if frame._bits & NOT_FINAL and not self._may_fragment:
            raise ValueError(
                "an unfinished message would swallow the next one; send_stream(...) sends a "
                "message in fragments, and web_socket_raw any frame"
            )

    def _put(self, frame: Frame) -> None:
        """Write a frame, or queue it if there is room."""
        limit = self._limit
        if self.is_free:
            self._link.send(frame)
        elif (limit.capacity is None or len(self.queue) < limit.capacity) and (
            limit.max_bytes is None or self._bytes + len(frame.data) <= limit.max_bytes
        ):
            self._enqueue(Turn(frame))
        elif limit.suspends:
            raise asyncio.QueueFull(f"outgoing is full ({limit!r}); await send() instead")
        else:
            assert self._owner is not None  # until the end
            raise self._owner.overflow("outgoing")

    def _send_control(self, frame: Frame) -> None:
        assert self._owner is not None  # until the end
        if isinstance(frame, CloseFrame):
            reason = frame.read_reason()  # a Close without a code is legal
            reason = CloseReason(1005) if reason is None else checked_reason(reason)
            self._owner.start_close(reason)
            return
        self._link.send(frame)
        if isinstance(frame, PingFrame):
            self._owner.pings.passed(frame.data)

    def _enqueue(self, place: Turn) -> None:
        if self.queue is NOBODY:
            self.queue = deque()
        self.queue.append(place)
        self._bytes += place.size

    async def _wait_for(self, place: Turn) -> None:
        """Queue up and wait for the turn."""
        done = place.done = asyncio.get_running_loop().create_future()
        self._enqueue(place)
        try:
            await done
        except BaseException:
            if place in self.queue:
                self.queue.remove(place)
                self._bytes -= place.size
                self._drain()
            raise
        if place.error is not None:
            error, place.error = place.error, None
            try:
                raise error
            finally:
                del error  # which refers to this frame

    def _drain(self, *, at_once: bool = False) -> None:
        """Write what waits, while the link takes it; our Close may pass a busy link too."""
        queue, link = self.queue, self._link
        while queue:
            place = queue[0]
            if place.has_turn or not (link.writable or at_once or place is self._close):
                return
            if place.done is not None and place.done.done():  # cancelled, and does not know yet
                queue.popleft()
                self._bytes -= place.size
                continue
            if place.stays:
                place.has_turn = True
            else:
                queue.popleft()
                self._bytes -= place.size
            if place.frame is not None:
                self._write(place, place.frame)
            if place.done is not None:
                wake(place.done)

    def _write(self, place: Turn, frame: Frame) -> None:
        """Write a frame whose turn has come; what goes wrong is its own affair."""
        if place is self._close:
            self._owed_pong = None
            self._link.watch_leaving(self._look_after_close)
        try:
            self._link.send(frame)
        except BaseException as error:
            if place.done is not None:
                place.error = error
                return
            self._ending.unsent += 1
            told = {"message": f"queued {frame!r} cannot be sent", "exception": error}
            self._home.loop.call_exception_handler(told)
            if not isinstance(error, Exception):
                self._home.loop.call_soon(self._drain)
                raise
        if place is self._close:
            self._link.flush()
            self._look_after_close()

    def _look_after_close(self) -> None:
        """Tell the session, once, that our Close has left."""
        close = self._close
        if close is not None and close.has_turn and not self._has_left and not self._link.unsent:
            self._has_left = True
            if self._owner is not None:
                self._owner.close_has_left()

    def _release(self, keeps: Callable[[Turn], bool]) -> None:
        """Take places out of the queue, and tell those who wait in them."""
        queue = self.queue
        if not queue or queue is OVER:
            return
        is_cut = queue[0].has_begun  # what would follow is of that message
        kept: list[Turn] = []
        gone: list[Turn] = []
        for place in queue:
            (gone if is_cut or not keeps(place) else kept).append(place)
        if not gone:
            return
        queue.clear()
        queue.extend(kept)
        for place in gone:
            self._bytes -= place.size
            self._ending.unsent += place.is_accepted
        for place in gone:
            if place.done is not None and not place.done.done():
                place.error = self.error()
                wake(place.done)

    def _stop(self) -> None:
        self.is_closed = True
        self._make_room()
        while self.on_end:
            self.on_end.pop()()

    async def _wait_for_room(self) -> None:
        """Wait until the link takes frames or the session ends."""
        if self._room is None:
            self._room = OneShot()
        await self._room.wait()

    def _make_room(self) -> None:
        """Wake those who wait for it."""
        if self._room is not None:
            room, self._room = self._room, None
            room.set(None)
