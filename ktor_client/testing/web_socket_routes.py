"""Well-behaved WebSocket routes of the echo server, those of Ktor's test server among them.

A route's docstring is its line in `GET /`. Peers that break rules are in `hostile_routes.py`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TYPE_CHECKING

from ktor_client.frames import BinaryFrame, CloseFrame, CloseReason, PingFrame, PongFrame, TextFrame
from ktor_client.session import DefaultWebSocketSession, WebSocketSession
from ktor_client.testing.exchange import Refusal
from ktor_client.testing.http_routes import check_bearer

if TYPE_CHECKING:
    from ktor_client.testing.exchange import Exchange, Response

__all__ = ["ROUTES", "close_as_asked", "echo"]


async def echo(exchange: Exchange) -> Response | None:
    """Return each message, also the last before a Close; choose the first subprotocol offered."""
    async with exchange.accept() as session:
        await _echo(session)
    return None


async def _echo(session: DefaultWebSocketSession) -> None:
    core = session._core
    core.answers_close = False
    try:
        async for frame in session.incoming:
            await session.send(frame)
    finally:
        if core.ending.received is not None:
            core.start_close(core.ending.received)


async def receive_backpressure(exchange: Exchange) -> Response | None:
    """Send "Hello 0" to "Hello 1000" without reading, then close."""
    async with exchange.accept() as session:
        for i in range(1001):
            await session.send(f"Hello {i}")
    return None


async def headers(exchange: Exchange) -> Response | None:
    """Send the request's headers as JSON, name to list of values; over HTTP too."""
    table = {name: exchange.headers.get_all(name) for name in exchange.headers}
    if not exchange.is_web_socket:
        from ktor_client.testing.exchange import Response

        return Response.json(table)
    async with exchange.accept() as session:
        await session.send(json.dumps(table))
    return None


async def close(exchange: Exchange) -> Response | None:
    """Close 1000 "End" on the message "End"; with [code=][&reason=] close at once; code=none."""
    exchange.query.setdefault("deflate", "off")  # a raw session would see "End" compressed
    async with exchange.accept_raw() as session:
        if "code" in exchange.query:
            await close_as_asked(exchange, session)
            return None
        async for frame in session.incoming:
            if isinstance(frame, TextFrame) and frame.read_text() == "End":
                await session.close(CloseReason(CloseReason.Codes.NORMAL, "End"))
    return None


async def close_as_asked(exchange: Exchange, session: WebSocketSession) -> None:
    """Close with `code` and `reason` of the query; `code=none` is a Close without code."""
    if exchange.query.get("code", "1000") == "none":
        await session.send(CloseFrame())
        await session.wait_closed()
        return
    try:
        await session.close(
            CloseReason(exchange.number("code", 1000, 65535), exchange.query.get("reason", ""))
        )
    except ValueError:
        await session.close(CloseReason(CloseReason.Codes.INTERNAL_ERROR, "illegal code or reason"))


async def echo_query(exchange: Exchange) -> Response | None:
    """?param=: send its value."""
    async with exchange.accept() as session:
        await session.send(exchange.query.get("param", ""))
    return None


async def count_pong(exchange: Exchange) -> Response | None:
    """Send one ping, count pongs, answer a text with the count."""
    pongs = 0
    async with exchange.accept_raw() as session:
        await session.send(PingFrame(b"ping"))
        async for frame in session.incoming:
            if isinstance(frame, PongFrame):
                pongs += 1
            elif isinstance(frame, TextFrame):
                await session.send(str(pongs))
    return None


async def count_ping(exchange: Exchange) -> Response | None:
    """Answer pings, and send the payload of each as a text, in hexadecimal."""
    async with exchange.accept_raw() as session:
        async for frame in session.incoming:
            if isinstance(frame, PingFrame):
                await session.send(PongFrame(frame.data))
                await session.send(frame.data.hex())
    return None


async def ping(exchange: Exchange) -> Response | None:
    """[n=1]: ping n times, then send "pong: are you there" and wait for the end."""
    count = exchange.number("n", 1, 10_000)
    async with exchange.accept() as session:
        for i in range(count):
            await session.ping(b"are you there" if i + 1 == count else b"")
        await session.send("pong: are you there")
        await session.wait_closed()
    return None


async def sub_protocol(exchange: Exchange) -> Response | None:
    """Needs subprotocol test-protocol; echo."""
    if exchange.is_web_socket and "test-protocol" not in exchange.offered:
        raise Refusal(400, "this route needs the subprotocol test-protocol")
    async with exchange.accept("test-protocol") as session:
        await _echo(session)
    return None


async def text(exchange: Exchange) -> Response | None:
    """?size=N: send one text of N times "x"."""
    size = exchange.number("size", 0, 1 << 28)
    async with exchange.accept() as session:
        await session.send("x" * size)
    return None


async def authorized(exchange: Exchange) -> Response | None:
    """Needs Authorization: Bearer valid; send "Hello from server"."""
    check_bearer(exchange)
    async with exchange.accept() as session:
        await session.send("Hello from server")
    return None


async def count(exchange: Exchange) -> Response | None:
    """[n=10]: send "0" to "n-1", then close 1000 "done"."""
    async with exchange.accept() as session:
        for i in range(exchange.number("n", 10)):
            await session.send(str(i))
        await session.close(CloseReason(CloseReason.Codes.NORMAL, "done"))
    return None


async def send(exchange: Exchange) -> Response | None:
    """[n=1][&size=100][&type=text|binary][&code=]: send n messages, then close, or echo on."""
    size = exchange.number("size", 100, 1 << 28)
    message: str | bytes = "x" * size if exchange.query.get("type") != "binary" else b"x" * size
    async with exchange.accept() as session:
        for _ in range(exchange.number("n", 1)):
            await session.send(message)
        if "code" in exchange.query:
            await close_as_asked(exchange, session)
        else:
            await _echo(session)
    return None


async def fragments(exchange: Exchange) -> Response | None:
    """[n=3][&size=4][&type=text|binary][&ping=yes]: one message in n fragments, then echo."""
    count, size = exchange.number("n", 3, 1 << 20), exchange.number("size", 4, 1 << 24)
    fragment = BinaryFrame if exchange.query.get("type") == "binary" else TextFrame
    async with exchange.accept() as session:

        async def chunks() -> AsyncIterator[bytes]:
            for i in range(count):
                if exchange.query.get("ping") == "yes" and i:
                    await session.send(PingFrame(b"between %d" % i))
                yield bytes([ord("a") + i % 26]) * size

        if fragment is BinaryFrame:
            await session.send_stream(chunks())
        else:
            await session.send_stream(_decoded(chunks()))
        await _echo(session)
    return None


async def _decoded(chunks: AsyncIterator[bytes]) -> AsyncIterator[str]:
    async for chunk in chunks:
        yield chunk.decode()


async def record(exchange: Exchange) -> Response | None:
    """?id=: keep each frame that comes, for /session and /recorded; answer as a session does."""
    async with exchange.accept() as session:
        found = exchange.server.sessions.get(exchange.query.get("id", ""))
        async for frame in session.incoming:
            if found is not None:
                found.keep(frame)
    return None


ROUTES: dict[str, Callable[[Exchange], Awaitable[Response | None]]] = {
    "/echo": echo,
    "/receive-backpressure": receive_backpressure,
    "/headers": headers,
    "/close": close,
    "/echo-query": echo_query,
    "/count-pong": count_pong,
    "/count-ping": count_ping,
    "/ping": ping,
    "/sub-protocol": sub_protocol,
    "/text": text,
    "/auth/websocket": authorized,
    "/count": count,
    "/send": send,
    "/fragments": fragments,
    "/record": record,
}
