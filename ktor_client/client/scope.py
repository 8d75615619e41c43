"""The hooks and layers of one client, and what each of its plugins sees of them."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Awaitable, Callable, Collection
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ktor_client.client.explaining import name_of
from ktor_client.client.passage import Layer, Passage, Route
from ktor_client.config import PluginKey
from ktor_client.engine import HttpClientEngine
from ktor_client.functions import check_plain, is_async
from ktor_client.http import Attributes, HttpRequest, HttpRequestBuilder, HttpResponse
from ktor_client.http.interruptible import Interruptible
from ktor_client.link import FrameLink
from ktor_client.mistakes import Taught
from ktor_client.plugin import (
    CloseHook,
    ErrorHook,
    Events,
    HttpClientPlugin,
    Interceptor,
    LayerKind,
    LinkHook,
    RequestHook,
    RequestPhase,
    ResponseHook,
    Send,
    When,
)

if TYPE_CHECKING:
    from ktor_client.client.http_client import HttpClient
    from ktor_client.session import HttpClientCall

__all__ = ["ClientScope", "PluginView", "Preparation"]

H = TypeVar("H", bound=Callable[..., Any])


class Hook(Generic[H]):
    """A hook and whose it is."""

    __slots__ = ("is_async", "owner", "phase", "run")

    def __init__(self, run: H, owner: object, phase: RequestPhase = RequestPhase.STATE) -> None:
        if not callable(run):
            raise TypeError(f"a hook is a function, not {run!r}")
        self.run = run
        self.owner = owner
        self.phase = phase
        """Of a request hook."""
        self.is_async = is_async(run)


class Preparation(Interruptible):
    """The wait for the request hooks of one call."""

    __slots__ = ()
    what = "request was being prepared"


class ClientScope:
    """What the plugins of a client have registered."""

    def __init__(self, engine: HttpClientEngine, plugins: Collection[PluginKey]) -> None:
        self.engine = engine
        self.plugins = plugins
        """What is installed."""
        self.attributes = Attributes()
        self.events = Events()
        self.engine_settings = Attributes()
        self.under_way: dict[asyncio.Task[Any] | None, Passage] = {}
        """The innermost passage of each task."""
        self.preparing: set[Preparation] = set()
        self.layers: list[Layer] = []
        """Outermost first."""
        self.route = Route(())
        """The way through all of them."""
        self.request_hooks: list[Hook[RequestHook]] = []
        self.response_hooks: list[Hook[ResponseHook]] = []
        self.validate_hooks: list[Hook[ResponseHook]] = []
        self.error_hooks: list[Hook[ErrorHook]] = []
        self.link_hooks: list[Hook[LinkHook]] = []
        self.close_hooks: list[Hook[CloseHook]] = []

    def add_request_hook(self, hook: Hook[RequestHook]) -> None:
        """Put a request hook behind those of its phase."""
        self.request_hooks.append(hook)
        self.request_hooks.sort(key=lambda one: one.phase.depth)  # which keeps the order of equals

    def add_layer(self, layer: Layer) -> None:
        """Put a layer below those of its kind."""
        self.layers.append(layer)
        self.layers.sort(key=lambda one: one.kind.depth)  # which keeps the order of equals
        self.route = Route(self.layers)

    def without(self, owners: Collection[object], plugins: Collection[PluginKey]) -> ClientScope:
        """Return a scope that lacks what some plugins have registered, and shares the rest."""
        twin = ClientScope(self.engine, plugins)
        twin.attributes, twin.events = self.attributes, self.events
        twin.engine_settings = self.engine_settings
        twin.layers = [one for one in self.layers if one.owner not in owners]
        twin.route = Route(twin.layers)
        twin.request_hooks = [one for one in self.request_hooks if one.owner not in owners]
        twin.response_hooks = [one for one in self.response_hooks if one.owner not in owners]
        twin.validate_hooks = [one for one in self.validate_hooks if one.owner not in owners]
        twin.error_hooks = [one for one in self.error_hooks if one.owner not in owners]
        twin.link_hooks = [one for one in self.link_hooks if one.owner not in owners]
        return twin

    def below(self, owner: object) -> list[Layer]:
        """Return the layers below the innermost one of a plugin; all where it has none."""
        last = max((at for at, one in enumerate(self.layers) if one.owner is owner), default=-1)
        return self.layers[last + 1 :]

    # --- for the client ---

    def prepare(self, request: HttpRequestBuilder) -> Callable[[], Awaitable[None]] | None:
        """Run the request hooks up to the first async one; return what runs the rest, if any."""
        for at, hook in enumerate(self.request_hooks):
            if hook.is_async:
                return functools.partial(self._prepare_rest, request, at, None)
            result = hook.run(request)
            if result is not None and inspect.isawaitable(result):
                return functools.partial(self._prepare_rest, request, at + 1, result)
        return None

    async def _prepare_rest(
        self, request: HttpRequestBuilder, at: int, begun: Awaitable[None] | None
    ) -> None:
        if begun is not None:
            await begun
        for hook in self.request_hooks[at:]:
            result = hook.run(request)
            if result is not None:
                await _finished(result)

    async def judge(self, response: HttpResponse) -> None:
        """Run the response hooks."""
        for hook in self.response_hooks:
            result = hook.run(response)
            if result is not None:
                await _finished(result)

    async def validate(self, response: HttpResponse) -> None:
        """Run the hooks that judge what is no failure by then; close what one of them rejects."""
        try:
            for hook in self.validate_hooks:
                result = hook.run(response)
                if result is not None:
                    await _finished(result)
        except BaseException:
            await response.close()
            raise

    async def explain_error(self, error: Exception, request: HttpRequest) -> None:
        """Run the error hooks on the exception that ends a call."""
        for hook in self.error_hooks:
            await _finished(hook.run(error, request))

    async def close(self) -> None:
        """Run the close hooks, newest first; one that fails does not keep the others from it."""
        failures: list[Exception] = []
        for hook in reversed(self.close_hooks):
            try:
                await _finished(hook.run())
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]


class PluginView(metaclass=Taught):
    """Implements `PluginScope` for one plugin."""

    def __init__(self, client: HttpClient, scope: ClientScope, plugin: HttpClientPlugin) -> None:
        self._client = client
        self._scope = scope
        self._plugin = plugin
        self.engine = scope.engine
        self.attributes = scope.attributes
        self.events = scope.events
        self.engine_settings = scope.engine_settings

    def on_request(self, hook: RequestHook, *, phase: RequestPhase = RequestPhase.STATE) -> None:
        """See `PluginScope.on_request`."""
        if not isinstance(phase, RequestPhase):
            raise TypeError(f"phase is a RequestPhase, such as RequestPhase.BEFORE, not {phase!r}")
        self._scope.add_request_hook(Hook(hook, self._plugin, phase))

    def on_response(self, hook: ResponseHook) -> None:
        """See `PluginScope.on_response`."""
        self._scope.response_hooks.append(Hook(hook, self._plugin))

    def on_validate(self, hook: ResponseHook) -> None:
        """See `PluginScope.on_validate`."""
        self._scope.validate_hooks.append(Hook(hook, self._plugin))

    def on_error(self, hook: ErrorHook) -> None:
        """See `PluginScope.on_error`."""
        self._scope.error_hooks.append(Hook(hook, self._plugin))

    def on_link(self, hook: LinkHook) -> None:
        """See `PluginScope.on_link`."""
        check_plain(hook, "a hook on links")
        self._scope.link_hooks.append(Hook(hook, self._plugin))

    async def opened(self, link: FrameLink, call: HttpClientCall) -> FrameLink:
        """See `PluginScope.opened`."""
        if self._scope.validate_hooks:
            await self._scope.validate(call.response)
        for hook in self._scope.link_hooks:
            made: object = hook.run(link, call)
            if not isinstance(made, FrameLink):
                raise TypeError(
                    f"a hook on links of {name_of(hook.owner)} returned {type(made).__name__}, not "
                    "a FrameLink; a hook that changes nothing ends with `return link`"
                )
            link = made
        return link

    def on_send(
        self,
        interceptor: Interceptor,
        *,
        kind: LayerKind = LayerKind.USER,
        when: When | None = None,
    ) -> None:
        """See `PluginScope.on_send`."""
        if not callable(interceptor):
            raise TypeError(f"a layer is `async def layer(request, send)`, not {interceptor!r}")
        if not isinstance(kind, LayerKind):
            raise TypeError(f"kind is a LayerKind, such as LayerKind.AUTH, not {kind!r}")
        if when is not None and not callable(when):
            raise TypeError(f"when is a function of the request, not {when!r}")
        check_plain(when, "when")
        self._scope.add_layer(Layer(interceptor, kind, self._plugin, when))

    def on_close(self, hook: CloseHook) -> None:
        """See `PluginScope.on_close`."""
        self._scope.close_hooks.append(Hook(hook, self._plugin))

    async def send(self, request: HttpRequest, *, via: Send | None = None) -> HttpResponse:
        """See `PluginScope.send`."""
        scope = self._scope
        layers = scope.below(self._plugin)
        judged = len(layers) == len(scope.layers)
        route = scope.route if judged else Route(layers)
        return await Passage(scope, route, via).send(request, judged=judged)

    def client_without(self, *plugins: Callable[..., HttpClientPlugin]) -> HttpClient:
        """See `PluginScope.client_without`."""
        return self._client._without(plugins)


async def _finished(result: object) -> None:
    if inspect.isawaitable(result):
        await result
