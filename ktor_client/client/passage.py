"""One request on its way through the layers to the engine, and the responses that came of it.

Here every response has an owner: what does not reach the caller is closed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from ktor_client.client.explaining import name_of
from ktor_client.engine.settings import check_settings
from ktor_client.errors import ConnectError, InvalidUrlError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.http.interruptible import Interruptible
from ktor_client.http.origins import only_what_was_meant
from ktor_client.plugin import (
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

__all__ = ["Layer", "Passage"]


class Layer:
    """An interceptor and where it lies."""

    __slots__ = ("intercept", "kind", "owner", "when")

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
        self.when = when


class Passage:
    """Sends one request. The scope knows it while it is under way, by its task."""

    __slots__ = (
        "_asked",
        "_is_over",
        "_layers",
        "_outer",
        "_responses",
        "_scope",
        "_via",
        "waiting",
    )

    _asked: HttpRequest

    def __init__(self, scope: ClientScope, layers: Sequence[Layer], via: Send | None) -> None:
        self._scope = scope
        self._layers = layers
        self._via = via
        self._responses: list[HttpResponse] = []
        self._outer: Passage | None = None
        self._is_over = False
        self.waiting = Interruptible()
        """What ends the passage when its client is closed."""

    @property
    def what(self) -> str:
        """What is under way, for messages."""
        return "request was under way" if self._via is None else "session was being opened"

    async def send(self, request: HttpRequest, *, judged: bool) -> HttpResponse:
        """Send the request and return the response that the layers make of the engine's.

        Where it is `judged`, the response hooks see it too.
        """
        scope, task = self._scope, asyncio.current_task()
        if scope.engine_settings:
            settings = dict(scope.engine_settings.items())
            request = request._with_settings({**settings, **request.engine_settings})
        self._asked = request
        under_way = scope.under_way
        if task is not None:
            self._outer = under_way.get(task)
            under_way[task] = self
        kept: HttpResponse | None = None
        try:
            with self.waiting:
                response = await self._outermost(request)
                if judged:
                    await scope.judge(response)
            kept = response
        finally:
            if task is not None:
                if self._outer is None:
                    del under_way[task]
                else:
                    under_way[task] = self._outer
            self._is_over = True
            if self._responses != [kept]:
                await self._let_go_of_all_but(kept)
        if self._outer is not None:
            self._outer._responses.append(response)
        return response

    async def _outermost(self, request: HttpRequest) -> HttpResponse:
        """Go through the layers that redirect; each hop of theirs begins below them."""
        outermost: Send = self._hop
        for layer in reversed(self._layers):
            if layer.kind is LayerKind.REDIRECT and (layer.when is None or layer.when(request)):
                outermost = _wrap(layer, outermost, is_checked=layer is self._layers[0])
        response: object = await outermost(request)
        if not isinstance(response, HttpResponse):
            raise _no_response(self._layers[0], response)
        return response

    async def _hop(self, request: HttpRequest) -> HttpResponse:
        """Go through the layers below those that redirect."""
        innermost: Send = self._reach_engine
        if self._is_elsewhere(request):

            async def guarded(
                ready: HttpRequest, redirected: HttpRequest = request
            ) -> HttpResponse:
                return await self._reach_engine(only_what_was_meant(ready, redirected))

            innermost = guarded
        for layer in reversed(self._layers):
            if layer.kind is LayerKind.REDIRECT:
                continue
            if layer.when is None or layer.when(request):
                innermost = _wrap(layer, innermost, is_checked=layer is self._layers[0])
        return await innermost(request)

    def _is_elsewhere(self, request: HttpRequest) -> bool:
        if request.url is self._asked.url and not self._asked.is_elsewhere:
            return False
        return request.url.origin != self._asked.asked_origin

    async def _reach_engine(self, request: HttpRequest) -> HttpResponse:
        scope = self._scope
        if request.engine_settings:
            check_settings(scope.engine, request.engine_settings)
        if self._via is None and request.url.scheme in ("ws", "wss"):
            raise InvalidUrlError(
                f"{request.method} needs an http or https URL, not {request.url._shown}; "
                "client.web_socket(...) opens those"
            )
        events = scope.events if scope.events.are_heard else None
        if events is not None:
            await events.emit(RequestCreated, request)
        try:
            response = await (self._via or scope.engine.execute)(request)
        except BaseException as error:
            if events is not None:
                await events.emit(RequestFailed, RequestFailure(request, error))
            raise
        self._responses.append(response)
        if self._is_over:  # somebody went on without it
            await self._let_go_of_all_but(None)
        elif response.status == 101 and self._via is None:
            raise ConnectError(
                f"{type(scope.engine).__name__}: {request.url._shown} answered "
                f"{request.method} with 101, to switch to a protocol that nobody has asked for"
            )
        if events is not None:
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


def _wrap(layer: Layer, inner: Send, *, is_checked: bool) -> Send:
    """Return what sends through a layer; `is_checked` where others see what it returns first."""
    if is_checked:
        return lambda request: layer.intercept(request, inner)

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
