"""Opening a connection by Apple's stack: names, addresses, TLS and the rules are its own."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from typing import TypeVar

from ktor_client.engine.dialer import Dialer
from ktor_client.engine.error_table import ErrorTable
from ktor_client.engine.phases import Phase
from ktor_client.engine.settle import settle
from ktor_client.engine.socket_options import SocketOptions
from ktor_client.engines._darwin.bridge import Bridge
from ktor_client.engines._darwin.credentials import NO_CREDENTIALS, Credentials
from ktor_client.engines._darwin.tls import AppleTls, Handshake
from ktor_client.engines._darwin.transport import AppleTransport

__all__ = ["AppleDialer"]

P = TypeVar("P", bound=asyncio.BaseProtocol)


class AppleDialer(Dialer):
    """Opens connections past proxies of ours: the system's are the system's business."""

    def __init__(
        self,
        options: SocketOptions,
        errors: ErrorTable,
        bridge: Bridge,
        credentials: Credentials = NO_CREDENTIALS,
    ) -> None:
        """Take an engine's options. Raises what `AppleTls` raises."""
        super().__init__(options, errors)
        self._bridge = bridge
        self._tls = AppleTls(bridge, self._protocols, credentials)

    async def _past_proxies(
        self, factory: Callable[[], P], host: str, port: int, where: str, *, secure: bool
    ) -> P:
        name = self._name_on_certificate(host)
        tls = self._tls.handshake(host, None if name == host else name) if secure else None
        configure = None if tls is None else tls.configure
        transport = AppleTransport(self._bridge, host, port, configure)
        try:
            await self._opened(transport, tls, where)
            protocol = factory()
            transport.begin(protocol)
        except BaseException:
            await settle(transport.drop())
            raise
        return protocol

    async def _opened(self, transport: AppleTransport, tls: Handshake | None, where: str) -> None:
        try:
            await transport.opened()
        except ssl.SSLError:
            if tls is None or tls.refusal is None:
                raise
            raise ssl.SSLCertVerificationError(*tls.refusal) from None
        except asyncio.CancelledError:
            network = transport.waits_for
            with Phase(
                f"connecting to {where}" if network is None else f"without a network ({network})"
            ):
                raise
