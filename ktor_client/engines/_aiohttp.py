"""The engine on aiohttp (like Ktor's CIO): HTTP, and web sockets on a transport taken over.

aiohttp does DNS, TLS, pools and HTTP/1.1. After the 101 its transport becomes a `StreamLink`'s, so
no codec of aiohttp's sees a frame.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import aiohttp
from aiohttp.http import HttpProcessingError
from yarl import URL

from ktor_client.durations import Duration
from ktor_client.engine.capabilities import Capability
from ktor_client.engine.contract import HttpClientEngine, WebSocketOptions, WebSocketUpgrade
from ktor_client.engine.dialer import Dialer
from ktor_client.engine.error_table import ErrorTable
from ktor_client.engine.open_links import LostTransport, OpenLinks
from ktor_client.engine.proxies import environment_proxy
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engine.socket_options import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_LIMIT,
    SocketOptions,
)
from ktor_client.engine.upload import Upload
from ktor_client.errors import (
    ClientClosedError,
    ConnectError,
    ConnectTimeoutError,
    DnsError,
    InvalidUrlError,
    ProxyError,
    RequestTimeoutError,
    TlsError,
    UnsupportedCapabilityError,
)
from ktor_client.http import Headers, HttpRequest, HttpResponse, ResponseBody, Url
from ktor_client.http.response import MAX_REFUSAL_BODY
from ktor_client.link import StreamLink

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ClientRequest
    from aiohttp.tracing import Trace

    from ktor_client.protocol.masking import MaskInPlace

__all__ = ["AiohttpEngine"]

ERRORS = ErrorTable(
    "AiohttpEngine",
    (
        (aiohttp.ClientConnectorDNSError, DnsError, "could not resolve"),
        (aiohttp.ClientProxyConnectionError, ProxyError, "could not reach the proxy for"),
        (aiohttp.ClientHttpProxyError, ProxyError, "was refused by the proxy for"),
        (
            aiohttp.ClientConnectorCertificateError,
            TlsError,
            "does not trust the certificate of",
        ),
        (aiohttp.ClientConnectorSSLError, TlsError, "could not agree on TLS with"),
        (aiohttp.ClientSSLError, TlsError, "could not agree on TLS with"),
        (aiohttp.ServerFingerprintMismatch, TlsError, "does not trust the certificate of"),
        (aiohttp.ClientConnectorError, ConnectError, "could not connect to"),
        (aiohttp.ConnectionTimeoutError, ConnectTimeoutError, "took too long to connect to"),
        (aiohttp.ServerTimeoutError, RequestTimeoutError, "waited too long for"),
        (aiohttp.ServerDisconnectedError, ConnectError, "got no answer from"),
        (aiohttp.ClientPayloadError, ConnectError, "did not get the whole body from"),
        (aiohttp.ClientConnectionError, ConnectError, "lost the connection to"),
        (aiohttp.ClientResponseError, ConnectError, "got an answer that is not HTTP from"),
        (aiohttp.InvalidURL, InvalidUrlError, "cannot request this URL of"),
        (aiohttp.NonHttpUrlClientError, InvalidUrlError, "cannot request this URL of"),
        (aiohttp.ClientError, ConnectError, "failed at"),
        (HttpProcessingError, ConnectError, "got an answer that is not HTTP from"),
    ),
)

_NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
_MAX_LINE = 64 * 1024


def _compiled_mask() -> MaskInPlace | None:
    """Return aiohttp's compiled XOR, which it does not promise to keep, or None."""
    for module in ("aiohttp._websocket.mask", "aiohttp._websocket"):
        try:
            mask: MaskInPlace = import_module(module)._websocket_mask_cython
        except (ImportError, AttributeError):
            continue
        return mask
    return None


class AiohttpEngine(HttpClientEngine):
    """HTTP and web sockets on an `aiohttp.ClientSession`."""

    name = "aiohttp"

    def __init__(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        trust_env: bool = False,
        unix_socket: str | None = None,
        connect_timeout: Duration = DEFAULT_CONNECT_TIMEOUT,
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Take the options; no loop is touched.

        Args:
            limit: HTTP connections at a time; open web sockets do not count.
            ssl_context: for https and wss; client certificates are in there.
            proxy: "http://user:password@host:port", "https://..." or "socks5://...".
            trust_env: take proxies from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.
            unix_socket: path of a Unix domain socket to connect to, whatever the host.
            connect_timeout: seconds for DNS, TCP, TLS and proxy together.
            session: a session to use and leave open: its own settings apply, its cookie jar too.

        Raises:
            TypeError: an option of the wrong type, or socket options beside `session`.
            ValueError: an impossible value.
        """
        options = SocketOptions(
            limit=limit,
            ssl_context=ssl_context,
            proxy=proxy,
            trust_env=trust_env,
            unix_socket=unix_socket,
            connect_timeout=connect_timeout,
        )
        if session is not None:
            options.refuse_beside("AiohttpEngine", "session")
        self._dialer = Dialer(options, ERRORS)
        self._session = session
        self._owned = session is None
        self._links = OpenLinks(_compiled_mask())
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything."""
        return BUILT_IN[self.name].capabilities

    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Send a request; see `HttpClientEngine.execute`."""
        upload = Upload.of(request.body)
        response = await self._request(request, request.url.scheme, upload)
        return _response(request, response, upload)

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Send a handshake; see `HttpClientEngine.open_web_socket`."""
        scheme = "https" if request.url.is_secure else "http"
        answer = await self._request(request, scheme, None)
        if self._closed:
            answer.close()
            raise ClientClosedError("AiohttpEngine was closed during the handshake")
        if answer.status == 101:
            head = HttpResponse(
                request, 101, _headers(answer), reason=answer.reason or "", http_version="1.1"
            )
            return WebSocketUpgrade(head, _take_over(answer, self._links))
        response = _response(request, answer, None)
        await response.read_up_to(MAX_REFUSAL_BODY)
        return WebSocketUpgrade(response)

    async def close(self) -> None:
        """Abort every link and close the session if it is the engine's own."""
        self._closed = True
        await self._links.abort()
        if self._owned and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _request(
        self, request: HttpRequest, scheme: str, upload: Upload | None
    ) -> aiohttp.ClientResponse:
        session = self._open_session()
        url = request.url.with_scheme(scheme)
        fields = _alike_named(request.headers)
        own: dict[str, Any] = {}
        if self._owned:
            proxy = None if request.url.scheme != "http" else self._dialer.proxy_for(url)
            if proxy is not None and not proxy.is_socks:
                own["proxy"] = str(proxy)
                if proxy.user is not None:
                    fields.append(("Proxy-Authorization", proxy.credentials()))
        elif request.url.scheme == "ws":
            _refuse_proxied(session, url)
        with ERRORS.mapped(request, upload):
            return await session.request(
                request.method,
                URL(str(url), encoded=True),
                headers=fields,
                data=request.body if upload is None else upload,
                skip_auto_headers=_skipped(request),
                allow_redirects=False,
                raise_for_status=False,
                **own,
            )

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ClientClosedError("AiohttpEngine is closed; make a new one")
        if self._session is None:
            self._session = _new_session(self._dialer)
        elif self._session.closed:
            raise ClientClosedError("AiohttpEngine(session=...): that session is closed")
        return self._session


def _alike_named(headers: Headers) -> list[tuple[str, str]]:
    """Write a repeated name like its first: aiohttp drops what came before another spelling."""
    spelling: dict[str, str] = {}
    return [(spelling.setdefault(n.lower(), n), value) for n, value in headers.fields()]


def _skipped(request: HttpRequest) -> tuple[str, ...]:
    """Return the headers that aiohttp must not add: what says who we are, or what we send."""
    if request.url.scheme in ("ws", "wss"):
        return ("User-Agent", "Content-Type", "Accept", "Accept-Encoding")
    return ("User-Agent", "Content-Type")


def _refuse_proxied(session: aiohttp.ClientSession, url: Url) -> None:
    """Refuse a ws handshake that the caller's session would send to a proxy in absolute form."""
    proxied = getattr(session, "_default_proxy", None) is not None or (
        session.trust_env and environment_proxy(url) is not None
    )
    if proxied:
        raise UnsupportedCapabilityError(
            "AiohttpEngine(session=...) cannot open ws:// through the session's proxy: aiohttp "
            "asks for no tunnel there; use AiohttpEngine(proxy=...) or wss://"
        )


def _new_session(dialer: Dialer) -> aiohttp.ClientSession:
    session = aiohttp.ClientSession(
        connector=_Connector(dialer),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=_NO_TIMEOUT,
        max_line_size=_MAX_LINE,
        max_field_size=_MAX_LINE,
    )
    # aiohttp would send a GET again when the server hangs up; retrying is a plugin's business.
    session._retry_connection = False
    return session


class _Connector(aiohttp.TCPConnector):
    """aiohttp's connector, with one limit over DNS, TCP, TLS and proxy, and our tunnels.

    aiohttp connects where there is no proxy, and where a plain request goes to an HTTP proxy in
    absolute form. The dialer connects for the rest: Unix sockets, SOCKS, and CONNECT for every
    https and for each web socket.
    """

    def __init__(self, dialer: Dialer) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            limit=dialer.options.limit, ssl=dialer.options.ssl_context or True
        )
        self._dialer = dialer

    async def _create_connection(
        self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        url = Url("https" if req.is_ssl() else "http", req.host, req.port)
        proxy, path = self._dialer.proxy_for(url), self._dialer.options.unix_socket
        if req.proxy is not None or (proxy is None and path is None):
            async with self._dialer.limited(url.authority):
                return await super()._create_connection(req, traces, timeout)
        if path is not None:
            stream = await self._dialer.open_unix(path)
        else:
            stream = await self._dialer.open(url.host, url.port, proxy)
        if url.is_secure:
            await self._dialer.start_tls(stream, url.host)
        protocol = self._factory()
        stream.hand_over(protocol)
        if not stream.is_lost:
            protocol.connection_made(stream.transport)
        return protocol


def _headers(response: aiohttp.ClientResponse) -> Headers:
    return Headers([(_text(name), _text(value)) for name, value in response.raw_headers])


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _response(
    request: HttpRequest, response: aiohttp.ClientResponse, upload: Upload | None
) -> HttpResponse:
    version = response.version
    return HttpResponse(
        request,
        response.status,
        _headers(response),
        _Body(request, response, upload),
        reason=response.reason or "",
        http_version="1.1" if version is None else f"{version.major}.{version.minor}",
    )


class _Body(ResponseBody):
    """aiohttp's payload stream, decoded, with its exceptions mapped."""

    def __init__(
        self, request: HttpRequest, response: aiohttp.ClientResponse, upload: Upload | None
    ) -> None:
        self._request = request
        self._response = response
        self._upload = upload

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the body; see `ResponseBody.chunks`."""
        content = self._response.content
        while True:
            with ERRORS.mapped(self._request, self._upload):
                chunk = await content.readany()
            if not chunk:
                return
            yield chunk

    async def close(self) -> None:
        """Drop the connection; after the whole body it is back in the pool already."""
        self._response.close()


class _Leading:
    """Stands in for aiohttp's frame parser: keeps what came with the 101, hears of the end."""

    def __init__(self, links: OpenLinks) -> None:
        self.data = bytearray()
        self.link: StreamLink | None = None
        self._links = links

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """Tell the link, if the loop had promised the end of a TLS connection to aiohttp."""
        if self.link is not None and self.link in self._links:
            self.link.connection_lost(None)


def _take_over(response: aiohttp.ClientResponse, links: OpenLinks) -> StreamLink:
    """Give the transport to a link, and aiohttp its connector slot back.

    aiohttp then has no timer, no slot and no transport of this connection any more, so that
    nothing of it waits for the web socket's end.
    """
    connection = response.connection
    protocol = None if connection is None else connection.protocol
    transport = None if protocol is None else protocol.transport
    if connection is None and response._protocol is not None:
        # Without `Upgrade` aiohttp took the 101 for any response: its connection is in the pool.
        response._protocol.close()
    leading = _Leading(links)
    if protocol is not None:
        protocol.read_timeout = None  # else early bytes would start its timer again
        protocol.set_parser(leading, aiohttp.EMPTY_PAYLOAD)
    link = links.make(transport or LostTransport(), bytes(leading.data))
    if protocol is None or transport is None:
        link.connection_lost(None)
    else:
        leading.link = link
        transport.set_protocol(link)
        protocol.transport = None
    response.close()
    return link
