"""Opening one session after another: which URL, when, and whether at all. Used by both forms.

The verdicts are the policy's (`retry/`); here is what waits for them and acts on them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from ktor_client.channels import ChannelLimit
from ktor_client.errors import (
    ClientClosedError,
    ConnectionClosedError,
    KtorClientError,
    ReconnectStoppedError,
)
from ktor_client.frames import CloseReason
from ktor_client.link.contract import Clock
from ktor_client.reconnect.budget import Budget
from ktor_client.reconnect.events import Connecting, FeedEvent, Lost, Waiting
from ktor_client.reconnect.opening import Opening
from ktor_client.reconnect.session import ReconnectingSession
from ktor_client.reconnect.target import Asked, Rotation, Target
from ktor_client.reconnect.waits import Waits
from ktor_client.retry import Attempts, Failure, RetryPolicy, Stop, is_worth_a_retry
from ktor_client.session import (
    DefaultClientWebSocketSession,
    SessionCore,
    WebSocketContentConverter,
)

__all__ = ["Connector", "PeerIsDoneError", "Source"]


_log = logging.getLogger("ktor_client.reconnect")
_MISTAKES = (TypeError, NameError, AttributeError, ImportError, NotImplementedError)


class Source(Protocol):
    """What opens sessions: the client, as far as this room needs it."""

    @property
    def clock(self) -> Clock:
        """The engine's clock."""
        ...

    budget: Budget | None
    """What limits the attempts of all sessions, if anything does."""

    open_timeout: float
    """Seconds that an opening may take."""

    incoming_limit: ChannelLimit
    """Of the messages that wait to be received."""

    converter: WebSocketContentConverter | None
    """For typed messages, where there is one."""

    async def open(self, asked: Asked) -> DefaultClientWebSocketSession:
        """Open a session. Raises what `web_socket` and entering it raise."""
        ...

    def raise_if_closed(self) -> None:
        """Raise `ClientClosedError` once the client is closed."""

    def on_network_back(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the network may be back; returns what ends that."""
        ...

    def on_closing(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call back when the client begins to close; returns what ends that."""
        ...


class PeerIsDoneError(Exception):
    """The peer has closed with 1000, and the policy lets it be the end."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"the peer is done: {failure.error}")
        self.failure = failure


class Connector:
    """The attempts of one loop or feed."""

    def __init__(
        self,
        source: Source,
        target: Target,
        policy: RetryPolicy,
        tell: Callable[[FeedEvent], None],
        opening: Opening,
    ) -> None:
        """Begin with the first attempt.

        Args:
            source: what opens sessions.
            target: where to.
            policy: when to try again.
            tell: is told what happens.
            opening: what each session has to pass.
        """
        self._source = source
        self._opening = opening
        self._target = target
        self._tell = tell
        self._attempts = Attempts(policy, source.clock.time())
        self._rotation = Rotation(len(target.urls), policy.backoff.longest)
        self._last_reason: CloseReason | None = None
        self._left_in_a_row = 0
        """Sessions that we ended: they make the waits longer, but are no attempts that failed."""
        self.waits = Waits(source.clock)
        self.stopped_by: Failure | None = None
        """What the policy has stopped."""

    async def connect(self) -> ReconnectingSession:
        """Return the next session that opens; the first attempt is at once.

        Raises:
            ReconnectStoppedError: the policy stops.
            ClientClosedError: the client is closed.
            Exception: whatever the policy's `decide` raises.
        """
        while True:
            try:
                session = await self._attempt()
                resumed = await self._prepare(session)
            except _UsersError as users:
                await self.users_failed(users.error)
            except Exception as error:
                await self.failed(error)
            else:
                session._life.resumed = resumed
                return session

    async def ended(self, session: ReconnectingSession, *, at_once: bool = False) -> None:
        """Take the end of a session, and wait until the next attempt is due; or not, if `at_once`.

        Raises:
            PeerIsDoneError: the peer closed with 1000.
        """
        reason = await session.close_reason
        self.take_stock(session)
        self._last_reason = reason
        error = session._core.ending.error()
        if reason.initiator == "local" and type(error) is ConnectionClosedError:
            await self._left(error)
        else:
            await self.failed(error, was_open=True, at_once=at_once)

    def take_stock(self, session: ReconnectingSession) -> None:
        """Begin to count anew after a success; after another session, do not count its time."""
        now = self._source.clock.time()
        if self.is_stable(session):
            self._attempts.reset(now)
            self._left_in_a_row = 0
        else:
            self._attempts.excuse(now, session._life.seconds)

    def is_stable(self, session: ReconnectingSession) -> bool:
        """Whether a session was a success."""
        life = session._life
        return self._attempts.policy.is_stable(life.seconds, life.brought_message)

    async def failed(
        self,
        error: Exception,
        *,
        was_open: bool = False,
        at_once: bool = False,
        worth_it: Callable[[Failure], bool] = is_worth_a_retry,
    ) -> None:
        """Ask the policy, and wait as it says. Raises what `connect` and `ended` raise."""
        self._source.raise_if_closed()
        if isinstance(error, ClientClosedError):  # the engine's, which somebody else has closed
            raise error
        now = self._source.clock.time()
        self._rotation.failed(now)
        failure = self._attempts.failed(now, error=error, was_open=was_open)
        self._tell(Lost(failure))
        verdict = await self._attempts.verdict(failure, worth_it)
        if isinstance(verdict, Stop):
            self.stopped_by = failure
            reason = failure.reason
            if reason is not None and reason.code == 1000 and reason.initiator == "peer":
                raise PeerIsDoneError(failure)
            raise self._stopped(failure, verdict)
        if isinstance(error, KtorClientError):
            _forget_tracebacks(error)
        else:
            _log.warning("will connect again in %.3g s, for this failed", verdict, exc_info=error)
        if not at_once:
            await self._pause(verdict)

    async def users_failed(self, error: Exception) -> None:
        """Do what `failed` does after a function of the user's has failed."""
        await self.failed(error, worth_it=_is_worth_it_to_users)

    async def _left(self, error: ConnectionClosedError) -> None:
        """Wait after a session that we ended: no failure, but no way to hammer at a server."""
        self._source.raise_if_closed()
        failure = self._attempts.failed(self._source.clock.time(), error=error, was_open=True)
        delay = self._attempts.policy.backoff.delay(self._left_in_a_row)
        self._left_in_a_row += 1
        self._tell(Lost(replace(failure, delay=delay)))
        await self._pause(delay)

    async def _attempt(self) -> ReconnectingSession:
        source, target = self._source, self._target
        source.raise_if_closed()
        forget = source.on_closing(self._client_closes)
        try:
            if source.budget is not None:
                await self.waits.turn(source.budget)
            at = self._rotation.next(source.clock.time())
            try:
                asked = await target.ask(at)
            except Exception as error:
                raise _UsersError(error) from error
            shown = asked.url if isinstance(asked.url, str) else str(asked.url or "")
            self._tell(Connecting(self._attempts.number, shown))
            return ReconnectingSession(await source.open(asked))
        finally:
            forget()

    async def _prepare(self, session: ReconnectingSession) -> bool:
        """Do what belongs to the opening; where that fails, the session is closed."""
        core = session._core
        try:
            resumed = await self._opening(session)
            if not session.is_open and not self._has_brought(core):
                raise core.ending.error()
        except Exception as error:
            core.close_without_waiting(CloseReason(CloseReason.Codes.INTERNAL_ERROR))
            await session.wait_closed()
            is_own_end = session._is_own_end(error)  # be it of several tasks
            raise _UsersError(core.ending.error() if is_own_end else error) from error
        except BaseException:
            core.close_without_waiting(CloseReason(CloseReason.Codes.GOING_AWAY))
            raise
        return resumed

    @staticmethod
    def _has_brought(core: SessionCore) -> bool:
        """Whether messages came before the end of a session that is over: they are to be read."""
        is_ours = core.ending.initiator == "local" and not core.ending.has_failed
        return bool(core.messages) and not is_ours

    async def _pause(self, delay: float) -> None:
        if delay > 0:
            self._tell(Waiting(delay, self._source.clock.time() + delay))
        forget = self._source.on_closing(self._client_closes)
        end = self._source.on_network_back(self.waits.wake)
        try:
            await self.waits.pause(delay)
        finally:
            end()
            forget()

    def _client_closes(self) -> None:
        try:
            self._source.raise_if_closed()
        except ClientClosedError as error:
            self.waits.fail(error)

    def _stopped(self, failure: Failure, stop: Stop) -> ReconnectStoppedError:
        last = failure.error
        times = "1 attempt" if failure.attempt == 1 else f"{failure.attempt} attempts"
        stopped = ReconnectStoppedError(
            f"gave up after {times} in {failure.elapsed:.3g} s: {stop.why}; "
            f"the last one: {type(last).__name__}: {last}",
            reason=failure.reason or self._last_reason,
        )
        stopped.__cause__ = last
        return stopped


class _UsersError(Exception):
    """A function of the user's has failed, and with it the attempt."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _is_worth_it_to_users(failure: Failure) -> bool:
    """Whether to go on after a failure of a function of the user's: what we know goes by the table.

    Of what we do not know, some time will mend (a login that is refused, a token that cannot be
    had); what Python says of a program that is wrong, none will.
    """
    error = failure.error
    return is_worth_a_retry(failure) or not isinstance(error, (KtorClientError, *_MISTAKES))


def _forget_tracebacks(error: BaseException) -> None:
    """Hold nothing by the frames of what is only history now: of causes and contexts, all of it."""
    known = [error]
    for one in known:
        one.__traceback__ = None
        for other in (one.__cause__, one.__context__):
            if other is not None and not any(other is seen for seen in known):
                known.append(other)
