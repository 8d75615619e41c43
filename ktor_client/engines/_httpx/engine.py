"""`HttpxEngine`: requests through httpcore or an `httpx.AsyncClient`, WebSockets by httpx-ws.

httpx-ws opens the socket and is left at once; after the 101 the connection becomes a
`StreamLink`'s, so no codec of its dependencies sees a frame.
"""

from __future__ import annotations

import ssl
from functools import partial

import httpx

from ktor_client.durations import Duration
from ktor_client.engine.adopted import check_home
from ktor_client.engine.capabilities import (
    Capability,
    ExtensionsCapability,
    FragmentationCapability,
    HandshakeHeadersCapability,
    PingCapability,
    RawFramesCapability,
    ReceiveBackpressureCapability,
    RefusedBodyCapability,
    WebSocketCapability,
)
from ktor_client.engine.contract import HttpClientEngine, WebSocketOptions, WebSocketUpgrade
from ktor_client.engine.dialer import Dialer
from ktor_client.engine.open_links import OpenLinks
from ktor_client.engine.refused import read_refusal
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engine.socket_options import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_LIMIT,
    DEFAULT_TRUST_ENV,
    SocketOptions,
)
from ktor_client.engine.upload import Upload
from ktor_client.engines._httpx.adopted import send_on
from ktor_client.engines._httpx.errors import ERRORS, or_no_answer
from ktor_client.engines._httpx.responses import to_response
from ktor_client.engines._httpx.transport import PoolTransport
from ktor_client.errors import ClientClosedError, ConnectError, UnsupportedCapabilityError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.mistakes import answering

try:
    from ktor_client.engines._httpx.web_socket import Handshake
except ImportError:
    Handshake = None  # type: ignore[assignment,misc]  # plain HTTP works without httpx-ws

__all__ = ["HttpxEngine"]

_NEEDS_HTTPX_WS = frozenset(
    {
        ExtensionsCapability,
        FragmentationCapability,
        HandshakeHeadersCapability,
        PingCapability,
        RawFramesCapability,
        ReceiveBackpressureCapability,
        RefusedBodyCapability,
        WebSocketCapability,
    }
)


_BREAKS: tuple[type[Exception], ...] = (*ERRORS.foreign, ConnectError)
"""What a request ends with where its connection is taken away."""


class HttpxEngine(HttpClientEngine):
    """HTTP on httpx, with its own connections or with your `httpx.AsyncClient`.

    It also opens WebSockets if httpx-ws is installed.
    """

    name = "httpx"

    @answering("HttpxEngine")
    def __init__(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        ssl_context: ssl.SSLContext | None = None,
        server_hostname: str | None = None,
        proxy: str | None = None,
        trust_env: bool = DEFAULT_TRUST_ENV,
        unix_socket: str | None = None,
        connect_timeout: Duration = DEFAULT_CONNECT_TIMEOUT,
        client: httpx.AsyncClient | None = None,
    ) -> None:
        """Store the options. Nothing connects, and no event loop is needed yet.

        Args:
            limit: HTTP connections at a time, counted separately for each proxy and for direct
                ones; open WebSockets do not count.
            ssl_context: for https and wss; client certificates are in there.
            server_hostname: the name that the server's certificate must have, also sent as SNI, if
                it is not the URL's host. Does not apply to a proxy's certificate.
            proxy: "http://user:password@host:port", "https://..." or "socks5://..."; the proxy
                resolves names. WebSockets and https use a tunnel, plain HTTP the absolute form.
            trust_env: take proxies from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.
            unix_socket: path of a Unix domain socket to connect to, whatever the host.
            connect_timeout: seconds for DNS, TCP, TLS and proxy together.
            client: your own client, which stays open; its settings apply, including its cookie jar,
                and an open WebSocket occupies a connection of its pool.

        Raises:
            TypeError: an option of the wrong type, or socket options together with `client`.
            ValueError: an impossible value.
        """
        options = SocketOptions(
            limit=limit,
            ssl_context=ssl_context,
            server_hostname=server_hostname,
            proxy=proxy,
            trust_env=trust_env,
            unix_socket=unix_socket,
            connect_timeout=connect_timeout,
        )
        if client is not None:
            if not isinstance(client, httpx.AsyncClient):
                raise TypeError(f"client is an httpx.AsyncClient, not {type(client).__name__}")
            options.refuse_beside("HttpxEngine", "client")
        self._dialer = Dialer(options, ERRORS, httpx.create_ssl_context)
        self._client = client
        self._transport: PoolTransport | None = None
        self._links = OpenLinks()
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything; nothing about WebSockets where httpx-ws is not installed."""
        known = BUILT_IN[self.name].capabilities
        return known if Handshake is not None else known - _NEEDS_HTTPX_WS

    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Send a request; see `HttpClientEngine.execute`."""
        upload = Upload.of(request.body)
        try:
            response = await self._send(request, upload)
        except ERRORS.foreign as error:
            ERRORS.fail(or_no_answer(error), request, upload)
        return to_response(request, response, upload)

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Send a handshake; see `HttpClientEngine.open_web_socket`."""
        if Handshake is None:
            raise UnsupportedCapabilityError(
                "Engine HttpxEngine doesn't support WebSocketCapability without httpx-ws; "
                "try: pip install httpx-ws"
            )
        read = partial(read_refusal, options=options, clock=self.clock)
        send = partial(self._send, is_handshake=True)
        handshake = Handshake(request, send, self._links, read)
        try:
            if self._client is None:
                return await handshake.take_over()
            return await handshake.hold_open()
        except ERRORS.foreign as error:
            ERRORS.fail(or_no_answer(error), request)

    async def close(self) -> None:
        """Abort every link, and drop every connection that is the engine's own."""
        self._closed = True
        await self._links.abort()
        if self._transport is not None:
            await self._transport.aclose()

    async def _send(
        self, request: HttpRequest, upload: Upload | None = None, *, is_handshake: bool = False
    ) -> httpx.Response:
        """Send a request and return the response unread."""
        if self._closed:
            raise ClientClosedError("HttpxEngine is closed; make a new one")
        try:
            response = await self._sent(request, upload, is_handshake=is_handshake)
        except _BREAKS as error:
            if not self._is_over or isinstance(error, ClientClosedError):
                raise
            raise ClientClosedError("HttpxEngine was closed during the request") from error
        if self._closed:
            await response.aclose()
            raise ClientClosedError("HttpxEngine was closed during the request")
        return response

    async def _sent(
        self, request: HttpRequest, upload: Upload | None, *, is_handshake: bool
    ) -> httpx.Response:
        if self._client is not None:
            if self._client.is_closed:
                raise ClientClosedError("HttpxEngine(client=...): that client is closed")
            check_home(self._client, "client")
            return await send_on(self._client, request, upload)
        if self._transport is None:
            self._transport = PoolTransport(self._dialer)
        return await self._transport.send(request, upload, is_handshake=is_handshake)

    @property
    def _is_over(self) -> bool:
        return self._closed or (self._client is not None and self._client.is_closed)
