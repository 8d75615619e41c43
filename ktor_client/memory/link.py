"""Two links joined in memory: what one end sends the other receives, whole messages, no bytes.

For engines without a network. Sessions on both ends keep all their rules; raw sessions, extensions
and faults need bytes, so those get the pipe of `pipe.py`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from ktor_client.frames import (
    BinaryFrame,
    CloseFrame,
    Frame,
    FrameType,
    TextFrame,
    new_binary,
    new_text,
)
from ktor_client.link.contract import Clock, FrameLink, LinkOptions, LinkReceiver
from ktor_client.protocol.encoder import SendingOrder
from ktor_client.protocol.message import OpenMessage
from ktor_client.protocol.violation import Violation

__all__ = ["MemoryLink", "memory_links"]

HIGH_WATER = 64 * 1024
"""Bytes under way above which the sender has to wait; about what a socket's buffers hold."""
FRAME_WEIGHT = 16
"""Bytes that a frame counts beyond its payload."""


class _End:
    """The last thing that arrives: the other end is gone."""

    __slots__ = ("error",)

    def __init__(self, error: Exception | None) -> None:
        self.error = error


class MemoryLink(FrameLink):
    """One end. `bytes_sent` and `bytes_received` count payloads."""

    def __init__(
        self,
        clock: Clock | None = None,
        peer_address: str | None = None,
    ) -> None:
        """Make an end that is not joined yet; `memory_links` makes two that are."""
        self._loop = asyncio.get_running_loop()
        self._clock: Clock = self._loop if clock is None else clock
        self._peer_address = peer_address
        self._on_start: Callable[[], None] | None = None
        self._on_lost: Callable[[], None] | None = None
        self._peer: MemoryLink = self
        self._receiver: LinkReceiver | None = None
        self._max_size = 1 << 62
        self._max_fragments = 1
        # What is under way to this end.
        self._inbox: list[Frame | _End] = []
        self._inbox_size = 0
        self._only_messages = True  # whole ones, none of which is beyond the limit
        self._message: OpenMessage | None = None
        self._scheduled = False
        self._paused = False
        self._discarding = False
        # This end's sending. `_stepped`: something was handed over since this end last received.
        self._stepped = False
        self._ended = False
        self._is_lost = False
        self._error: Exception | None = None
        self._order = SendingOrder()
        self._dropped = 0
        self._close_is_under_way = False
        self._on_left: Callable[[], object] | None = None

    @property
    def clock(self) -> Clock:
        """The clock that the link was made with."""
        return self._clock

    @property
    def peer_address(self) -> str | None:
        """What the engine calls the other end."""
        return self._peer_address

    def watch(self, on_start: Callable[[], None], on_lost: Callable[[], None]) -> None:
        """Call back when a session starts this end, and once when the end is gone."""
        self._on_start = on_start
        self._on_lost = on_lost

    # --- the session's calls ---

    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        """Begin to deliver; see `FrameLink.start`."""
        assert not options.raw, "raw sessions need a pipe"
        assert not options.negotiated.extensions, "extensions need a pipe"
        self._receiver = receiver
        self.set_max_frame_size(options.max_frame_size)
        self._max_fragments = options.max_fragments
        if self._on_start is not None:
            self._on_start()
        if self._is_lost:
            self._loop.call_soon(receiver.lost, self._error)
        elif self._inbox:
            if isinstance(self._inbox[-1], _End):
                self._schedule()  # no end within this call
            else:
                self._deliver()

    def send(self, frame: Frame) -> None:
        """Take a frame for sending; see `FrameLink.send`."""
        self._order.check(frame)
        is_message = not (frame._bits or self._order.unfinished or frame.frame_type.is_control)
        self._order.passed(frame)
        self._close_is_under_way = frame.frame_type is FrameType.CLOSE
        self._put(frame, len(frame.data), is_message=is_message)

    def send_text(self, text: str) -> None:
        """Send a whole text message."""
        self.home.check()
        if self._order.unfinished is not None:
            self.send(TextFrame(text))
            return
        size = len(text) if text.isascii() else len(text.encode())
        self._put(new_text(text), size)

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Send a whole binary message; `data` may be reused when this returns."""
        self.home.check()
        if self._order.unfinished is not None:
            self.send(BinaryFrame(data))
            return
        frame = new_binary(data if type(data) is bytes else bytes(data))
        self._put(frame, len(frame.data))

    def pause(self) -> None:
        """Deliver nothing; the other end has to wait once the marks are reached."""
        self._paused = True

    def resume(self) -> None:
        """Deliver again, soon."""
        self._paused = False
        if self._inbox:
            self._schedule()

    def discard(self) -> None:
        """Deliver nothing any more but the end."""
        self._discarding = True
        self.resume()

    def set_max_frame_size(self, size: int) -> None:
        """Change the limit for messages that have not arrived yet."""
        self._max_size = size
        self._only_messages = False  # what is under way is looked at again

    def close(self) -> None:
        """End the connection; what was sent still arrives."""
        self.reset(None)

    def abort(self) -> None:
        """End the connection; what has not arrived is dropped."""
        self._discarding = True
        if self.home.is_closed:
            self._end()
            self._lose(None)  # the loop will not say it any more
        else:
            self.reset(None)

    def reset(self, error: Exception | None) -> None:
        """End the connection; the other end hears of `error`."""
        if self._ended:
            return
        self._end()
        self._loop.call_soon(self._lose, None)  # first, so that whoever ends it knows it first
        peer = self._peer
        peer._inbox.append(_End(error))
        peer._only_messages = False
        peer._schedule()

    # --- sending ---

    @property
    def taken(self) -> int:
        """Frames that were sent; see `FrameLink.taken`."""
        return self.frames_sent + self._dropped

    @property
    def left(self) -> tuple[int, int]:
        """Frames that are under way or have arrived, a Close surely when it has arrived."""
        return self.frames_sent - self._close_is_under_way, self.frames_sent

    def watch_leaving(self, callback: Callable[[], object]) -> None:
        """Call back when a Close has arrived; see `FrameLink.watch_leaving`."""
        self._on_left = callback

    def _put(self, frame: Frame, size: int, *, is_message: bool = True) -> None:
        if self._ended:
            self._dropped += 1
            return
        self.frames_sent += 1
        self.bytes_sent += size
        peer = self._peer
        inbox = peer._inbox
        receiver = peer._receiver
        is_message = is_message and size <= peer._max_size
        if (
            is_message
            and receiver is not None
            and not (self._stepped or inbox or peer._scheduled or peer._paused or peer._ended)
            and not peer._discarding
        ):
            # The first message is handed over at once: no session is in the midst of a call.
            self._stepped = True
            peer._stepped = False
            peer.frames_received += 1
            peer.bytes_received += size
            peer.received_at = peer._clock.time()
            receiver.messages.append(frame)
            receiver.arrived(size)
            return
        inbox.append(frame)
        if not is_message:
            peer._only_messages = False
        peer._inbox_size += size
        if not peer._scheduled:
            peer._schedule()
        if peer._inbox_size + FRAME_WEIGHT * len(inbox) >= HIGH_WATER:
            self.writable = False

    # --- delivering ---

    def _schedule(self) -> None:
        if not self._scheduled and not self._paused and self._receiver is not None:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        receiver = self._receiver
        if self._paused or self._is_lost or receiver is None:
            return
        self.received_at = self._clock.time()
        peer = self._peer
        self._stepped = peer._stepped = False
        inbox, self._inbox = self._inbox, []
        size, self._inbox_size = self._inbox_size, 0
        end: _End | None = None
        if self._only_messages and not self._discarding:
            self.frames_received += len(inbox)
            self.bytes_received += size
            receiver.messages.extend(inbox)  # type: ignore[arg-type]  # there are only data frames
            receiver.arrived(size)
        else:
            self._only_messages = True
            end = self._sort(receiver, inbox, size)
        if not peer.writable and not peer._ended and not self._inbox:
            peer.writable = True
            if peer._receiver is not None:
                peer._receiver.writable()
        if peer._close_is_under_way:
            peer._close_is_under_way = False
            if peer._on_left is not None:
                peer._on_left()
        if end is not None:
            self._end()
            self._lose(end.error)

    def _sort(self, receiver: LinkReceiver, inbox: list[Frame | _End], size: int) -> _End | None:
        """Deliver what is not only whole messages; return the end, if it is there."""
        last = inbox[-1] if inbox else None
        end = last if isinstance(last, _End) else None
        if self._discarding:
            return end
        messages = receiver.messages
        before = len(messages)
        control: list[Frame] = []
        violation: Violation | None = None
        try:
            for frame in inbox:
                if isinstance(frame, _End):
                    break
                if frame.frame_type.is_control:
                    control.append(frame)
                    if isinstance(frame, CloseFrame):
                        self.is_cut_off = self._message is not None
                        break
                else:
                    self._take(frame, messages)
        except (Violation, MemoryError) as error:
            violation = Violation.of(error)
            self._discarding = True
        self.frames_received += len(messages) - before + len(control)
        self.bytes_received += size
        for frame in control:
            receiver.control(frame)
        receiver.arrived(size)
        if violation is not None:
            receiver.violated(violation)
        return end

    def _take(self, frame: Frame, messages: deque[Frame]) -> None:
        """Take a data frame, as `FrameDecoder` does: its size first."""
        begun = self._message
        message = OpenMessage(frame.frame_type) if begun is None else begun
        message.expect(len(frame.data), self._max_size, self._max_fragments)
        message.frames += 1
        if begun is None and frame.fin:
            messages.append(frame)
            return
        self._message = message
        whole = message.add(frame.data, self._max_size, fin=frame.fin)
        if whole is not None:
            self._message = None
            messages.append(whole)

    # --- the end ---

    def _end(self) -> None:
        self._ended = True
        self.writable = False

    def _lose(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self._error = error
        self._on_left = None
        self._inbox.clear()
        self._message = None
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            on_lost()
        if self._receiver is not None:
            self._receiver.lost(error)

    def __repr__(self) -> str:
        state: Any = "lost" if self._is_lost else "ended" if self._ended else "open"
        return f"<MemoryLink {state}, {len(self._inbox)} under way>"


def memory_links(
    *,
    clock: Clock | None = None,
    address: str | None = None,
) -> tuple[MemoryLink, MemoryLink]:
    """Return the client's end and the server's end of a new connection.

    Args:
        clock: for deadlines of both ends; the running loop unless given.
        address: what the client calls the server.
    """
    client = MemoryLink(clock, address)
    server = MemoryLink(clock)
    client._peer, server._peer = server, client
    return client, server
