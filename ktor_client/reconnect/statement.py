"""What `client.web_socket_reconnecting(...)` returns: prepared, and used in one of its forms."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, NoReturn, TypeVar

from ktor_client.reconnect.connector import Connector, Source
from ktor_client.reconnect.events import FeedEvent
from ktor_client.reconnect.feed import WebSocketFeed
from ktor_client.reconnect.loop import Sessions
from ktor_client.reconnect.opening import Opening
from ktor_client.reconnect.options import FeedOptions
from ktor_client.reconnect.running import Running
from ktor_client.reconnect.session import ReconnectingSession
from ktor_client.reconnect.target import Target
from ktor_client.retry import RetryPolicy

__all__ = ["ReconnectingStatement"]

T = TypeVar("T")


class ReconnectingStatement:
    """Sessions that come back, prepared by `client.web_socket_reconnecting(...)`.

    `async for session in statement` gives one open session after another; `execute(block)` does the
    same with a function. `async with statement as feed` gives one steady feed over all of them. A
    statement that has ended may be used again.
    """

    __slots__ = ("_feed", "_options", "_policy", "_source", "_target")

    def __init__(
        self, source: Source, target: Target, policy: RetryPolicy, options: FeedOptions
    ) -> None:
        self._source = source
        self._target = target
        self._policy = policy
        self._options = options
        self._feed: WebSocketFeed | None = None

    def __aiter__(self) -> Sessions:
        """Yield open sessions, a fresh one each time; the first connection is covered too.

        Raises, while it iterates:
            ReconnectStoppedError: the policy stops. A peer that closes with 1000 ends the loop
                without an error.
            ClientClosedError: the client is closed.
        """
        for name in self._options.given:
            raise TypeError(
                f"{name} is for the steady form: "
                "`async with client.web_socket_reconnecting(...) as feed:`"
            )
        source, target, policy = self._source, self._target, self._policy
        opening = Opening(source.clock, source.open_timeout, self._options.on_open)
        return Sessions(lambda: Connector(source, target, policy, _tell_nobody, opening))

    async def __aenter__(self) -> WebSocketFeed:
        if self._feed is not None:
            raise RuntimeError(
                "this ReconnectingStatement is entered already; call the client again for another"
            )
        self._source.raise_if_closed()
        self._feed = WebSocketFeed(Running(self._source, self._target, self._policy, self._options))
        return self._feed

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        feed, self._feed = self._feed, None
        assert feed is not None
        await feed._leave(exc_type)

    async def execute(
        self, block: Callable[[ReconnectingSession], Awaitable[T | None]]
    ) -> T | None:
        """Run `block` with one session after another, until it returns something other than None.

        That becomes the result; it is None if the peer closes with 1000. When the block returns
        None, its session is closed and the next one opened. What the block raises passes through,
        except for the end of its own session.
        """
        if not callable(block):
            raise TypeError(f"execute takes a coroutine function, not {type(block).__name__}")
        async for session in self:
            async with session:
                made: object = block(session)
                if not inspect.isawaitable(made):
                    raise TypeError(
                        "execute takes a coroutine function (`async def`); this function returned "
                        f"{type(made).__name__}, which cannot be awaited"
                    )
                result: T | None = await made
                if result is not None:
                    return result
        return None

    if not TYPE_CHECKING:  # for type checkers a statement has none of these

        def __await__(self) -> NoReturn:
            raise TypeError(f"a {type(self).__name__} cannot be awaited; write {_INSTEAD}")

        def __getattr__(self, name: str) -> NoReturn:
            missing = f"{type(self).__name__!r} object has no attribute {name!r}"
            if not name.startswith("_"):
                missing += f"; it was not entered yet: write {_INSTEAD}"
            raise AttributeError(missing, name=name)

        def __enter__(self) -> NoReturn:
            raise TypeError(f"a {type(self).__name__} needs `async with`; write {_INSTEAD}")

        __exit__ = __enter__

        def __iter__(self) -> NoReturn:
            raise TypeError(f"a {type(self).__name__} needs `async for`; write {_INSTEAD}")

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


_INSTEAD = (
    "`async for session in client.web_socket_reconnecting(url):`, or "
    "`async with client.web_socket_reconnecting(url) as feed:`"
)


def _tell_nobody(_: FeedEvent) -> None:
    """Take an event that the loop form does not tell."""
