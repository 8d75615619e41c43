"""The connections of one way to the network: how many there are, who gets one, which are kept.

httpcore's connections, but not its pool: that goes through all of its queue and all of its
connections for each request that comes or goes. Here a request costs the same, whoever waits.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from functools import partial
from typing import Any

import httpcore
import httpx

from ktor_client.engine.settle import settle
from ktor_client.engine.slots import Slots
from ktor_client.engines._httpx.errors import UnheardError
from ktor_client.engines._httpx.network_stream import Terms
from ktor_client.errors import ClientClosedError

__all__ = ["ConnectionPool"]

Connection = httpcore.AsyncConnectionInterface


class ConnectionPool:
    """At most `limit` connections, idle ones among them; one request at a time on each."""

    def __init__(self, new_connection: Callable[[httpcore.Origin], Connection], limit: int) -> None:
        self._new_connection = new_connection
        self._limit = limit
        self._slots = Slots(limit, "HttpxEngine")
        self._open: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # longest idle first

    async def handle_async_request(
        self, request: httpcore.Request, terms: Terms
    ) -> tuple[httpcore.Response, httpx.AsyncByteStream]:
        """Send a request; its connection is free again when the stream is closed.

        Where a kept connection dies before a byte of an answer, what may be repeated is sent once
        more, on a new one (RFC 9112 9.3.1).

        Raises:
            ClientClosedError: the pool was closed before the request was sent.
            ConnectTimeoutError: no connection was free in time.
        """
        is_repetition = False
        while True:
            async with terms.deadline.limited("HttpxEngine", terms.where):
                await self._slots.take()
            connection, surplus, was_used = self._choose(request.url.origin, fresh=is_repetition)
            try:
                if surplus:
                    await settle(_close(surplus))
                response = await connection.handle_async_request(request)
            except BaseException as error:
                await settle(self._give_back(connection))
                if isinstance(error, httpcore.ConnectionNotAvailable):  # `aclose` was faster
                    raise ClientClosedError(
                        "HttpxEngine was closed before the request was sent"
                    ) from error
                may_repeat = was_used and terms.may_repeat and not is_repetition
                if not (may_repeat and isinstance(error, UnheardError)):
                    raise
                is_repetition = True
                terms.begin_again()
            else:
                read = partial(self._read, connection, response.stream)
                return response, _Stream(response.stream, read)

    async def aclose(self) -> None:
        """Close all connections; who waits for one hears of it."""
        self._slots.close()
        await settle(_close(tuple(self._open)))

    def _choose(
        self, origin: httpcore.Origin, *, fresh: bool
    ) -> tuple[Connection, list[Connection], bool]:
        """Return an idle connection or a new one, and those that are to be closed before.

        The last value is whether it was used before.
        """
        surplus: list[Connection] = []
        while (oldest := next(iter(self._idle), None)) is not None and oldest.has_expired():
            surplus.append(self._drop_idle(oldest))
        for connection in () if fresh else reversed(self._idle):
            if connection.can_handle_request(origin) and not connection.has_expired():
                del self._idle[connection]
                return connection, surplus, True
        if len(self._open) >= self._limit:  # who has a slot finds an idle one to close
            surplus.append(self._drop_idle(next(iter(self._idle))))
        connection = self._new_connection(origin)
        self._open.add(connection)
        return connection, surplus, False

    def _drop_idle(self, connection: Connection) -> Connection:
        del self._idle[connection]
        self._open.discard(connection)
        return connection

    async def _read(self, connection: Connection, stream: Any) -> None:
        """Keep a connection whose response was read to its end, and close any other."""
        try:
            await stream.aclose()
        finally:
            if connection.is_idle() and not connection.has_expired():
                self._idle[connection] = None
                self._slots.give_back()
            else:
                await self._give_back(connection)

    async def _give_back(self, connection: Connection) -> None:
        """Close a connection: cancelled or refused, httpcore may leave it open."""
        try:
            await connection.aclose()
        finally:
            self._open.discard(connection)
            self._slots.give_back()


class _Stream(httpx.AsyncByteStream):
    """httpcore's body under the class that httpx wants; closed once."""

    def __init__(self, stream: Any, close: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._stream = stream
        self._close = close

    def __aiter__(self) -> AsyncIterator[bytes]:
        chunks: AsyncIterator[bytes] = self._stream.__aiter__()
        return chunks

    async def aclose(self) -> None:
        await settle(self._close())


async def _close(connections: Iterable[Connection]) -> None:
    for connection in connections:
        await connection.aclose()
