"""`AiohttpEngine`: HTTP, and WebSockets on a transport taken over from aiohttp.

aiohttp does the pool and the bodies of answers. After the 101 its transport becomes a
`StreamLink`'s, so no codec of aiohttp's sees a frame.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Awaitable
from typing import TypeVar

import aiohttp

from ktor_client.durations import Duration
from ktor_client.engine.adopted import check_home
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
from ktor_client.engines._aiohttp.adopted import send_on
from ktor_client.engines._aiohttp.connector import Connector
from ktor_client.engines._aiohttp.errors import ERRORS, or_no_answer
from ktor_client.engines._aiohttp.exchange import Answer, exchange
from ktor_client.engines._aiohttp.responses import to_response
from ktor_client.engines._aiohttp.take_over import take_over
from ktor_client.errors import ClientClosedError, ConnectError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.mistakes import answering

__all__ = ["AiohttpEngine"]

R = TypeVar("R", aiohttp.ClientResponse, Answer)


class AiohttpEngine(HttpClientEngine):
    """HTTP and WebSockets on aiohttp, with its own pool or with your `aiohttp.ClientSession`."""

    name = "aiohttp"

    @answering("AiohttpEngine")
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
        """Store the options. Nothing connects, and no event loop is needed yet.

        Args:
            limit: simultaneous HTTP connections; open WebSockets do not count.
            ssl_context: for https and wss; client certificates are in there.
            server_hostname: the name that the server's certificate must have, also sent as SNI, if
                it is not the URL's host. Does not apply to a proxy's certificate.
            proxy: "http://user:password@host:port", "https://..." or "socks5://..."; the proxy
                resolves names. WebSockets and https use a tunnel, plain HTTP the absolute form.
            trust_env: take proxies from HTTP_PROXY, HTTPS_PROXY, ALL_PROXY and NO_PROXY.
            unix_socket: path of a Unix domain socket to connect to, whatever the host.
            connect_timeout: seconds for DNS, TCP, TLS and proxy together.
            session: your own session, which stays open; its settings apply, including its cookie
                jar.

        Raises:
            TypeError: an option of the wrong type, or socket options together with `session`.
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
        self._connector: Connector | None = None
        self._links = OpenLinks()
        self._closed = False

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Everything."""
        return BUILT_IN[self.name].capabilities

    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Send a request; see `HttpClientEngine.execute`."""
        upload = Upload.of(request.body)
        answer = await self._send(request, upload, is_handshake=False)
        if answer.status == 101:  # which nobody has asked for; the caller of this says so
            take_over(answer, self._links).abort()
        return to_response(request, answer, upload)

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Send a handshake; see `HttpClientEngine.open_web_socket`."""
        answer = await self._send(request, None, is_handshake=True)
        response = to_response(request, answer)
        if answer.status == 101:
            return WebSocketUpgrade(response, take_over(answer, self._links))
        await read_refusal(response, options, self.clock)
        return WebSocketUpgrade(response)

    async def close(self) -> None:
        """Abort every link, and drop every connection that is the engine's own."""
        self._closed = True
        await self._links.abort()
        if self._connector is not None:
            await self._connector.close()

    async def _send(
        self, request: HttpRequest, upload: Upload | None, *, is_handshake: bool
    ) -> aiohttp.ClientResponse | Answer:
        if self._closed:
            raise ClientClosedError("AiohttpEngine is closed; make a new one")
        if self._session is not None:
            if self._session.closed:
                raise ClientClosedError("AiohttpEngine(session=...): that session is closed")
            check_home(self._session, "session", getattr(self._session, "_loop", None))
            return await self._answered(send_on(self._session, request, upload), request, upload)
        if self._connector is None:
            self._connector = Connector(self._dialer)
        sending = exchange(
            self._connector, self._dialer, request, upload, is_handshake=is_handshake
        )
        return await self._answered(sending, request, upload)

    async def _answered(self, sent: Awaitable[R], request: HttpRequest, upload: Upload | None) -> R:
        """Wait for an answer; raise our errors for aiohttp's, and for an engine that was closed."""
        try:
            try:
                answer = await sent
            except ERRORS.foreign as error:
                ERRORS.fail(or_no_answer(error), request, upload)
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
            answer.close()
            raise ClientClosedError("AiohttpEngine was closed during the request")
        return answer

    @property
    def _is_over(self) -> bool:
        return self._closed or (self._session is not None and self._session.closed)
