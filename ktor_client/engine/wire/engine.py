"""What engines on our own wire are: exchanges on pooled connections, and handshakes likewise.

Connecting, TLS and proxies are the dialer's, the bytes `http1/`'s, an exchange `exchange.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from functools import partial
from typing import Any, TypeAlias

from ktor_client.engine.capabilities import Capability
from ktor_client.engine.contract import HttpClientEngine, WebSocketOptions, WebSocketUpgrade
from ktor_client.engine.deadlines import Deadline, limit_before
from ktor_client.engine.dialer import Dialer
from ktor_client.engine.error_table import ErrorTable, place
from ktor_client.engine.open_links import LostTransport, OpenLinks
from ktor_client.engine.outgoing import asks_to_close, fields_to_send, is_chunked
from ktor_client.engine.pool import Pool
from ktor_client.engine.proxies import Proxy
from ktor_client.engine.received import ReceivedHeaders
from ktor_client.engine.refused import read_refusal
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engine.sending import AT_ONCE
from ktor_client.engine.settings import DEFAULT_SOCKET_TIMEOUT, SOCKET_TIMEOUT
from ktor_client.engine.upload import Upload
from ktor_client.engine.wire.connection import Connection
from ktor_client.engine.wire.errors import WireErrors
from ktor_client.engine.wire.exchange import Exchange
from ktor_client.errors import ClientClosedError
from ktor_client.http import HttpRequest, HttpResponse, ResponseBody, Url
from ktor_client.http.body import once_only
from ktor_client.http.request import Origin
from ktor_client.http1 import request_head
from ktor_client.link import StreamLink

__all__ = ["WireEngine"]


_Way: TypeAlias = tuple[Origin, tuple[object, ...] | None]
"""What requests have in common that may go one after another on one connection: its other end, and
the proxy."""


class WireEngine(HttpClientEngine):
    """HTTP and WebSockets over what a dialer opens."""

    def __init__(self, dialer: Dialer, errors: WireErrors) -> None:
        """Take who opens connections, and the errors of the engine."""
        self._dialer = dialer
        self._errors = errors
        self._name = errors.engine
        self._pool: Pool[_Way, Connection] = Pool(dialer.options.limit, errors.engine)
        self._links = OpenLinks()
        self._new = partial(Connection, self._gone)
        self._connected: set[Connection] = set()
        self._all_gone = asyncio.Event()
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the registry says of the engine."""
        return BUILT_IN[self.name].capabilities

    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Send a request; see `HttpClientEngine.execute`."""
        exchange = await self._answered(request)
        head = exchange.head
        assert head is not None
        content = exchange.whole
        if content is not None and exchange.sending is not None:
            await exchange.sending.ended()
        return HttpResponse(
            request,
            head.status,
            ReceivedHeaders(head.fields, head.values),
            _Body(request, exchange, self._errors.body) if content is None else content,
            reason=head.reason.decode("latin-1"),
            http_version=head.version,
        )

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Send a handshake; see `HttpClientEngine.open_web_socket`."""
        exchange = await self._answered(request, is_handshake=True, until=options.deadline)
        head = exchange.head
        assert head is not None
        is_open = head.status == 101
        response = HttpResponse(
            request,
            head.status,
            ReceivedHeaders(head.fields),
            b"" if is_open else _Body(request, exchange, self._errors.body),
            reason=head.reason.decode("latin-1"),
            http_version=head.version,
        )
        if is_open:
            return WebSocketUpgrade(response, self._take_over(exchange))
        await read_refusal(response, options, self.clock)
        return WebSocketUpgrade(response)

    async def close(self) -> None:
        """Abort every link, drop every connection, and return when they are gone."""
        self._closed = True
        self._pool.close()
        await self._links.abort()
        if self._connected:
            self._all_gone.clear()
            await self._all_gone.wait()

    # --- an exchange ---

    async def _answered(
        self, request: HttpRequest, *, is_handshake: bool = False, until: float | None = None
    ) -> Exchange:
        """Send a request and return the exchange once the head of its answer is here.

        Limits that would be over after `until` are not counted: the caller ends all by then.

        Where a kept connection dies before a byte of an answer, an idempotent request is sent once
        more, on a new one (RFC 9112 9.3.1).
        """
        upload = Upload.of(request.body)
        is_repetition = False
        try:
            while True:
                exchange: Exchange | None = None
                proxy = self._dialer.proxy_for(request.url)
                connection = await self._connection(
                    request, proxy, fresh=is_repetition, until=until
                )
                was_used = connection.was_used
                try:
                    exchange = self._send(connection, request, upload, proxy, is_handshake, until)
                    while exchange.head is None:
                        await exchange.more()
                except BaseException as error:
                    if exchange is None:
                        self._pool.forget(connection)
                    else:
                        await exchange.close()
                    may_repeat = (
                        isinstance(error, ConnectionError)
                        and was_used
                        and (exchange is None or exchange.is_unheard)
                        and request.method.is_idempotent
                        and not is_repetition
                        and not self._closed
                        and once_only(request.body) is None
                        and (upload is None or upload.error is None)
                    )
                    if not may_repeat:
                        raise
                    is_repetition = True
                else:
                    return exchange
        except self._errors.request.foreign as error:
            if self._closed:
                raise ClientClosedError(f"{self._name} was closed during the request") from error
            self._errors.request.fail(error, request, upload)

    def _send(
        self,
        connection: Connection,
        request: HttpRequest,
        upload: Upload | None,
        proxy: Proxy | None,
        is_handshake: bool,
        until: float | None,
    ) -> Exchange:
        url, body = request.url, request.body
        fields, target = fields_to_send(request, upload), url.target
        if proxy is not None and _forwards(proxy, url):
            target = f"http://{url.authority}{target}"
            if proxy.user is not None:
                fields.append(("Proxy-Authorization", proxy.credentials()))
        head = request_head(request.method, target, url.authority, fields)
        exchange = Exchange(
            connection,
            self._name,
            request,
            self._over,
            limit=limit_before(until, SOCKET_TIMEOUT.of(request, DEFAULT_SOCKET_TIMEOUT)),
            is_handshake=is_handshake,
        )
        exchange.is_last = not is_handshake and asks_to_close(request)
        transport = connection.transport
        waits = body is not None and "100-continue" in request.headers.get("expect", "").lower()
        if isinstance(body, bytes) and len(body) <= AT_ONCE and not waits:
            transport.write(head + body)
            return exchange
        transport.write(head)
        if body is not None:
            exchange.upload(
                body if upload is None else upload,
                chunked=is_chunked(request, upload),
                waits_for_go_on=waits,
            )
        return exchange

    def _over(self, exchange: Exchange, keeps: bool) -> None:
        connection = exchange.connection
        if keeps and not exchange.is_last and exchange.head is not None:
            connection.finish(exchange.head.idle_limit)
            self._pool.keep(connection)
        else:
            self._pool.forget(connection)

    def _take_over(self, exchange: Exchange) -> StreamLink:
        connection = exchange.connection
        self._pool.forget(connection, drop=False)
        self._connected.discard(connection)
        transport, error = connection.release()
        if connection.is_gone:
            link = self._links.make(LostTransport(), exchange.leading)
            link.connection_lost(error)
        else:
            link = self._links.make(transport, exchange.leading)
            transport.set_protocol(link)
        return link

    # --- a connection ---

    async def _connection(
        self, request: HttpRequest, proxy: Proxy | None, *, fresh: bool, until: float | None
    ) -> Connection:
        """Return a connection that was added to the pool, or taken from it, with its slot."""
        if self._closed:
            raise ClientClosedError(f"{self._name} is closed; make a new one")
        way = _way(request.url, proxy)
        deadline: Deadline | None = None
        if not self._pool.take_slot_now():
            deadline = self._dialer.deadline(request, until)
            async with self._dialer.limited(place(request), deadline):
                await self._pool.take_slot()
        try:
            kept = self._pool.choose(way, fresh=fresh)
            if kept is not None:
                return kept
            deadline = deadline or self._dialer.deadline(request, until)
            connection = await self._dial(request.url, proxy, deadline)
        except BaseException:
            self._pool.give_slot_back()
            raise
        self._pool.add(way, connection)
        if not connection.is_gone:
            self._connected.add(connection)
        if self._closed:
            self._pool.forget(connection)
            raise ClientClosedError(f"{self._name} was closed before the request was sent")
        return connection

    def _dial(
        self, url: Url, proxy: Proxy | None, deadline: Deadline
    ) -> Coroutine[Any, Any, Connection]:
        if proxy is None and self._dialer.options.unix_socket is None:
            return self._dialer.connect(
                self._new, url.host, url.port, deadline, secure=url.is_secure
            )
        return self._dial_by_way(url, proxy, deadline)

    async def _dial_by_way(self, url: Url, proxy: Proxy | None, deadline: Deadline) -> Connection:
        dialer = self._dialer
        unix_socket = dialer.options.unix_socket
        forwards = proxy is not None and _forwards(proxy, url)
        if unix_socket is not None:
            stream = await dialer.open_unix(unix_socket, deadline)
        elif proxy is not None and forwards:
            stream = await dialer.open_proxy(proxy, deadline)
        else:
            stream = await dialer.open(url.host, url.port, proxy, deadline)
        if url.is_secure and not forwards:
            await dialer.start_tls(stream, url.host)
        connection = self._new()
        connection.connection_made(stream.transport)
        stream.hand_over(connection)
        return connection

    def _gone(self, connection: Connection) -> None:
        self._pool.forget(connection, drop=False)
        self._connected.discard(connection)
        if not self._connected:
            self._all_gone.set()


def _forwards(proxy: Proxy, url: Url) -> bool:
    return proxy.forwards and url.scheme == "http"


def _way(url: Url, proxy: Proxy | None) -> _Way:
    if proxy is None:
        return url.origin, None
    if _forwards(proxy, url):
        return (proxy.has_tls, proxy.host, proxy.port), proxy.key()
    return url.origin, proxy.key()


class _Body(ResponseBody):
    """The content of an answer while it comes."""

    def __init__(self, request: HttpRequest, exchange: Exchange, errors: ErrorTable) -> None:
        self._request = request
        self._exchange = exchange
        self._errors = errors

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the content; see `ResponseBody.chunks`."""
        exchange = self._exchange
        while True:
            try:
                piece = await exchange.next_piece()
            except self._errors.foreign as error:
                self._errors.fail(error, self._request, exchange.source)
            if not piece:
                return
            yield piece

    async def close(self) -> None:
        """Drop the connection, unless all of the answer has come."""
        await self._exchange.close()
