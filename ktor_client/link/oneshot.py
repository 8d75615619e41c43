"""A value that comes once and that any number of tasks may wait for, and wait for again."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

from ktor_client.link.home_loop import HomeLoop, wake

__all__ = ["OneShot"]

T = TypeVar("T")


class OneShot(Generic[T]):
    """Costs next to nothing while nobody waits. Cancelling one waiter does not touch the others."""

    __slots__ = ("_home", "_value", "_waiters", "is_set")

    def __init__(self, home: HomeLoop | None = None) -> None:
        """On another event loop than `home` nobody can wait: that raises."""
        self._home = home
        self.is_set = False
        self._value: T | None = None
        self._waiters: list[asyncio.Future[T]] | None = None

    def set(self, value: T) -> None:
        """Give the value to everybody; only the first one counts."""
        if self.is_set:
            return
        self.is_set = True
        self._value = value
        waiters, self._waiters = self._waiters, None
        for waiter in waiters or ():
            wake(waiter, value)

    @property
    def value(self) -> T | None:
        """The value, or None while there is none."""
        return self._value

    async def wait(self) -> T:
        """Return the value as soon as it is there."""
        if self.is_set:
            value: T = self._value  # type: ignore[assignment]  # it is set
            return value
        if self._home is not None:
            self._home.check()
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        if self._waiters is None:
            self._waiters = []
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if not self.is_set:
                self._waiters.remove(waiter)
            raise
