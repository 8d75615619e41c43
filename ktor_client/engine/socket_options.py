"""The options that engines with sockets share, checked alike."""

from __future__ import annotations

import ssl
from typing import Any

from ktor_client.durations import Duration, seconds
from ktor_client.http.host import checked_host, without_zone
from ktor_client.unset import Unset, known

__all__ = ["DEFAULT_CONNECT_TIMEOUT", "DEFAULT_LIMIT", "DEFAULT_TRUST_ENV", "SocketOptions"]

DEFAULT_LIMIT: Any = Unset(100)
DEFAULT_TRUST_ENV: Any = Unset(False)
DEFAULT_CONNECT_TIMEOUT: Any = Unset(10.0)
"""Seconds."""


class SocketOptions:
    """Options for connections, and whether the caller's own object decides them."""

    __slots__ = (
        "_given",
        "connect_timeout",
        "limit",
        "proxy",
        "server_hostname",
        "ssl_context",
        "trust_env",
        "unix_socket",
    )

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
        """Check the options.

        Raises:
            TypeError: an option is of the wrong type.
            ValueError: an option's value is impossible, or two contradict each other.
        """
        options: dict[str, Any] = {
            "connect_timeout": connect_timeout,
            "limit": limit,
            "proxy": proxy,
            "server_hostname": server_hostname,
            "ssl_context": ssl_context,
            "trust_env": trust_env,
            "unix_socket": unix_socket,
        }
        self._given = [
            name
            for name, value in options.items()
            if value is not None and not isinstance(value, Unset)
        ]
        limit, trust_env, connect_timeout = map(known, (limit, trust_env, connect_timeout))
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise TypeError(f"limit is a number of connections, not {type(limit).__name__}")
        if limit < 1:
            raise ValueError(f"limit must be at least 1 connection, not {limit}")
        if ssl_context is not None and not isinstance(ssl_context, ssl.SSLContext):
            raise TypeError(f"ssl_context is an ssl.SSLContext, not {type(ssl_context).__name__}")
        if server_hostname is not None:
            try:
                server_hostname = without_zone(checked_host(server_hostname)).rstrip(".")
            except (TypeError, ValueError) as error:
                raise type(error)(f"server_hostname is a name on a certificate: {error}") from None
        if unix_socket is not None and not isinstance(unix_socket, str):
            raise TypeError(f"unix_socket is a path (str), not {type(unix_socket).__name__}")
        if unix_socket is not None and (proxy is not None or trust_env):
            raise ValueError("unix_socket takes neither proxy nor trust_env: it goes nowhere else")
        self.limit = limit
        self.ssl_context = ssl_context
        self.proxy = proxy
        self.server_hostname = server_hostname
        self.trust_env = trust_env
        self.unix_socket = unix_socket
        self.connect_timeout = seconds(connect_timeout, "connect_timeout")

    def refuse_beside(self, engine: str, adopted: str) -> None:
        """Check that nothing was set beside an object that the caller brings.

        Raises:
            TypeError: an option was set that the adopted object decides, even if to its default.
        """
        if self._given:
            raise TypeError(
                f"{engine}({adopted}=...) takes no {self._given[0]}: the {adopted} that you bring "
                f"decides it; set it there, or leave {adopted} out"
            )
