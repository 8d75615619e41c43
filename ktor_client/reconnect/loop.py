"""The loop form: `async for session in client.web_socket_reconnecting(url)`.

The iterator owns the session that it gave out last. A loop that is left lets go of the iterator,
and with it of a session that is still open.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

from ktor_client.frames import CloseReason
from ktor_client.reconnect.connector import Connector, PeerIsDoneError
from ktor_client.reconnect.session import ReconnectingSession
from ktor_client.session import SessionCore

__all__ = ["Sessions"]

_NORMAL = CloseReason(CloseReason.Codes.NORMAL)


class Sessions(AsyncIterator[ReconnectingSession]):
    """One session after another; each is over before the next one is opened."""

    def __init__(self, make_connector: Callable[[], Connector]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connector = make_connector()
        self._session: ReconnectingSession | None = None
        self._is_over = False

    async def __anext__(self) -> ReconnectingSession:
        """Return the next session. Raises what `Connector.connect` raises."""
        if self._is_over:
            raise StopAsyncIteration
        previous, self._session = self._session, None
        try:
            if previous is not None:
                await previous.close()
                await self._connector.ended(previous)
            self._session = await self._connector.connect()
        except BaseException as error:
            self._is_over = True
            if previous is not None:
                _close_soon(self._loop, previous._core)
            if isinstance(error, PeerIsDoneError):
                raise StopAsyncIteration from None
            raise
        return self._session

    async def aclose(self) -> None:
        """Close the session that is open, if one is: for `contextlib.aclosing`."""
        self._is_over = True
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def __del__(self) -> None:
        if self._session is not None:
            _close_soon(self._loop, self._session._core)


def _close_soon(loop: asyncio.AbstractEventLoop, core: SessionCore) -> None:
    """Close a session in the next step of its loop; once that is closed, nothing is left to do."""
    if core.is_open and not loop.is_closed():
        loop.call_soon_threadsafe(core.start_close, _NORMAL)
