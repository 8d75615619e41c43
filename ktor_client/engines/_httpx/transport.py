"""Our httpx transport: httpcore's connections over asyncio connections that can be taken over.

httpcore does HTTP/1.1. Connecting, TLS, proxies and `connect_timeout` are the dialer's, so that
wss is never sent in clear and ws goes through a tunnel.
"""

from __future__ import annotations

import re
import ssl
from collections.abc import Iterable
from typing import Any

import httpcore
import httpx

from ktor_client.engine.dialer import Dialer
from ktor_client.engine.proxies import Proxy
from ktor_client.engine.socket_stream import SocketStream
from ktor_client.engines._httpx.errors import NoAnswerError
from ktor_client.engines._httpx.pool import ConnectionPool
from ktor_client.errors import ClientClosedError, KtorClientError
from ktor_client.http import Url
from ktor_client.http.host import in_brackets
from ktor_client.http1.rules import MAX_INTERIM

__all__ = ["FROM_URL", "STREAM", "NetworkStream", "PoolTransport"]

FROM_URL = "ktor_client.url"
"""Request extension: the `Url` that was asked for, ws and wss included."""

STREAM = "ktor_client.stream"
"""Name under which `get_extra_info` gives the `SocketStream`."""

_KEEPALIVE = 15.0
"""Seconds that an idle connection stays in a pool."""

_BEGIN = b"HTTP/"
_blank_line = re.compile(rb"\n\r?\n").search


class PoolTransport(httpx.AsyncBaseTransport):
    """One pool for each way to the network: direct, or through a certain proxy."""

    def __init__(self, dialer: Dialer) -> None:
        self.dialer = dialer
        self.is_closed = False
        self._pools: dict[tuple[object, ...], ConnectionPool] = {}
        # httpcore wants a context where it would load certificates; ours is used instead.
        self._no_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send a request through the pool of its way."""
        url: Url = request.extensions[FROM_URL]
        assert isinstance(request.stream, httpx.AsyncByteStream)
        proxy = self.dialer.proxy_for(url)
        forward = proxy is not None and proxy.forwards and url.scheme == "http"
        host = in_brackets(url.server_name) if forward else url.host  # as in the absolute form
        asked = httpcore.Request(
            request.method,
            httpcore.URL(
                scheme=b"https" if url.is_secure else b"http",
                host=host.encode("ascii"),
                port=url.port,
                target=url.target.encode("ascii"),
            ),
            headers=request.headers.raw,
            content=request.stream,
        )
        try:
            answer: Any
            answer, stream = await self._pool(proxy, forward).handle_async_request(asked)
        except _NotConnected as carrier:
            raise carrier.error from carrier.error.__cause__
        return _Response(
            answer.status,
            headers=answer.headers,
            stream=stream,
            extensions=answer.extensions,
        )

    async def aclose(self) -> None:
        """Close all connections; what is connecting sends nothing any more."""
        self.is_closed = True
        for pool in self._pools.values():
            await pool.aclose()

    def _pool(self, proxy: Proxy | None, forward: bool) -> ConnectionPool:
        key = (forward, *(() if proxy is None else proxy.key()))
        pool = self._pools.get(key)
        if pool is None:
            pool = self._pools[key] = self._new_pool(proxy, forward)
        return pool

    def _new_pool(self, proxy: Proxy | None, forward: bool) -> ConnectionPool:
        options = self.dialer.options
        more: dict[str, Any] = {}
        if proxy is not None and forward:
            credentials = (
                None
                if proxy.user is None
                else (proxy.user.encode(), (proxy.password or "").encode())
            )
            # Its TLS is the dialer's, so that for httpcore there is none.
            more["proxy"] = httpcore.Proxy(str(proxy).replace("https", "http", 1), auth=credentials)
        factory = httpcore.AsyncConnectionPool(  # it is asked for connections only, not for a pool
            ssl_context=self._no_context,
            keepalive_expiry=_KEEPALIVE,
            uds=options.unix_socket,
            network_backend=_Backend(self, proxy, forward),
            **more,
        )
        return ConnectionPool(factory.create_connection, options.limit)


class _Response(httpx.Response):
    """httpx prepares the next request of a redirect, followed or not, and fails at a bad one."""

    @property
    def has_redirect_location(self) -> bool:
        """No: redirects are followed above the engine."""
        return False


class _NotConnected(Exception):
    """Carries an error of the dialer's through httpcore, which strips causes."""

    def __init__(self, error: KtorClientError) -> None:
        super().__init__(error)
        self.error = error


class _Backend(httpcore.AsyncNetworkBackend):
    """Connections for one pool."""

    def __init__(self, owner: PoolTransport, proxy: Proxy | None, forward: bool) -> None:
        self._owner = owner
        self._proxy = proxy
        self._forward = forward

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        dialer, proxy = self._owner.dialer, self._proxy
        try:
            if self._forward and proxy is not None:
                stream = await dialer.open_proxy(proxy)
            else:
                stream = await dialer.open(host, port, proxy)
        except KtorClientError as error:
            raise _NotConnected(error) from error
        return NetworkStream(stream, self._owner)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            return NetworkStream(await self._owner.dialer.open_unix(path), self._owner)
        except KtorClientError as error:
            raise _NotConnected(error) from error


class NetworkStream(httpcore.AsyncNetworkStream):
    """A `SocketStream` with httpcore's names and exceptions."""

    def __init__(self, stream: SocketStream, owner: PoolTransport) -> None:
        self._stream = stream
        self._owner = owner
        self._is_asked = False  # and the head of the answer is not here
        self._begin = b""
        self._interim = 0
        self.is_spent = False
        """Whether no other request may follow: httpcore asks for that by another name."""

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        try:
            data = await self._stream.read(max_bytes)
        except OSError as error:
            raise httpcore.ReadError(error) from error
        if self._is_asked:
            if not data:
                has_begun = self._begin or self._interim
                within = " within the head of its answer" if has_begun else ""
                raise NoAnswerError(f"Server disconnected{within}")
            self._look_at(data)
        return data

    def _look_at(self, data: bytes) -> None:
        """Refuse what httpcore would wait on: no HTTP, and interim answers without an end."""
        begin = self._begin + data
        while begin[9:10] == b"1" and begin[9:12] != b"101" and (blank := _blank_line(begin)):
            begin = begin[blank.end() :]
            self._interim += 1
            if self._interim > MAX_INTERIM:
                raise httpcore.RemoteProtocolError(
                    f"more than {MAX_INTERIM} interim answers came before it"
                )
        if not begin.startswith(_BEGIN[: len(begin)]):
            raise httpcore.RemoteProtocolError(f"it begins {begin[:20]!r}")
        self._begin = begin
        if (begin[9:10] != b"1" or begin[9:12] == b"101") and _blank_line(begin):
            self._is_asked, self._begin, self._interim = False, b"", 0

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        if not buffer:
            return
        if self._owner.is_closed:  # while this was connecting, unseen by the pool
            raise ClientClosedError("HttpxEngine was closed before the request was sent")
        self._is_asked = True
        try:
            await self._stream.write(buffer)
        except OSError as error:
            raise httpcore.WriteError(error) from error

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        try:
            await self._owner.dialer.start_tls(self._stream, server_hostname or "")
        except KtorClientError as error:
            raise _NotConnected(error) from error
        return self

    def get_extra_info(self, info: str) -> Any:
        if info == STREAM:
            return self._stream
        if info == "is_readable":
            return self.is_spent or self._stream.is_readable
        names = {"client_addr": "sockname", "server_addr": "peername"}
        return self._stream.transport.get_extra_info(names.get(info, info))
