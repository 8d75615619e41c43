"""Routes of the echo server that break rules on purpose, so that clients can show how they cope.

A route's docstring is its line in `GET /`.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import CloseFrame, PingFrame, PongFrame
from ktor_client.http.headers import is_token
from ktor_client.session import WebSocketSession
from ktor_client.testing.exchange import OPTIONS, Refusal, Response

if TYPE_CHECKING:
    from ktor_client.testing.exchange import Exchange

__all__ = ["ROUTES"]

STALL_LIMIT = 60.0
"""Seconds after which a stalled session reads on by itself."""


async def handshake(exchange: Exchange) -> Response | None:
    """?NAME=VALUE: accept, with that header in the answer; an empty value leaves it out; echo."""
    rewrite = dict(exchange.query)
    for name in ("id", *OPTIONS):
        rewrite.pop(name, None)
    for name in rewrite:
        if not is_token(name):
            raise Refusal(400, f"{name!r} is not a header name")
    async with exchange.accept(None, **rewrite) as session:
        async for frame in session.incoming:
            await session.send(frame)
    return None


async def wire(exchange: Exchange) -> Response | None:
    """?hex=[&end=yes]: write those bytes behind the 101; then end, or keep frames until a Close."""
    data = exchange.octets("hex")
    async with exchange.accept_raw() as session:
        exchange.stream.transport.write(data)
        if exchange.query.get("end") == "yes":
            exchange.stream.close()
        await _keep(exchange, session)
        if data[-4:-2] == b"\x88\x02":  # they ended with a Close; browsers forbid a second one
            exchange.stream.close()
    return None


async def silent(exchange: Exchange) -> Response | None:
    """Read, and answer nothing: no pong, no Close; keep each frame for /recorded."""
    async with exchange.accept_raw() as session:
        await _listen(exchange, session)
    return None


async def _listen(exchange: Exchange, session: WebSocketSession) -> None:
    await _keep(exchange, session)
    await session.wait_closed()


async def _keep(exchange: Exchange, session: WebSocketSession) -> None:
    found = exchange.server.sessions.get(exchange.query.get("id", ""))
    with contextlib.suppress(ConnectionClosedError):  # a Close, whatever its code
        async for frame in session.incoming:
            if found is not None:
                found.keep(frame)


async def wrong_pong(exchange: Exchange) -> Response | None:
    """Answer each ping with a pong that has another payload, and say "answered wrongly"."""
    async with exchange.accept_raw() as session:
        async for frame in session.incoming:
            if isinstance(frame, PingFrame):
                await session.send(PongFrame(b"not " + frame.data[:100]))
                await session.send("answered wrongly")
    return None


async def last_words(exchange: Exchange) -> Response | None:
    """[n=1]: on Close, send n texts before the Close that answers."""
    async with exchange.accept_raw() as session:
        async for frame in session.incoming:
            if isinstance(frame, CloseFrame):
                for i in range(exchange.number("n", 1, 1000)):
                    await session.send(f"last word {i}")
    return None


async def hang_up(exchange: Exchange) -> Response | None:
    """[how=fin|reset]: end the connection without an answer, also to a handshake."""
    _end(exchange)
    return None


async def stalled(exchange: Exchange) -> Response | None:
    """?id=: do not read until GET /release?id=; then echo."""
    if "id" not in exchange.query:
        raise Refusal(400, "a stalled session needs an id")
    async with exchange.accept() as session:
        found = exchange.server.sessions.get(exchange.query["id"])
        assert found is not None
        exchange.stream.transport.pause_reading()
        try:
            async with asyncio.timeout(STALL_LIMIT):
                await found.released.wait()
        except TimeoutError:
            pass
        exchange.stream.transport.resume_reading()
        async for frame in session.incoming:
            await session.send(frame)
    return None


async def stream(exchange: Exchange) -> Response | None:
    """[size=1000][&ping=yes]: send messages without end, whatever the client says, Close too."""
    message = b"x" * exchange.number("size", 1000, 1 << 24)
    async with exchange.accept_raw() as session:
        while True:  # until the connection is lost: ConnectionClosedError
            await session.send(message)
            if exchange.query.get("ping") == "yes":
                await session.send(PingFrame(b"stream"))


async def drop(exchange: Exchange) -> Response | None:
    """[after=0][&how=fin|reset][&hex=]: echo that many messages, write bytes, end without Close.

    Over HTTP: end without an answer.
    """
    after, data = exchange.number("after", 0), exchange.octets("hex")
    if not exchange.is_web_socket:
        _end(exchange)
        return None
    async with exchange.accept() as session:
        for _ in range(after):
            await session.send(await session.incoming.receive())
        exchange.stream.transport.write(data)
        _end(exchange)
        await session.wait_closed()
    return None


def _end(exchange: Exchange) -> None:
    transport = exchange.take().transport
    if exchange.query.get("how") != "reset":
        transport.close()
        return
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is not None and found.family != socket.AF_UNIX:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()


async def silence(exchange: Exchange) -> Response | None:
    """Never answer the request, or the handshake."""
    await exchange.take().wait_lost()
    return None


async def garbage(exchange: Exchange) -> Response | None:
    """[hex=]: answer something that is not HTTP."""
    answer = exchange.octets("hex") or b"this is not HTTP\r\n\r\n"
    await exchange.take().write(answer)
    return None


async def big_head(exchange: Exchange) -> Response | None:
    """[size=1000]: answer with a field X-Big of that size."""
    return Response(200, "big", headers={"X-Big": "x" * exchange.number("size", 1000, 1 << 20)})


async def truncated(exchange: Exchange) -> Response | None:
    """Promise 100 bytes, send 10, end."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"
    await exchange.take().write(head + b"0123456789")
    return None


async def data_after_close(exchange: Exchange) -> Response | None:
    """Send a Close with [code=1000], then a text behind it, which nobody may deliver."""
    payload = exchange.number("code", 1000, 65535).to_bytes(2, "big")
    async with exchange.accept_raw() as session:
        transport = exchange.stream.transport
        transport.write(b"\x81\x06before\x88\x02" + payload + b"\x81\x05after")
        async for _ in session.incoming:
            pass
        transport.close()
        await session.wait_closed()
    return None


ROUTES: dict[str, Callable[[Exchange], Awaitable[Response | None]]] = {
    "/handshake": handshake,
    "/wire": wire,
    "/silent": silent,
    "/stalled": stalled,
    "/stream": stream,
    "/drop": drop,
    "/hang-up": hang_up,
    "/last-words": last_words,
    "/wrong-pong": wrong_pong,
    "/silence": silence,
    "/garbage": garbage,
    "/big-head": big_head,
    "/truncated": truncated,
    "/data-after-close": data_after_close,
}
