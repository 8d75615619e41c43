"""What belongs to the opening of a session beyond its handshake: `on_open`, and its time limit."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from typing import TypeAlias, TypeVar

from ktor_client.errors import OpenTimeoutError
from ktor_client.link.contract import Clock
from ktor_client.link.sleeping import passing
from ktor_client.link.time_limit import TimeLimit
from ktor_client.session import DefaultClientWebSocketSession

__all__ = ["OnOpen", "Opening"]

T = TypeVar("T")

OnOpen: TypeAlias = Callable[[DefaultClientWebSocketSession], Awaitable[object]]
"""What is done on each connection before anything else."""


class Opening:
    """What a session has to pass before it is called open."""

    def __init__(
        self,
        clock: Clock,
        open_timeout: float,
        on_open: OnOpen | None,
        resume: Callable[[DefaultClientWebSocketSession], Awaitable[bool]] | None = None,
    ) -> None:
        """Keep what is to be done: the user's `on_open`, then what asks for what was missed."""
        self._clock = clock
        self._open_timeout = open_timeout
        self._on_open = on_open
        self._resume = resume

    async def __call__(self, session: DefaultClientWebSocketSession) -> bool:
        """Do it; say whether the server goes on where the connection before was cut.

        Raises:
            OpenTimeoutError: a part of it took longer than `open_timeout`.
            TypeError: `on_open` is no coroutine function.
        """
        if self._on_open is not None:
            opening: object = self._on_open(session)
            if not inspect.isawaitable(opening):
                raise TypeError("on_open takes a coroutine function (`async def`)")
            await self._within("on_open", opening)
        if self._resume is None:
            return False
        return await self._within("the resume's on_open", self._resume(session))

    async def _within(self, what: str, doing: Awaitable[T]) -> T:
        limit = TimeLimit(self._clock, self._open_timeout)
        try:
            with passing(self._clock):
                async with limit:
                    return await doing
        except TimeoutError as error:
            if not limit.is_over:
                raise
            raise OpenTimeoutError(
                f"{what} was not done within open_timeout={self._open_timeout:g} s"
            ) from error
