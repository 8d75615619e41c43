"""Attempts in a row: their count, and the verdict after each that failed. Whoever tries, waits."""

from __future__ import annotations

import inspect
import math
import random as chance
from collections.abc import Awaitable, Callable

from ktor_client.errors import AuthError, ConnectionClosedError, ResponseError
from ktor_client.frames import CloseReason
from ktor_client.http import HttpResponse
from ktor_client.retry.policy import Failure, Retry, RetryPolicy, Stop
from ktor_client.retry.table import is_worth_a_retry, refusal_of_tokens

__all__ = ["Attempts"]


class Attempts:
    """The attempts at one thing. Times are of the caller's clock, in seconds."""

    __slots__ = ("_random", "_since", "number", "policy")

    def __init__(
        self, policy: RetryPolicy, now: float, random: Callable[[], float] = chance.random
    ) -> None:
        """Begin with the first attempt; `random` gives numbers from 0 to 1."""
        self.policy = policy
        self._random = random
        self.reset(now)

    def reset(self, now: float) -> None:
        """Count from 1 again: there was a success."""
        self.number = 1
        self._since = now

    def excuse(self, now: float, seconds: float) -> None:
        """Count no time in which what was tried went well."""
        self._since = min(now, self._since + seconds)

    def failed(
        self,
        now: float,
        *,
        error: BaseException | None = None,
        reason: CloseReason | None = None,
        response: HttpResponse | None = None,
        was_open: bool = False,
        hint: float | None = None,
    ) -> Failure:
        """Describe how the attempt under way failed.

        Args:
            now: the time.
            error: what it raised; `reason` and `response` are taken from it where they are missing.
            reason: how its session ended.
            response: what was answered; to a refresh of tokens too, if that raised.
            was_open: whether a session or stream was open.
            hint: how long the server asked to wait; else the response's `Retry-After`.
        """
        if reason is None and isinstance(error, ConnectionClosedError):
            reason = error.reason
        if response is None and isinstance(error, ResponseError):
            response = error._response
        elif response is None and isinstance(error, AuthError):
            response = refusal_of_tokens(error)
        if hint is None and response is not None:
            hint = response.retry_after
        return Failure(
            attempt=self.number,
            elapsed=now - self._since,
            error=error,
            reason=reason,
            response=response,
            was_open=was_open,
            delay=self.policy.backoff.delay(self.number - 1, hint=hint, random=self._random),
        )

    async def verdict(
        self,
        failure: Failure,
        default: Callable[[Failure], bool | Awaitable[bool]] = is_worth_a_retry,
    ) -> float | Stop:
        """Return how long to wait before the next attempt, which is counted, or why there is none.

        `default` judges where the policy's `decide` does not.

        Raises:
            TypeError: `decide` returned something else than a `Retry`, a `Stop` or None.
            Exception: whatever `decide` raised.
        """
        word = await self._ask(failure)
        if isinstance(word, Stop):
            return word if word.why else Stop("the policy's decide said so")
        if word is None:
            again = default(failure)
            if not (await again if inspect.isawaitable(again) else again):
                return Stop("another attempt would not help")
        delay = failure.delay if word is None or word.delay is None else word.delay
        policy = self.policy
        if policy.max_attempts is not None and failure.attempt >= policy.max_attempts:
            return Stop(f"max_attempts={policy.max_attempts} is reached")
        if policy.max_elapsed is not None and failure.elapsed + delay > policy.max_elapsed:
            return Stop(f"max_elapsed={policy.max_elapsed:g} s would be over")
        if math.isinf(delay):
            return Stop("the server asks for a wait without an end")
        self.number = failure.attempt + 1
        return delay

    async def _ask(self, failure: Failure) -> Retry | Stop | None:
        decide = self.policy.decide
        if decide is None:
            return None
        word: object = decide(failure)
        if inspect.isawaitable(word):
            word = await word
        if word is None or isinstance(word, Retry | Stop):
            return word
        raise TypeError(f"decide returns Retry(), Stop() or None, not {word!r}")
