"""The task of a feed: it holds one connection after another, and sees to it that all of it ends.

What arrives is in `arriving.py`, what is sent in `sending.py`, which connection is next in
`connector.py`. The face that users see is in `feed.py`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from ktor_client.errors import ConnectionClosedError, KtorClientError, ReconnectStoppedError
from ktor_client.frames import CloseReason
from ktor_client.link.home_loop import cancel, session_loop
from ktor_client.link.oneshot import OneShot
from ktor_client.link.time_limit import TimeLimit
from ktor_client.reconnect import endings
from ktor_client.reconnect.arriving import Arriving
from ktor_client.reconnect.connector import Connector, PeerIsDoneError, Source
from ktor_client.reconnect.events import Connecting, FeedEvent, Lost, Opened, Stopped, Waiting
from ktor_client.reconnect.opening import Opening
from ktor_client.reconnect.options import FeedOptions, FeedState
from ktor_client.reconnect.outbox import Outbox
from ktor_client.reconnect.resume import Resume
from ktor_client.reconnect.resuming import Resuming
from ktor_client.reconnect.sending import Sending
from ktor_client.reconnect.session import ReconnectingSession
from ktor_client.reconnect.target import Target
from ktor_client.retry import RetryPolicy

__all__ = ["Running"]

_GOING_AWAY = CloseReason(CloseReason.Codes.GOING_AWAY)
_DROPPED = CloseReason(1006)
_LEAVING = (CloseReason.Codes.GOING_AWAY, CloseReason.Codes.SERVICE_RESTART)
_log = logging.getLogger("ktor_client.reconnect")
_INTERNAL_ERROR = CloseReason(CloseReason.Codes.INTERNAL_ERROR)


_STATES: dict[type[FeedEvent], FeedState] = {
    Connecting: FeedState.CONNECTING,
    Opened: FeedState.OPEN,
    Lost: FeedState.CONNECTING,
    Waiting: FeedState.WAITING,
}


class _ResumeError(Exception):
    """The connection was given up, for what came over it cannot be."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


class _ReloadError(_ResumeError):
    """A `reload` of the user's has failed, and with it the connection."""


class Running:
    """The life of one feed."""

    def __init__(
        self, source: Source, target: Target, policy: RetryPolicy, options: FeedOptions
    ) -> None:
        """Begin to connect, on the running loop."""
        self.home = session_loop()
        self.source = source
        self.arriving = Arriving(source.incoming_limit)
        plug = options.resume
        awaits_receipts = plug is not None and type(plug).acknowledges is not Resume.acknowledges
        self.sending = Sending(
            options.outbox or Outbox(), source.clock, awaits_receipts=awaits_receipts
        )
        self._resuming: Resuming | None = None
        if plug is not None:
            resuming = Resuming(plug, self._tell, self.sending)
            self._resuming, self.arriving.passes = resuming, resuming.passes
            self.sending.wrap = resuming.wrap
        opening = Opening(
            source.clock,
            source.open_timeout,
            options.on_open,
            None if self._resuming is None else self._resuming.on_open,
        )
        self.connector = Connector(source, target, policy, self._tell, opening)
        self._options = options
        self.state = FeedState.CONNECTING
        self.generation = 0
        self.session: ReconnectingSession | None = None
        self._successor: ReconnectingSession | None = None
        """What is open already, and follows `session`."""
        self._opened: OneShot[None] = OneShot(self.home)
        """The next opening, or the end."""
        self._end: Callable[[], Exception] | None = None
        self._ends_quietly = False
        self._ended: OneShot[None] = OneShot(self.home)
        self._unheard: Exception | None = None
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name=f"feed of {target.shown}"
        )

    @property
    def is_open(self) -> bool:
        """Whether there is a connection now."""
        return self.session is not None and self.session.is_open

    async def opened(self) -> None:
        """Wait until there is a connection. Raises how it ended when there will be none."""
        while self._end is None and not self.is_open:
            await self._opened.wait()
        if self._end is not None:
            raise self._error()

    # --- the task ---

    async def _run(self) -> None:
        """Hold one connection after another, until the policy stops."""
        try:
            while True:
                if self._successor is None:
                    await self.arriving.wait_for_room()
                    self._successor = await self._connect()
                session, self._successor = self._successor, None
                try:
                    await self._carry(session)
                except _ReloadError as failed:
                    await self.connector.users_failed(failed.error)
                except _ResumeError as failed:
                    await self.connector.failed(failed.error, was_open=True)
                else:
                    if self._successor is None:
                        await self.connector.ended(session)
        except PeerIsDoneError as done:
            self._stop_with(endings.peer_is_done(done), quietly=True)
        except ReconnectStoppedError as error:
            self._stop_with(endings.anew(error), quietly=False)
        except asyncio.CancelledError as cancelled:
            if self._end is None:  # not by us, but by what a function of the user's waited for, say
                stopped = ReconnectStoppedError("The feed was cancelled from within")
                stopped.__cause__ = cancelled
                self._stop_with(endings.anew(stopped), quietly=False)
                self._abandon(_GOING_AWAY)
            raise
        except Exception as error:
            if not isinstance(error, KtorClientError):  # of a function of the user's
                self._unheard = error
            self._stop_with(endings.same(error), quietly=False)
        self._abandon(_GOING_AWAY)

    async def _carry(self, session: ReconnectingSession) -> None:
        """Let messages through until the session is gone.

        Raises:
            _ResumeError: it was given up.
        """
        self.generation += 1
        self.session = session
        self._tell(Opened(self.generation, session._life.resumed))
        opened, self._opened = self._opened, OneShot(self.home)
        opened.set(None)
        self.sending.attach(session)
        if self._resuming is not None:
            await self._resume(session, self._resuming)
        self.arriving.attach(session)
        await self._until_due(session)
        await session.wait_closed()
        self._drop_session()
        failure = self.arriving.failure or self.sending.failure
        self.arriving.failure = self.sending.failure = None
        if isinstance(failure, ConnectionClosedError):
            raise _ResumeError(failure)
        if failure is not None:
            raise failure

    async def _resume(self, session: ReconnectingSession, resuming: Resuming) -> None:
        """Reload if the server cannot go on; what comes meanwhile waits in the session."""
        resuming.attach()
        if not resuming.needs_reload:
            return
        resuming.tell_gap()
        try:
            position = await resuming.plug.reload()
            if self._end is not None:  # as in `_connect`
                raise asyncio.CancelledError
            resuming.reloaded(position)
        except Exception as error:
            session._core.close_without_waiting(_INTERNAL_ERROR)
            await session.wait_closed()
            self._drop_session()
            raise _ReloadError(error) from error

    async def _until_due(self, session: ReconnectingSession) -> None:
        """Wait until a session ends, or is too old; where it overlaps, open its successor."""
        age = self._options.max_age
        if age is None:
            await session.close_reason
        else:
            with suppress(TimeoutError):
                async with TimeLimit(self.source.clock, age):
                    await session.close_reason
        overlaps = self._options.overlap
        if session.is_open:
            if overlaps:
                await self._replace(session)
            if self._successor is not None or not overlaps:
                await session.close()  # what still waits goes over the next one
        reason = await session.close_reason
        if (
            overlaps
            and self._successor is None
            and reason.initiator == "peer"
            and reason.code in _LEAVING
            and self.arriving.failure is None
            and self.connector.is_stable(session)
        ):
            await self.connector.ended(session, at_once=True)
            self._successor = await self._connect()

    async def _connect(self) -> ReconnectingSession:
        """Open the next session."""
        session = await self.connector.connect()
        if self._end is not None:  # told by a function of the user's, or kept from us by one
            session._core.close_without_waiting(_GOING_AWAY)
            raise asyncio.CancelledError
        return session

    async def _replace(self, session: ReconnectingSession) -> None:
        """Open another session while the one that is too old goes on, if that can be."""
        self.connector.take_stock(session)
        try:
            self._successor = await self._connect()
        except (PeerIsDoneError, ReconnectStoppedError) as error:
            if not session.is_open:
                raise
            _log.warning("a connection was not replaced at its max_age: %s", error)

    def _tell(self, event: FeedEvent) -> None:
        if self._ended.is_set:
            return
        if self.is_open:  # whatever becomes of one that would replace it
            self.state = FeedState.OPEN
        else:
            self.state = _STATES.get(type(event), self.state)
        self.arriving.tell(event)

    # --- ending ---

    async def close(self, reason: CloseReason) -> None:
        """Send what waits if there is a connection, close that, and stop; the first call counts.

        A function of the user's, for which the task waits, cannot wait for its end.
        """
        if self._end is not None:
            if not self._is_within:
                await self._ended.wait()
            return
        if self._is_within:
            await self.close_without_waiting(reason)
            return
        self._stop_with(endings.closed_by_us(reason), quietly=True)
        try:
            await self._end_task()
            if self.session is not None:
                await self._say_goodbye(self.session, reason)
            if self._successor is not None:
                await self._successor.close(reason)
        except BaseException:
            for session in self._sessions:
                session.cancel()
            raise
        finally:
            self._finish()
        await self.sending.stopped()

    def cancel(self) -> None:
        """Drop the connection, or the wait for one, now."""
        self._stop_with(endings.closed_by_us(_DROPPED), quietly=True)
        cancel(self._task)
        for session in self._sessions:
            session.cancel()
        self._finish()

    async def close_without_waiting(self, reason: CloseReason = _GOING_AWAY) -> None:
        """Say why if that is possible at once, and stop: nobody may wait for the peer."""
        self._stop_with(endings.closed_by_us(reason), quietly=True)
        self._abandon(reason)
        await self._end_task()
        await self.sending.stopped()

    async def over(self) -> None:
        """Wait until nothing runs any more, and raise what nobody has heard of."""
        await self._end_task()
        await self.sending.stopped()
        if self._unheard is not None:
            raise self._unheard

    def _stop_with(self, end: Callable[[], Exception], *, quietly: bool) -> None:
        """Say how it ended from now on; what was said first counts."""
        if self._end is None:
            self._end = end
            self._ends_quietly = quietly
            self.sending.refuse(self._error)
            self.connector.waits.end()

    def _abandon(self, reason: CloseReason) -> None:
        """Close what is still open without waiting, and finish."""
        for session in self._sessions:
            session._core.close_without_waiting(reason)
        self._finish()

    def _finish(self) -> None:
        """Take leave of the last connection, and tell everybody."""
        if self._ended.is_set:
            return
        self._drop_session()
        self.sending.finish()
        self.state = FeedState.STOPPED
        self.arriving.tell(Stopped(self.connector.stopped_by))
        end = cast("Callable[[], ConnectionClosedError]", self._error)
        self.arriving.incoming.end(end, quietly=self._ends_quietly)
        self.arriving.log.end()
        self._opened.set(None)
        self._ended.set(None)

    @property
    def _sessions(self) -> list[ReconnectingSession]:
        return [one for one in (self.session, self._successor) if one is not None]

    def _drop_session(self) -> None:
        if self.session is not None:
            self.session = None
            self.arriving.detach()
            self.sending.detach()

    @property
    def _is_within(self) -> bool:
        """Whether it is the feed's own task that asks."""
        return asyncio.current_task() is self._task

    async def _end_task(self) -> None:
        self._task.cancel()
        if not self._is_within:
            await asyncio.wait([self._task])

    async def _say_goodbye(self, session: ReconnectingSession, reason: CloseReason) -> None:
        with suppress(TimeoutError):
            async with TimeLimit(self.source.clock, session._core._close_timeout):
                await self.sending.drained()
        await session.close(reason)

    def _error(self) -> Exception:
        assert self._end is not None
        error = self._end()
        if error is self._unheard:
            self._unheard = None
        return error
