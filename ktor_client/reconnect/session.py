"""One of the sessions that follow one another: leaving its block by its own end is no error."""

from __future__ import annotations

from types import TracebackType
from typing import cast

from ktor_client.errors import ConnectionClosedError
from ktor_client.session import DefaultClientWebSocketSession, SessionCore
from ktor_client.session.incoming import NO_LIMIT

__all__ = ["Life", "ReconnectingSession"]


class Life:
    """What a policy asks of a session that has ended: how long it was open, what it brought."""

    __slots__ = ("_clock", "_ended_at", "_opened_at", "brought_message", "resumed")

    def __init__(self, core: SessionCore) -> None:
        self._clock = core.clock
        self._opened_at = core.clock.time()
        self._ended_at: float | None = None
        self.resumed = False
        """Whether it goes on where the one before was cut."""
        self.brought_message = bool(core.messages)
        core.on_closed(self._has_ended)
        if not self.brought_message:
            self._wait_for_message(core)

    def _wait_for_message(self, core: SessionCore) -> None:
        messages, incoming = core.messages, core.incoming

        def first(size: int = NO_LIMIT) -> None:
            if messages and not self.brought_message:  # else it was control frames alone
                self.brought_message = True
            incoming.arrived(size)

        core.arrived = first

    @property
    def seconds(self) -> float:
        """How long it was open, or has been until now."""
        return (self._clock.time() if self._ended_at is None else self._ended_at) - self._opened_at

    def _has_ended(self, _: SessionCore) -> None:
        self._ended_at = self._clock.time()


class ReconnectingSession(DefaultClientWebSocketSession):
    """What `async for session in client.web_socket_reconnecting(url)` yields.

    A session like any other, except for its `async with`: if the session ends inside the block, the
    block ends without an exception and the loop continues. Any other exception passes through and
    ends the loop.
    """

    __slots__ = ("_life",)

    def __init__(self, session: DefaultClientWebSocketSession) -> None:
        """Take over an open session."""
        super().__init__(
            session._core,
            session._call,
            content_converter=session._converter,
            require=session._require,
        )
        self._life = Life(session._core)

    async def __aenter__(self) -> ReconnectingSession:
        return self

    async def __aexit__(  # type: ignore[override]  # this one does swallow something
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        is_own_end = self._is_own_end(exc)
        if is_own_end:
            exc_type = exc = traceback = None
        await super().__aexit__(exc_type, exc, traceback)
        return is_own_end

    def _is_own_end(self, error: BaseException | None) -> bool:
        """Whether nothing but the end of this session was raised, be it by several tasks."""
        if isinstance(error, ExceptionGroup):
            return all(map(self._is_own_end, cast("ExceptionGroup[Exception]", error).exceptions))
        return isinstance(error, ConnectionClosedError) and error._ending is self._core.ending
