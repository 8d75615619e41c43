"""Plugins: what one is, what it may touch, and the events and hooks it is given.

A plugin sees a `PluginScope`, never the client: that keeps plugins below it. No plugin lives here.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar

from ktor_client.engine import HttpClientEngine
from ktor_client.http import Attributes, HttpRequest, HttpRequestBuilder, HttpResponse

__all__ = [
    "ClientEvent",
    "Events",
    "HttpClientPlugin",
    "Interceptor",
    "PluginScope",
    "RequestCreated",
    "ResponseFailed",
    "ResponseReceived",
    "Send",
    "client_plugin",
]

P = ParamSpec("P")
T = TypeVar("T")

Send: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""Sends a request and returns the response; what an interceptor calls to go on."""

Interceptor: TypeAlias = Callable[[HttpRequest, Send], Awaitable[HttpResponse]]
"""A layer of the send onion: `async def layer(request, send): return await send(request)`."""


class ClientEvent(Generic[T]):
    """The key of an event whose handlers take a `T` (Ktor's `EventDefinition`)."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"ClientEvent({self.name!r})"


RequestCreated: ClientEvent[HttpRequest] = ClientEvent("RequestCreated")
"""Each request that goes to the engine, retries and redirects too."""
ResponseReceived: ClientEvent[HttpResponse] = ClientEvent("ResponseReceived")
"""Each response of the engine, refused handshakes too."""
ResponseFailed: ClientEvent[BaseException] = ClientEvent("ResponseFailed")
"""Each request that ended in an exception instead."""


class Events:
    """Handlers by event. They run at once, in order; what they raise reaches the caller."""

    __slots__ = ("_handlers",)

    def __init__(self) -> None:
        self._handlers: dict[ClientEvent[Any], list[Callable[[Any], None]]] = {}

    def subscribe(self, event: ClientEvent[T], handler: Callable[[T], None]) -> Callable[[], None]:
        """Call `handler` for each such event; returns a function that ends that."""
        handlers = self._handlers.setdefault(event, [])
        handlers.append(handler)

        def unsubscribe() -> None:
            if handler in handlers:
                handlers.remove(handler)

        return unsubscribe

    @property
    def are_heard(self) -> bool:
        """Whether anybody has subscribed to anything."""
        return bool(self._handlers)

    def emit(self, event: ClientEvent[T], value: T) -> None:
        """Call the handlers of an event."""
        for handler in tuple(self._handlers.get(event, ())):
            handler(value)


class PluginScope(Protocol):
    """What a plugin may touch of the client that it is installed in."""

    @property
    def engine(self) -> HttpClientEngine:
        """The client's engine."""
        ...

    @property
    def attributes(self) -> Attributes:
        """Values that plugins share within one client."""
        ...

    @property
    def events(self) -> Events:
        """Where to watch requests and responses."""
        ...

    def on_request(self, hook: Callable[[HttpRequestBuilder], None]) -> None:
        """Run `hook` on each new request, after the caller's blocks, in order of installation."""

    def on_response(self, hook: Callable[[HttpResponse], None]) -> None:
        """Run `hook` on each final response, before the caller sees it; 101 included."""

    def on_send(self, interceptor: Interceptor) -> None:
        """Wrap sending, of requests and of handshakes alike. The first installed is outermost."""

    def on_close(self, hook: Callable[[], Awaitable[None]]) -> None:
        """Await `hook` when the client closes, after its sessions and before its engine."""


class HttpClientPlugin(ABC):
    """A feature that `install(Plugin, **options)` adds. The constructor takes the options only.

    Constructors have no overloads and no `**kwargs`: both would hide mistakes from type checkers.
    """

    @abstractmethod
    def install(self, scope: PluginScope) -> None:
        """Register hooks. Called once for each client, in order of installation."""


class FunctionPlugin(HttpClientPlugin):
    """A plugin made of one function; see `client_plugin`."""

    def __init__(self, name: str, run: Callable[[PluginScope], None]) -> None:
        self._name = name
        self._run = run

    def install(self, scope: PluginScope) -> None:
        """Call the function."""
        self._run(scope)

    def __repr__(self) -> str:
        return f"<plugin {self._name}>"


def client_plugin(
    function: Callable[Concatenate[PluginScope, P], None],
) -> Callable[P, HttpClientPlugin]:
    """Make a plugin of a function `(scope, *, options...)` (Ktor's `createClientPlugin`)."""
    name = function.__name__

    @functools.wraps(function)
    def factory(*args: P.args, **options: P.kwargs) -> HttpClientPlugin:
        return FunctionPlugin(name, lambda scope: function(scope, *args, **options))

    signature = inspect.signature(function)
    options = list(signature.parameters.values())[1:]
    # inspect looks for this attribute; functions do not declare it.
    factory.__signature__ = signature.replace(parameters=options)  # type: ignore[attr-defined]
    return factory
