"""Where connections go: what the user gave, asked anew each time, and which URL is next."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar, cast

from ktor_client.http import RequestBlock, Url
from ktor_client.http.headers import HeadersLike
from ktor_client.http.parameters import ParametersLike
from ktor_client.http.request import AnyBlock

__all__ = ["Anew", "Asked", "Rotation", "Target", "UrlAnew"]

T = TypeVar("T")

Anew: TypeAlias = T | Callable[[], T | Awaitable[T]]
"""A value, or a function (async or not) that is asked for it before each attempt."""

UrlAnew: TypeAlias = str | Url | Callable[[], str | Url | Awaitable[str | Url]]


class Asked(NamedTuple):
    """What one attempt goes with."""

    url: str | Url | RequestBlock | None
    blocks: tuple[AnyBlock, ...]
    headers: HeadersLike | None
    params: ParametersLike | None
    subprotocols: Sequence[str]


class Target:
    """The arguments of `web_socket_reconnecting` that say where to."""

    def __init__(
        self,
        url: UrlAnew | RequestBlock | Sequence[UrlAnew] | None,
        blocks: tuple[AnyBlock, ...],
        headers: Anew[HeadersLike | None],
        params: Anew[ParametersLike | None],
        subprotocols: Anew[Sequence[str]],
    ) -> None:
        """Keep them.

        Raises:
            TypeError: what should be URLs is something else.
            ValueError: a sequence without a URL.
        """
        self.urls: tuple[UrlAnew | RequestBlock | None, ...]
        if url is None or isinstance(url, str | Url) or callable(url):
            self.urls = (url,)
        elif isinstance(url, Sequence) and not isinstance(url, bytes | bytearray | memoryview):
            self.urls = tuple(url)
            if not self.urls:
                raise ValueError("there is no URL to connect to: the sequence is empty")
        else:
            raise TypeError(
                f"url is a URL, a function that returns one, or a sequence of them; "
                f"not {type(url).__name__}"
            )
        self._blocks = blocks
        self._headers = headers
        self._params = params
        self._subprotocols = subprotocols

    @property
    def shown(self) -> str:
        """The first URL without its secrets, for names of tasks."""
        url = self.urls[0]
        if url is None or callable(url):
            return "a URL that is made anew"
        return str(url).partition("?")[0].rpartition("@")[2]

    async def ask(self, index: int) -> Asked:
        """Ask for everything anew. Raises what the user's functions raise."""
        url = self.urls[index]
        if callable(url) and _asks_nothing(url):
            url = await _fresh(cast("Anew[str | Url]", url))
            if url is None:
                raise TypeError("the function that is asked for the url returned None, not a URL")
        return Asked(
            cast("str | Url | RequestBlock | None", url),
            self._blocks,
            await _fresh(self._headers),
            await _fresh(self._params),
            await _fresh(self._subprotocols),
        )

    def known(self) -> Iterator[Asked]:
        """Yield what is known of each URL without asking anybody: mistakes in it are told early."""
        for url in self.urls:
            yield Asked(
                None if callable(url) else url,
                (),
                None if callable(self._headers) else self._headers,
                None if callable(self._params) else self._params,
                () if callable(self._subprotocols) else self._subprotocols,
            )


class Rotation:
    """Which of several URLs is next: the first one that has rested since it failed."""

    def __init__(self, count: int, rest: float) -> None:
        """Prefer the first of `count`; one that has failed rests for `rest` seconds."""
        self._rests_until = [float("-inf")] * count
        self._rest = rest
        self.index = 0

    def next(self, now: float) -> int:
        """Choose the one for the next attempt; where none has rested, the next one in turn."""
        rested = (at for at, until in enumerate(self._rests_until) if until <= now)
        self.index = next(rested, (self.index + 1) % len(self._rests_until))
        return self.index

    def failed(self, now: float) -> None:
        """Let the one that was chosen last rest."""
        self._rests_until[self.index] = now + self._rest


def _asks_nothing(function: Callable[..., Any]) -> bool:
    """Whether it can be called without arguments: a request block takes the builder."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # one that cannot be looked at
        return True
    return not any(
        p.default is p.empty and p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)
        for p in parameters
    )


async def _fresh(value: Anew[T]) -> T:
    made: Any = value() if callable(value) else value
    return cast("T", await made if inspect.isawaitable(made) else made)
