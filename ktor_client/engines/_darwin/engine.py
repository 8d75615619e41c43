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
from ktor_client.engines._darwin.credentials import ClientIdentity, Content, Credentials
from ktor_client.engines._darwin.dialer import AppleDialer

__all__ = ["DarwinEngine"]

_REFUSED = {
    "proxy": (ProxyCapability, ": the system's settings name its proxies"),
    "ssl_context": (
        "an ssl.SSLContext",
        ": TLS is Apple's; its options here are trust, trust_system and client_identity",
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
        trust: Content | None = None,
        trust_system: bool = True,
        client_identity: ClientIdentity | None = None,
        server_hostname: str | None = None,
        connect_timeout: Duration = DEFAULT_CONNECT_TIMEOUT,
        **others: None,
    ) -> None:
        """Store the options. Nothing connects, and no event loop is needed yet.

        Args:
            limit: HTTP connections at a time; open WebSockets do not count.
            trust: certificates that are trusted as authorities, beside the system's: a path, or
                the bytes, of PEM (one or more) or DER. Apple still demands of a server's
                certificate its name among the alternative ones, and at most 825 days.
            trust_system: whether authorities that the system trusts are trusted beside `trust`.
            client_identity: a PKCS#12 file (its path or bytes) and its password, for servers that
                ask for a client's certificate. It stays in memory; on a Mac that takes macOS 15.
            server_hostname: the name that a server's certificate must have (and that is sent as
                SNI), where it is not the URL's host.
            connect_timeout: seconds for DNS, TCP and TLS together, and for a network to come.
            **others: what other engines take, such as `proxy`: refused by name.

        Raises:
            EngineUnavailableError: this is no system of Apple's, or too old a one.
            UnsupportedCapabilityError: an option of other engines was given a value, or the
                system is too old for `client_identity`.
            OSError: a file cannot be read.
            TypeError: an option of the wrong type, or one that no engine has.
            ValueError: an impossible value, a damaged certificate, or a wrong password.
        """
        refuse_options("DarwinEngine", others, _REFUSED)
        options = SocketOptions(
            limit=limit, server_hostname=server_hostname, connect_timeout=connect_timeout
        )
        credentials = Credentials.of(trust, trust_system, client_identity)
        errors = WireErrors("DarwinEngine")
        super().__init__(AppleDialer(options, errors.request, bridge(), credentials), errors)
