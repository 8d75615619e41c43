"""`MockEngine` as clients hold it: routes, a queue or a handler answer; peers are run; all is kept.

What a scripted peer can do is in `peer.py`, what a test is told in `conversation.py`.
"""

from __future__ import annotations

import asyncio
import warnings
from collections import deque
from collections.abc import AsyncIterable, Awaitable, Iterable, Mapping, Sequence
from inspect import isawaitable
from types import TracebackType
from typing import Any, TypeVar

from ktor_client.engine import Capability, HttpClientEngine, WebSocketOptions, WebSocketUpgrade
from ktor_client.engine.idle_limit import IdleLimit
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engines._mock.conversation import Conversation, ExpectationError
from ktor_client.engines._mock.peer import Peer
from ktor_client.engines._mock.responses import (
    Answer,
    Handler,
    MockResponse,
    answer_of,
    raisable,
    response_to,
)
from ktor_client.engines._mock.routes import Match, Route, Routes
from ktor_client.engines._mock.sockets import (
    HandshakeAnswer,
    HandshakeHandler,
    accept,
    checked_answer,
)
from ktor_client.engines._mock.stage import Stage
from ktor_client.errors import ClientClosedError
from ktor_client.http import HttpRequest, HttpResponse, redacted
from ktor_client.http.body import checked_chunk, opened
from ktor_client.memory.faults import Faults
from ktor_client.memory.real_clock import RealClock
from ktor_client.memory.virtual_clock import VirtualClock
from ktor_client.protocol.extensions import WebSocketExtension

__all__ = ["MockEngine"]

T = TypeVar("T")


class MockEngine(HttpClientEngine):
    """Answers from memory, as a test scripts it: `MockEngine(lambda request: respond("hi"))`.

    As an async context manager, it closes and verifies on leaving.
    """

    name = "mock"

    def __init__(
        self,
        handler: Handler | None = None,
        *,
        capabilities: Iterable[Capability] | None = None,
        patience: float = 5.0,
        real_time: bool = False,
    ) -> None:
        """Make an engine without routes.

        Args:
            handler: answers the HTTP requests that neither the queue nor a route takes.
            capabilities: what the engine claims; by default everything it can do. With an empty
                set, you test how your application copes without WebSockets.
            patience: real seconds that a peer's `expect` waits before the test fails.
            real_time: let keepalive and deadlines run in real time, for code under test that
                sleeps itself; `clock` is then a real one.
        """
        if handler is not None and not callable(raisable(handler)):
            raise TypeError(f"handler is a function of the request, not {handler!r}")
        self._handler = handler
        self._capabilities = (
            BUILT_IN[self.name].capabilities if capabilities is None else frozenset(capabilities)
        )
        self._routes: Routes[Handler | Answer] = Routes()
        self._sockets: Routes[HandshakeHandler | HandshakeAnswer] = Routes()
        self._queue: deque[Handler | Answer] = deque()
        self._closed = False
        self._waits: set[asyncio.Timeout] = set()
        self.faults = Faults()
        """What is to go wrong on the wire of WebSockets that are opened from now on."""
        self.request_history: list[HttpRequest] = []
        """HTTP requests in the order in which they came, their bodies read."""
        self.response_history: list[HttpResponse] = []
        """Responses to them."""
        self.handshakes: list[HttpRequest] = []
        """Handshakes in the order in which they came, refused ones too."""
        clock = RealClock() if real_time else VirtualClock()
        self._stage = Stage(clock, self.faults, patience)
        self.conversations: list[Conversation] = self._stage.conversations
        """The frames of each WebSocket, in the order in which they were opened."""

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What was given to the constructor."""
        return self._capabilities

    @property
    def clock(self) -> VirtualClock | RealClock:
        """Time for keepalive and deadlines: `await engine.clock.sleep(60)` lets it pass."""
        return self._stage.clock

    # --- scripting ---

    def on_request(
        self, match: Match, answer: Handler | Answer, *, times: int | None = None
    ) -> None:
        """Answer the requests that `match`; routes are tried in the order of these calls.

        Args:
            match: "/path", "POST /path", a whole URL, or a function of the request.
            answer: a handler, `respond(...)`, a body, or an exception to raise.
            times: for how many requests; `verify` fails unless exactly that many arrived.
        """
        self._routes.add(match, raisable(answer), times)

    def enqueue(self, *answers: Handler | Answer) -> None:
        """Answer the next requests with these, one each, before any route.

        `verify` fails when some are left over.
        """
        self._queue.extend(map(raisable, answers))

    def on_web_socket(
        self,
        match: Match,
        peer: Peer | MockResponse | Exception | type[Exception],
        *,
        times: int | None = None,
        subprotocols: Sequence[str] = (),
        extensions: Sequence[WebSocketExtension] = (),
        headers: Mapping[str, str | None] | None = None,
        delay: float = 0.0,
    ) -> None:
        """Let `peer` be the other side of the WebSockets that `match`.

        Args:
            match: "/path", a whole URL, or a function of the request.
            peer: `async def peer(session)` that is run for each WebSocket; returning closes it
                with 1000. Or `respond(...)` to refuse, or an exception to raise.
            times: for how many handshakes; later ones go to the next matching route. `verify` fails
                unless exactly that many arrived.
            subprotocols: those that the server speaks; the client's favourite is chosen.
            extensions: those that the server supports, such as `[WebSocketDeflate()]`.
            headers: added to the 101, or replacing the right ones, such as a wrong
                `Sec-WebSocket-Accept`; None leaves a header out.
            delay: virtual seconds until the handshake is answered.
        """
        answer: HandshakeAnswer
        script: Any = raisable(peer)
        if isinstance(script, MockResponse | Exception):
            answer = script
        else:
            answer = accept(
                script,
                subprotocols=subprotocols,
                extensions=extensions,
                headers=headers,
            )

        async def later(_: HttpRequest) -> HandshakeAnswer:
            await self.clock.sleep(delay)
            return answer

        self._sockets.add(match, later if delay else answer, times)

    def on_handshake(
        self,
        match: Match,
        handler: HandshakeHandler | HandshakeAnswer | type[Exception],
        *,
        times: int | None = None,
    ) -> None:
        """Let `handler` decide about each handshake that `match`es, having seen it.

        Args:
            match: "/path", a whole URL, or a function of the request.
            handler: a function of the request, async or not, that returns `accept(peer, ...)`,
                `respond(...)` to refuse, or an exception to raise. Or one of these itself.
            times: as in `on_web_socket`, with whose routes these are asked in one order.
        """
        handler = raisable(handler)
        if not callable(handler):
            checked_answer(handler, handler)
        self._sockets.add(match, handler, times)

    # --- judging ---

    def verify(self) -> None:
        """Check that the script was followed: call it when the client is closed.

        Raises:
            ExpectationError: an expectation was not met, there were more or fewer calls than
                announced, or a peer failed; the peer's own exception is the cause.
        """
        __tracebackhide__ = True
        problems = self._stage.take_failures()
        unmet: list[Route[Any]] = [*self._routes.unmet(), *self._sockets.unmet()]
        problems += [
            ExpectationError(
                f"MockEngine: {route.shown} was to be called {route.times} times; "
                f"it was called {route.used} times"
            )
            for route in unmet
        ]
        if self._queue:
            problems.append(
                ExpectationError(f"MockEngine: {len(self._queue)} queued answers were not fetched")
            )
        self._raise(problems)

    @staticmethod
    def _raise(problems: list[ExpectationError]) -> None:
        __tracebackhide__ = True  # pytest shows the script's line
        if len(problems) == 1:
            raise problems[0]
        if problems:
            raise ExpectationError("\n\n".join(map(str, problems))) from problems[0]

    # --- the client's calls ---

    async def execute(self, request: HttpRequest) -> HttpResponse:
        """Answer a request; see `HttpClientEngine.execute`.

        Raises:
            ExpectationError: no answer was scripted. A handler may raise anything.
            ClientClosedError: the engine is closed, or was while a handler waited.
        """
        self._raise_if_closed()
        request = await _with_whole_body(request)
        self.request_history.append(request)
        limit = IdleLimit(self, request)
        response = response_to(request, await limit.wait(self._answer(request)))
        self.response_history.append(response)
        return limit.watched(response)

    async def open_web_socket(
        self, request: HttpRequest, options: WebSocketOptions
    ) -> WebSocketUpgrade:
        """Answer a handshake; see `HttpClientEngine.open_web_socket`.

        Raises:
            ExpectationError: no peer was scripted. A route may raise its own exception.
            ClientClosedError: the engine is closed, or was while a handler waited.
        """
        self._raise_if_closed()
        self.handshakes.append(request)
        answer = await IdleLimit(self, request).wait(self._decide(request))
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, MockResponse):
            return WebSocketUpgrade(response_to(request, answer))
        upgrade = self._stage.open(request, answer)
        if self._closed:  # in the step of the loop in which the handler answered
            assert upgrade.link is not None
            upgrade.link.abort()
            raise ClientClosedError("MockEngine was closed during the handshake")
        return upgrade

    async def idle(self) -> None:
        """Let the peers of a closed client end, and raise what went wrong with them."""
        __tracebackhide__ = True
        await self._stage.clear()
        self._raise(self._stage.take_failures())

    async def close(self) -> None:
        """Abort what is open, end the peers, and verify; see `verify` for what it raises."""
        __tracebackhide__ = True
        if self._closed:
            return
        self._closed = True
        for wait in self._waits:
            wait.reschedule(asyncio.get_running_loop().time())
        for response in self.response_history:  # which may stream still
            await response.close()
        await self._stage.clear()
        self.verify()

    async def __aenter__(self) -> MockEngine:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    # --- inside ---

    async def _decide(self, request: HttpRequest) -> HandshakeAnswer:
        handler = self._sockets.take(request)
        if handler is None:
            raise self._unscripted(request, "peer", "on_web_socket", self._sockets.describe())
        if not callable(handler):
            return handler
        answer = handler(request)
        if isawaitable(answer):
            answer = await self._wait(answer, "handshake")
        return checked_answer(answer, handler)

    async def _answer(self, request: HttpRequest) -> MockResponse:
        target = self._queue.popleft() if self._queue else self._routes.take(request)
        if target is None:
            target = self._handler
        if target is None:
            raise self._unscripted(request, "answer", "on_request", self._routes.describe())
        if not callable(target):
            return answer_of(target, target)
        answer = target(request)
        if isawaitable(answer):
            answer = await self._wait(answer, "request")
        return answer_of(answer, target)

    async def _wait(self, answer: Awaitable[T], what: str) -> T:
        """Wait for what a handler returns, at most until the engine is closed."""
        wait = asyncio.timeout(None)
        self._waits.add(wait)
        try:
            async with wait:
                return await answer
        except TimeoutError:
            if not wait.expired():
                raise
            raise ClientClosedError(f"MockEngine was closed during the {what}") from None
        finally:
            self._waits.discard(wait)

    def _unscripted(
        self, request: HttpRequest, what: str, method: str, routes: str
    ) -> ExpectationError:
        there = f"there are routes for {routes}" if routes else f"{method} has no routes yet"
        error = ExpectationError(
            f"MockEngine has no {what} for {request.method} {redacted(request.url)}; {there}. "
            f'Add one: engine.{method}("{request.url.path}", ...)'
        )
        self._stage.failures.append(error.again())
        return error

    def _raise_if_closed(self) -> None:
        if self._closed:
            raise ClientClosedError("MockEngine is closed; make a new one")

    def __del__(self) -> None:
        stage: Stage | None = getattr(self, "_stage", None)
        for failure in stage.failures if stage is not None else ():
            warnings.warn(
                f"nobody asked this engine for its failures; call verify() or close(): {failure}",
                ResourceWarning,
                source=self,
                stacklevel=2,
            )


async def _with_whole_body(request: HttpRequest) -> HttpRequest:
    """Read a streamed body, as a server would, so that handlers and history have its bytes."""
    body = request.body
    if not isinstance(body, AsyncIterable):
        return request
    async with opened(body) as chunks:
        data = b"".join([checked_chunk(chunk) async for chunk in chunks])
    return HttpRequest(request.method, request.url, request.headers, data, request.attributes)
