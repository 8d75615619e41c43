"""`DarwinEngine`: our own wire over Apple's Network.framework."""

from __future__ import annotations

from ktor_client.durations import Duration
from ktor_client.engine.capabilities import ProxyCapability, UnixSocketCapability
from ktor_client.engine.shared import refuse_options
from ktor_client.engine.socket_options import (
    DEFAULT_CONNECT_TIMEOUT,
    DEFAULT_LIMIT,
    SocketOptions,
)
from ktor_client.engine.wire import WireEngine, WireErrors
from ktor_client.engines._darwin.bridge import bridge
from ktor_client.engines._darwin.dialer import AppleDialer

__all__ = ["DarwinEngine"]

_REFUSED = {
    "proxy": (ProxyCapability, ": the system's settings name its proxies"),
    "ssl_context": (
        "an ssl.SSLContext",
        ": TLS is Apple's, and whom to trust is the system's",
    ),
    "trust_env": (ProxyCapability, ": the system's settings name its proxies"),
    "unix_socket": (UnixSocketCapability, ""),
}
"""Options that socket engines share and this one has not."""


class DarwinEngine(WireEngine):
    """HTTP and WebSockets on Apple's network stack (Ktor's `Darwin`): macOS, iOS.

    Names, connections, TLS, trust and the network's rules are Apple's; HTTP and WebSockets are
    ours, as on `CioEngine`. It has not been run on Apple hardware yet: its tests run on a double.
    """

    name = "darwin"

    def __init__(
        self,
        *,
        limit: int = DEFAULT_LIMIT,
        server_hostname: str | None = None,
        connect_timeout: Duration = DEFAULT_CONNECT_TIMEOUT,
        **others: None,
    ) -> None:
        """Store the options. Nothing connects, and no event loop is needed yet.

        Args:
            limit: HTTP connections at a time; open WebSockets do not count.
            server_hostname: the name that a server's certificate must have (and that is sent as
                SNI), where it is not the URL's host.
            connect_timeout: seconds for DNS, TCP and TLS together, and for a network to come.
            **others: what other engines take, such as `proxy`: refused by name.

        Raises:
            EngineUnavailableError: this is no system of Apple's, or too old a one.
            UnsupportedCapabilityError: an option of other engines was given a value.
            TypeError: an option of the wrong type, or one that no engine has.
            ValueError: an impossible value.
        """
        refuse_options("DarwinEngine", others, _REFUSED)
        options = SocketOptions(
            limit=limit, server_hostname=server_hostname, connect_timeout=connect_timeout
        )
        errors = WireErrors("DarwinEngine")
        super().__init__(AppleDialer(options, errors.request, bridge()), errors)
