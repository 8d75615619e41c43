"""A real HTTP proxy (CONNECT, absolute form) and a real SOCKS5 proxy, which keep what they saw."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import ipaddress
import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable
from urllib.parse import urlsplit

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class ProxyLog:
    """What a proxy saw."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.heads: list[bytes] = []
        """The head of each request to the proxy itself; for SOCKS the target's bytes."""
        self.tunnelled: list[bytearray] = []
        """Through each tunnel, the bytes from client to server."""


@contextlib.asynccontextmanager
async def http_proxy(
    *,
    credentials: str | None = None,
    answer: bytes | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[ProxyLog, None]:
    """Run an HTTP proxy.

    Args:
        credentials: "user:password" that it insists on.
        answer: what it says to every request instead of doing its work; then it hangs up.
        tls: for an https proxy.
    """
    log = ProxyLog("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        log.heads.append(head)
        method, target, _ = head.split(b" ", 2)
        if answer is not None:
            writer.write(answer)
            return
        if credentials is not None:
            secret = base64.b64encode(credentials.encode())
            if b"proxy-authorization: basic " + secret.lower() not in head.lower():
                writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")
                return
        if method == b"CONNECT":
            host, _, port = target.decode().rpartition(":")
            upstream = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
            await _relay(log, reader, writer, *upstream)
        else:
            parts = urlsplit(target.decode())
            assert parts.hostname, f"neither CONNECT nor absolute form: {head!r}"
            upstream = await asyncio.open_connection(parts.hostname, parts.port or 80)
            upstream[1].write(head.replace(target, parts.path.encode(), 1))
            await _relay(log, reader, writer, *upstream)

    async with _running(serve, log, "https" if tls else "http", credentials, tls):
        yield log


@contextlib.asynccontextmanager
async def socks_proxy(
    *, credentials: str | None = None, reply: int = 0, answer: bytes | None = None
) -> AsyncGenerator[ProxyLog, None]:
    """Run a SOCKS5 proxy (RFC 1928) that resolves every name to 127.0.0.1.

    Args:
        credentials: "user:password" that it insists on (RFC 1929).
        reply: the answer to each CONNECT; 0 is success.
        answer: what it says first of all instead of SOCKS; then it hangs up.
    """
    log = ProxyLog("")

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        version, count = await reader.readexactly(2)
        assert version == 5
        methods = await reader.readexactly(count)
        if answer is not None:
            writer.write(answer)
            return
        if credentials is None:
            writer.write(b"\x05\x00")
        elif 2 not in methods:
            writer.write(b"\x05\xff")
            return
        else:
            writer.write(b"\x05\x02")
            _, size = await reader.readexactly(2)
            user = await reader.readexactly(size)
            (size,) = await reader.readexactly(1)
            password = await reader.readexactly(size)
            good = f"{user.decode()}:{password.decode()}" == credentials
            writer.write(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                return
        assert await reader.readexactly(3) == b"\x05\x01\x00"
        (kind,) = await reader.readexactly(1)
        if kind == 3:
            (size,) = await reader.readexactly(1)
            name = await reader.readexactly(size)
            host = "127.0.0.1"
        else:
            name = await reader.readexactly(4 if kind == 1 else 16)
            host = str(ipaddress.ip_address(name))
        port = await reader.readexactly(2)
        log.heads.append(bytes((kind,)) + name)
        if reply:
            writer.write(bytes((5, reply, 0, 1)) + bytes(6))
            return
        upstream = await asyncio.open_connection(host, int.from_bytes(port, "big"))
        writer.write(b"\x05\x00\x00\x03\x04test\x00\x00")
        await _relay(log, reader, writer, *upstream)

    async with _running(serve, log, "socks5", credentials, None):
        yield log


@contextlib.asynccontextmanager
async def _running(
    serve: Serve,
    log: ProxyLog,
    scheme: str,
    credentials: str | None,
    tls: ssl.SSLContext | None,
) -> AsyncGenerator[None, None]:
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await serve(reader, writer)
                await writer.drain()
        finally:
            writer.close()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            running.discard(task)

    server = await asyncio.start_server(accept, "127.0.0.1", 0, ssl=tls)
    user = "" if credentials is None else f"{credentials}@"
    log.url = f"{scheme}://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield
    finally:
        server.close()
        for task in tuple(running):
            task.cancel()
        if running:
            await asyncio.wait(running)
        await server.wait_closed()


async def _relay(
    log: ProxyLog,
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
    up_reader: asyncio.StreamReader,
    up_writer: asyncio.StreamWriter,
) -> None:
    """Carry bytes both ways until either side ends."""
    seen = bytearray()
    log.tunnelled.append(seen)

    async def up() -> None:
        while data := await reader.read(65536):
            seen.extend(data)
            up_writer.write(data)
            await up_writer.drain()

    async def down() -> None:
        while data := await up_reader.read(65536):
            writer.write(data)
            await writer.drain()

    tasks = {asyncio.ensure_future(up()), asyncio.ensure_future(down())}
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        up_writer.close()
        for task in tasks:
            task.cancel()
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)
            await up_writer.wait_closed()
