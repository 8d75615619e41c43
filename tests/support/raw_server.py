"""A server that does exactly what a script says, byte by byte: the hostile peer of the suite.

It shares no code with the package, so that a mistake there cannot hide here.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import socket
import ssl
import struct
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


def frame(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = None,
    length: bytes | None = None,
) -> bytes:
    """Build any frame, legal or not; `length` replaces the second byte and what extends it."""
    first = (0x80 if fin else 0) | rsv | opcode
    bit = 0x80 if mask is not None else 0
    size = len(payload)
    if length is None:
        if size < 126:
            length = bytes([bit | size])
        elif size < 65536:
            length = bytes([bit | 126]) + struct.pack("!H", size)
        else:
            length = bytes([bit | 127]) + struct.pack("!Q", size)
    if mask is not None:
        payload = mask + bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
    return bytes([first]) + length + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Build a Close."""
    return frame(CLOSE, struct.pack("!H", code) + reason.encode())


class Peer:
    """The server's side of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.request = b""
        self.headers: dict[str, str] = {}

    async def read_request(self) -> None:
        """Read the request's head."""
        self.request = await self.reader.readuntil(b"\r\n\r\n")
        for line in self.request.decode("latin-1").split("\r\n")[1:]:
            name, _, value = line.partition(":")
            if name:
                self.headers[name.lower()] = value.strip()

    @property
    def accept(self) -> str:
        """What answers the key of the request."""
        key = self.headers.get("sec-websocket-key", "")
        return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()

    def switch(self, *extra: str, trailing: bytes = b"") -> bytes:
        """Return a correct 101 with extra header lines, and bytes right behind it."""
        lines = [
            "HTTP/1.1 101 Switching Protocols",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Accept: {self.accept}",
            *extra,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + trailing

    async def upgrade(self, *extra: str, trailing: bytes = b"") -> None:
        """Read the request and answer it with a correct 101."""
        await self.read_request()
        await self.send(self.switch(*extra, trailing=trailing))

    async def send(self, *data: bytes) -> None:
        """Write bytes. Raises `OSError` once the client has left, on every loop."""
        if self.writer.is_closing():
            raise ConnectionResetError("the client has left")
        self.writer.write(b"".join(data))
        await self.writer.drain()

    async def read_frame(self) -> tuple[int, bytes]:
        """Read one frame of the client: first byte, unmasked payload. Insists on a mask."""
        head = await self.reader.readexactly(2)
        assert head[1] & 0x80, "the client did not mask"
        size = head[1] & 0x7F
        if size == 126:
            (size,) = struct.unpack("!H", await self.reader.readexactly(2))
        elif size == 127:
            (size,) = struct.unpack("!Q", await self.reader.readexactly(8))
        mask = await self.reader.readexactly(4)
        payload = await self.reader.readexactly(size)
        key = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        return head[0], plain.to_bytes(size, "big")

    async def read_close(self) -> tuple[int | None, str]:
        """Read frames until a Close; return its code (None if empty) and reason."""
        while True:
            first, payload = await self.read_frame()
            if first & 0x0F == CLOSE:
                if not payload:
                    return None, ""
                return struct.unpack("!H", payload[:2])[0], payload[2:].decode()

    async def read_eof(self) -> bytes:
        """Read until the client ends the connection; return what came."""
        return await self.reader.read()

    def reset(self) -> None:
        """End the connection with a TCP reset."""
        sock: socket.socket = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


class RawServer:
    """Where the server is, and how its scripts ended."""

    def __init__(self, port: int, scheme: str) -> None:
        self.port = port
        self.url = f"{scheme}://127.0.0.1:{port}/"
        self.failures: list[BaseException] = []
        self.finished = asyncio.Event()


@contextlib.asynccontextmanager
async def raw_server(
    script: Script, *, tls: ssl.SSLContext | None = None, path: str | None = None
) -> AsyncGenerator[RawServer, None]:
    """Run `script` for each connection, on a Unix socket if there is a `path`.

    What fails in a script fails the test.
    """
    running: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await script(Peer(reader, writer))
        except asyncio.CancelledError:
            pass  # the test is over
        except BaseException as error:
            info.failures.append(error)
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            running.discard(task)
            info.finished.set()

    options: Any = {} if tls is None else {"ssl": tls, "ssl_handshake_timeout": 60.0}
    if path is None:
        server = await asyncio.start_server(serve, "127.0.0.1", 0, **options)
    else:
        server = await asyncio.start_unix_server(serve, path, **options)
    port = server.sockets[0].getsockname()[1] if path is None else 80
    info = RawServer(port, "wss" if tls else "ws")
    try:
        yield info
    finally:
        server.close()
        for _ in range(5):  # a connection that was just accepted has no task yet
            await asyncio.sleep(0)
        while running:
            for task in running:
                task.cancel()
            await asyncio.wait(running)
        await server.wait_closed()
    if info.failures:
        raise info.failures[0]
