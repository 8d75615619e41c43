"""`socket_timeout` on engines that see no socket: how long the other side may say nothing.

A request counts while its head or the next chunk of its answer is awaited.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable
from typing import TypeVar

from ktor_client.engine.contract import HttpClientEngine
from ktor_client.engine.error_table import place
from ktor_client.engine.phases import READING_THE_BODY, WAITING_FOR_THE_ANSWER
from ktor_client.engine.settings import SOCKET_TIMEOUT
from ktor_client.engine.silence import socket_timeout_error
from ktor_client.http import HttpRequest, HttpResponse, ResponseBody
from ktor_client.http.body import WrappedBody
from ktor_client.link.sleeping import passing
from ktor_client.link.time_limit import TimeLimit

__all__ = ["IdleLimit"]

T = TypeVar("T")


class IdleLimit:
    """The limit of one request, by the engine's clock."""

    __slots__ = ("_engine", "_limit", "_request")

    def __init__(
        self, engine: HttpClientEngine, request: HttpRequest, default: float | None = None
    ) -> None:
        """Take a request, and the limit that it has unless one was asked for; None is none."""
        self._engine = engine
        self._request = request
        self._limit = SOCKET_TIMEOUT.of(request, default)

    async def wait(self, awaitable: Awaitable[T], phase: str = WAITING_FOR_THE_ANSWER) -> T:
        """Return what the other side says.

        Raises:
            SocketTimeoutError: it says nothing for too long.
        """
        limit = self._limit
        if limit is None:
            return await awaitable
        over = TimeLimit(self._engine.clock, limit)
        try:
            async with over:
                with passing(self._engine.clock):
                    return await awaitable
        except TimeoutError as error:
            if not over.is_over:
                raise
            name, where = type(self._engine).__name__, place(self._request)
            raise socket_timeout_error(name, where, limit, phase) from error

    def watched(self, response: HttpResponse) -> HttpResponse:
        """Return a response whose body has to come as quickly."""
        if self._limit is None:
            return response
        return response.copy(wire=lambda body: _WatchedBody(body, self))


class _WatchedBody(WrappedBody):
    def __init__(self, body: ResponseBody, limit: IdleLimit) -> None:
        super().__init__(body)
        self._limit = limit

    async def chunks(self) -> AsyncIterator[bytes]:
        async with self.source() as chunks:
            while True:
                try:
                    chunk = await self._limit.wait(anext(chunks), READING_THE_BODY)
                except StopAsyncIteration:
                    return
                yield chunk
