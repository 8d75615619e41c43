"""TLS as Apple has it: which options an engine's own become."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from ktor_client.engines._darwin.bridge import Bridge

__all__ = ["AppleTls"]


class AppleTls:
    """Sets the TLS options of connections."""

    def __init__(self, bridge: Bridge, protocols: Sequence[str]) -> None:
        """Take the protocols that are offered (ALPN)."""
        self._bridge = bridge
        self._protocols = [protocol.encode() for protocol in protocols]

    def configuring(self, server_name: str | None) -> Callable[[int], None]:
        """Return what configures a connection; `server_name` where it is not the endpoint's."""
        return partial(self._configure, server_name)

    def _configure(self, server_name: str | None, tls_options: int) -> None:
        functions = self._bridge.functions
        options = functions.nw_tls_copy_sec_protocol_options(tls_options)
        for protocol in self._protocols:
            functions.sec_protocol_options_add_tls_application_protocol(options, protocol)
        if server_name is not None:
            functions.sec_protocol_options_set_tls_server_name(options, server_name.encode())
        functions.sec_release(options)
