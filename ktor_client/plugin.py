"""Plugins: what one is, what it may touch, and the events and hooks it is given.

A plugin sees a `PluginScope`, never the client: that keeps plugins below it. No plugin lives here.
"""

from __future__ import annotations

import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Concatenate, Generic, ParamSpec, Protocol, TypeAlias, TypeVar

from ktor_client.engine import HttpClientEngine
from ktor_client.functions import check_plain
from ktor_client.http import Attributes, HttpRequest, HttpRequestBuilder, HttpResponse

if TYPE_CHECKING:
    from ktor_client.client import HttpClient
    from ktor_client.link import FrameLink
    from ktor_client.session import HttpClientCall

__all__ = [
    "ClientEvent",
    "Events",
    "HttpClientPlugin",
    "Interceptor",
    "LayerKind",
    "PluginScope",
    "RequestCreated",
    "RequestFailed",
    "RequestFailure",
    "RequestPhase",
    "ResponseReceived",
    "Send",
    "When",
    "client_plugin",
]

P = ParamSpec("P")
T = TypeVar("T")

Send: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""Sends a request and returns the response; what an interceptor calls to go on."""

Interceptor: TypeAlias = Callable[[HttpRequest, Send], Awaitable[HttpResponse]]
"""A layer around sending: `async def layer(request, send): return await send(request)`."""

When: TypeAlias = Callable[[HttpRequest], bool | Callable[[HttpResponse], bool]]
"""Decides for a request whether a layer applies, or leaves that to a function of the response."""

RequestHook: TypeAlias = Callable[[HttpRequestBuilder], Awaitable[None] | None]
ResponseHook: TypeAlias = Callable[[HttpResponse], Awaitable[None] | None]
ErrorHook: TypeAlias = Callable[[Exception, HttpRequest], Awaitable[None] | None]
LinkHook: TypeAlias = "Callable[[FrameLink, HttpClientCall], FrameLink]"
CloseHook: TypeAlias = Callable[[], Awaitable[None] | None]


class _Place(Enum):
    @property
    def depth(self) -> int:
        """How many come before it."""
        return list(type(self)).index(self)


class RequestPhase(_Place):
    """When a request hook runs (the phases of Ktor's `HttpRequestPipeline`).

    The order of installation therefore does not matter: an object gets its default headers before
    it becomes bytes, and these are compressed after that.
    """

    BEFORE = "before"
    """Fill in what the caller left open."""
    STATE = "state"
    """Anything else."""
    TRANSFORM = "transform"
    """Turn an object into a body that can be sent."""
    RENDER = "render"
    """Work on the bytes of the body."""


class LayerKind(_Place):
    """What a layer is for. This is also the order of layers, the outermost first.

    The order of installation therefore does not matter: redirects pass through cookies and auth
    again, each repetition has its own time limit, and the log shows what is really sent.
    """

    REDIRECT = "redirect"
    COOKIES = "cookies"
    AUTH = "auth"
    RETRY = "retry"
    TIMEOUT = "timeout"
    LOGGING = "logging"
    USER = "user"


class ClientEvent(Generic[T]):
    """The key of an event whose handlers take a `T` (Ktor's `EventDefinition`)."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"ClientEvent({self.name!r})"


class RequestFailure:
    """What `RequestFailed` tells: which request, and how it ended."""

    __slots__ = ("error", "request")

    def __init__(self, request: HttpRequest, error: BaseException) -> None:
        self.request = request
        self.error = error

    def __repr__(self) -> str:
        return f"RequestFailure({self.request!r}, {self.error!r})"


RequestCreated: ClientEvent[HttpRequest] = ClientEvent("RequestCreated")
"""Each request that goes to the engine, retries and redirects too."""
ResponseReceived: ClientEvent[HttpResponse] = ClientEvent("ResponseReceived")
"""Each response of the engine, refused handshakes too."""
RequestFailed: ClientEvent[RequestFailure] = ClientEvent("RequestFailed")
"""Each request to the engine that ended in an exception instead, a cancellation too."""


class Events:
    """Event handlers, plain or async. They run immediately, in order, and are awaited.

    What they raise reaches the caller.
    """

    __slots__ = ("_handlers", "are_heard")

    def __init__(self) -> None:
        self.are_heard = False
        """Whether anybody has subscribed to anything."""
        self._handlers: dict[ClientEvent[Any], list[Callable[[Any], Awaitable[None] | None]]] = {}

    def subscribe(
        self, event: ClientEvent[T], handler: Callable[[T], Awaitable[None] | None]
    ) -> Callable[[], None]:
        """Call `handler` for each such event; returns a function that unsubscribes it."""
        if not isinstance(event, ClientEvent):
            raise TypeError(f"an event is a ClientEvent, such as ResponseReceived, not {event!r}")
        if not callable(handler):
            raise TypeError(f"a handler is a function of what happened, not {handler!r}")
        handlers = self._handlers.setdefault(event, [])
        handlers.append(handler)
        self.are_heard = True

        def unsubscribe() -> None:
            if handler in handlers:
                handlers.remove(handler)
            if not handlers and self._handlers.get(event) is handlers:
                del self._handlers[event]
                self.are_heard = bool(self._handlers)

        return unsubscribe

    async def emit(self, event: ClientEvent[T], value: T) -> None:
        """Call the handlers of an event."""
        for handler in tuple(self._handlers.get(event, ())):
            result = handler(value)
            if result is not None and inspect.isawaitable(result):
                await result


class PluginScope(Protocol):
    """What a plugin may use of the client that it is installed in. Each plugin has its own.

    Hooks are plain or async: functions, methods, partials, or objects with `__call__`.
    """

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

    @property
    def engine_settings(self) -> Attributes:
        """Values for the engine, used for each request that has none of its own under that key.

        `scope.engine_settings[CONNECT_TIMEOUT] = 3` in `install`; keys are `EngineSetting`s.
        """
        ...

    def on_request(self, hook: RequestHook, *, phase: RequestPhase = RequestPhase.STATE) -> None:
        """Run `hook` on each new request, after the caller's blocks.

        Hooks of the same phase run in order of installation.

        Requests made by redirects or repetitions are not new. `client.web_socket(...)` and
        `prepare_get` run plain hooks at the call; async hooks, and all after them, run when the
        statement is entered.
        """

    def on_response(self, hook: ResponseHook) -> None:
        """Run `hook` on each final response, including 101, before the caller sees it."""

    def on_validate(self, hook: ResponseHook) -> None:
        """Run `hook` on each response that has not failed so far; runs after `expect_success`.

        Handshakes count only if they opened a session. If the hook raises, the call ends.
        """

    def on_error(self, hook: ErrorHook) -> None:
        """Run `hook` on the exception that ends a call, before the caller sees it.

        It gets the request as the caller made it. An exception that it raises replaces the first.
        It does not see cancellation.
        """

    def on_link(self, hook: LinkHook) -> None:
        """Put the result of `hook(link, call)` between each new session and its connection.

        It is usually a `TapLink` (`ktor_client.engines`), which sees each frame, or `link` itself.
        """

    async def opened(self, link: FrameLink, call: HttpClientCall) -> FrameLink:
        """Return the link that a session gets: what the `on_link` hooks made of its connection's.

        The `on_validate` hooks check the response first.
        """
        ...

    def on_send(
        self,
        interceptor: Interceptor,
        *,
        kind: LayerKind = LayerKind.USER,
        when: When | None = None,
    ) -> None:
        """Wrap the sending of requests and handshakes.

        Args:
            interceptor: the layer.
            kind: its place; layers of the same kind follow the order of installation, the first
                outermost.
            when: called with each request that comes to the layer; returns whether it applies. A
                layer that does not apply costs next to nothing. Instead of True or False it may
                return a function of the response: then the layer is called when there is a response
                for which that function returns True, or an exception. The layer's first `send`, of
                the same request, returns that response, or raises that exception.
        """

    async def send(self, request: HttpRequest, *, via: Send | None = None) -> HttpResponse:
        """Send a request through the layers below this plugin's innermost one.

        For a plugin without layers, these are all layers and the `on_response` hooks. Read or close
        the response yourself; one that you get within a layer is closed when the layer's call ends.

        Args:
            request: what to send; no `on_request` hook sees it.
            via: called instead of `engine.execute`.
        """
        ...

    def client_without(self, *plugins: Callable[..., HttpClientPlugin]) -> HttpClient:
        """Return this client without the hooks and layers of some plugins.

        It shares the client's engine and plugins and closes with it. `Auth` uses one to refresh
        tokens.
        """
        ...

    def on_close(self, hook: CloseHook) -> None:
        """Run `hook` when the client closes, after its sessions and before its engine."""


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
        self.name = name
        self._run = run

    def install(self, scope: PluginScope) -> None:
        """Call the function."""
        self._run(scope)

    def __repr__(self) -> str:
        return f"<plugin {self.name}>"


def client_plugin(
    function: Callable[Concatenate[PluginScope, P], None],
) -> Callable[P, HttpClientPlugin]:
    """Make a plugin of a function `(scope, *, options...)` (Ktor's `createClientPlugin`)."""
    check_plain(function, "a plugin's function")
    name = function.__name__

    @functools.wraps(function)
    def factory(*args: P.args, **options: P.kwargs) -> HttpClientPlugin:
        return FunctionPlugin(name, lambda scope: function(scope, *args, **options))

    signature = inspect.signature(function)
    options = list(signature.parameters.values())[1:]
    shown: Any = factory  # inspect looks for an attribute that functions do not declare
    shown.__signature__ = signature.replace(parameters=options)
    return factory
