"""`CioEngine`: our own wire over asyncio's sockets."""

from __future__ import annotations

import ssl

from ktor_client.durations import Duration
from ktor_client.engine.dialer import Dialer
from ktor_client.engine.socket_options import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_LIMIT,
    DEFAULT_TRUST_ENV,
    SocketOptions,
)
from ktor_client.engine.wire import WireEngine, WireErrors
from ktor_client.mistakes import answering

__all__ = ["CioEngine"]


class CioEngine(WireEngine):
    """HTTP and WebSockets on asyncio alone (Ktor's `CIO`)."""

    name = "cio"

    @answering("CioEngine")
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

        Raises:
            TypeError: an option of the wrong type.
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
        errors = WireErrors("CioEngine")
        super().__init__(Dialer(options, errors.request), errors)
