"""The well-behaved routes of the echo server as an ASGI app: so `TestEngine` takes the battery.

The app's side of a WebSocket is a session on a link whose other end is `receive` and `send`. What
ASGI has no words for (raw frames, pings, headers of the 101, wrong bytes) skips the check.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

from ktor_client.channels import Channels
from ktor_client.engines._asgi import TestEngine
from ktor_client.engines._asgi.scope import Event, Receive, Scope, Send
from ktor_client.frames import BinaryFrame, CloseFrame, CloseReason, Frame, TextFrame
from ktor_client.http import Headers, HeadersBuilder
from ktor_client.http.body import opened
from ktor_client.link import FrameLink, LinkOptions, LinkReceiver
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.handshake import Negotiated
from ktor_client.session import SessionCore
from ktor_client.testing.conformance import SkippedCheck
from ktor_client.testing.exchange import (
    ECHO_CLOSE_TIMEOUT,
    MAX_FRAME_SIZE,
    Exchange,
    Refusal,
    Response,
)
from ktor_client.testing.server import EchoServer

__all__ = ["EchoApp", "echo_app"]

UNSPEAKABLE = ("ping_interval", "timeout", "max_frame_size", "close_timeout", "hex", "deflate")
"""Query parameters that ask for what an ASGI app cannot do."""
KNOWN_HOSTS = ("127.0.0.1", "localhost")
OUT_OF_REACH = (
    "/ping",
    "/stalled",
    "/drop",
    "/hang-up",
    "/silence",
    "/garbage",
    "/truncated",
    "/serial",
)


def _cannot(what: str) -> SkippedCheck:
    return SkippedCheck(f"an ASGI app has no part in it: {what}")


def echo_app(server: EchoServer) -> TestEngine:
    """Return an engine whose app has the routes of a server that listens nowhere."""
    return TestEngine(
        EchoApp(server),
        lifespan=False,
        extensions=[WebSocketDeflate()],
        max_frame_size=MAX_FRAME_SIZE,
    )


class EchoApp:
    """`TestEngine(EchoApp(EchoServer()))`; it raises `SkippedCheck` for what is out of reach."""

    def __init__(self, server: EchoServer) -> None:
        self._server = server

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            raise NotImplementedError("no lifespan here")
        exchange = AppExchange(self._server, scope, receive, send)
        host = exchange.headers["host"].partition(":")[0]
        try:
            if exchange.path.removeprefix("/websockets") in OUT_OF_REACH:
                raise _cannot(f"the route {exchange.path}")
            if host not in KNOWN_HOSTS:
                raise _cannot("names that do not resolve")
            response = await self._server.answer(exchange)
        except Refusal as refusal:
            response = refusal.response
        except OSError:
            return  # the client left; our ConnectionClosedError too
        finally:
            if exchange.link is not None:
                await exchange.link.finish()
        if response is not None:
            await exchange.answer(response)


class AppExchange(Exchange):
    """An exchange told in ASGI's events."""

    def __init__(self, server: EchoServer, scope: Scope, receive: Receive, send: Send) -> None:
        fields = [(name.decode(), value.decode()) for name, value in scope["headers"]]
        query = scope["query_string"].decode()
        target = scope["raw_path"].decode() + (f"?{query}" if query else "")
        stream: Any = None  # routes that ask for it are out of reach
        super().__init__(server, stream, scope.get("method", "GET"), target, Headers(fields))
        self.link: AppLink | None = None
        self._scope = scope
        self._receive = receive
        self._send = send
        self._has_body = scope["type"] == "http"

    async def answer(self, response: Response) -> None:
        """Send a response; to a handshake, a denial."""
        kind = "http" if self._scope["type"] == "http" else "websocket.http"
        headers = HeadersBuilder(response.headers)
        headers.set("Content-Type", headers.get("content-type", response.content_type))
        body = response.body
        if isinstance(body, bytes):
            headers.set("Content-Length", str(len(body)))
        fields = [(name.encode(), value.encode()) for name, value in headers.fields()]
        start = {"type": f"{kind}.response.start", "status": response.status, "headers": fields}
        await self._send(start)
        if not isinstance(body, bytes):
            async with opened(body) as pieces:
                async for chunk in pieces:
                    piece = {"type": f"{kind}.response.body", "body": chunk, "more_body": True}
                    await self._send(piece)
            body = b""
        await self._send({"type": f"{kind}.response.body", "body": body})

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the request's body."""
        while self._has_body:
            event = await self._receive()
            self._has_body = event.get("more_body", False)
            if event["type"] == "http.request":
                yield event["body"]

    async def _upgrade(
        self, subprotocol: str | None, rewrite: Mapping[str, str], *, raw: bool
    ) -> SessionCore:
        if self.path.removeprefix("/websockets") == "/close":  # raw on the wire, a close event here
            del self.query["deflate"]
            if self.query.get("code") == "none":
                raise _cannot("a Close without a code")
        elif raw:
            raise _cannot("frames of its own")
        if rewrite:
            raise _cannot("headers of the 101 that are the server's")
        for name in UNSPEAKABLE:
            if name in self.query:
                raise _cannot(name)
        self._checked_key()
        if subprotocol == "*":
            subprotocol = self.offered[0] if self.offered else None
        self.is_taken = True
        self.link = AppLink(self._receive, self._send, subprotocol)
        core = SessionCore(
            self.link,
            channels=Channels(),
            max_frame_size=1 << 30,
            close_timeout=ECHO_CLOSE_TIMEOUT,
            negotiated=Negotiated(subprotocol),
            client=False,
        )
        self.server.sessions.add(core, self.query.get("id"))
        return core


class AppLink(FrameLink):
    """A link whose other end is ASGI: whole messages and Close."""

    def __init__(self, receive: Receive, send: Send, subprotocol: str | None) -> None:
        self._receive = receive
        self._send = send
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._events.put_nowait({"type": "websocket.accept", "subprotocol": subprotocol})
        self._may_read = asyncio.Event()
        self._may_read.set()
        self._parts = b""
        self._discarding = False
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        self._receiver = receiver
        self._tasks = [asyncio.create_task(self._write()), asyncio.create_task(self._read())]

    async def finish(self) -> None:
        """Wait until everything was said and the end has come."""
        await self._tasks[1]
        self._tasks[0].cancel()

    async def _write(self) -> None:
        while True:
            event = await self._events.get()
            try:
                await self._send(event)
            except OSError:
                return
            if self._events.empty() and not self.writable:
                self.writable = True
                self._receiver.writable()

    async def _read(self) -> None:
        assert (await self._receive())["type"] == "websocket.connect"
        while True:
            await self._may_read.wait()
            event = await self._receive()
            if event["type"] == "websocket.disconnect":
                break
            if not self._discarding:
                text = event.get("text")
                frame = TextFrame(text) if text is not None else BinaryFrame(event["bytes"])
                self._receiver.messages.append(frame)
                self._receiver.arrived(len(frame.data))
        code = event["code"]
        if code != 1006 and not self._discarding:
            reason = None if code == 1005 else CloseReason(code, event["reason"])
            self._receiver.control(CloseFrame(reason))
        self._receiver.lost(None)

    def send(self, frame: Frame) -> None:
        if isinstance(frame, CloseFrame):
            reason = frame.read_reason() or CloseReason(1000)
            self._say({"type": "websocket.close", "code": reason.code, "reason": reason.message})
        elif isinstance(frame, TextFrame | BinaryFrame):
            self._parts += frame.data
            if frame.fin:
                data, self._parts = self._parts, b""
                kind = "text" if isinstance(frame, TextFrame) else "bytes"
                said: Any = data.decode() if kind == "text" else data
                self._say({"type": "websocket.send", kind: said})
        else:
            raise _cannot("pings")

    def _say(self, event: Event) -> None:
        self._events.put_nowait(event)
        if self._events.qsize() >= 16:
            self.writable = False

    def pause(self) -> None:
        self._may_read.clear()

    def resume(self) -> None:
        self._may_read.set()

    def discard(self) -> None:
        self._discarding = True
        self.resume()

    def set_max_frame_size(self, size: int) -> None:
        """Do nothing: the engine below has the limit."""

    def close(self) -> None:
        """Do nothing: the disconnect is the end."""

    def abort(self) -> None:
        """Say that something is wrong; an app can do no more."""
        self._say({"type": "websocket.close", "code": 1011})
