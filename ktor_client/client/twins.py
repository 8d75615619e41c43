"""Calls that are another call with a twist: over TLS always, or opened at once."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine, Generator
from typing import TYPE_CHECKING, Any, Concatenate, NoReturn, ParamSpec, TypeVar, cast

from ktor_client.client.statements import SessionStatement, WebSocketStatement
from ktor_client.http import HttpRequestBuilder

if TYPE_CHECKING:
    from ktor_client.plugins.sse import SseSession
    from ktor_client.session import WebSocketSession

__all__ = ["opened", "over_tls"]

P = ParamSpec("P")
C = TypeVar("C")
S = TypeVar("S", bound="WebSocketSession | SseSession")
W = TypeVar("W", bound="WebSocketSession")

# For who asks `iscoroutinefunction`, such as mocks and `help`; unknown before Python 3.12.
_can_be_marked = hasattr(inspect, "markcoroutinefunction")
_mark_as_coroutine_function = getattr(inspect, "markcoroutinefunction", callable)


def over_tls(
    method: Callable[Concatenate[C, P], WebSocketStatement[W]],
) -> Callable[Concatenate[C, P], WebSocketStatement[W]]:
    """Give `method` a twin that forces wss; an explicit port stays."""

    def force(request: HttpRequestBuilder) -> None:
        request.url.scheme = "wss"

    @functools.wraps(method)
    def twin(self: C, *args: P.args, **kwargs: P.kwargs) -> WebSocketStatement[W]:
        call: Callable[..., WebSocketStatement[W]] = method  # with a block more
        url = args[:1] or (kwargs.pop("url", None),)
        return call(self, *url, *args[1:], force, **kwargs)

    twin.__doc__ = f"Do what `{method.__name__}` does, always over TLS; an explicit port stays."
    return cast("Callable[Concatenate[C, P], WebSocketStatement[W]]", twin)


def opened(
    method: Callable[Concatenate[C, P], SessionStatement[S]],
) -> Callable[Concatenate[C, P], Coroutine[Any, Any, S]]:
    """Give `method` a twin that opens the session at once and leaves it to the caller."""
    name = f"{method.__name__}_session"
    instead = (
        f"`async with client.{method.__name__}(url) as session:`, or "
        f"`session = await client.{name}(url)`"
    )

    async def open_session(self: C, *args: P.args, **kwargs: P.kwargs) -> S:
        return await method(self, *args, **kwargs)._open()  # nobody enters it

    @functools.wraps(method)
    def twin(self: C, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, S]:
        return _Opening(open_session(self, *args, **kwargs), instead)

    # What `help` shows: all of `method`'s signature but what comes of it.
    signature = inspect.signature(method)
    statement, _, session = signature.return_annotation.removesuffix("]").partition("[")
    session = session or statement.replace("Statement", "Session")
    opening = session if _can_be_marked else f"Coroutine[Any, Any, {session}]"
    shown: Any = twin  # inspect looks for an attribute that functions do not declare
    shown.__signature__ = signature.replace(return_annotation=opening)
    open_session.__name__ = twin.__name__ = name
    open_session.__qualname__ = twin.__qualname__ = f"HttpClient.{name}"
    twin.__doc__ = (
        f"Open a session that is yours to close; it is also an async context manager.\n\n"
        f"Takes what `{method.__name__}` takes, and raises what it and entering it raise."
    )
    _mark_as_coroutine_function(twin)
    return cast("Callable[Concatenate[C, P], Coroutine[Any, Any, S]]", twin)


class _Opening(Coroutine[Any, Any, S]):
    """The coroutine that opens a session; where its `await` was forgotten, it says so."""

    __slots__ = ("_coroutine", "_instead")

    def __init__(self, coroutine: Coroutine[Any, Any, S], instead: str) -> None:
        self._coroutine = coroutine
        self._instead = instead

    def __await__(self) -> Generator[Any, Any, S]:
        return self._coroutine.__await__()

    def send(self, value: Any) -> Any:
        return self._coroutine.send(value)

    def throw(self, *error: Any) -> Any:
        return self._coroutine.throw(*error)

    def close(self) -> None:
        self._coroutine.close()

    if not TYPE_CHECKING:  # for type checkers it is nothing but a coroutine

        def __getattr__(self, name: str) -> Any:  # what debuggers ask: cr_frame, __name__ ...
            return getattr(self._coroutine, name)

        def __aenter__(self) -> NoReturn:
            self.close()
            raise TypeError(f"opening a session is awaited; write {self._instead}")

        __aexit__ = __aenter__
