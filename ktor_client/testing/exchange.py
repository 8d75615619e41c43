"""One request to the echo server, and its answer: HTTP/1.1, or a session after the 101.

What routes see. Sockets and connections are the server's, in `server.py`.
"""

from __future__ import annotations

import binascii
import json
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ktor_client.channels import Channels
from ktor_client.errors import UnsafeHeaderError
from ktor_client.http import Headers
from ktor_client.http.body import opened
from ktor_client.http.headers import HeadersBuilder
from ktor_client.http1 import is_bodiless
from ktor_client.link import StreamLink
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.extensions import format_extension, parse_extensions
from ktor_client.protocol.handshake import Negotiated, accept_for
from ktor_client.session import DefaultWebSocketSession, SessionCore, WebSocketSession

if TYPE_CHECKING:
    from ktor_client.testing.server import EchoServer
    from ktor_client.testing.wire import ServerStream

__all__ = ["Exchange", "Refusal", "Response"]

MAX_BODY = 64 * 1024 * 1024
"""Bytes of a request body that are read into memory."""
MAX_FRAME_SIZE = 64 * 1024 * 1024
ECHO_CLOSE_TIMEOUT = 5.0
OPTIONS = ("close_timeout", "deflate", "max_frame_size", "ping_interval", "timeout")
"""Query parameters that every WebSocket route takes."""


class Response:
    """What a route answers."""

    def __init__(
        self,
        status: int = 200,
        body: str | bytes | AsyncIterable[bytes] = b"",
        *,
        headers: Mapping[str, str] | Sequence[tuple[str, str]] = (),
        content_type: str = "text/plain; charset=utf-8",
    ) -> None:
        """Hold the answer; an iterable body is sent in chunks."""
        self.status = status
        self.body = body.encode() if isinstance(body, str) else body
        self.headers = HeadersBuilder(headers)
        self.content_type = content_type

    @staticmethod
    def json(value: object, status: int = 200) -> Response:
        """Return an answer that holds `value` as JSON."""
        return Response(status, json.dumps(value), content_type="application/json")


class Refusal(Exception):  # a route's early answer, not a failure of the server
    """Raised by a route to refuse a request with another answer."""

    def __init__(self, status: int, text: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(text)
        self.response = Response(status, text, headers=headers or {})


class Exchange:
    """A request, and the ways to answer it: return a `Response`, or `accept()` a session."""

    def __init__(
        self, server: EchoServer, stream: ServerStream, method: str, target: str, headers: Headers
    ) -> None:
        parts = urlsplit(target)
        self.server = server
        self.stream = stream
        self.method = method
        self.target = target
        self.path = unquote(parts.path)
        self.headers = headers
        self.parameters = parse_qsl(parts.query, keep_blank_values=True)
        self.query: dict[str, str] = dict(reversed(self.parameters))
        """Query parameters; of a repeated one the first."""
        self.is_taken = False
        """Whether the connection speaks HTTP no more, so that the server leaves it to the route."""
        self._chunks: AsyncIterator[bytes] | None = None

    # --- the request ---

    def number(self, name: str, default: int, most: int = 1 << 30) -> int:
        """Return a query parameter as a number, at most `most`."""
        text = self.query.get(name)
        if text is None:
            return default
        if not (text.isascii() and text.isdigit() and int(text) <= most):
            raise Refusal(400, f"{name} is a number up to {most}, not {text!r}")
        return int(text)

    def seconds(self, name: str) -> float | None:
        """Return a query parameter as positive seconds, or None."""
        text = self.query.get(name)
        try:
            value = None if text is None else float(text)
        except ValueError:
            value = -1.0
        if value is not None and not 0 < value < 1e6:
            raise Refusal(400, f"{name} is a number of seconds, not {text!r}")
        return value

    def octets(self, name: str) -> bytes:
        """Return a query parameter that holds bytes in hexadecimal; none are empty."""
        try:
            return bytes.fromhex(self.query.get(name, ""))
        except ValueError:
            raise Refusal(400, f"{name} is hexadecimal") from None

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the request's body as it comes, or what is left of it."""
        if self._chunks is None:
            self._chunks = self.stream.body(self.headers)
        async for chunk in self._chunks:
            yield chunk

    async def body(self) -> bytes:
        """Read the request's body, at most 64 MiB."""
        data = bytearray()
        async for chunk in self.chunks():
            data += chunk
            if len(data) > MAX_BODY:
                raise Refusal(413, f"a body has at most {MAX_BODY} bytes here")
        return bytes(data)

    # --- the answer over HTTP ---

    async def respond(self, response: Response, *, keep_alive: bool) -> None:
        """Send a response. Routes return theirs instead."""
        body = response.body
        headers = response.headers
        if not is_bodiless("GET", response.status):  # HEAD is told of the body that it does not get
            headers.set("Content-Type", headers.get("content-type", response.content_type))
            if isinstance(body, bytes):
                headers.set("Content-Length", str(len(body)))
            else:
                headers.set("Transfer-Encoding", "chunked")
        headers.set("Connection", "keep-alive" if keep_alive else "close")
        head = _head(response.status, headers)
        if is_bodiless(self.method, response.status):
            await self.stream.write(head)
        elif isinstance(body, bytes):
            await self.stream.write(head + body)
        else:
            await self.stream.write(head)
            async with opened(body) as pieces:
                async for chunk in pieces:
                    if chunk:
                        await self.stream.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))
            await self.stream.write(b"0\r\n\r\n")

    def take(self) -> ServerStream:
        """Take the connection to write raw bytes; it is closed when the route returns."""
        self.is_taken = True
        return self.stream

    # --- the answer with a WebSocket ---

    @property
    def is_web_socket(self) -> bool:
        """Whether the request asks for a WebSocket."""
        return "websocket" in _tokens(self.headers.get("upgrade", ""))

    @property
    def offered(self) -> list[str]:
        """Subprotocols that the client offers."""
        return _list(self.headers.get("sec-websocket-protocol", ""))

    @asynccontextmanager
    async def accept(
        self, subprotocol: str | None = "*", **rewrite: str
    ) -> AsyncGenerator[DefaultWebSocketSession]:
        """Answer 101; `async with exchange.accept() as session` gives a default session.

        Keepalive, limits and deflate are as the query says: `ping_interval=0.1`, `timeout=1`,
        `close_timeout=1`, `max_frame_size=1000`, `deflate=off|no-context|9`.

        Args:
            subprotocol: the one to choose, "*" for the first that is offered, None for none.
            rewrite: headers of the answer to replace, or to leave out by "".

        Raises:
            Refusal: the request is not a legal handshake.
        """
        core = await self._upgrade(subprotocol, rewrite, raw=False)
        async with DefaultWebSocketSession(core) as session:
            yield session

    @asynccontextmanager
    async def accept_raw(
        self, subprotocol: str | None = "*", **rewrite: str
    ) -> AsyncGenerator[WebSocketSession]:
        """Answer 101 with a raw session, which answers nothing by itself."""
        core = await self._upgrade(subprotocol, rewrite, raw=True)
        async with WebSocketSession(core) as session:
            yield session

    async def _upgrade(
        self, subprotocol: str | None, rewrite: Mapping[str, str], *, raw: bool
    ) -> SessionCore:
        key = self._checked_key()
        negotiated = self._negotiate(subprotocol)
        options: dict[str, Any] = {
            "max_frame_size": self.number("max_frame_size", MAX_FRAME_SIZE),
            "ping_interval": self.seconds("ping_interval"),
            "timeout": self.seconds("timeout"),
            "close_timeout": self.seconds("close_timeout") or ECHO_CLOSE_TIMEOUT,
        }
        headers = HeadersBuilder(
            [
                ("Upgrade", "websocket"),
                ("Connection", "Upgrade"),
                ("Sec-WebSocket-Accept", accept_for(key)),
            ]
        )
        if negotiated.subprotocol is not None:
            headers.add("Sec-WebSocket-Protocol", negotiated.subprotocol)
        if negotiated.descriptions:
            headers.add("Sec-WebSocket-Extensions", ", ".join(negotiated.descriptions))
        try:
            for name, value in rewrite.items():
                headers.remove(name)
                if value:
                    headers.add(name, value)
        except UnsafeHeaderError as error:
            raise Refusal(400, str(error)) from None
        stream = self.stream
        self.is_taken = stream.is_session = True
        stream.transport.write(_head(101, headers))
        link = StreamLink(
            stream.transport, stream.take_leading(), on_lost=lambda _: stream.connection_lost(None)
        )
        stream.transport.set_protocol(link)
        core = SessionCore(
            link,
            channels=Channels(),
            negotiated=negotiated,
            raw=raw,
            client=False,
            **options,
        )
        self.server.sessions.add(core, self.query.get("id"))
        return core

    def _checked_key(self) -> str:
        """Check the handshake (RFC 6455 4.2.1)."""
        if not self.is_web_socket:
            raise Refusal(426, "this route speaks WebSocket", {"Upgrade": "websocket"})
        if self.method != "GET":
            raise Refusal(405, "a handshake is a GET", {"Allow": "GET"})
        if "upgrade" not in _tokens(self.headers.get("connection", "")):
            raise Refusal(400, "a handshake has Connection: Upgrade")
        if self.headers.get("sec-websocket-version") != "13":
            raise Refusal(
                426,
                "this server speaks version 13",
                {"Upgrade": "websocket", "Sec-WebSocket-Version": "13"},
            )
        key = self.headers.get("sec-websocket-key", "")
        try:
            if len(binascii.a2b_base64(key, strict_mode=True)) != 16:
                raise ValueError
        except ValueError:
            raise Refusal(400, "Sec-WebSocket-Key is not 16 bytes in base64") from None
        return key

    def _negotiate(self, subprotocol: str | None) -> Negotiated:
        if subprotocol == "*":
            subprotocol = self.offered[0] if self.offered else None
        deflate = self._deflate()
        if deflate is None:
            return Negotiated(subprotocol)
        try:
            offers = parse_extensions(", ".join(self.headers.get_all("sec-websocket-extensions")))
        except ValueError as error:
            raise Refusal(400, str(error)) from None
        for name, parameters in offers:
            agreed = deflate.agree(parameters) if name == deflate.name else None
            if agreed is not None:
                description = format_extension(name, agreed[0])
                return Negotiated(subprotocol, (deflate,), (agreed[1],), (description,))
        return Negotiated(subprotocol)

    def _deflate(self) -> WebSocketDeflate | None:
        how = self.query.get("deflate", "15")
        if how == "off":
            return None
        if how == "no-context":
            return WebSocketDeflate(
                server_no_context_takeover=True, client_no_context_takeover=True
            )
        bits = self.number("deflate", 15)
        if not 8 <= bits <= 15:
            raise Refusal(400, "deflate is off, no-context, or window bits 8..15")
        return WebSocketDeflate(server_max_window_bits=bits, client_max_window_bits=bits)


def _head(status: int, headers: Headers) -> bytes:
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unassigned"
    lines = [f"HTTP/1.1 {status} {phrase}", *(f"{n}: {v}" for n, v in headers.fields()), "", ""]
    return "\r\n".join(lines).encode("latin-1")


def _list(value: str) -> list[str]:
    return [item.strip() for item in value.split(",") if item.strip()]


def _tokens(value: str) -> list[str]:
    return [item.lower() for item in _list(value)]
