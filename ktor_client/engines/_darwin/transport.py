"""An asyncio transport on an `nw_connection`: reading, writing, their backpressure, and the end.

Everything here runs on the event loop. TLS is below: bytes come and go in clear.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from ktor_client.engines._darwin.bridge import CANCELLED, FAILED, READY, WAITING, Bridge, Line
from ktor_client.engines._darwin.errors import is_worth_waiting
from ktor_client.link.contract import LINGER

__all__ = ["AppleTransport"]

READ_SIZE = 256 * 1024
"""Bytes that one callback brings at most, and so what is read beyond a pause."""
WINDOW = 256 * 1024
"""Bytes that Apple's stack is given at a time: its part is that of a socket's buffer in the kernel.
What is in there counts as gone; the rest waits here."""
HIGH_WATER = 64 * 1024
"""Bytes that wait here to be sent, from which on the protocol is to pause, as asyncio has it."""
GRACE = 0.1
"""Seconds for what the stack was given, when a connection is dropped."""


class AppleTransport(asyncio.Transport):
    """A connection of Apple's as asyncio's protocols know connections.

    At most one receive is under way, so a protocol that pauses holds the peer back. The end is told
    when Apple says that the connection is gone, and not before.
    """

    def __init__(
        self, bridge: Bridge, host: str, port: int, configure_tls: Callable[[int], object] | None
    ) -> None:
        """Begin to connect; `opened` waits for that. Raises what `Bridge.open` raises."""
        super().__init__()
        self._loop = asyncio.get_running_loop()
        self._protocol: asyncio.Protocol | None = None
        self._opened: asyncio.Future[None] | None = self._loop.create_future()
        self.waits_for: OSError | None = None
        """Why there is no network at the moment."""
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._is_closed = self._is_dropped = False  # by us
        self._error: OSError | None = None  # that it broke by
        # Reading: what waits while the protocol pauses, and the end behind it.
        self._incoming: deque[bytes] = deque()
        self._is_paused = False
        self._is_receiving = False
        self._is_at_end = False
        self._is_delivering = False
        # Writing: what waits here, and how much the stack has and has not told of yet.
        self._outgoing: deque[memoryview] = deque()
        self._unsent = 0
        self._given = 0
        self._is_congested = False
        self.set_write_buffer_limits()
        self._patience: asyncio.TimerHandle | None = None
        self._line: Line = bridge.open(host, port, configure_tls, self)

    async def opened(self) -> None:
        """Return when it is connected. Once.

        Raises:
            OSError: no connection was made.
        """
        assert self._opened is not None
        try:
            await self._opened
        finally:
            self._opened = None  # its error has this frame, and so refers to us

    def begin(self, protocol: asyncio.BaseProtocol) -> None:
        """Give an open connection to its first protocol, and read.

        Raises:
            OSError: it is lost already.
        """
        if self.is_closing():
            raise self._error or ConnectionResetError("the connection is lost")
        self.set_protocol(protocol)
        protocol.connection_made(self)
        self._receive()

    async def drop(self) -> None:
        """Drop a connection that may not be made yet, and return when it is gone."""
        self._is_closed = True
        self._line.cancel(force=True)
        await asyncio.shield(self._gone)

    # --- asyncio's transport ---

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """Return what is known: the peer, a look for what has come, and what is left unread."""
        if name == "peername":
            return self._line.peer or default
        if name == "poll":
            return self._poll
        if name == "leftover":
            return Leftover(self._incoming) if self._incoming else default
        return default

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Give the connection to another protocol, which takes bytes by `data_received`."""
        assert isinstance(protocol, asyncio.Protocol)
        self._protocol = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None
        return self._protocol

    def is_closing(self) -> bool:
        return self._is_closed or self._error is not None or self._gone.done()

    def is_reading(self) -> bool:
        return not (self._is_paused or self.is_closing())

    def pause_reading(self) -> None:
        """Deliver no more; what is under way is kept."""
        self._is_paused = True

    def resume_reading(self) -> None:
        """Deliver again, from the next step on."""
        self._is_paused = False
        if not self._is_delivering:
            self._loop.call_soon(self._go_on_delivering)
            self._is_delivering = True

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Set the marks; `low` is a quarter of `high` unless given."""
        if high is None:
            high = HIGH_WATER if low is None else 4 * low
        low = high // 4 if low is None else low
        if not high >= low >= 0:
            raise ValueError(f"high ({high}) must be at least low ({low}), and that at least 0")
        self._high, self._low = high, low
        self._look_at_marks()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        """Return how many bytes Apple's stack has not been given yet."""
        return self._unsent

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send bytes; behind the end they are thrown away, as asyncio does."""
        if not data or self.is_closing():
            return
        self._outgoing.append(memoryview(bytes(data)))
        self._unsent += len(self._outgoing[-1])
        self._send_more()

    def can_write_eof(self) -> bool:
        return False  # nobody here closes by halves, and TLS cannot

    def close(self) -> None:
        """Close the connection once everything written was taken."""
        if not self.is_closing():
            self._is_closed = True
            self._incoming.clear()
            self._close_if_sent()

    def abort(self) -> None:
        """Drop the connection, what waits here, and what was not read.

        What the stack was given has a moment, as what is in the kernel has.
        """
        if not self._gone.done():
            self._is_closed = self._is_dropped = True
            self._incoming.clear()
            self._outgoing.clear()
            self._unsent = 0
            self._force_in(GRACE)
            self._close_if_sent()

    # --- told by the line ---

    def state_changed(self, state: int, error: OSError | None) -> None:
        if state == CANCELLED:
            self._lost()
        elif state == READY:
            if self._opened is not None and not self._opened.done():
                self._opened.set_result(None)
        elif state == FAILED or (state == WAITING and not is_worth_waiting(error)):
            self._break(error or ConnectionAbortedError("the connection failed"))
        elif state == WAITING:
            self.waits_for = error

    def received(self, data: bytes, is_complete: bool, error: OSError | None) -> None:
        self._is_receiving = False
        self._is_at_end = is_complete or error is not None
        if self._is_closed:
            return
        if data:
            self._incoming.append(data)
            self._deliver()
        if error is not None:
            self._break(error)
        self._go_on_reading()

    def sent(self, size: int, error: OSError | None) -> None:
        if error is not None:
            self._break(error)
            return
        self._given -= size
        self._send_more()
        if self._is_closed:
            self._close_if_sent()

    # --- inside ---

    def _poll(self, timeout: int) -> Sequence[object]:
        """Return whether something has come that the loop has not been told yet."""
        return self._line.unheard or self._incoming

    def _receive(self) -> None:
        if not (self._is_receiving or self._line.is_cancelled):
            self._is_receiving = True
            self._line.receive(READ_SIZE)

    def _go_on_delivering(self) -> None:
        self._is_delivering = False
        self._deliver()
        self._go_on_reading()

    def _deliver(self) -> None:
        """Give the protocol what it takes."""
        while (protocol := self._protocol) and self._incoming and not self._is_paused:
            try:
                protocol.data_received(self._incoming.popleft())
            except Exception as error:
                self._loop.call_exception_handler(
                    {
                        "message": "Fatal error: protocol.data_received() call failed.",
                        "exception": error,
                        "transport": self,
                        "protocol": protocol,
                    }
                )
                self.abort()

    def _go_on_reading(self) -> None:
        """Read, unless the protocol pauses; a connection that broke is read to its end anyway."""
        if self._is_closed:
            pass
        elif self._error is not None:
            if self._is_at_end:
                self._line.cancel(force=True)
            else:
                self._receive()
        elif not (self._is_paused or self._incoming):
            if self._is_at_end:
                self._end()
            else:
                self._receive()

    def _end(self) -> None:
        """Tell the protocol that the peer has ended, and close unless it wants to go on."""
        protocol = self._protocol
        assert protocol is not None
        if not protocol.eof_received():
            self.close()

    def _send_more(self) -> None:
        """Give the stack what it has room for."""
        while self._outgoing and self._given < WINDOW:
            piece = self._outgoing.popleft()
            room = WINDOW - self._given
            if len(piece) > room:
                self._outgoing.appendleft(piece[room:])
                piece = piece[:room]
            self._given += len(piece)
            self._unsent -= len(piece)
            self._line.send(bytes(piece))
        self._look_at_marks()

    def _look_at_marks(self) -> None:
        is_congested = self._unsent > (self._low if self._is_congested else self._high)
        if self._is_dropped:
            pass  # what was dropped has not left, so nobody may go on as if it had
        elif is_congested != self._is_congested and self._protocol is not None:
            self._is_congested = is_congested
            if is_congested:
                self._protocol.pause_writing()
            else:
                self._protocol.resume_writing()

    def _break(self, error: OSError) -> None:
        """Send nothing more; read what the peer had sent before, then go.

        A reset that answers something of ours must not destroy what lies unread before it.
        """
        if self._error is not None:
            return
        self._error = error
        if self._opened is not None and not self._opened.done():
            self._opened.set_exception(error)
        if self._protocol is None or self._is_closed:
            self._line.cancel(force=True)
        else:
            self._force_in(LINGER)
            self._go_on_reading()

    def _close_if_sent(self) -> None:
        """End the connection as a peer expects it; by a reset where that takes too long."""
        if not (self._unsent or self._given):
            self._line.cancel()
            self._force_in(LINGER)

    def _force_in(self, delay: float) -> None:
        """Reset the connection after a time, unless that is due already."""
        if self._patience is None:
            drop = partial(self._line.cancel, force=True)
            self._patience = self._loop.call_later(delay, drop)

    def _lost(self) -> None:
        """Tell that the connection is gone."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None
        self._line.end()
        protocol, self._protocol = self._protocol, None
        self._gone.set_result(None)
        if protocol is not None:
            protocol.connection_lost(self._error)


class Leftover:
    """What had come before a connection broke, and was not taken: read like a socket."""

    def __init__(self, pieces: deque[bytes]) -> None:
        self._pieces = pieces

    def recv(self, size: int) -> bytes:
        """Return at most `size` bytes; b"" is the end."""
        if not self._pieces:
            return b""
        piece = self._pieces.popleft()
        if len(piece) > size:
            self._pieces.appendleft(piece[size:])
        return piece[:size]

    def close(self) -> None:
        """Throw the rest away."""
        self._pieces.clear()
