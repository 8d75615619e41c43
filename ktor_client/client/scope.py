"""The hooks of one client, and the send onion that they form. `PluginScope` as plugins see it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ktor_client.engine import HttpClientEngine
from ktor_client.http import Attributes, HttpRequest, HttpRequestBuilder, HttpResponse
from ktor_client.plugin import (
    Events,
    Interceptor,
    RequestCreated,
    ResponseFailed,
    ResponseReceived,
    Send,
)

__all__ = ["ClientScope"]


class ClientScope:
    """Implements `PluginScope`."""

    def __init__(self, engine: HttpClientEngine) -> None:
        self.engine = engine
        self.attributes = Attributes()
        self.events = Events()
        self._request_hooks: list[Callable[[HttpRequestBuilder], None]] = []
        self._response_hooks: list[Callable[[HttpResponse], None]] = []
        self._interceptors: list[Interceptor] = []
        self._close_hooks: list[Callable[[], Awaitable[None]]] = []

    def on_request(self, hook: Callable[[HttpRequestBuilder], None]) -> None:
        """See `PluginScope.on_request`."""
        self._request_hooks.append(hook)

    def on_response(self, hook: Callable[[HttpResponse], None]) -> None:
        """See `PluginScope.on_response`."""
        self._response_hooks.append(hook)

    def on_send(self, interceptor: Interceptor) -> None:
        """See `PluginScope.on_send`."""
        self._interceptors.append(interceptor)

    def on_close(self, hook: Callable[[], Awaitable[None]]) -> None:
        """See `PluginScope.on_close`."""
        self._close_hooks.append(hook)

    # --- for the client ---

    def prepare(self, request: HttpRequestBuilder) -> None:
        """Run the request hooks."""
        for hook in self._request_hooks:
            hook(request)

    async def send(self, request: HttpRequest, terminal: Send) -> HttpResponse:
        """Send through the onion; `terminal` talks to the engine."""
        layer = self._observed(terminal) if self.events.are_heard else terminal
        for interceptor in reversed(self._interceptors):
            layer = _wrap(interceptor, layer)
        response = await layer(request)
        for hook in self._response_hooks:
            hook(response)
        return response

    def _observed(self, terminal: Send) -> Send:
        async def observed(request: HttpRequest) -> HttpResponse:
            self.events.emit(RequestCreated, request)
            try:
                response = await terminal(request)
            except BaseException as error:
                self.events.emit(ResponseFailed, error)
                raise
            self.events.emit(ResponseReceived, response)
            return response

        return observed

    async def close(self) -> None:
        """Run the close hooks, newest first; one that fails does not keep the others from it."""
        failures: list[Exception] = []
        for hook in reversed(self._close_hooks):
            try:
                await hook()
            except Exception as error:
                failures.append(error)
        if failures:
            raise failures[0]


def _wrap(interceptor: Interceptor, inner: Send) -> Send:
    return lambda request: interceptor(request, inner)
