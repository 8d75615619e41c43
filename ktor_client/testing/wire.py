"""HTTP/1.1 as the echo server reads it: heads, bodies with a length or in chunks (RFC 9112)."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Coroutine
from itertools import count
from typing import Any

from ktor_client.engine.socket_stream import SocketStream
from ktor_client.http import Headers

__all__ = ["BadRequestError", "ServerStream"]

MAX_HEAD = 64 * 1024
READ_SIZE = 64 * 1024
_LINE = 8 * 1024
_TLS_HANDSHAKE = b"\x16"
"""What a TLS ClientHello begins with (RFC 8446 5.1)."""


class BadRequestError(Exception):
    """What came is not HTTP/1.1."""


class ServerStream(SocketStream):
    """An accepted connection."""

    _serials = count(1)

    is_session = False
    """Whether a WebSocket session has the transport, and ends it."""

    def __init__(self, on_made: Callable[[ServerStream], None]) -> None:
        super().__init__()
        self.serial = next(self._serials)
        """Its number among all connections of this process."""
        self._on_made = on_made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the transport and tell the server, which begins to read."""
        super().connection_made(transport)
        self.transport.pause_reading()  # TLS, if any, must see the first byte
        self._on_made(self)

    async def begin(self, context: ssl.SSLContext | None) -> None:
        """Begin to read; with a context, do the TLS handshake as the server.

        Raises:
            ssl.SSLError, OSError: there will be no connection.
        """
        if context is None:
            self.transport.resume_reading()
            return
        try:
            self._raise_if_closing()  # else a loop would make a transport that nobody closes
            handshake = self._loop.start_tls(self.transport, self, context, server_side=True)
            early = self.take_leading()
            transport = await (self._feed(handshake, early) if early else handshake)
            if transport is None:
                raise ConnectionResetError("the connection ended during the TLS handshake")
        except BaseException:
            self.abort()
            self.connection_lost(None)  # asyncio tells nobody when a handshake is cut off
            raise
        self._transport = transport

    def close(self) -> None:
        """Close once everything written has left; asyncio's TLS can bear only one such call."""
        if not self.transport.is_closing():
            self.transport.close()

    async def _feed(
        self, handshake: Coroutine[Any, Any, asyncio.Transport | None], early: bytes
    ) -> asyncio.Transport | None:
        """Give a TLS handshake the bytes that uvloop has read before it could be told to wait."""
        task = self._loop.create_task(handshake)
        try:
            for _ in range(2):  # the handshake's protocol is set, and then told of the connection
                await asyncio.sleep(0)
            self._raise_if_closing()
            protocol: Any = self.transport.get_protocol()  # a buffered one, in both loops
            while early:
                room = protocol.get_buffer(len(early))
                size = min(len(room), len(early))
                room[:size] = early[:size]
                protocol.buffer_updated(size)
                early = early[size:]
            return await task
        finally:
            task.cancel()  # nothing, once it is done
            await asyncio.gather(task, return_exceptions=True)

    def _raise_if_closing(self) -> None:
        if self.transport.is_closing():
            raise ConnectionResetError("the connection ended before the TLS handshake")

    def take_leading(self) -> bytes:
        """Return the bytes that are here and not read."""
        data = bytes(self._buffer)
        self._buffer.clear()
        return data

    async def wait_lost(self) -> None:
        """Wait until the connection is gone."""
        await asyncio.shield(self._gone)

    async def head(self) -> tuple[str, str, str, Headers]:
        """Read a request's head: method, target, version, headers.

        Raises:
            EOFError: the client has ended the connection.
            BadRequestError: something else than a request came.
        """
        await self._fill(1)
        if self._buffer[:1] == _TLS_HANDSHAKE:  # it would wait for an answer, and we for a line
            raise BadRequestError("this port speaks no TLS")
        text = (await self.read_until(b"\r\n\r\n", MAX_HEAD)).decode("latin-1")
        first, *lines = text[:-4].split("\r\n")
        parts = first.split(" ")
        if len(parts) != 3 or parts[2] not in ("HTTP/1.1", "HTTP/1.0"):
            raise BadRequestError(f"not a request line: {first[:80]!r}")
        fields: list[tuple[str, str]] = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip():
                raise BadRequestError(f"not a header line: {line[:80]!r}")
            fields.append((name, value.strip(" \t")))
        headers = Headers(fields)
        if parts[2] == "HTTP/1.1" and len(headers.get_all("host")) != 1:
            raise BadRequestError("exactly one Host header is needed")
        return parts[0], parts[1], parts[2], headers

    async def body(self, headers: Headers) -> AsyncIterator[bytes]:
        """Yield the body that `headers` announce.

        Raises:
            EOFError: the client has ended the connection.
            BadRequestError: the length is none, or chunks are damaged.
        """
        length = headers.get("content-length", "0")
        chunked = headers.get("transfer-encoding", "").lower() == "chunked"
        if headers.get("expect", "").lower() == "100-continue" and (chunked or length != "0"):
            await self.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if chunked:
            async for chunk in self._chunked():
                yield chunk
        elif length.isascii() and length.isdigit():
            async for chunk in self._exactly(int(length)):
                yield chunk
        else:
            raise BadRequestError(f"Content-Length is {length!r}")

    async def _exactly(self, size: int) -> AsyncIterator[bytes]:
        while size:
            chunk = await self.read(min(size, READ_SIZE))
            if not chunk:
                raise EOFError
            size -= len(chunk)
            yield chunk

    async def _chunked(self) -> AsyncIterator[bytes]:
        while True:
            line = (await self.read_until(b"\r\n", _LINE)).partition(b";")[0].strip()
            try:
                size = int(line, 16)
            except ValueError:
                raise BadRequestError(f"not a chunk's size: {line[:20]!r}") from None
            if not size:
                break
            async for chunk in self._exactly(size):
                yield chunk
            if await self.read_exactly(2) != b"\r\n":
                raise BadRequestError("a chunk is longer than it said")
        while await self.read_until(b"\r\n", _LINE) != b"\r\n":
            pass  # trailers
