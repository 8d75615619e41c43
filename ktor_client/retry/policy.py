"""What users say about trying again: the policy, and the words of its `decide`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from ktor_client.durations import Duration, optional_seconds, seconds
from ktor_client.frames import CloseReason
from ktor_client.mistakes import answering
from ktor_client.retry.backoff import Backoff

if TYPE_CHECKING:
    from ktor_client.http import HttpResponse

__all__ = ["Decide", "Failure", "Retry", "RetryPolicy", "Stop"]


@dataclass(frozen=True, eq=False, slots=True)
class Failure:
    """One attempt that failed, or one session that ended."""

    attempt: int
    """1 for the first; from 1 again after a success."""
    elapsed: float
    """Seconds since the first of these attempts began; those in which a session or stream was open
    do not count."""
    error: BaseException | None = None
    """What it raised; None where an answer or a Close frame is all there is."""
    reason: CloseReason | None = None
    """How the session ended; None where none was open."""
    response: HttpResponse | None = None
    """The answer of a server that refused; None where none came."""
    was_open: bool = False
    """Whether a session or a stream was open before."""
    delay: float = 0.0
    """Seconds that the policy would wait before the next attempt."""


@dataclass(frozen=True, init=False, slots=True)
class Retry:
    """Returned by `decide`: try again after `delay` seconds, or after `failure.delay` if None."""

    delay: float | None

    def __init__(self, delay: Duration | None = None) -> None:
        """Check and keep the delay: seconds or a `timedelta`; 0 means at once.

        Raises:
            TypeError, ValueError: the delay is not a time.
        """
        wait = None if delay is None else seconds(delay, "delay", or_zero=True)
        object.__setattr__(self, "delay", wait)


@dataclass(frozen=True, slots=True)
class Stop:
    """Returned by `decide`: no more attempts. `why` is reported with the last failure."""

    why: str = ""


Decide: TypeAlias = (
    "Callable[[Failure], Retry | Stop | None] | Callable[[Failure], Awaitable[Retry | Stop | None]]"
)


@dataclass(frozen=True, init=False, slots=True)
class RetryPolicy:
    """When to try again, how often, and how long to wait between attempts.

    It serves requests, sessions and event streams alike. Whatever it leaves open, the table "What
    is worth another attempt" in the reference decides.
    """

    backoff: Backoff
    max_attempts: int | None
    max_elapsed: float | None
    stable_after: float
    decide: Decide | None

    @answering("RetryPolicy")
    def __init__(
        self,
        backoff: Backoff | None = None,
        max_attempts: int | None = None,
        max_elapsed: Duration | None = None,
        stable_after: Duration = 10.0,
        decide: Decide | None = None,
    ) -> None:
        """Check and keep the values. Durations are seconds or `timedelta`.

        Args:
            backoff: the delays; `Backoff()` if None.
            max_attempts: attempts in a row, including the first; None for no limit.
            max_elapsed: no attempt starts later than this after the first; None for no limit. Time
                in which a session or stream was open does not count.
            stable_after: a session that was open this long and received a message counts as a
                success, and attempts count from 1 again. Opening alone is not a success.
            decide: called with every failure before the table; may be a coroutine function. It
                returns `Retry()`, `Stop()`, or None to leave the decision to the table. The limits
                apply in any case. If it raises, everything ends with that exception.

        Raises:
            TypeError: a value of the wrong type.
            ValueError: a value out of its range.
        """
        if not isinstance(backoff, Backoff | None):
            raise TypeError(f"backoff takes Backoff(first=0.25, longest=30), not {backoff!r}")
        if isinstance(max_attempts, bool) or not isinstance(max_attempts, int | None):
            raise TypeError(f"max_attempts takes an int or None, not {max_attempts!r}")
        if max_attempts is not None and max_attempts < 1:
            raise ValueError(
                f"max_attempts counts the first attempt too, so it is 1 or more, or None for no "
                f"limit; not {max_attempts}"
            )
        if decide is not None and not callable(decide):
            raise TypeError(f"decide takes a function of the Failure, not {decide!r}")
        object.__setattr__(self, "backoff", Backoff() if backoff is None else backoff)
        object.__setattr__(self, "max_attempts", max_attempts)
        object.__setattr__(self, "max_elapsed", optional_seconds(max_elapsed, "max_elapsed"))
        object.__setattr__(
            self, "stable_after", seconds(stable_after, "stable_after", or_zero=True)
        )
        object.__setattr__(self, "decide", decide)

    def is_stable(self, open_for: float, message_came: bool) -> bool:
        """Whether a session that was open for this many seconds was a success."""
        return message_came and open_for >= self.stable_after
