"""The engine's own pool: aiohttp's, over the dialer's connections.

What a connection is, is in `protocol.py`; what goes over it, in `exchange.py`.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import aiohttp

from ktor_client.engine.deadlines import Deadline
from ktor_client.engine.dialer import Dialer
from ktor_client.engine.phases import waiting_for_a_slot
from ktor_client.engine.proxies import Proxy
from ktor_client.engines._aiohttp.protocol import PooledProtocol
from ktor_client.http import Url

if TYPE_CHECKING:
    from aiohttp.client_proto import ResponseHandler
    from aiohttp.client_reqrep import ConnectionKey
    from aiohttp.connector import Connection
    from aiohttp.tracing import Trace

__all__ = ["Connector", "Way"]

NO_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None)


class Way(NamedTuple):
    """What requests have in common that may go one after another on one connection."""

    host: str
    port: int
    is_ssl: bool
    proxy: tuple[object, ...] | None
    """Of a proxy that takes requests in absolute form; tunnels lead where all of them lead."""


class _FreshWay(Way):
    """The same way, on a connection that nobody has used."""


class _Wanted:
    """What a connector asks of a request."""

    __slots__ = ("connection_key", "deadline", "forward", "url")

    proxy = None  # the dialer knows of one

    def __init__(self, url: Url, way: Way, forward: Proxy | None, deadline: Deadline) -> None:
        self.connection_key = way
        self.deadline = deadline
        self.forward = forward
        self.url = url

    def is_ssl(self) -> bool:
        return self.connection_key.is_ssl


class Connector(aiohttp.TCPConnector):
    """One limit over all connections, the wait for a free one included in `connect_timeout`."""

    def __init__(self, dialer: Dialer) -> None:
        super().__init__(  # pyright: ignore[reportUnknownMemberType]  # half typed by aiohttp
            limit=dialer.options.limit, ssl=dialer.options.ssl_context or True
        )
        self._dialer = dialer
        self._factory = partial(  # type: ignore[assignment]  # of a subclass
            PooledProtocol, loop=asyncio.get_running_loop()
        )

    async def connection(
        self, url: Url, where: str, forward: Proxy | None, deadline: Deadline, *, fresh: bool
    ) -> Connection:
        """Return a connection to use, which its user releases or closes.

        Args:
            url: of the request.
            where: its host and port, for messages.
            forward: the proxy that is to get the request in absolute form, if one is.
            deadline: when it has to be there.
            fresh: whether it must be a new one.

        Raises what the dialer raises, and aiohttp's errors where the connector is closed.
        """
        if forward is None:
            way = Way(url.host, url.port, url.is_secure, None)
        else:
            way = Way(forward.host, forward.port, forward.has_tls, forward.key())
        wanted = _Wanted(url, _FreshWay(*way) if fresh else way, forward, deadline)
        async with self._dialer.limited(where, deadline):
            return await self.connect(cast("Any", wanted), [], NO_TIMEOUT)

    async def _get(self, key: ConnectionKey, traces: list[Trace]) -> Connection | None:
        if isinstance(key, _FreshWay):
            return None
        return await super()._get(key, traces)

    async def _wait_for_available_connection(self, key: ConnectionKey, traces: list[Trace]) -> None:
        try:
            with waiting_for_a_slot(self.limit):
                await super()._wait_for_available_connection(key, traces)
        except asyncio.CancelledError:
            self._release_waiter()  # else a slot that came in the same moment wakes nobody
            raise

    async def _create_connection(
        self, req: Any, traces: list[Trace], timeout: aiohttp.ClientTimeout
    ) -> ResponseHandler:
        wanted: _Wanted = req
        dialer, deadline, url = self._dialer, wanted.deadline, wanted.url
        if dialer.is_direct:
            secure = url.is_secure
            return await dialer.connect(self._factory, url.host, url.port, deadline, secure=secure)
        if dialer.options.unix_socket is not None:
            stream = await dialer.open_unix(dialer.options.unix_socket, deadline)
        elif wanted.forward is not None:
            stream = await dialer.open_proxy(wanted.forward, deadline)
        else:
            stream = await dialer.open(url.host, url.port, dialer.proxy_for(url), deadline)
        if url.is_secure:
            await dialer.start_tls(stream, url.host)
        protocol = self._factory()
        protocol.connection_made(stream.transport)
        stream.hand_over(protocol)
        return protocol
