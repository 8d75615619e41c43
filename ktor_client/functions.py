"""Which functions of users' are coroutine functions, and a refusal where nobody could await one."""

from __future__ import annotations

import functools
import inspect
from typing import Any

__all__ = ["check_plain", "is_async"]


def is_async(function: Any) -> bool:
    """Whether calling it is known to make a coroutine, so that it need not be tried."""
    while isinstance(function, functools.partial):
        function = function.func
    if inspect.iscoroutinefunction(function):
        return True
    return inspect.iscoroutinefunction(inspect.getattr_static(function, "__call__", None))


def check_plain(function: object, what: str) -> None:
    """Check a function whose result counts at once.

    Raises:
        TypeError: it is a coroutine function, which would not run, and whose result is always true.
    """
    if is_async(function):
        raise TypeError(f"{what} is a plain function, not a coroutine function: {function!r}")
