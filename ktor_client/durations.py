"""Seconds, as users may write them: a number or a `timedelta` (Ktor's `Durations.kt`).

Only the conversion lives here. Timers belong to whoever waits.
"""

from __future__ import annotations

import math
import sys
import warnings
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from datetime import timedelta

Duration: TypeAlias = "float | timedelta"

HOUR = 3600.0


def seconds(value: Duration, option: str, *, or_zero: bool = False) -> float:
    """Return `value` in seconds.

    Raises:
        TypeError: neither a number nor a `timedelta`.
        ValueError: not a positive, finite time; `option` names the culprit. `or_zero` allows 0.
    """
    total = getattr(value, "total_seconds", None)
    number = total() if total is not None else value
    if isinstance(number, bool) or not isinstance(number, int | float):
        raise TypeError(
            f"{option} takes seconds (a number) or a timedelta, not {type(value).__name__}"
        )
    if not math.isfinite(number) or number < 0 or (number == 0 and not or_zero):
        least = "zero or a positive" if or_zero else "a positive"
        raise ValueError(f"{option} must be {least}, finite time in seconds, not {number!r}")
    return float(number)


def question(number: float, option: str) -> None:
    """Warn of a time that looks like milliseconds; a `timedelta` of that length is meant."""
    if number > HOUR:
        frame, level = sys._getframe(1), 2
        while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith(
            "ktor_client"
        ):
            frame, level = frame.f_back, level + 1
        warnings.warn(
            f"{option}={number:g} is {number / HOUR:.1f} hours: times are in seconds. "
            f"Write {option}={number / 1000:g} if these are milliseconds, and "
            f"{option}=timedelta(seconds={number:g}) if they are not",
            stacklevel=level,
        )


def optional_seconds(value: Duration | None, option: str) -> float | None:
    """Return `value` in seconds, and None for None, which turns the option off."""
    return None if value is None else seconds(value, option)
