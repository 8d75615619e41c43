"""`AiohttpEngine`: HTTP, and web sockets on a transport taken over from aiohttp.

aiohttp does the pool and HTTP/1.1. After the 101 its transport becomes a `StreamLink`'s, so
no codec of aiohttp's sees a frame.
"""

from __future__ import annotations

import asyncio
import io
import ssl
from collections.abc import Awaitable
from typing import Any, TypeVar

import aiohttp
from yarl import URL

from ktor_client.durations import Duration
from ktor_client.engine.capabilities import Capability
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
from ktor_client.engines._aiohttp.errors import ERRORS
from ktor_client.engines._aiohttp.handshake import Answer, shake_hands
from ktor_client.engines._aiohttp.responses import to_response
from ktor_client.engines._aiohttp.session import NOT_ADDED, check_proxy, new_session
from ktor_client.engines._aiohttp.take_over import take_over
from ktor_client.errors import ClientClosedError, ConnectError
from ktor_client.http import Headers, HttpRequest, HttpResponse, RequestBody, Url
from ktor_client.http.codings import accept_encoding

__all__ = ["AiohttpEngine"]

AT_ONCE = 64 * 1024
"""Bytes of a body that leave in one write."""

R = TypeVar("R", aiohttp.ClientResponse, Answer)

_NOT_ADDED_TO_HANDSHAKES = (*NOT_ADDED, "Accept", "Accept-Encoding")


class AiohttpEngine(HttpClientEngine):
    """HTTP and web sockets on an `aiohttp.ClientSession`."""

    name = "aiohttp"

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
        session: aiohttp.ClientSession | None = None,
    ) -> None:
        """Take the options; no loop is touched.

        Args:
            limit: HTTP connections at a time; open web sockets do not count.
            ssl_context: for https and wss; client certificates are in there.
            server_hostname: the name that a server's certificate must have (and that is sent as
                SNI), where it is not the URL's host; a proxy's is always its own.
            proxy: "http://user:password@host:port", "https://..." or "socks5://..."; the proxy
                resolves names. Web sockets and https get a tunnel, plain HTTP the absolute form.
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
            server_hostname=server_hostname,
            proxy=proxy,
            trust_env=trust_env,
            unix_socket=unix_socket,
            connect_timeout=connect_timeout,
        )
        if session is not None:
            if not isinstance(session, aiohttp.ClientSession):
                raise TypeError(
                    f"session is an aiohttp.ClientSession, not {type(session).__name__}"
                )
            options.refuse_beside("AiohttpEngine", "session")
        self._dialer = Dialer(options, ERRORS)
        self._session = session
        self._owned = session is None
        self._links = OpenLinks(best_mask())
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything."""
        return BUILT_IN[self.name].capabilities

    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Send a request; see `HttpClientEngine.execute`."""
        upload = Upload.of(request.body)
        response = await self._request(request, upload)
        if response.status == 101:  # which nobody has asked for; the caller of this says so
            take_over(response, self._links).abort()
        return to_response(request, response, upload)

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Send a handshake; see `HttpClientEngine.open_web_socket`."""
        answer: aiohttp.ClientResponse | Answer
        if self._owned:
            connector = self._open_session().connector
            assert connector is not None
            answer = await self._answered(shake_hands(connector, request), request)
        else:
            answer = await self._request(request, None)
        response = to_response(request, answer)
        if answer.status == 101:
            return WebSocketUpgrade(response, take_over(answer, self._links))
        await read_refusal(response, options, self.clock)
        return WebSocketUpgrade(response)

    async def close(self) -> None:
        """Abort every link and close the session if it is the engine's own."""
        self._closed = True
        await self._links.abort()
        if self._owned and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    async def _request(self, request: HttpRequest, upload: Upload | None) -> aiohttp.ClientResponse:
        session = self._open_session()
        url = request.url
        fields = _alike_named(request.headers)
        own: dict[str, Any] = {}
        if url.scheme in ("http", "https") and not (
            "accept-encoding" in request.headers or "accept-encoding" in session.headers
        ):
            fields.append(("Accept-Encoding", accept_encoding()))
        if upload is not None and upload.length is not None:
            if "content-length" not in request.headers:
                fields.append(("Content-Length", str(upload.length)))
        if url.server_name != url.host or url.host.endswith("."):
            # aiohttp would send the zone of an address and leave out the dot of a name.
            own["server_hostname"] = url.server_name.rstrip(".")
            if "host" not in request.headers:
                fields.append(("Host", url.authority))
        if self._owned:
            proxy = self._dialer.proxy_for(url) if url.scheme == "http" else None
            if proxy is not None and proxy.forwards:
                own["proxy"] = str(proxy)
                if proxy.user is not None:
                    fields.append(("Proxy-Authorization", proxy.credentials()))
        else:
            is_handshake = url.scheme in ("ws", "wss")
            own["skip_auto_headers"] = _NOT_ADDED_TO_HANDSHAKES if is_handshake else NOT_ADDED
            own["auto_decompress"] = False
            check_proxy(session, url)
        sent = session.request(
            request.method,
            _as_yarl(url, absolute="proxy" in own),
            headers=fields,
            data=_data(request.body, upload),
            allow_redirects=False,
            raise_for_status=False,
            **own,
        )
        return await self._answered(sent, request, upload)

    async def _answered(
        self, sent: Awaitable[R], request: HttpRequest, upload: Upload | None = None
    ) -> R:
        """Wait for an answer; raise our errors for aiohttp's, and for an engine that was closed."""
        try:
            try:
                response = await sent
            except ERRORS.foreign as error:
                ERRORS.fail(error, request, upload)
        except asyncio.CancelledError as error:
            # aiohttp, closed, cancels what waits for a connection; nobody cancelled the caller.
            task = asyncio.current_task()
            if not self._is_over or task is None or task.cancelling():
                raise
            raise ClientClosedError("AiohttpEngine was closed during the request") from error
        except (AssertionError, AttributeError, RuntimeError, ConnectError) as error:
            if not self._is_over or isinstance(error, ClientClosedError):
                raise
            raise ClientClosedError("AiohttpEngine was closed during the request") from error
        if self._closed:
            response.close()
            raise ClientClosedError("AiohttpEngine was closed during the request")
        return response

    @property
    def _is_over(self) -> bool:
        return self._closed or (self._session is not None and self._session.closed)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._closed:
            raise ClientClosedError("AiohttpEngine is closed; make a new one")
        if self._session is None:
            self._session = new_session(self._dialer)
        elif self._session.closed:
            raise ClientClosedError("AiohttpEngine(session=...): that session is closed")
        return self._session


def _data(body: RequestBody | None, upload: Upload | None) -> Any:
    """Return a body as aiohttp takes it: long ones it would warn of, unless they are a file."""
    if isinstance(body, bytes) and len(body) > AT_ONCE:
        return io.BytesIO(body)
    return body if upload is None else upload


def _as_yarl(url: Url, *, absolute: bool) -> URL:
    """Return the URL as aiohttp takes it; `absolute` where all of it goes to a proxy."""
    text = url.as_http
    if absolute:
        text = text.replace(url.host, url.server_name, 1)
    if not url.trailing_query:
        return URL(text, encoded=True)
    bare = URL(text, encoded=True)  # yarl drops a question mark unless it is the path's
    return URL.build(
        scheme=bare.scheme,
        authority=bare.raw_authority,
        path=f"{url.path}?",
        encoded=True,
    )


def _alike_named(headers: Headers) -> list[tuple[str, str]]:
    """Write a repeated name like its first: aiohttp drops what came before another spelling."""
    fields = headers.fields()
    if len(set(map(str.lower, dict(fields)))) == len(fields):
        return fields
    spelling: dict[str, str] = {}
    return [(spelling.setdefault(n.lower(), n), value) for n, value in fields]
