"""Statements: calls that are prepared and run when they are entered (Ktor's `HttpStatement`)."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import TYPE_CHECKING, ClassVar, Generic, NoReturn, TypeVar

from ktor_client.http import HttpResponse

if TYPE_CHECKING:
    from ktor_client.plugins.sse.session import SseSession
    from ktor_client.session import WebSocketSession

__all__ = ["HttpStatement", "SessionStatement", "SseStatement", "WebSocketStatement"]

S = TypeVar("S", bound="WebSocketSession | SseSession")
W = TypeVar("W", bound="WebSocketSession")
T = TypeVar("T")


class _Once:
    __slots__ = ("_used",)

    _instead: ClassVar[str]
    """What to write in place of `await statement`."""

    _used: bool

    if not TYPE_CHECKING:  # for type checkers a statement has none of these

        def __await__(self) -> NoReturn:
            raise TypeError(f"a {type(self).__name__} cannot be awaited; write {self._instead}")

        def __enter__(self) -> NoReturn:
            raise TypeError(f"a {type(self).__name__} needs `async with`; write {self._instead}")

        __exit__ = __enter__

        def __aiter__(self) -> NoReturn:
            raise TypeError(
                f"a {type(self).__name__} needs `async with` first; write {self._instead}"
            )

        def __getattr__(self, name: str) -> NoReturn:
            missing = f"{type(self).__name__!r} object has no attribute {name!r}"
            if not name.startswith("_"):
                missing += f"; it was not entered yet: write {self._instead}"
            raise AttributeError(missing, name=name)

    def _use(self) -> None:
        if self._used:
            raise RuntimeError(
                f"a {type(self).__name__} runs once; make another one by calling the client again"
            )
        self._used = True


class SessionStatement(_Once, Generic[S]):
    """What is opened on `async with`, or by `execute`; once."""

    __slots__ = ("_open", "_session")

    def __init__(self, open_session: Callable[[], Awaitable[S]]) -> None:
        self._used = False
        self._open = open_session
        self._session: S | None = None

    async def __aenter__(self) -> S:
        self._use()
        self._session = await self._open()
        return self._session

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._session is not None
        await self._session.__aexit__(exc_type, exc, traceback)

    async def execute(self, block: Callable[[S], Awaitable[T]]) -> T:
        """Open the session, run `block` with it, close it, and return the block's result.

        The session ends as after `async with`; whatever the block raises passes through unchanged.
        """
        _check_block(block)
        async with self as session:
            return await _running(block(session))


class WebSocketStatement(SessionStatement[W]):
    """A WebSocket that is opened by `async with` or `execute`, once."""

    __slots__ = ()

    _instead = (
        "`async with client.web_socket(url) as session:`, or "
        "`session = await client.web_socket_session(url)`"
    )


class SseStatement(SessionStatement["SseSession"]):
    """An event stream that is opened on `async with`, or by `execute`; once."""

    __slots__ = ()

    _instead = (
        "`async with client.sse(url) as events:`, or `events = await client.sse_session(url)`"
    )


class HttpStatement(_Once):
    """A request that is sent by `async with` or `execute`; its response streams."""

    __slots__ = ("_response", "_send")

    _instead = (
        "`async with client.prepare_get(url) as response:`, or `response = await client.get(url)`"
    )

    def __init__(self, send: Callable[[], Awaitable[HttpResponse]]) -> None:
        self._used = False
        self._send = send
        self._response: HttpResponse | None = None

    async def __aenter__(self) -> HttpResponse:
        self._use()
        self._response = await self._send()
        return self._response

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._response is not None
        await self._response.close()

    async def execute(self, block: Callable[[HttpResponse], Awaitable[T]]) -> T:
        """Send the request, run `block` with the response, and release the connection."""
        _check_block(block)
        async with self as response:
            return await _running(block(response))


def _check_block(block: object) -> None:
    if not callable(block):
        raise TypeError(f"execute takes a coroutine function, not {type(block).__name__}")


def _running(made: Awaitable[T]) -> Awaitable[T]:
    """Return what a block has made, which is a coroutine; a plain function's result is none."""
    if not inspect.isawaitable(made):
        raise TypeError(
            f"execute takes a coroutine function (`async def`); this function returned "
            f"{type(made).__name__}, which cannot be awaited"
        )
    return made
