"""A connection that can be read, written, and given away: before, or without, a library's protocol.

It owns its transport until `detach`. Which host, which proxy and whether TLS is the dialer's.
"""

from __future__ import annotations

import asyncio
import ssl
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

from ktor_client.engine.readable import ended_in_full, rest_of
from ktor_client.engine.silence import Silence

if TYPE_CHECKING:
    from ktor_client.engine.deadlines import Deadline

__all__ = ["HANDSHAKE_LIMIT", "SocketStream"]

HANDSHAKE_LIMIT = 86_400.0
"""Seconds that asyncio gives a TLS handshake: a day, for `connect_timeout` is the limit."""

_HIGH_WATER = 256 * 1024
"""Bytes that may wait for a reader before the socket is no longer read."""


class SocketStream(asyncio.Protocol):
    """Bytes in and out of an asyncio transport. One task reads, one writes."""

    where: str = ""
    """What it is connected to, for messages."""

    deadline: Deadline | None = None
    """When `connect_timeout` is over."""

    ended_in_full: bool = False
    """Whether the end of what can be read is the peer's word."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None
        self._reader: asyncio.Future[None] | None = None
        self._writer: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._congested = False
        self._ended = False
        self._error: Exception | None = None
        self._detached = False
        self._heir: weakref.ref[asyncio.BaseProtocol] | None = None
        self._silence: Silence | None = None

    @property
    def transport(self) -> asyncio.Transport:
        """The transport; after `start_tls` the one with TLS."""
        assert self._transport is not None
        return self._transport

    @property
    def is_readable(self) -> bool:
        """Whether a read would return at once: with bytes, or because of the end."""
        return bool(self._buffer) or self._ended

    @property
    def has_unread(self) -> bool:
        """Whether bytes are here that nobody has read."""
        return bool(self._buffer)

    @property
    def is_lost(self) -> bool:
        """Whether the transport is gone."""
        return self._gone.done()

    def detach(self) -> None:
        """Read without waiting from now on, and close nothing: the transport is about to go."""
        self._detached = True
        self._end_silence()

    async def read(self, size: int, limit: float | None = None) -> bytes:
        """Read at most `size` bytes; b"" is the end. `limit` is for seconds without a byte.

        Raises:
            OSError: the connection broke.
            TimeoutError: no byte went either way for so long.
        """
        if not self._detached:
            await self._fill(1, limit)
        data = bytes(self._buffer[:size])
        self._consume(len(data))
        return data

    async def read_exactly(self, size: int) -> bytes:
        """Read `size` bytes.

        Raises:
            EOFError: the connection ended before.
        """
        while len(self._buffer) < size:
            if self._ended:
                raise EOFError
            await self._fill(len(self._buffer) + 1)
        data = bytes(self._buffer[:size])
        self._consume(size)
        return data

    async def read_until(self, mark: bytes, limit: int) -> bytes:
        """Read up to and with `mark`.

        Raises:
            EOFError: the connection ended before.
            OverflowError: the mark is not within `limit` bytes.
        """
        while (at := self._buffer.find(mark, 0, limit)) < 0:
            if len(self._buffer) > limit:
                raise OverflowError
            if self._ended:
                raise EOFError
            await self._fill(len(self._buffer) + 1)
        return await self.read_exactly(at + len(mark))

    def take(self) -> bytes:
        """Return what is here, and nobody has read."""
        data = bytes(self._buffer)
        self._consume(len(data))
        return data

    async def write(
        self, data: bytes, limit: float | None = None, is_moot: Callable[[], bool] | None = None
    ) -> None:
        """Write, and wait while the transport is above its mark; see `read`.

        `is_moot` is asked at first and whenever bytes have come, and ends the wait. So does the
        peer's end.

        Raises:
            OSError: the connection broke or is closed.
            TimeoutError: no byte went either way for `limit` seconds.
        """
        if self._gone.done() or self.transport.is_closing():
            raise self._error or ConnectionResetError("the connection is closed")
        self.transport.write(data)
        while self._congested and not (self._ended or (is_moot is not None and is_moot())):
            self._writer = self._loop.create_future()
            await self._wait(self._writer, limit)
        if self._error is not None:
            raise self._error

    async def start_tls(self, context: ssl.SSLContext, host: str) -> None:
        """Begin TLS as the client.

        Raises:
            ssl.SSLError: the handshake failed, or bytes came before it.
            OSError: the connection broke.
        """
        if self._buffer:
            raise ssl.SSLError(ssl.SSL_ERROR_SSL, "the peer sent bytes before TLS began")
        transport = await self._loop.start_tls(
            self.transport,
            self,
            context,
            server_hostname=host,
            ssl_handshake_timeout=HANDSHAKE_LIMIT,
        )
        if transport is None:
            raise ConnectionResetError("the connection ended during the TLS handshake")
        self._transport = transport

    def abort(self) -> None:
        """Drop the connection."""
        if not (self._transport is None or self._detached or self.is_lost):
            self._transport.abort()

    async def aclose(self) -> None:
        """Drop the connection and return when it is gone; nothing once it is detached.

        Nothing either when the loop is closed: it will not say when the connection is gone.
        """
        if not self._detached and not self._loop.is_closed():
            self.abort()
            await asyncio.shield(self._gone)

    def hand_over(self, heir: asyncio.BaseProtocol) -> None:
        """Give the transport to another protocol, which hears of the connection's end."""
        self._detached = True
        self._end_silence()
        self._heir = weakref.ref(heir)
        if self.is_lost:
            heir.connection_lost(self._error)
        else:
            self.transport.set_protocol(heir)

    async def _fill(self, size: int, limit: float | None = None) -> None:
        """Wait until `size` bytes are here, or the end."""
        while len(self._buffer) < size and not self._ended:
            self._reader = self._loop.create_future()
            await self._wait(self._reader, limit)
        if self._error is not None and not self._buffer:
            raise self._error

    async def _wait(self, waiter: asyncio.Future[None], limit: float | None) -> None:
        if limit is None:
            await waiter
            return
        if self._silence is None:
            self._silence = Silence(self._unsent, lambda: False, self._was_silent)
        self._silence.begin(limit)
        try:
            await waiter
        finally:
            self._silence.end()

    def _unsent(self) -> int:
        return self.transport.get_write_buffer_size()

    def _was_silent(self, limit: float) -> None:
        for waiter in (self._reader, self._writer):
            if waiter is not None and not waiter.done():
                waiter.set_exception(TimeoutError())

    def _end_silence(self) -> None:
        if self._silence is not None:
            self._silence.close()

    def _consume(self, size: int) -> None:
        above = len(self._buffer) >= _HIGH_WATER
        del self._buffer[:size]
        if above and len(self._buffer) < _HIGH_WATER and not self._ended:
            self.transport.resume_reading()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Keep bytes for the reader; above the mark, stop reading."""
        self._buffer += data
        if len(self._buffer) >= _HIGH_WATER:
            self.transport.pause_reading()
        _wake(self._reader)
        _wake(self._writer)

    def eof_received(self) -> None:
        """Take note of the end, and let the transport close."""
        self._ended = True
        self.ended_in_full = ended_in_full(self.transport)
        _wake(self._reader)
        _wake(self._writer)

    def connection_lost(self, exc: Exception | None) -> None:
        """Take note that the connection is gone; tell who has it now."""
        if self._transport is not None and not self._ended:
            for data in rest_of(self._transport, exc):
                self._buffer += data
        self._ended = True
        self._error = exc
        self._congested = False
        self._end_silence()
        _wake(self._gone)
        _wake(self._reader)
        _wake(self._writer)
        heir = None if self._heir is None else self._heir()
        if heir is not None:
            heir.connection_lost(exc)

    def pause_writing(self) -> None:
        """Make writers wait."""
        self._congested = True

    def resume_writing(self) -> None:
        """Let writers go on."""
        self._congested = False
        _wake(self._writer)


def _wake(waiter: asyncio.Future[None] | None) -> None:
    if waiter is not None and not waiter.done():
        waiter.set_result(None)
