"""`HttpxEngine`: requests through an `httpx.AsyncClient`, web sockets opened by httpx-ws.

httpx-ws opens the socket and is left at once; after the 101 the connection becomes a
`StreamLink`'s, so no codec of its dependencies sees a frame.
"""

from __future__ import annotations

import ssl
from functools import partial
from http.cookiejar import CookieJar
from typing import Any

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
from ktor_client.engine.xor import best_mask
from ktor_client.engines._httpx.errors import ERRORS, or_no_answer
from ktor_client.engines._httpx.quiet import OwnUrl
from ktor_client.engines._httpx.responses import to_response
from ktor_client.engines._httpx.transport import FROM_URL, PoolTransport
from ktor_client.errors import ClientClosedError, UnsupportedCapabilityError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.http.codings import accept_encoding

try:
    from ktor_client.engines._httpx.web_socket import Handshake
except ImportError:  # plain HTTP works without httpx-ws
    Handshake = None  # type: ignore[assignment,misc]

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


class _NoCookies(CookieJar):
    """Keeps nothing: cookies are a plugin's business."""

    def extract_cookies(self, response: Any, request: Any) -> None:
        """Do nothing."""


class HttpxEngine(HttpClientEngine):
    """HTTP on an `httpx.AsyncClient`; web sockets where httpx-ws is installed."""

    name = "httpx"

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
        """Take the options; no loop is touched.

        Args:
            limit: HTTP connections at a time on one way (direct, or through one proxy); open web
                sockets do not count.
            ssl_context: for https and wss; client certificates are in there.
            server_hostname: the name that a server's certificate must have (and that is sent as
                SNI), where it is not the URL's host; a proxy's is always its own.
            proxy: "http://user:password@host:port", "https://..." or "socks5://..."; the proxy
                resolves names. Web sockets and https get a tunnel, plain HTTP the absolute form.
            trust_env: take proxies from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.
            unix_socket: path of a Unix domain socket to connect to, whatever the host.
            connect_timeout: seconds for DNS, TCP, TLS and proxy together.
            client: a client to use and leave open: its own settings apply, its cookie jar too, and
                an open web socket takes a connection of its pool.

        Raises:
            TypeError: an option of the wrong type, or socket options beside `client`.
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
        self._owned = client is None
        self._links = OpenLinks(best_mask())
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything; nothing about web sockets where httpx-ws is not installed."""
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
                "try: pip install 'ktor-client[httpx]'"
            )
        read = partial(read_refusal, options=options, clock=self.clock)
        handshake = Handshake(request, self._send, self._links, read)
        try:
            if self._owned:
                return await handshake.take_over()
            return await handshake.hold_open()
        except ERRORS.foreign as error:
            ERRORS.fail(or_no_answer(error), request)

    async def close(self) -> None:
        """Abort every link and close the client if it is the engine's own."""
        self._closed = True
        await self._links.abort()
        if self._owned and self._client is not None:
            client, self._client = self._client, None
            await client.aclose()

    async def _send(self, request: HttpRequest, upload: Upload | None = None) -> httpx.Response:
        """Send a request with httpx and return the response unread."""
        client, url = self._open_client(), request.url
        fields = [(name.encode(), value.encode()) for name, value in request.headers.fields()]
        extensions: dict[str, Any] = {FROM_URL: url}
        if url.server_name != url.host or url.host.endswith("."):
            # Neither the zone of an address nor the dot of a name stands in a certificate.
            extensions["sni_hostname"] = url.server_name.rstrip(".")
            if "host" not in request.headers:
                fields.append((b"Host", url.authority.encode()))
        if url.scheme in ("http", "https"):
            fields += [
                (name.encode(), value.encode())
                for name, value in (_OWN_FIELDS if self._owned else _adopted_fields(client))
                if name not in request.headers
            ]
        if upload is not None and upload.length is not None:
            if "content-length" not in request.headers:
                fields.append((b"Content-Length", b"%d" % upload.length))
        if not self._owned and url.scheme in ("ws", "wss"):
            extensions["trace"] = _refuse_what_opens_none
        built = client.build_request(
            str(request.method),
            url.as_http,
            headers=fields,
            content=request.body if upload is None else upload,
            extensions=extensions,
        )
        if url.query:
            built.url = OwnUrl(built.url)
        response = await client.send(built, stream=True, follow_redirects=False)
        if self._closed:
            await response.aclose()
            raise ClientClosedError("HttpxEngine was closed during the request")
        return response

    def _open_client(self) -> httpx.AsyncClient:
        if self._closed:
            raise ClientClosedError("HttpxEngine is closed; make a new one")
        if self._client is None:
            self._client = _new_client(self._dialer)
        elif self._client.is_closed:
            raise ClientClosedError("HttpxEngine(client=...): that client is closed")
        if not self._owned:
            check_home(self._client, "client")
        return self._client


async def _refuse_what_opens_none(event: str, info: dict[str, Any]) -> None:
    """Stop a handshake before the caller's client sends it where no web socket can come of it.

    That is to a proxy in place of a server, and on a connection that other requests share.
    """
    if event == "http2.send_request_headers.started":
        raise UnsupportedCapabilityError(
            "HttpxEngine(client=...) cannot open a web socket here: the client has http2=True, and "
            "it and the server agreed on HTTP/2, on which httpx has none; use "
            "httpx.AsyncClient(http2=False), or a client of the engine's own"
        )
    if event == "http11.send_request_headers.started":
        request = info["request"]
        if request.method != b"CONNECT" and not request.url.target.startswith(b"/"):
            raise UnsupportedCapabilityError(
                "HttpxEngine(client=...) cannot open ws:// through the client's proxy: httpx "
                "asks for no tunnel there; use HttpxEngine(proxy=...) or wss://"
            )


_OWN_FIELDS = (("Accept", "*/*"), ("Accept-Encoding", accept_encoding()))
# A client with a transport of its own loads no certificates, which would take long here.
_HTTPX_ACCEPTS = httpx.Client(transport=httpx.BaseTransport()).headers["accept-encoding"]
"""What a client of httpx accepts unless it was told otherwise."""


def _adopted_fields(client: httpx.AsyncClient) -> tuple[tuple[str, str], ...]:
    accepts = client.headers.get("accept-encoding", _HTTPX_ACCEPTS)
    return _OWN_FIELDS[1:] if accepts == _HTTPX_ACCEPTS else ()


def _new_client(dialer: Dialer) -> httpx.AsyncClient:
    client = httpx.AsyncClient(
        transport=PoolTransport(dialer), cookies=_NoCookies(), timeout=None, trust_env=False
    )
    client.headers.clear()
    return client
