"""The time for getting a connection, `connect_timeout`: the wait for a free one included.

The limit of silence behind it is in `silence.py`.
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, nullcontext
from types import TracebackType

from ktor_client.engine.error_table import connect_timeout_error

__all__ = ["Deadline", "limit_before"]

_UNLIMITED: AbstractAsyncContextManager[None] = nullcontext()


def limit_before(until: float | None, limit: float | None) -> float | None:
    """Return a limit that begins now, or None where the loop's time `until` ends all before it."""
    if limit is None or until is None or asyncio.get_running_loop().time() + limit < until:
        return limit
    return None


class Deadline:
    """When a connection has to be there."""

    __slots__ = ("_at", "limit")

    def __init__(self, limit: float | None) -> None:
        """Begin to count `limit` seconds; None for as long as it takes."""
        self.limit = limit
        self._at = None if limit is None else asyncio.get_running_loop().time() + limit

    def limited(self, engine: str, where: str) -> AbstractAsyncContextManager[None]:
        """Give an `async with` block the time that is left.

        The block raises `ConnectTimeoutError` when it is over, with the phase that it was in.
        """
        if self.limit is None:
            return _UNLIMITED
        return _Limited(asyncio.timeout_at(self._at), engine, where, self.limit)


class _Limited(AbstractAsyncContextManager[None]):
    """What `Deadline.limited` returns."""

    __slots__ = ("_engine", "_limit", "_scope", "_where")

    def __init__(self, scope: asyncio.Timeout, engine: str, where: str, limit: float) -> None:
        self._scope = scope
        self._engine = engine
        self._where = where
        self._limit = limit

    async def __aenter__(self) -> None:
        await self._scope.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            await self._scope.__aexit__(exc_type, exc, traceback)
        except TimeoutError as error:
            raise connect_timeout_error(self._engine, self._where, self._limit, error) from error
        if isinstance(exc, TimeoutError) and self._scope.expired():
            raise connect_timeout_error(self._engine, self._where, self._limit, exc) from exc
