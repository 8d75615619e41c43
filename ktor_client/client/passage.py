"""One request on its way through the layers to the engine, and the responses that came of it.

Here every response has an owner: what does not reach the caller is closed.
"""

from __future__ import annotations

from asyncio import current_task
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

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
    When,
)

if TYPE_CHECKING:
    from ktor_client.client.scope import ClientScope

__all__ = ["Layer", "Passage", "Route"]


def _always(request: HttpRequest) -> bool:
    return True


class Layer:
    """An interceptor and where it lies."""

    __slots__ = ("intercept", "is_ours", "kind", "owner", "when")

    def __init__(
        self, intercept: Interceptor, kind: LayerKind, owner: object, when: When | None = None
    ) -> None:
        self.intercept = intercept
        self.kind = kind
        self.owner = owner
        self.is_ours = type(owner).__module__.startswith("ktor_client.plugins.")
        """Whether type checkers have seen what it returns; a layer of others is watched."""
        self.when = when or _always

    def around(self, request: HttpRequest, send: Send) -> Awaitable[HttpResponse]:
        """Call it."""
        sending = self.intercept(request, send)
        return sending if self.is_ours else self._watched(sending)

    async def _watched(self, sending: Awaitable[object]) -> HttpResponse:
        response = await sending
        if not isinstance(response, HttpResponse):
            raise TypeError(
                f"a layer of {name_of(self.owner)} returned {type(response).__name__}, not an "
                "HttpResponse; a layer ends with `return await send(request)`"
            )
        return response


Late: TypeAlias = tuple[Layer, Callable[[HttpResponse], bool], int]
"""A layer that is called once a response concerns it, and where the layers below it begin."""


class Route:
    """The layers that a request goes through, outermost first."""

    __slots__ = ("hop", "steps")

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.steps = [(layer, at) for at, layer in enumerate(layers, 1)]
        """Each with where the layers below it begin."""
        self.hop = sum(one.kind is LayerKind.REDIRECT for one in layers)
        """Where each hop begins: below the layers that redirect."""


class Sent:
    """The `send` of a late layer, of which the first call has taken place already."""

    __slots__ = ("_layer", "_outcome", "_request", "_send")

    def __init__(
        self, layer: Layer, request: HttpRequest, outcome: HttpResponse | Exception, send: Send
    ) -> None:
        self._layer = layer
        self._request = request
        self._outcome: HttpResponse | Exception | None = outcome
        self._send = send

    async def __call__(self, request: HttpRequest) -> HttpResponse:
        outcome, self._outcome = self._outcome, None
        if outcome is None:
            return await self._send(request)
        if request is not self._request:
            raise TypeError(
                f"a layer of {name_of(self._layer.owner)} changed a request that was sent already: "
                "where its `when` returns a function of the response, its first "
                "`send(request)` sends the same request"
            )
        if isinstance(outcome, HttpResponse):
            return outcome
        try:
            raise outcome
        finally:
            del outcome  # its traceback would hold it


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
        if scope.engine_settings:
            settings = dict(scope.engine_settings.items())
            request = request._with_settings({**settings, **request.engine_settings})
        self._asked = request
        under_way, task = scope.under_way, current_task()
        self._outer = outer = under_way.get(task)
        self._begin(task)
        under_way[task] = self
        kept: HttpResponse | None = None
        try:
            response = await self._below(0, None, request)
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

    def _below(
        self, at: int, elsewhere: HttpRequest | None, request: HttpRequest
    ) -> Awaitable[HttpResponse]:
        """Go through the layers from `at` on.

        `elsewhere` is what has led this hop to another origin: what layers add below, for the
        caller's origin, does not go there.
        """
        route, asked = self._route, self._asked
        if at <= route.hop:
            may_be_elsewhere = request.url is not asked.url or asked._asked is not None
            is_elsewhere = may_be_elsewhere and request.url.origin != asked.asked_origin
            elsewhere = request if is_elsewhere else None
        late: list[Late] = []
        go_on: Send
        for layer, below in route.steps[at:]:
            applies = layer.when(request)
            if not applies:
                continue
            if callable(applies):
                late.append((layer, applies, below))
                continue
            go_on = partial(layer.around, send=partial(self._below, below, elsewhere))
            meant = request
            break
        else:
            go_on = self._reach_engine
            meant = request if elsewhere is None else only_what_was_meant(request, elsewhere)
        return self._heard(go_on, meant, request, late, elsewhere) if late else go_on(meant)

    async def _heard(
        self,
        go_on: Send,
        meant: HttpRequest,
        request: HttpRequest,
        late: list[Late],
        elsewhere: HttpRequest | None,
    ) -> HttpResponse:
        """Call those of the late layers that the outcome concerns, innermost first."""
        outcome: HttpResponse | Exception
        try:
            outcome = await go_on(meant)
        except Exception as error:
            outcome = error
        try:
            for layer, concerns, below in reversed(late):
                if isinstance(outcome, Exception) or concerns(outcome):
                    send = Sent(layer, request, outcome, partial(self._below, below, elsewhere))
                    try:
                        outcome = await layer.around(request, send)
                    except Exception as error:
                        outcome = error
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        finally:
            del outcome  # its traceback would hold it

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
