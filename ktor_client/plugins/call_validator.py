"""The user's word on what counts as success, and on errors (Ktor's `HttpCallValidator`)."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeAlias

from ktor_client.http import AttributeKey, HttpRequest, HttpResponse, ResponseBody
from ktor_client.http.body import WrappedBody
from ktor_client.plugin import HttpClientPlugin, LayerKind, PluginScope, Send

__all__ = ["HttpCallValidator"]

Validate: TypeAlias = Callable[[HttpResponse], "Awaitable[None] | None"]
OnError: TypeAlias = Callable[[Exception, HttpRequest], "Awaitable[None] | None"]

_SEEN: AttributeKey[BaseException] = AttributeKey("the error that HttpCallValidator has shown")


class HttpCallValidator(HttpClientPlugin):
    """Judge responses, and turn errors into your own.

    `install(HttpCallValidator, validate=check, on_error=translate)`. As in Ktor, `expect_success`
    comes first, and `on_error` gets its errors too.
    """

    def __init__(
        self, *, validate: Validate | None = None, on_error: OnError | None = None
    ) -> None:
        """Check and keep the functions; they may be coroutine functions.

        Args:
            validate: takes each final response, and each 101 that opens a session, and raises if it
                is not acceptable. It may read the body; the caller can read it again.
            on_error: takes the exception that ends a call or breaks off a body, and the request,
                before the caller sees it. An exception that it raises replaces the first.

        Raises:
            TypeError: not a function.
        """
        for name, function in (("validate", validate), ("on_error", on_error)):
            if function is not None and not callable(function):
                raise TypeError(f"{name} takes a function, not {function!r}")
        self._validate = validate
        self._on_error = on_error

    def install(self, scope: PluginScope) -> None:
        """Register the functions that were given."""
        if self._on_error is not None:
            scope.on_send(self._wrap_body, kind=LayerKind.COOKIES)  # where time limits are within
            scope.on_validate(_watch)
            scope.on_error(self._show)
        if self._validate is not None:
            scope.on_validate(self._validate)

    async def _wrap_body(self, request: HttpRequest, send: Send) -> HttpResponse:
        response = await send(request)
        if response.status == 101:
            return response

        bodies: list[_WatchedBody] = []

        def wrap(body: ResponseBody) -> ResponseBody:
            bodies.append(_WatchedBody(body, request, self._show))
            return bodies[0]

        made = response.copy(body=wrap)
        before = request.attributes.get(_BODIES) or ()
        request.attributes[_BODIES] = (*before, *((made, body) for body in bodies))
        return made

    async def _show(self, error: Exception, request: HttpRequest) -> None:
        """Show an error to the user's function, once."""
        assert self._on_error is not None
        if request.attributes.get(_SEEN) is error:
            return
        request.attributes[_SEEN] = error
        try:
            result = self._on_error(error, request)
            if inspect.isawaitable(result):
                await result
        except Exception as raised:
            request.attributes[_SEEN] = raised
            raise


class _WatchedBody(WrappedBody):
    """A body that shows what breaks it off."""

    def __init__(
        self,
        body: ResponseBody,
        request: HttpRequest,
        show: Callable[[Exception, HttpRequest], Awaitable[None]],
    ) -> None:
        super().__init__(body)
        self._request = request
        self._show = show
        self.is_final = False
        """Whether this is the caller's to read, and not some layer's to let go of."""

    async def chunks(self) -> AsyncIterator[bytes]:
        async with self.source() as chunks:
            while True:
                try:
                    chunk = await anext(chunks)
                except StopAsyncIteration:
                    return
                except Exception as error:
                    if self.is_final:
                        await self._show(error, self._request)
                    raise
                yield chunk


_BODIES: AttributeKey[tuple[tuple[HttpResponse, _WatchedBody], ...]] = AttributeKey(
    "the answers that HttpCallValidator has handed up"
)


def _watch(response: HttpResponse) -> None:
    """Watch the body from now on: the response is the caller's."""
    for made, body in response.request.attributes.get(_BODIES) or ():
        if response.is_made_of(made):
            body.is_final = True
