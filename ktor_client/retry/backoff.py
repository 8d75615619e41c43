"""How long to wait before the next attempt: growing, bounded, spread by chance."""

from __future__ import annotations

import math
import random as chance
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ktor_client.durations import Duration, seconds

__all__ = ["Backoff", "Jitter"]

Jitter: TypeAlias = Literal["full", "none"]


@dataclass(frozen=True, init=False, slots=True)
class Backoff:
    """Delays that grow: the n-th is within `min(longest, first * factor**n)`, n from 0.

    Ktor's `exponentialDelay`; `Backoff(first=1, longest=1, factor=1)` is its `constantDelay`.
    """

    first: float
    longest: float
    factor: float
    jitter: Jitter

    def __init__(
        self,
        first: Duration = 0.25,
        longest: Duration = 30.0,
        factor: float = 2.0,
        jitter: Jitter = "full",
    ) -> None:
        """Check and keep the values. Durations are seconds or `timedelta`.

        Args:
            first: what bounds the first delay.
            longest: what bounds every delay.
            factor: from one bound to the next, 1 or more.
            jitter: "full" draws each delay uniformly from 0 to its bound, so that clients who lost
                the same server come back one by one. "none" waits exactly the bound: for tests.

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
        """Return what bounds the delay after `n` delays before it, in seconds."""
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
        """Return seconds to wait after `n` delays before this one.

        Args:
            n: how many delays there were.
            hint: what the server asked for (`Retry-After`, `retry:`), in seconds: never less than
                that. Jitter comes on top of it, or all whom the server told the same would come
                at once.
            random: the source of chance: a number from 0 to 1.
        """
        cap = self.cap(n)
        if self.jitter == "none":
            return cap if hint is None else max(hint, cap)
        return (hint or 0.0) + random() * cap
