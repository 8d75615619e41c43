"""One request on its way through the layers to the engine, and the responses that came of it.

Here every response has an owner: what does not reach the caller is closed.
"""

from __future__ import annotations

from asyncio import current_task
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING

from ktor_client.client.explaining import name_of
from ktor_client.engine.settings import check_settings
from ktor_client.errors import ConnectError, InvalidUrlError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.http.interruptible import Interruptible
from ktor_client.http.origins import only_what_was_meant
from ktor_client.plugin import (
    Events,
    Interceptor,
    LayerKind,
    RequestCreated,
    RequestFailed,
    RequestFailure,
    ResponseReceived,
    Send,
)

if TYPE_CHECKING:
    from ktor_client.client.scope import ClientScope

__all__ = ["Layer", "Passage", "Route"]


class Layer:
    """An interceptor and where it lies."""

    __slots__ = ("intercept", "is_ours", "kind", "owner", "when")

    def __init__(
        self,
        intercept: Interceptor,
        kind: LayerKind,
        owner: object,
        when: Callable[[HttpRequest], bool] | None = None,
    ) -> None:
        self.intercept = intercept
        self.kind = kind
        self.owner = owner
        self.is_ours = type(owner).__module__.startswith("ktor_client.plugins.")
        """Whether type checkers have seen what it returns; a layer of others is watched."""
        self.when = when


class Route:
    """The layers that a request goes through, of each sort the innermost first."""

    __slots__ = ("inner", "redirecting")

    def __init__(self, layers: Sequence[Layer]) -> None:
        """Take them outermost first."""
        self.redirecting = [one for one in reversed(layers) if one.kind is LayerKind.REDIRECT]
        self.inner = [one for one in reversed(layers) if one.kind is not LayerKind.REDIRECT]
        """Each hop begins above these."""


class Passage(Interruptible):
    """Sends one request. The scope knows it while it is under way, by its task."""

    __slots__ = ("_asked", "_is_over", "_outer", "_responses", "_route", "_scope", "_via")

    _asked: HttpRequest
    _outer: Passage | None

    def __init__(self, scope: ClientScope, route: Route, via: Send | None = None) -> None:
        self._scope = scope
        self._route = route
        self._via = via
        self._responses: list[HttpResponse] = []
        self._is_over = False
        self.error = None

    @property
    def what(self) -> str:
        """What is under way, for messages."""
        return "request was under way" if self._via is None else "session was being opened"

    async def send(self, request: HttpRequest, *, judged: bool) -> HttpResponse:
        """Send the request and return the response that the layers make of the engine's.

        Where it is `judged`, the response hooks see it too.
        """
        scope = self._scope
        if scope.engine_settings._values:
            settings = dict(scope.engine_settings.items())
            request = request._with_settings({**settings, **request.engine_settings})
        self._asked = request
        under_way, task = scope.under_way, current_task()
        self._outer = outer = under_way.get(task)
        under_way[task] = self
        self._begin(task)
        kept: HttpResponse | None = None
        try:
            response = await self._enter(request)
            if not isinstance(response, HttpResponse):
                raise _no_response(self._route.redirecting[-1], response)
            if judged and scope.response_hooks:
                await scope.judge(response)
            kept = response
            if self.error is not None:
                self._end(None)
        except BaseException as error:
            if self.error is not None:
                self._end(error)
            raise
        finally:
            if outer is None:
                del under_way[task]
            else:
                under_way[task] = outer
            self._is_over = True
            if len(self._responses) != 1 or self._responses[0] is not kept:
                await self._let_go_of_all_but(kept)
        if outer is not None:
            outer._responses.append(response)
        return response

    def _enter(self, request: HttpRequest) -> Awaitable[object]:
        """Go through the layers that redirect; each hop of theirs begins below them."""
        inner: Send = self._hop
        outermost: Layer | None = None
        for layer in self._route.redirecting:
            if layer.when is None or layer.when(request):
                if outermost is not None:
                    inner = _wrap(outermost, inner)
                outermost = layer
        return inner(request) if outermost is None else outermost.intercept(request, inner)

    def _hop(self, request: HttpRequest) -> Awaitable[HttpResponse]:
        """Go through the layers below those that redirect."""
        innermost: Send = self._reach_engine
        if request.url is not self._asked.url or self._asked._asked is not None:
            if request.url.origin != self._asked.asked_origin:
                innermost = self._guarded(request)
        for layer in self._route.inner:
            when = layer.when
            if when is None or when(request):
                innermost = _wrap(layer, innermost)
        return innermost(request)

    def _guarded(self, redirected: HttpRequest) -> Send:
        """Return what sends to another origin without what layers have added for the caller's."""

        def send(request: HttpRequest) -> Awaitable[HttpResponse]:
            return self._reach_engine(only_what_was_meant(request, redirected))

        return send

    async def _reach_engine(self, request: HttpRequest) -> HttpResponse:
        scope, via = self._scope, self._via
        if not request._is_checked:  # a layer has changed it
            request = request.checked(web_socket=request.url.scheme in ("ws", "wss"))
        if request._settings:
            check_settings(scope.engine, request._settings)
        if via is None:
            via = scope.engine.execute
            if request.url.scheme in ("ws", "wss"):
                raise InvalidUrlError(
                    f"{request.method} needs an http or https URL, not {request.url._shown}; "
                    "client.web_socket(...) opens those"
                )
        events = scope.events
        if events.are_heard:
            response = await _observed(via, request, events)
        else:
            response = await via(request)
        self._responses.append(response)
        if self._is_over:  # somebody went on without it
            await self._let_go_of_all_but(None)
        elif response.status == 101 and self._via is None:
            raise ConnectError(
                f"{type(scope.engine).__name__}: {request.url._shown} answered "
                f"{request.method} with 101, to switch to a protocol that nobody has asked for"
            )
        if events.are_heard:
            await events.emit(ResponseReceived, response)
        return response

    async def _let_go_of_all_but(self, kept: HttpResponse | None) -> None:
        while self._responses:
            response = self._responses.pop()
            if kept is None or not kept._streams(response):
                try:
                    await response.close()
                finally:
                    await self._let_go_of_all_but(kept)


async def _observed(send: Send, request: HttpRequest, events: Events) -> HttpResponse:
    await events.emit(RequestCreated, request)
    try:
        return await send(request)
    except BaseException as error:
        await events.emit(RequestFailed, RequestFailure(request, error))
        raise


def _wrap(layer: Layer, inner: Send) -> Send:
    if layer.is_ours:
        intercept = layer.intercept
        return lambda request: intercept(request, inner)

    async def step(request: HttpRequest) -> HttpResponse:
        response: object = await layer.intercept(request, inner)
        if not isinstance(response, HttpResponse):
            raise _no_response(layer, response)
        return response

    return step


def _no_response(layer: Layer, value: object) -> TypeError:
    return TypeError(
        f"a layer of {name_of(layer.owner)} returned {type(value).__name__}, not an HttpResponse; "
        "a layer ends with `return await send(request)`"
    )
