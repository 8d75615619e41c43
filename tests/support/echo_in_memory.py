"""The echo server without a socket: an engine on the links in memory, for the battery.

It is no engine for users: what it shows is that messages and byte pipes in memory keep every rule.
"""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping
from typing import Any

from ktor_client.channels import Channels
from ktor_client.engine import Capability, HttpClientEngine, WebSocketOptions, WebSocketUpgrade
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engines._mock.responses import MockResponse, response_to
from ktor_client.errors import ClientClosedError, ConnectError, UnsafeHeaderError
from ktor_client.http import Headers, HeadersBuilder, HttpRequest, HttpResponse
from ktor_client.link.faults import Faults
from ktor_client.link.memory import MemoryLink, memory_links
from ktor_client.link.pipe import PipedLink, piped_links
from ktor_client.protocol.handshake import accept_for
from ktor_client.session import SessionCore
from ktor_client.testing.exchange import CLOSE_TIMEOUT, MAX_FRAME_SIZE, Exchange, Refusal, Response
from ktor_client.testing.server import EchoServer

BASE_URL = "ws://127.0.0.1:81"
OTHER_URL = "ws://localhost:81"
NEED_BYTES = frozenset({"/wire", "/data-after-close"})


class EchoInMemory(HttpClientEngine):
    """Gives requests to the routes of an echo server that listens nowhere."""

    name = "mock"

    def __init__(self, server: EchoServer, faults: Faults | None) -> None:
        """Join ends by messages, or with faults (even none that are set) by byte pipes."""
        self._server = server
        self._faults = faults
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        return BUILT_IN["mock"].capabilities

    async def execute(self, request: HttpRequest) -> HttpResponse:
        upgrade = await self._run(request, WebSocketOptions())
        return upgrade.response

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        return await self._run(request, options)

    async def close(self) -> None:
        self._closed = True
        for task in list(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.wait(list(self._tasks))

    async def _run(self, request: HttpRequest, options: WebSocketOptions) -> WebSocketUpgrade:
        if self._closed:
            raise ClientClosedError("the engine is closed")
        exchange = MemoryExchange(self._server, request, options, self._faults)
        task = asyncio.create_task(exchange.run())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await asyncio.shield(exchange.decision)
        except asyncio.CancelledError:
            task.cancel()
            raise


class MemoryExchange(Exchange):
    """An exchange whose connection is in memory."""

    def __init__(
        self,
        server: EchoServer,
        request: HttpRequest,
        options: WebSocketOptions,
        faults: Faults | None,
    ) -> None:
        headers = HeadersBuilder(request.headers)
        if "host" not in headers:
            headers.add("Host", request.url.authority)
        self.decision: asyncio.Future[WebSocketUpgrade] = asyncio.get_running_loop().create_future()
        self.decision.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._request = request
        self._options = options
        self._faults = faults
        stream: Any = _Stream(request, self._hang_up)
        super().__init__(server, stream, str(request.method), request.url.target, headers)

    async def run(self) -> None:
        """Run the route."""
        try:
            try:
                response = await self.server._answer(self)
            except Refusal as refusal:
                response = refusal.response
            if response is not None:
                self._answer(response)
            elif not self.decision.done():
                self._hang_up()
        except OSError:  # the client left; our ConnectionClosedError too
            self._hang_up()

    def _answer(self, response: Response) -> None:
        headers = HeadersBuilder(response.headers)
        headers.set("Content-Type", headers.get("content-type", response.content_type))
        body = response.body
        if isinstance(body, bytes):
            headers.set("Content-Length", str(len(body)))
            if headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
        answer = response_to(self._request, MockResponse(response.status, headers.build(), body))
        if not self.decision.done():
            self.decision.set_result(WebSocketUpgrade(answer))

    def _hang_up(self) -> None:
        if not self.decision.done():
            self.decision.set_exception(ConnectError("the server ended the connection"))

    def _upgrade(
        self, subprotocol: str | None, rewrite: Mapping[str, str], *, raw: bool
    ) -> SessionCore:
        key = self._checked_key()
        negotiated = self._negotiate(subprotocol)
        options: dict[str, Any] = {
            "max_frame_size": self.number("max_frame_size", MAX_FRAME_SIZE),
            "ping_interval": self.seconds("ping_interval"),
            "timeout": self.seconds("timeout"),
            "close_timeout": self.seconds("close_timeout") or CLOSE_TIMEOUT,
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
        bytes_needed = (
            raw
            or self._options.raw
            or bool(negotiated.codecs)
            or "hex" in self.query
            or self.path.removeprefix("/websockets") in NEED_BYTES
        )
        client: MemoryLink | PipedLink
        server: MemoryLink | PipedLink
        if bytes_needed or self._faults is not None:
            client, server = piped_links(self._faults or Faults(), address="127.0.0.1:81")
        else:
            client, server = memory_links(address="127.0.0.1:81")
        self.is_taken = True
        stream: Any = self.stream
        stream.connect(server)
        core = SessionCore(
            server, channels=Channels(), negotiated=negotiated, raw=raw, client=False, **options
        )
        self.server.sessions.add(core, self.query.get("id"))
        response = HttpResponse(self._request, 101, Headers(headers.fields()))
        self.decision.set_result(WebSocketUpgrade(response, client))
        return core


class _Stream:
    """What routes ask of a connection."""

    def __init__(self, request: HttpRequest, hang_up: Callable[[], None]) -> None:
        self._request = request
        self.hang_up = hang_up
        self._lost = asyncio.Event()
        self.server: MemoryLink | PipedLink | None = None
        self.transport: Any = _Transport(self)

    def connect(self, server: MemoryLink | PipedLink) -> None:
        self.server = server
        if isinstance(server, PipedLink):
            self.transport = server._pipe

    async def body(self, headers: Headers) -> AsyncIterator[bytes]:
        body = self._request.body
        if isinstance(body, bytes):
            yield body
        elif isinstance(body, AsyncIterable):
            async for chunk in body:
                yield bytes(chunk)

    async def wait_lost(self) -> None:
        await self._lost.wait()

    async def write(self, data: bytes) -> None:
        self.hang_up()  # whatever it is, no HTTP


class _Transport:
    """What routes ask of a transport, where there are no bytes."""

    def __init__(self, stream: _Stream) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        assert not data

    def close(self) -> None:
        self._stream.hang_up()
        if self._stream.server is not None:
            self._stream.server.close()

    def abort(self) -> None:
        self._stream.hang_up()
        if self._stream.server is not None:
            self._stream.server.reset(ConnectionResetError("the server has reset the connection"))

    def get_extra_info(self, name: str) -> None:
        """Return nothing: there is no socket."""

    def pause_reading(self) -> None:
        assert self._stream.server is not None
        self._stream.server.pause()

    def resume_reading(self) -> None:
        assert self._stream.server is not None
        self._stream.server.resume()
