"""A pair of asyncio transports joined in memory, and WebSockets on them: every byte can be met.

The protocol on both ends is the one of real sockets (`stream.py`), and on the way the settings of
`faults.py` are obeyed. Only a whole message that nothing is before takes a short cut.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ktor_client.frames import Frame, new_binary, new_text
from ktor_client.link.contract import Clock, LinkOptions, LinkReceiver
from ktor_client.link.stream import StreamLink
from ktor_client.memory.faults import Faults, WayFaults
from ktor_client.memory.virtual_clock import VirtualClock
from ktor_client.protocol.encoder import LONG

__all__ = ["MemoryTransport", "PipedLink", "memory_transports", "piped_links"]

KERNEL = 16 * 1024
"""Bytes under way that a kernel would hold: they arrive whatever their writer does then."""
HIGH_WATER = 48 * 1024
LOW_WATER = 0
"""Bytes beyond those that pause the writer, and that let it go on."""
PIECE = 64 * 1024


class _Way:
    """One direction: bytes under way from one transport to the other."""

    def __init__(self, faults: WayFaults, clock: Clock) -> None:
        self.source: MemoryTransport
        self.target: MemoryTransport
        self._faults = faults
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._bytes = bytearray()
        self.arrived = 0
        self._late: list[bytes] = []
        self._due = 0
        self._last_at = 0.0
        self._scheduled = False
        self.high, self.low = HIGH_WATER, LOW_WATER
        self._is_full = False
        self._is_over = False
        self._error: Exception | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._bytes += data
        self.schedule()
        if self.unsent > self.high and not self._is_full:
            self._is_full = True
            self.source.protocol.pause_writing()

    @property
    def unsent(self) -> int:
        """Bytes that wait at the writer's end."""
        return max(0, len(self._bytes) - KERNEL)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is under way, and what is written would arrive as it is, and soon."""
        anything = self._bytes or self._late or self._scheduled or self._is_over
        return not (anything or self._faults.is_set) and self.target.is_reading()

    def drop_unsent(self) -> None:
        """Forget what waits at the writer's end."""
        del self._bytes[KERNEL:]

    def drop_all(self) -> None:
        """Forget what is under way."""
        self._bytes.clear()
        self._late.clear()
        self._due = 0

    def end(self, error: Exception | None) -> None:
        """Let the end follow what is under way."""
        self._is_over = True
        self._error = error
        self.schedule()

    def schedule(self) -> None:
        """Move on in the next step of the loop, if there is anything that may move."""
        anything = self._bytes or self._due or self._is_over
        if anything and not self._scheduled and self.target.is_reading():
            self._loop.call_soon(self._move)
            self._scheduled = True

    def _move(self) -> None:
        self._scheduled = False
        while self._due and self._late and self.target.is_reading():
            self._due -= 1
            self.target.protocol.data_received(self._late.pop(0))
        if not self.target.is_reading():
            return
        if not self._bytes:
            if self._is_over and not self._late:
                self.target.ended(self._error)
            return
        size = min(len(self._bytes), self._faults.split or PIECE)
        limit = self._faults.drop_after
        if limit is not None:
            size = min(size, limit - self.arrived)
        piece = self._bytes[:size]
        del self._bytes[:size]
        for at, flip in self._faults.corrupt.items():
            if self.arrived <= at < self.arrived + size:
                piece[at - self.arrived] ^= flip
        self.arrived += size
        if self._faults.delay or self._late:
            self._send_late(bytes(piece))
        elif size:
            self.target.protocol.data_received(bytes(piece))
        if limit is not None and self.arrived >= limit:
            error = ConnectionResetError("the connection was dropped (engine.faults)")
            if self.source.is_closing():  # and cannot end it once more
                self.target.ended(error)
            else:
                self.source.lose(error)
            return
        if self._is_full and self.unsent <= self.low:
            self._is_full = False
            if not self.source.is_closing():
                self.source.protocol.resume_writing()
        self.schedule()

    def _send_late(self, piece: bytes) -> None:
        now = self._clock.time()
        self._last_at = max(self._last_at, now + self._faults.delay)  # nothing overtakes
        self._late.append(piece)
        if isinstance(self._clock, VirtualClock):
            self._clock.hold()
        self._clock.call_later(self._last_at - now, self._arrive_late)

    def _arrive_late(self) -> None:
        if isinstance(self._clock, VirtualClock):
            self._clock.release()
        self._due += 1
        self.schedule()


class MemoryTransport(asyncio.Transport):
    """One end of the pipe. Reading is paused until a protocol resumes it."""

    def __init__(self, name: str | None = None) -> None:
        super().__init__({"peername": name})
        self.protocol = asyncio.Protocol()
        self._incoming: _Way
        self._outgoing: _Way
        self._loop = asyncio.get_running_loop()
        self._reading = False
        self._closing = False

    # --- what protocols call ---

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give what arrives to another protocol."""
        assert isinstance(protocol, asyncio.Protocol)
        self.protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self.protocol

    def is_closing(self) -> bool:
        return self._closing

    @property
    def is_idle(self) -> bool:
        """Whether what is written now would arrive as it is; see `_Way`."""
        return not self._closing and self._outgoing.is_idle

    def is_reading(self) -> bool:
        return self._reading and not self._closing

    def pause_reading(self) -> None:
        """Take nothing: the other end's writer has to wait once the pipe is full."""
        self._reading = False

    def resume_reading(self) -> None:
        """Take what arrives."""
        self._reading = True
        self._incoming.schedule()

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes to the other end."""
        if not self._closing:
            self._outgoing.write(data)

    def close(self) -> None:
        """End the connection; what was written still arrives."""
        self._finish(None, None)

    def abort(self) -> None:
        """End the connection; what a kernel would have taken still arrives."""
        self._outgoing.drop_unsent()
        self._finish(None, None)

    def get_write_buffer_size(self) -> int:
        """Return the bytes that would not have left yet."""
        return self._outgoing.unsent

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks; see `asyncio.WriteTransport`."""
        way = self._outgoing
        way.high = HIGH_WATER if high is None else high
        way.low = LOW_WATER if low is None else low

    # --- the pipe's own ---

    def passed_by(self, size: int) -> None:
        """Take note of bytes that the other end has got without us."""
        self._outgoing.arrived += size

    def lose(self, error: Exception) -> None:
        """End the connection on both ends, now, with an error."""
        self._outgoing.drop_all()
        self._finish(error, error)

    def reset(self, error: Exception | None) -> None:
        """End the connection; what was written still arrives, and then `error`."""
        self._finish(None, error)

    def ended(self, error: Exception | None) -> None:
        """Take the other end's end."""
        if error is None:
            self.protocol.eof_received()
        self._finish(error, None)

    def _finish(self, own: Exception | None, others: Exception | None) -> None:
        if self._closing:
            return
        self._closing = True
        # First: whoever ends it knows it first.
        self._loop.call_soon(lambda: self.protocol.connection_lost(own))
        self._outgoing.end(others)


def memory_transports(
    faults: Faults | None = None, clock: Clock | None = None, address: str | None = None
) -> tuple[MemoryTransport, MemoryTransport]:
    """Return the client's and the server's end of a pipe."""
    faults = Faults() if faults is None else faults
    clock = asyncio.get_running_loop() if clock is None else clock
    client, server = MemoryTransport(address), MemoryTransport()
    to_server, to_client = _Way(faults.to_server, clock), _Way(faults.to_client, clock)
    to_server.source, to_server.target = client, server
    to_client.source, to_client.target = server, client
    client._outgoing, client._incoming = to_server, to_client
    server._outgoing, server._incoming = to_client, to_server
    return client, server


class PipedLink(StreamLink):
    """A WebSocket on a pipe, with the clock of its engine.

    The first message of a step goes over as it is, at once, where that shows to nobody: made bytes
    and read again it would cost three times as much.
    """

    def __init__(
        self,
        transport: MemoryTransport,
        clock: Clock | None = None,
        address: str | None = None,
    ) -> None:
        self._clock: Clock = asyncio.get_running_loop() if clock is None else clock
        super().__init__(transport)
        self._pipe = transport
        self._address = address
        self._peer: PipedLink | None = None
        self._is_plain = False  # neither extensions nor raw frames
        self._on_start: Callable[[], None] | None = None
        transport.set_protocol(self)

    @property
    def clock(self) -> Clock:
        """The clock that the link was made with."""
        return self._clock

    @property
    def peer_address(self) -> str | None:
        """What the engine calls the other end."""
        return self._address

    def watch(self, on_start: Callable[[], None], on_lost: Callable[[], None]) -> None:
        """Call back when a session starts this end, and once when the end is gone."""

        def lost(_: StreamLink) -> None:
            on_lost()

        self._on_start = on_start
        self._on_lost = lost

    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        """Begin to deliver; see `FrameLink.start`."""
        if self._on_start is not None:
            self._on_start()
        self._is_plain = not (options.raw or options.negotiated.extensions)
        super().start(receiver, options)

    def pause(self) -> None:
        """Take nothing from this moment on: a script that stalls means now."""
        super().pause()
        self._stop_reading()

    def send_text(self, text: str) -> None:
        """Send a whole text message."""
        text = str.__str__(text)  # of a subclass only the characters go over
        size = len(text) if text.isascii() else len(text.encode())
        if not self._passes_on(new_text(text), size):
            super().send_text(text)

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Send a whole binary message; `data` may be reused when this returns."""
        frame = new_binary(bytes(data))
        if not self._passes_on(frame, len(frame.data)):
            super().send_binary(frame.data)

    def _passes_on(self, frame: Frame, size: int) -> bool:
        """Hand a message to the other end, if both are between two messages and nothing waits."""
        peer = self._peer
        if (
            peer is None
            or self._stepped
            or self._scheduled
            or not (self._is_plain and self._pipe.is_idle)
            or self._encoder.in_message
            or not peer._takes(size)
        ):
            return False
        self.home.check()
        self._stepped = True
        on_wire = size + (2 if size < 126 else 4 if size < LONG else 10) + 4 * self._encoder.masked
        self._pipe.passed_by(on_wire)
        self.frames_sent += 1
        self.bytes_sent += on_wire
        peer._took(frame, size, on_wire)
        return True

    def _takes(self, size: int) -> bool:
        decoder = self._decoder
        if decoder is None or self._is_paused or self._discarding or self._rest:
            return False
        return self._is_plain and decoder.is_between_messages and size <= decoder.max_size

    def _took(self, frame: Frame, size: int, on_wire: int) -> None:
        receiver = self._receiver
        assert receiver is not None
        self._stepped = self._scheduled
        self.frames_received += 1
        self.bytes_received += on_wire
        self.received_at = self._time()
        receiver.messages.append(frame)
        receiver.arrived(size)

    def reset(self, error: Exception | None) -> None:
        """End the connection; what was sent still arrives, and then `error`."""
        self.flush()
        self._pipe.reset(error)

    def write_bytes(self, data: bytes) -> None:
        """Write bytes of one's own, which no codec has checked."""
        self.flush()
        self._pipe.write(data)


def piped_links(
    faults: Faults,
    *,
    clock: Clock | None = None,
    address: str | None = None,
) -> tuple[PipedLink, PipedLink]:
    """Return the client's end and the server's end of a new connection, on a byte pipe.

    Args:
        faults: what is to go wrong on the way.
        clock: for deadlines and delays; the running loop unless given.
        address: what the client calls the server.
    """
    ends = memory_transports(faults, clock, address)
    client, server = PipedLink(ends[0], clock, address), PipedLink(ends[1], clock)
    client._peer, server._peer = server, client
    return client, server
