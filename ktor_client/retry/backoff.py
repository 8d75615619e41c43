"""How long to wait before the next attempt: growing, bounded, spread by chance."""

from __future__ import annotations

import math
import random as chance
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ktor_client.durations import Duration, seconds
from ktor_client.mistakes import answering

__all__ = ["Backoff", "Jitter"]

Jitter: TypeAlias = Literal["full", "none"]


@dataclass(frozen=True, init=False, slots=True)
class Backoff:
    """Growing delays: the n-th is at most `min(longest, first * factor**n)`, with n from 0.

    Ktor's `exponentialDelay`; `Backoff(first=1, longest=1, factor=1)` is its `constantDelay`.
    """

    first: float
    longest: float
    factor: float
    jitter: Jitter

    @answering("Backoff")
    def __init__(
        self,
        first: Duration = 0.25,
        longest: Duration = 30.0,
        factor: float = 2.0,
        jitter: Jitter = "full",
    ) -> None:
        """Check and keep the values. Durations are seconds or `timedelta`.

        Args:
            first: the upper bound of the first delay.
            longest: the upper bound of every delay.
            factor: by which the bound grows each time, 1 or more.
            jitter: "full" draws each delay uniformly between 0 and its bound, so that clients that
                lost the same server return one by one. "none" waits exactly the bound, for tests.

        Raises:
            TypeError: a value of the wrong type.
            ValueError: a value out of its range, or `longest` less than `first`.
        """
        begin, end = seconds(first, "first"), seconds(longest, "longest")
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            raise TypeError(f"factor takes a number, such as 2, not {type(factor).__name__}")
        if not math.isfinite(factor) or factor < 1:
            raise ValueError(f"factor must be 1 or more, or the delays shrink; not {factor!r}")
        if end < begin:
            raise ValueError(f"longest={end:g} must not be less than first={begin:g}")
        if jitter not in ("full", "none"):
            raise ValueError(f'jitter is "full" or "none", not {jitter!r}')
        object.__setattr__(self, "first", begin)
        object.__setattr__(self, "longest", end)
        object.__setattr__(self, "factor", float(factor))
        object.__setattr__(self, "jitter", jitter)

    def cap(self, n: int) -> float:
        """Return the upper bound, in seconds, of the delay after `n` earlier ones."""
        try:
            return min(self.longest, self.first * self.factor**n)
        except OverflowError:
            return self.longest

    def delay(
        self,
        n: int,
        *,
        hint: float | None = None,
        random: Callable[[], float] = chance.random,
    ) -> float:
        """Return the seconds to wait after `n` earlier delays.

        Args:
            n: how many delays came before.
            hint: seconds that the server asked for (`Retry-After`, `retry:`); the delay is never
                shorter. Jitter is added, or all clients that were told the same would return at
                once.
            random: the source of randomness, which returns a number from 0 to 1.
        """
        cap = self.cap(n)
        if self.jitter == "none":
            return cap if hint is None else max(hint, cap)
        return (hint or 0.0) + random() * cap
