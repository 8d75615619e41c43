"""Our way from a request to httpcore's connections, over asyncio ones that can be taken over.

httpcore does HTTP/1.1. Connecting, TLS, proxies and `connect_timeout` are the dialer's, so that
wss is never sent in clear and ws goes through a tunnel.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterable
from functools import partial
from typing import Any

import httpcore
import httpx

from ktor_client.engine.dialer import Dialer
from ktor_client.engine.error_table import place
from ktor_client.engine.outgoing import fields_to_send
from ktor_client.engine.proxies import Proxy
from ktor_client.engine.sending import AT_ONCE
from ktor_client.engine.settings import DEFAULT_SOCKET_TIMEOUT, SOCKET_TIMEOUT
from ktor_client.engine.socket_stream import SocketStream
from ktor_client.engine.upload import Upload
from ktor_client.engines._httpx.network_stream import NetworkStream, NotConnectedError, Terms
from ktor_client.engines._httpx.pool import ConnectionPool
from ktor_client.errors import KtorClientError
from ktor_client.http import HttpRequest
from ktor_client.http.body import in_slices, once_only
from ktor_client.http.host import in_brackets
from ktor_client.http1 import AnswerHead

__all__ = ["OwnResponse", "PoolTransport"]

_KEEPALIVE = 15.0
"""Seconds that an idle connection stays in a pool."""


class OwnResponse(httpx.Response):
    """An answer that came on our own connections."""

    head: AnswerHead
    """What came; httpcore was told no more of it than where the body ends."""


class PoolTransport:
    """One pool for each way to the network: direct, or through a certain proxy."""

    def __init__(self, dialer: Dialer) -> None:
        self.dialer = dialer
        self.is_closed = False
        self._pools: dict[tuple[object, ...], ConnectionPool] = {}
        # httpcore wants a context where it would load certificates; ours is used instead.
        self._no_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

    async def send(
        self, request: HttpRequest, upload: Upload | None, *, is_handshake: bool
    ) -> OwnResponse:
        """Send a request through the pool of its way. Raises httpcore's errors, and ours."""
        url, body = request.url, request.body
        proxy = self.dialer.proxy_for(url)
        forward = proxy is not None and proxy.forwards and url.scheme == "http"
        host: str = url.host
        port: int | None = url.port
        if forward:  # as they stand in the absolute form
            host, port = in_brackets(url.server_name), None if url.port == 80 else url.port
        terms = Terms(
            request.method,
            place(request),
            partial(self.dialer.deadline, request),
            SOCKET_TIMEOUT.of(request, DEFAULT_SOCKET_TIMEOUT),
            is_handshake=is_handshake,
            may_repeat=request.method.is_idempotent and once_only(body) is None,
        )
        if isinstance(body, bytes) and len(body) > AT_ONCE:
            body = in_slices(body)
        asked = httpcore.Request(
            str(request.method),
            httpcore.URL(
                scheme=b"https" if url.is_secure else b"http",
                host=host.encode("ascii"),
                port=port,
                target=url.target.encode("ascii"),
            ),
            headers=_fields(request, upload),
            content=body if upload is None else upload,
            extensions={
                "timeout": dict.fromkeys(("connect", "read", "write"), terms),
                # Neither the zone of an address nor the dot of a name stands in a certificate.
                "sni_hostname": url.server_name.rstrip("."),
            },
        )
        try:
            answer: Any
            answer, stream = await self._pool(proxy, forward).handle_async_request(asked, terms)
        except NotConnectedError as carrier:
            raise carrier.error from carrier.error.__cause__
        assert terms.head is not None
        response = OwnResponse(
            answer.status,
            headers=terms.head.fields,
            stream=stream,
            extensions=answer.extensions,
        )
        response.head = terms.head
        return response

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
        timeout: Any = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        dialer, proxy = self._owner.dialer, self._proxy
        terms: Terms = timeout
        try:
            if self._forward and proxy is not None:
                stream = await dialer.open_proxy(proxy, terms.deadline)
            else:
                stream = await dialer.open(host, port, proxy, terms.deadline)
        except KtorClientError as error:
            raise NotConnectedError(error) from error
        return self._over(stream)

    async def connect_unix_socket(
        self,
        path: str,
        timeout: Any = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        terms: Terms = timeout
        try:
            stream = await self._owner.dialer.open_unix(path, terms.deadline)
        except KtorClientError as error:
            raise NotConnectedError(error) from error
        return self._over(stream)

    def _over(self, stream: SocketStream) -> NetworkStream:
        return NetworkStream(stream, self._owner.dialer, lambda: self._owner.is_closed)


def _fields(request: HttpRequest, upload: Upload | None) -> list[tuple[bytes, bytes]]:
    """Return the fields as they leave: one Host, and that first."""
    fields = fields_to_send(request, upload)
    hosts = request.headers.get_all("host") or [request.url.authority]
    others = [(name, value) for name, value in fields if name.lower() != "host"]
    return [(name.encode(), value.encode()) for name, value in (("Host", hosts[-1]), *others)]
