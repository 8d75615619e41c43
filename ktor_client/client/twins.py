"""Calls that are another call with a twist: over TLS always, or opened at once."""

from __future__ import annotations

import functools
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar, cast

from ktor_client.client.statements import WebSocketStatement
from ktor_client.http import HttpRequestBuilder
from ktor_client.session import WebSocketSession

if TYPE_CHECKING:
    from ktor_client.client.http_client import HttpClient

__all__ = ["opened", "over_tls"]

P = ParamSpec("P")
S = TypeVar("S", bound=WebSocketSession)


def over_tls(
    method: Callable[Concatenate[HttpClient, P], WebSocketStatement[S]],
) -> Callable[Concatenate[HttpClient, P], WebSocketStatement[S]]:
    """Give `method` a twin that forces wss; an explicit port stays."""

    def force(request: HttpRequestBuilder) -> None:
        request.url.scheme = "wss"

    @functools.wraps(method)
    def twin(self: HttpClient, *args: P.args, **kwargs: P.kwargs) -> WebSocketStatement[S]:
        call: Any = method
        url = args[:1] or (kwargs.pop("url", None),)
        return call(self, *url, *args[1:], force, **kwargs)  # type: ignore[no-any-return]

    twin.__doc__ = f"Do what `{method.__name__}` does, always over TLS; an explicit port stays."
    return cast("Callable[Concatenate[HttpClient, P], WebSocketStatement[S]]", twin)


def opened(
    method: Callable[Concatenate[HttpClient, P], WebSocketStatement[S]],
) -> Callable[Concatenate[HttpClient, P], Coroutine[Any, Any, S]]:
    """Give `method` a twin that opens the session at once and leaves it to the caller."""

    @functools.wraps(method)
    async def twin(self: HttpClient, *args: P.args, **kwargs: P.kwargs) -> S:
        return await method(self, *args, **kwargs).__aenter__()

    twin.__name__ = twin.__qualname__ = f"{method.__name__}_session"
    twin.__doc__ = (
        f"Open a session that is yours to close; it is also an async context manager.\n\n"
        f"Takes what `{method.__name__}` takes, and raises what it and entering it raise."
    )
    return cast("Callable[Concatenate[HttpClient, P], Coroutine[Any, Any, S]]", twin)
