"""The task of a feed: it holds one connection after another, and sees to it that all of it ends.

What arrives is in `arriving.py`, what is sent in `sending.py`, which connection is next in
`connector.py`. The face that users see is in `feed.py`.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import cast

from ktor_client.errors import ConnectionClosedError, KtorClientError, ReconnectStoppedError
from ktor_client.frames import CloseReason
from ktor_client.link.home_loop import session_loop
from ktor_client.reconnect.arriving import Arriving
from ktor_client.reconnect.connector import Connector, PeerIsDoneError, Source
from ktor_client.reconnect.events import Connecting, FeedEvent, Lost, Opened, Stopped, Waiting
from ktor_client.reconnect.opening import OnOpen, Opening
from ktor_client.reconnect.outbox import Outbox
from ktor_client.reconnect.resume import Resume
from ktor_client.reconnect.resuming import Resuming
from ktor_client.reconnect.sending import Sending
from ktor_client.reconnect.session import ReconnectingSession
from ktor_client.reconnect.target import Target
from ktor_client.retry import RetryPolicy
from ktor_client.session.oneshot import OneShot

__all__ = ["FeedOptions", "FeedState", "Running"]

_GOING_AWAY = CloseReason(CloseReason.Codes.GOING_AWAY)
_DROPPED = CloseReason(1006)
_INTERNAL_ERROR = CloseReason(CloseReason.Codes.INTERNAL_ERROR)


class FeedState(enum.StrEnum):
    """Where a feed is."""

    CONNECTING = "connecting"
    """An attempt is under way, or about to begin."""
    OPEN = "open"
    """There is a connection."""
    WAITING = "waiting"
    """The next attempt is a while away."""
    STOPPED = "stopped"
    """There will be no more."""


_STATES: dict[type[FeedEvent], FeedState] = {
    Connecting: FeedState.CONNECTING,
    Opened: FeedState.OPEN,
    Lost: FeedState.CONNECTING,
    Waiting: FeedState.WAITING,
}


@dataclass(frozen=True)
class FeedOptions:
    """What a call says about its feed, beyond where to and when."""

    on_open: OnOpen | None = None
    outbox: Outbox | None = None
    resume: Resume | None = None

    def __post_init__(self) -> None:
        """Check what was given.

        Raises:
            TypeError: a value of the wrong type.
        """
        if self.on_open is not None and not callable(self.on_open):
            raise TypeError(f"on_open takes a coroutine function, not {self.on_open!r}")
        if not isinstance(self.outbox, Outbox | None):
            raise TypeError(f"outbox takes Outbox(max_messages=256), not {self.outbox!r}")
        if not isinstance(self.resume, Resume | None):
            raise TypeError(f"resume takes an instance of a Resume, not {self.resume!r}")

    @property
    def given(self) -> list[str]:
        """Names of the options that were given, and that only feeds have."""
        return [
            one.name
            for one in fields(self)
            if one.name != "on_open" and getattr(self, one.name) is not one.default
        ]


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
        self.state = FeedState.CONNECTING
        self.session: ReconnectingSession | None = None
        self._opened: OneShot[None] = OneShot(self.home)
        self._end: Callable[[], Exception] | None = None
        self._ends_quietly = False
        self._ended: OneShot[None] = OneShot(self.home)
        self._unheard: Exception | None = None
        self._task = asyncio.get_running_loop().create_task(
            self._run(), name=f"feed of {target.shown}"
        )

    async def opened(self) -> None:
        """Wait until there is a connection. Raises how it ended when there will be none."""
        if self.session is None:
            await self._opened.wait()
        if self._end is not None:
            raise self._error()

    # --- the task ---

    async def _run(self) -> None:
        """Hold one connection after another, until the policy stops."""
        try:
            while True:
                await self.arriving.wait_for_room()
                session = await self.connector.connect()
                try:
                    await self._carry(session)
                except _ReloadError as failed:
                    await self.connector.users_failed(failed.error)
                except _ResumeError as failed:
                    await self.connector.failed(failed.error, was_open=True)
                else:
                    await self.connector.ended(session)
        except PeerIsDoneError as done:
            self._stop_with(_peer_is_done(done), quietly=True)
        except ReconnectStoppedError as error:
            self._stop_with(_anew(error), quietly=False)
        except Exception as error:
            if not isinstance(error, KtorClientError):  # of a function of the user's
                self._unheard = error
            self._stop_with(_same(error), quietly=False)
        self._finish()

    async def _carry(self, session: ReconnectingSession) -> None:
        """Let messages through until the session is gone."""
        self.session = session
        self._opened.set(None)
        self.sending.attach(session)
        if self._resuming is not None and self._resuming.needs_reload:
            await self._reload(session, self._resuming)
        self.arriving.attach(session)
        await session.wait_closed()
        self._drop_session()
        failure, self.arriving.failure = self.arriving.failure, None
        if isinstance(failure, ConnectionClosedError):
            raise _ResumeError(failure)
        if failure is not None:
            raise failure

    async def _reload(self, session: ReconnectingSession, resuming: Resuming) -> None:
        """Reload, for the server cannot go on; what comes meanwhile waits in the session."""
        resuming.tell_gap()
        try:
            resuming.reloaded(await resuming.plug.reload())
        except Exception as error:
            session._core.close_without_waiting(_INTERNAL_ERROR)
            await session.wait_closed()
            self._drop_session()
            raise _ReloadError(error) from error

    def _tell(self, event: FeedEvent) -> None:
        self.state = _STATES.get(type(event), self.state)
        self.arriving.tell(event)

    # --- ending ---

    async def close(self, reason: CloseReason) -> None:
        """Send what waits if there is a connection, close that, and stop; the first call counts."""
        if self._end is not None:
            await self._ended.wait()
            return
        self._stop_with(_closed_by_us(reason), quietly=True)
        await self._end_task()
        session = self.session
        try:
            if session is not None:
                await self._say_goodbye(session, reason)
        except BaseException:
            if session is not None:
                session.cancel()
            raise
        finally:
            self._finish()
        await self.sending.stopped()

    def cancel(self) -> None:
        """Drop the connection, or the wait for one, now."""
        self._stop_with(_closed_by_us(_DROPPED), quietly=True)
        self._task.cancel()
        if self.session is not None:
            self.session.cancel()
        self._finish()

    async def close_without_waiting(self) -> None:
        """Say 1001 if that is possible at once, and stop: the block was cancelled."""
        self._stop_with(_closed_by_us(_GOING_AWAY), quietly=True)
        if self.session is not None:
            self.session._core.close_without_waiting(_GOING_AWAY)
        self._finish()
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

    def _drop_session(self) -> None:
        if self.session is not None:
            self.session = None
            self._opened = OneShot(self.home)
            self.arriving.detach()
            self.sending.detach()

    async def _end_task(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _say_goodbye(self, session: ReconnectingSession, reason: CloseReason) -> None:
        limit, loop = asyncio.timeout(None), asyncio.get_running_loop()
        timer = self.source.clock.call_later(
            session._core._close_timeout, lambda: limit.reschedule(loop.time())
        )
        try:
            with suppress(TimeoutError):
                async with limit:
                    await self.sending.drained()
        finally:
            timer.cancel()
        await session.close(reason)

    def _error(self) -> Exception:
        assert self._end is not None
        error = self._end()
        if error is self._unheard:
            self._unheard = None
        return error


def _closed_by_us(reason: CloseReason) -> Callable[[], Exception]:
    said = CloseReason(reason.code or 1006, reason.message, initiator="local")
    return lambda: ReconnectStoppedError(f"The feed was closed by us ({said})", reason=said)


def _peer_is_done(done: PeerIsDoneError) -> Callable[[], Exception]:
    cause, reason = done.failure.error, done.failure.reason

    def error() -> Exception:
        stopped = ReconnectStoppedError(
            f"The feed was closed by the peer ({reason})", reason=reason
        )
        stopped.__cause__ = cause
        return stopped

    return error


def _anew(error: ReconnectStoppedError) -> Callable[[], Exception]:
    def again() -> Exception:
        stopped = ReconnectStoppedError(str(error), reason=error.reason)
        stopped.__cause__ = error.__cause__
        return stopped

    return again


def _same(error: Exception) -> Callable[[], Exception]:
    return lambda: error
