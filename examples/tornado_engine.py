"""An engine of your own: HTTP by tornado, WebSockets by the engine kit, tested by the battery.

It needs tornado: pip install tornado.

python examples/tornado_engine.py
ktor-client conform examples.tornado_engine:TornadoEngine
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import cast

from tornado.http1connection import HTTP1Connection, HTTP1ConnectionParameters
from tornado.httputil import (
    HTTPHeaders,
    HTTPInputError,
    HTTPMessageDelegate,
    RequestStartLine,
    ResponseStartLine,
    parse_response_start_line,
)
from tornado.iostream import IOStream, StreamClosedError
from tornado.tcpclient import TCPClient

import ktor_client as ktor
from ktor_client.engines import (
    Dialer,
    ErrorTable,
    HttpClientEngine,
    ResponseBody,
    SocketOptions,
    StreamLink,
    WebSocketOptions,
    WebSocketUpgrade,
)
from ktor_client.testing.conformance import check_engine

NO_ANSWER = (StreamClosedError, ktor.ConnectError, "got no whole answer from")
NO_HTTP = (HTTPInputError, ktor.ConnectError, "got an answer that is not HTTP from")
ERRORS = ErrorTable("TornadoEngine", (NO_ANSWER, NO_HTTP))
CLOSED = "TornadoEngine is closed; make a new one"


class TornadoEngine(HttpClientEngine):
    name = "tornado"

    def __init__(self) -> None:
        self._dialer = Dialer(SocketOptions(trust_env=False), ERRORS)
        self._open: set[Exchange | StreamLink] = set()
        self._is_closed = False

    @property
    def capabilities(self) -> frozenset[ktor.Capability]:
        can = "Cookies Extensions Fragmentation HandshakeHeaders ManualRedirects Ping RawFrames"
        names = [*can.split(), "ReceiveBackpressure", "WebSocket"]
        return frozenset(getattr(ktor, f"{name}Capability") for name in names)

    async def execute(self, request: ktor.HttpRequest) -> ktor.HttpResponse:
        url, tls = request.url, self._dialer.ssl_context() if request.url.is_secure else None
        if request.body is not None and not isinstance(request.body, bytes):
            raise ktor.UnsupportedCapabilityError("TornadoEngine sends bytes, and no streams")
        self._check_open()
        try:
            stream = await TCPClient().connect(url.host, url.port, ssl_options=tls)
            exchange = Exchange(request, stream, self._open.discard)
            self._open.add(exchange)
            if self._is_closed:
                exchange.abort()
            return await exchange.response()
        except ERRORS.foreign as error:
            ERRORS.fail(error, request)

    async def open_web_socket(
        self, request: ktor.HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        url, deadline = request.url, self._dialer.deadline(request)
        self._check_open()
        handshake = await self._dialer.connect(
            Handshake, url.host, url.port, deadline, secure=url.is_secure
        )
        transport = handshake.transport
        try:
            fields = request.headers.fields()
            if "Host" not in request.headers:
                fields.insert(0, ("Host", url.authority))
            lines = (f"{name}: {value}\r\n" for name, value in fields)
            transport.write(f"GET {url.target} HTTP/1.1\r\n{''.join(lines)}\r\n".encode())
            start, headers = await handshake.answer
            self._check_open()
        except BaseException as error:
            transport.abort()
            if isinstance(error, ERRORS.foreign):
                ERRORS.fail(error, request)
            raise
        response = ktor.HttpResponse(request, start.code, headers, reason=start.reason)
        if start.code != 101:
            transport.abort()
            return WebSocketUpgrade(response)
        link = StreamLink(transport, handshake.rest, on_lost=self._open.discard)
        self._open.add(link)
        transport.set_protocol(link)
        return WebSocketUpgrade(response, link)

    async def close(self) -> None:
        self._is_closed = True
        for one in tuple(self._open):
            one.abort()

    def _check_open(self) -> None:
        if self._is_closed:
            raise ktor.ClientClosedError(CLOSED)


class Exchange(HTTPMessageDelegate, ResponseBody):
    """A request and its answer, which tornado reads, as fast as somebody takes it."""

    def __init__(
        self, request: ktor.HttpRequest, stream: IOStream, on_end: Callable[["Exchange"], None]
    ) -> None:
        self._request, self._stream, self._on_end = request, stream, on_end
        self._head: asyncio.Future[ktor.HttpResponse] = asyncio.Future()
        self._pieces: asyncio.Queue[bytes | Exception] = asyncio.Queue(1)
        self._end: bytes | Exception = StreamClosedError()
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        request, body, headers = self._request, self._request.body, HTTPHeaders()
        for name, value in request.headers.fields():
            headers.add(name, value.encode().decode("latin-1"))
        headers.setdefault("Host", request.url.authority)
        if body is not None or request.method in ("POST", "PUT", "PATCH"):
            headers["Content-Length"] = str(len(cast("bytes", body or b"")))
        terms = HTTP1ConnectionParameters(max_body_size=1 << 62)
        connection = HTTP1Connection(self._stream, True, terms)
        try:
            start = RequestStartLine(str(request.method), request.url.target, "HTTP/1.1")
            sent = connection.write_headers(start, headers, cast("bytes | None", body))
            connection.finish()
            await connection.read_response(self)
            await sent
        except StreamClosedError as error:
            self._end = error
        if not self._head.done():
            self._head.set_exception(StreamClosedError())
        await self._pieces.put(self._end)

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> None:
        start = cast("ResponseStartLine", start_line)
        if start.code >= 200:  # tornado reads on behind the others
            fields = ktor.Headers(headers.get_all())
            response = ktor.HttpResponse(
                self._request, start.code, fields, self, reason=start.reason
            )
            self._head.set_result(response)

    async def data_received(self, chunk: bytes) -> None:
        await self._pieces.put(chunk)

    def finish(self) -> None:
        self._end = b""

    async def response(self) -> ktor.HttpResponse:
        try:
            return await self._head
        except BaseException:
            await self.close()
            raise

    async def chunks(self) -> AsyncIterator[bytes]:
        while piece := await self._pieces.get():
            if isinstance(piece, Exception):
                ERRORS.fail(piece, self._request)
            yield piece

    def abort(self, why: str = CLOSED) -> None:
        self._on_end(self)
        self._task.cancel()
        if not self._head.done():
            self._head.set_exception(ktor.ClientClosedError(why))
        while not self._pieces.empty():
            self._pieces.get_nowait()
        self._pieces.put_nowait(ktor.ClientClosedError(why))
        self._stream.close()

    async def close(self) -> None:
        self.abort("the response was closed")
        await asyncio.wait({self._task})


class Handshake(asyncio.Protocol):
    """Waits for the head of the answer to a handshake; `rest` is what came behind it."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[tuple[ResponseStartLine, ktor.Headers]] = asyncio.Future()
        self.rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        head, end, self.rest = (self.rest + data).partition(b"\r\n\r\n")
        try:
            if not end:
                self.rest = head
                if len(head) > 65536 or not head.startswith(b"HTTP/"[: len(head)]):
                    raise HTTPInputError("no head of an answer")
                return
            line, _, fields = head.decode("latin-1").partition("\r\n")
            headers = ktor.Headers(HTTPHeaders.parse(fields).get_all())
            start = parse_response_start_line(line)
            if 100 <= start.code < 200 and start.code != 101:
                self.data_received(b"")
            elif not self.answer.done():
                self.transport.pause_reading()
                self.answer.set_result((start, headers))
        except HTTPInputError as error:
            if not self.answer.done():
                self.answer.set_exception(error)

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.answer.done():
            self.answer.set_exception(exc or StreamClosedError())


async def main() -> None:
    print(await check_engine(TornadoEngine))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(main())
