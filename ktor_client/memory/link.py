"""Two links joined in memory: what one end sends the other receives, whole messages, no bytes.

For engines without a network. Sessions on both ends keep all their rules; raw sessions, extensions
and faults need bytes, so those get the pipe of `pipe.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ktor_client.frames import (
    NOT_FINAL,
    RSV_MASK,
    BinaryFrame,
    Frame,
    FrameType,
    TextFrame,
    new_binary,
    new_text,
)
from ktor_client.link.contract import Clock, FrameLink, LinkOptions, LinkReceiver
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
        # What is under way to this end.
        self._inbox: list[Frame | Violation | _End] = []
        self._inbox_size = 0
        self._only_data = True
        self._scheduled = False
        self._paused = False
        self._discarding = False
        # This end's sending. `_stepped`: something was handed over since this end last received.
        self._stepped = False
        self._ended = False
        self._is_lost = False
        self._error: Exception | None = None
        self._kind: FrameType | None = None
        self._parts = bytearray()
        self._dropped = 0

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
        self._max_size = options.max_frame_size
        if self._on_start is not None:
            self._on_start()
        if self._is_lost:
            self._loop.call_soon(receiver.lost, self._error)
        elif self._inbox:
            self._check_sizes()
            if isinstance(self._inbox[-1], _End):
                self._schedule()  # no end within this call
            else:
                self._deliver()

    def send(self, frame: Frame) -> None:
        """Take a frame for sending; see `FrameLink.send`."""
        kind = frame.frame_type
        if kind.is_control:
            self._put(frame, len(frame.data), data=False)
            return
        bits = frame._bits
        if bits & RSV_MASK:
            raise ValueError("RSV bits are set by negotiated extensions only (RFC 6455 5.2)")
        if self._kind is None and not bits & NOT_FINAL:
            if isinstance(frame, TextFrame):
                self.send_text(frame.text)
            else:
                self.send_binary(frame.data)
            return
        self._join(frame, kind, fin=not bits & NOT_FINAL)

    def send_text(self, text: str) -> None:
        """Send a whole text message."""
        if self._kind is not None:
            self.send(TextFrame(text))
            return
        size = len(text) if text.isascii() else len(text.encode())
        self._put(new_text(text), size)

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Send a whole binary message; `data` may be reused when this returns."""
        if self._kind is not None:
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
        """Change the limit for messages that are sent to this end from now on."""
        self._max_size = size

    def close(self) -> None:
        """End the connection; what was sent still arrives."""
        self.reset(None)

    def abort(self) -> None:
        """End the connection; what has not arrived is dropped."""
        self._discarding = True
        self.reset(None)

    def reset(self, error: Exception | None) -> None:
        """End the connection; the other end hears of `error`."""
        if self._ended:
            return
        self._end()
        self._loop.call_soon(self._lose, None)  # first, so that whoever ends it knows it first
        peer = self._peer
        peer._inbox.append(_End(error))
        peer._only_data = False
        peer._schedule()

    # --- sending ---

    @property
    def taken(self) -> int:
        """Frames that were sent; see `FrameLink.taken`."""
        return self.frames_sent + self._dropped

    @property
    def left(self) -> tuple[int, int]:
        """Frames that are under way, or have arrived; see `FrameLink.left`."""
        return self.frames_sent, self.frames_sent

    def _put(self, frame: Frame, size: int, *, data: bool = True) -> None:
        if self._ended:
            self._dropped += 1
            return
        self.frames_sent += 1
        self.bytes_sent += size
        peer = self._peer
        inbox = peer._inbox
        receiver = peer._receiver
        if (
            data
            and receiver is not None
            and not (self._stepped or inbox or peer._scheduled or peer._paused or peer._ended)
            and not peer._discarding
            and size <= peer._max_size
        ):
            # The first message is handed over at once: no session is in the midst of a call.
            self._stepped = True
            peer._stepped = False
            peer.frames_received += 1
            peer.bytes_received += size
            receiver.messages.append(frame)
            receiver.arrived(size)
            return
        if data and size > peer._max_size:
            inbox.append(Violation.too_big(size, peer._max_size))
            peer._only_data = False
        else:
            inbox.append(frame)
            if not data:
                peer._only_data = False
        peer._inbox_size += size
        if not peer._scheduled:
            peer._schedule()
        if peer._inbox_size + FRAME_WEIGHT * len(inbox) >= HIGH_WATER:
            self.writable = False

    def _join(self, frame: Frame, kind: FrameType, *, fin: bool) -> None:
        """Keep a fragment until its message is whole: no receiver of whole messages sees it."""
        if self._kind is not None and kind is not self._kind:
            raise ValueError(
                f"a {kind.name} frame cannot continue an unfinished {self._kind.name} message"
            )
        self._kind = kind
        self._parts += frame.data
        if not fin and len(self._parts) <= self._peer._max_size:
            self.frames_sent += 1
            return
        payload, self._parts = bytes(self._parts), bytearray()
        self._kind = None if fin else kind
        if kind is FrameType.BINARY:
            self._put(BinaryFrame(payload), len(payload))
            return
        try:
            self._put(TextFrame(payload.decode()), len(payload))
        except UnicodeDecodeError as error:
            violation = Violation.not_utf8("Text")
            violation.__cause__ = error
            self._peer._inbox.append(violation)
            self._peer._only_data = False
            self._peer._schedule()

    # --- delivering ---

    def _check_sizes(self) -> None:
        """Hold what was sent before the start against the limit, which is known only now."""
        for at, item in enumerate(self._inbox):
            if isinstance(item, TextFrame | BinaryFrame) and len(item.data) > self._max_size:
                self._inbox[at] = Violation.too_big(len(item.data), self._max_size)
                self._only_data = False

    def _schedule(self) -> None:
        if not self._scheduled and not self._paused and self._receiver is not None:
            self._scheduled = True
            self._loop.call_soon(self._deliver)

    def _deliver(self) -> None:
        self._scheduled = False
        receiver = self._receiver
        if self._paused or self._is_lost or receiver is None:
            return
        peer = self._peer
        self._stepped = peer._stepped = False
        inbox, self._inbox = self._inbox, []
        size, self._inbox_size = self._inbox_size, 0
        end: _End | None = None
        if self._only_data and not self._discarding:
            self.frames_received += len(inbox)
            self.bytes_received += size
            receiver.messages.extend(inbox)  # type: ignore[arg-type]  # there are only data frames
            receiver.arrived(size)
        else:
            self._only_data = True
            end = self._sort(receiver, inbox, size)
        if not peer.writable and not peer._ended and not self._inbox:
            peer.writable = True
            if peer._receiver is not None:
                peer._receiver.writable()
        if end is not None:
            self._end()
            self._lose(end.error)

    def _sort(
        self, receiver: LinkReceiver, inbox: list[Frame | Violation | _End], size: int
    ) -> _End | None:
        """Deliver what is not only data; return the end, if it is there."""
        control: list[Frame] = []
        violation: Violation | None = None
        end: _End | None = None
        for item in inbox:
            if isinstance(item, _End):
                end = item
            elif self._discarding or violation is not None:
                continue
            elif isinstance(item, Violation):
                violation = item
            elif item.frame_type.is_control:
                control.append(item)
            else:
                receiver.messages.append(item)
        if self._discarding:
            return end
        self.frames_received += len(inbox) - (end is not None)
        self.bytes_received += size
        for frame in control:
            receiver.control(frame)
        receiver.arrived(size)
        if violation is not None:
            self._discarding = True
            receiver.violated(violation)
        return end

    # --- the end ---

    def _end(self) -> None:
        self._ended = True
        self.writable = False
        self._parts.clear()

    def _lose(self, error: Exception | None) -> None:
        if self._is_lost:
            return
        self._is_lost = True
        self._error = error
        self._inbox.clear()
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
