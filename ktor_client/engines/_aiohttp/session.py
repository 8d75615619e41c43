"""The engine's own session: its connector, with our tunnels, and no second try.

What aiohttp does on its own account (cookies, redirects, retries, timeouts) is off.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from ktor_client.engine.dialer import Dialer
from ktor_client.engine.proxies import Proxy, environment_proxy
from ktor_client.engine.readable import poll_of
from ktor_client.engines._aiohttp.errors import NoAnswerError, no_answer, said
from ktor_client.errors import ProxyError, UnsupportedCapabilityError
from ktor_client.http import Url
from ktor_client.http1.rules import MAX_INTERIM

if TYPE_CHECKING:
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.http_parser import RawResponseMessage
    from aiohttp.streams import StreamReader
    from aiohttp.tracing import Trace

__all__ = [
    "MAX_LINE",
    "NOT_ADDED",
    "NO_TIMEOUT",
    "PooledProtocol",
    "Way",
    "check_proxy",
    "new_session",
]

NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)
NOT_ADDED = ("User-Agent", "Content-Type")
"""Headers that aiohttp must not add: what says who we are, or what we send."""
MAX_LINE = 64 * 1024
_CLOSED = "the connection was closed here"


def new_session(dialer: Dialer) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        connector=_Connector(dialer),
        request_class=_Request,
        response_class=_Response,
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=NOT_ADDED,
        timeout=NO_TIMEOUT,
        auto_decompress=False,
        max_line_size=MAX_LINE,
        max_field_size=MAX_LINE,
    )


class Way(NamedTuple):
    """What requests have in common that may go one after another on one connection."""

    host: str
    port: int | None
    is_ssl: bool


class _Request(aiohttp.ClientRequest):
    """A request that names its way as a handshake does, which may take its connection."""

    @property
    def connection_key(self) -> Any:
        if self.proxy is not None:
            return super().connection_key
        return Way(self.host, self.port, self.is_ssl())


class _Response(aiohttp.ClientResponse):
    """What aiohttp does about a connection by itself, and here must not do.

    It sends a GET again when the server hangs up; that is for a plugin to decide.
    """

    async def start(self, connection: Connection) -> aiohttp.ClientResponse:
        try:
            return await super().start(connection)
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise no_answer(error) from error


class PooledProtocol(ResponseHandler):
    """A connection that knows when to give up, and when not to be used again.

    aiohttp takes interim heads without a pause, would send a GET again on a connection that the
    server has closed, and lets who reads a body wait for ever when its chunks are broken or the
    connector is closed.
    """

    _interim = 0
    _poll: Callable[[int], Sequence[object]] | None = None
    takes_head_alone = False
    """Whether the next head counts though what stands right behind it is broken."""

    def data_received(self, data: bytes) -> None:
        if self.takes_head_alone and 3 < (end := data.find(b"\r\n\r\n") + 4) < len(data):
            super().data_received(data[:end])
            data = data[end:]
        super().data_received(data)

    def is_connected(self) -> bool:
        """Whether the pool may use the connection again: nothing waits to be read, no end either.

        The event loop may not have come to that yet; what is sent then gets no answer.
        """
        transport = self.transport
        if transport is None or transport.is_closing():
            return False
        if self._poll is None:
            self._poll = poll_of(transport)
        return not self._poll(0)

    def close(self) -> None:
        body = self._payload
        super().close()
        _break_off(body, _CLOSED)

    def abort(self) -> None:
        body = self._payload
        super().abort()
        _break_off(body, _CLOSED)

    def set_exception(self, exc: Any, exc_cause: Any = None) -> None:
        body = self._payload
        super().set_exception(exc, exc_cause or exc)
        if isinstance(exc, HttpProcessingError):
            _break_off(body, said(exc))

    async def read(self) -> tuple[RawResponseMessage, StreamReader]:
        message, body = await super().read()
        self._interim = self._interim + 1 if message.code < 200 and message.code != 101 else 0
        if self._interim > MAX_INTERIM:
            raise NoAnswerError(f"more than {MAX_INTERIM} interim answers came before it")
        return message, body


def _break_off(body: StreamReader | None, why: str) -> None:
    if body is not None and not body.is_eof() and body.exception() is None:
        body.set_exception(aiohttp.ClientPayloadError(why))


class _Connector(aiohttp.TCPConnector):
    """aiohttp's pool over the dialer's connections: one limit over DNS, TCP, TLS and proxy.

    A plain request goes to an HTTP proxy in absolute form. SOCKS is a tunnel for everything,
    CONNECT for every https and for each web socket.
    """

    def __init__(self, dialer: Dialer) -> None:
        # aiohttp leaves a parameter of its constructor half typed.
        super().__init__(  # pyright: ignore[reportUnknownMemberType]
            limit=dialer.options.limit, ssl=dialer.options.ssl_context or True
        )
        self._dialer = dialer
        self._factory = partial(  # type: ignore[assignment]  # of a subclass
            PooledProtocol, loop=asyncio.get_running_loop()
        )

    async def _wait_for_available_connection(self, key: ConnectionKey, traces: list[Trace]) -> None:
        try:
            await super()._wait_for_available_connection(key, traces)
        except asyncio.CancelledError:
            self._release_waiter()  # else a slot that came in the same moment wakes nobody
            raise

    def _release(
        self, key: ConnectionKey, protocol: ResponseHandler, *, should_close: bool = False
    ) -> None:
        transport = protocol.transport
        if key.is_ssl and transport is not None and (should_close or protocol.should_close):
            if not transport.is_closing():
                transport.close()  # TLS says farewell,
            transport.abort()  # and does not wait half a minute for a peer that says none
        super()._release(key, protocol, should_close=should_close)

    async def _create_connection(
        self, req: aiohttp.ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        dialer, host, port, secure = self._dialer, req.host, req.port, req.is_ssl()
        assert port is not None  # our URLs have one
        if dialer.is_direct:
            return await dialer.connect(self._factory, host, port, secure=secure)
        proxy = dialer.proxy_for(Url("https" if secure else "http", host, port))
        if dialer.options.unix_socket is not None:
            stream = await dialer.open_unix(dialer.options.unix_socket)
        elif req.proxy is not None and proxy is not None:  # it gets the absolute form
            stream = await dialer.open_proxy(proxy)
        else:
            stream = await dialer.open(host, port, proxy)
        if secure:
            await dialer.start_tls(stream, host)
        protocol = self._factory()
        protocol.connection_made(stream.transport)
        stream.hand_over(protocol)
        return protocol


def check_proxy(session: aiohttp.ClientSession, url: Url) -> None:
    """Look at the proxy that the caller's session would take.

    Raises:
        ProxyError: it is no URL, which aiohttp would quote whole, its password too.
        UnsupportedCapabilityError: a ws handshake would be sent to it in absolute form.
    """
    default = getattr(session, "_default_proxy", None)
    try:
        proxy = None if default is None else Proxy(str(default))
        if session.trust_env:
            environment_proxy(url.with_scheme("http" if url.is_secure else "https"))  # read as well
            proxy = proxy or environment_proxy(url)
    except ValueError as error:
        raise ProxyError(
            f"AiohttpEngine(session=...) cannot use the session's proxy: {error}"
        ) from None
    if proxy is not None and url.scheme == "ws":
        raise UnsupportedCapabilityError(
            "AiohttpEngine(session=...) cannot open ws:// through the session's proxy: aiohttp "
            "asks for no tunnel there; use AiohttpEngine(proxy=...) or wss://"
        )
