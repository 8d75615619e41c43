"""`MockEngine` as clients hold it: answers from routes, a queue or a handler, and the history."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterable, Iterable
from inspect import isawaitable

from ktor_client.engine import Capability, HttpClientEngine, WebSocketOptions, WebSocketUpgrade
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engines._mock.responses import (
    Answer,
    Handler,
    MockResponse,
    answer_of,
    response_to,
)
from ktor_client.engines._mock.routes import Match, Routes
from ktor_client.errors import ClientClosedError
from ktor_client.http import HttpRequest, HttpResponse

__all__ = ["MockEngine"]


class MockEngine(HttpClientEngine):
    """Answers requests from memory: `MockEngine(lambda request: respond("hi"))`."""

    name = "mock"

    def __init__(
        self,
        handler: Handler | None = None,
        *,
        capabilities: Iterable[Capability] | None = None,
    ) -> None:
        """Make an engine without routes.

        Args:
            handler: answers the HTTP requests that neither the queue nor a route takes.
            capabilities: what the engine claims; everything it can do unless given. An empty set
                proves that an application copes with an engine without web sockets.
        """
        if handler is not None and not callable(handler):
            raise TypeError(f"handler is a function of the request, not {handler!r}")
        self._handler = handler
        self._capabilities = (
            BUILT_IN[self.name].capabilities if capabilities is None else frozenset(capabilities)
        )
        self._routes: Routes[Handler | Answer] = Routes()
        self._queue: deque[Handler | Answer] = deque()
        self._closed = False
        self.request_history: list[HttpRequest] = []
        """HTTP requests in the order in which they came, their bodies read."""
        self.response_history: list[HttpResponse] = []
        """Responses that were given."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What was given to the constructor."""
        return self._capabilities

    # --- scripting ---

    def on_request(
        self, match: Match, answer: Handler | Answer, *, times: int | None = None
    ) -> None:
        """Answer the requests that `match`; routes are asked in the order of these calls.

        Args:
            match: "/path", "POST /path", a whole URL, or a function of the request.
            answer: a handler, `respond(...)`, a body, or an exception to raise.
            times: for how many requests; `verify` then fails unless so many came.
        """
        self._routes.add(match, answer, times)

    def enqueue(self, *answers: Handler | Answer) -> None:
        """Answer the next requests with these, one each, before any route is asked.

        `verify` fails when some are left over.
        """
        self._queue.extend(answers)

    # --- the client's calls ---

    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Answer a request; see `HttpClientEngine.execute`.

        Raises:
            AssertionError: nobody scripted an answer. And whatever a handler raises.
        """
        self._raise_if_closed()
        request = await _with_whole_body(request)
        self.request_history.append(request)
        response = response_to(request, await self._answer(request))
        self.response_history.append(response)
        return response

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Answer a handshake; see `HttpClientEngine.open_web_socket`."""
        self._raise_if_closed()
        raise AssertionError(f"MockEngine has no peer for {request.url}")

    async def close(self) -> None:
        """Refuse further calls."""
        self._closed = True

    # --- inside ---

    async def _answer(self, request: HttpRequest) -> MockResponse:
        target = self._queue.popleft() if self._queue else self._routes.take(request)
        if target is None:
            target = self._handler
        if target is None:
            routes = self._routes.describe()
            raise AssertionError(
                f"MockEngine has no answer for {request.method} {request.url}; "
                + (f"it has routes for {routes}" if routes else "add one: engine.on_request(...)")
            )
        if not callable(target):
            return answer_of(target, target)
        answer = target(request)
        if isawaitable(answer):
            answer = await answer
        return answer_of(answer, target)

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise ClientClosedError("MockEngine is closed; make a new one")


async def _with_whole_body(request: HttpRequest) -> HttpRequest:
    """Read a streamed body, as a server would, so that handlers and history have its bytes."""
    body = request.body
    if not isinstance(body, AsyncIterable):
        return request
    data = b"".join([bytes(chunk) async for chunk in body])
    return HttpRequest(request.method, request.url, request.headers, data, request.attributes)
