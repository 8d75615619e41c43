"""An open event stream: reading it, and opening it again where it broke off (WHATWG HTML 9.2.3).

The grammar is in `parser.py`; when to try again is the policy's.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, TypeVar

from ktor_client.engine.phases import was_still
from ktor_client.engine.settings import DEFAULT_SOCKET_TIMEOUT, REQUEST_TIMEOUT, SOCKET_TIMEOUT
from ktor_client.errors import (
    ConverterNotFoundError,
    KtorClientError,
    RequestTimeoutError,
    SocketTimeoutError,
    SseError,
    UnsafeHeaderError,
)
from ktor_client.http import Attributes, HttpRequest, HttpResponse
from ktor_client.http.body import once_only
from ktor_client.http.codings import max_decoded_size
from ktor_client.http.conversion import ContentConverter
from ktor_client.http.response import MAX_REFUSAL_BODY
from ktor_client.link import Clock
from ktor_client.link.sleeping import passing, sleep
from ktor_client.link.time_limit import TimeLimit
from ktor_client.plugin import PluginScope
from ktor_client.plugins.sse.event import ServerSentEvent
from ktor_client.plugins.sse.parser import EventParser, EventTooLargeError
from ktor_client.retry import RetryPolicy, Stop
from ktor_client.retry.attempts import Attempts
from ktor_client.retry.table import is_worth_a_retry

__all__ = ["SseSession", "StreamOptions"]

T = TypeVar("T")

DEFAULT_RETRY = 3.0
"""Seconds before a stream is opened again, unless server or policy say otherwise."""


@dataclass(frozen=True, slots=True)
class StreamOptions:
    """What the plugin was told, checked."""

    policy: RetryPolicy | None
    shows_comments: bool
    shows_retry: bool
    max_event_size: int
    idle_timeout: float | None
    converter: ContentConverter | None


class SseSession:
    """An event stream (Ktor's `ClientSSESession`): `async for event in events`.

    A stream that ends or breaks off is reopened with `Last-Event-ID`, and iteration continues. It
    ends when the server answers 204, when the policy stops, or with `close()`. If the request must
    not be repeated (a POST, or a body that is used up), the stream ends with its connection.
    Cancelling a wait for an event loses nothing.
    """

    def __init__(
        self,
        scope: PluginScope,
        request: HttpRequest,
        options: StreamOptions,
        on_end: Callable[[SseSession], object],
    ) -> None:
        self._scope = scope
        self._clock = scope.engine.clock
        self._head_limit = request.engine_settings.get(
            SOCKET_TIMEOUT, scope.engine_settings.get(SOCKET_TIMEOUT, DEFAULT_SOCKET_TIMEOUT)
        )
        self._request = _prepared(scope, request)
        self._attributes = Attributes(self._request.attributes)
        self._options = options
        self._on_end: Callable[[SseSession], object] | None = on_end
        self._attempts = Attempts(options.policy or RetryPolicy(), self._clock.time())
        self._opened_at: float | None = None
        self._parser = self._new_parser(None)
        self._response: HttpResponse | None = None
        self._chunks: AsyncGenerator[bytes] | None = None
        self._events: deque[ServerSentEvent[str]] = deque()
        self._error: Exception | None = None
        self._is_over = False
        self._step: asyncio.Task[None] | None = None

    # --- for users ---

    @property
    def response(self) -> HttpResponse:
        """The response that the current stream began with."""
        assert self._response is not None  # a session is given out when it is here
        return self._response

    @property
    def last_event_id(self) -> str | None:
        """The last id that the server sent; a reopened stream continues after it."""
        return self._parser.last_id

    def __aiter__(self) -> AsyncIterator[ServerSentEvent[str]]:
        return self

    async def __anext__(self) -> ServerSentEvent[str]:
        """Return the next event.

        Raises:
            StopAsyncIteration: the stream is over.
            SseError: the answer to opening it again was no event stream, or an event is too large.
            ConnectError, RequestTimeoutError: the stream broke off, and the policy has stopped.
        """
        while not self._events:
            if self._error is not None:
                raise self._error
            if self._is_over:
                raise StopAsyncIteration
            await self._go_on()
        return self._events.popleft()

    async def typed(self, type_: type[T]) -> AsyncGenerator[ServerSentEvent[T]]:
        """Yield the events with their data as objects of a type, by the `content_converter`.

        Raises:
            ConverterNotFoundError: the plugin has no converter; nothing was consumed.
            DeserializationError: the data does not hold the type.
        """
        converter = self._options.converter
        if converter is None:
            raise ConverterNotFoundError(
                "No converter was found for events; "
                "add one: install(SSE, content_converter=JsonConverter())"
            )
        async for event in self:
            data: Any = converter.from_bytes(event.data.encode(), type_)
            yield ServerSentEvent(data, event.event, event.id, event.retry, event.comments)

    async def close(self) -> None:
        """End the stream and release its connection. Idempotent; events already here stay."""
        await self._end(None)

    async def __aenter__(self) -> SseSession:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        state = "over" if self._is_over else "open"
        return f"<SseSession {state} {self._request.url!r}>"

    # --- opening ---

    async def _begin(self) -> None:
        """Wait for the first answer."""
        await self._open()
        self._attempts.reset(self._clock.time())

    async def _open(self) -> None:
        request = self._request
        if self._parser.last_id:
            try:
                request = request.with_header("Last-Event-ID", self._parser.last_id)
            except UnsafeHeaderError:
                pass  # an id that no header can carry is not sent
        response = await _within(
            self._clock,
            self._head_limit,
            self._scope.send(request),
            SocketTimeoutError,
            f"{request.url._shown} did not answer within {self._head_limit or 0:g} s "
            "(socket_timeout)",
        )
        content_type = response.headers.single("content-type") or ""
        media_type = content_type.partition(";")[0].strip().lower()
        if response.status == 204:
            await response.discard()
            self._response = response
            self._finish()
        elif response.status != 200 or media_type != "text/event-stream":
            limit = self._head_limit  # the request itself has none, so that events may be rare
            in_time = None if limit is None else TimeLimit(self._clock, limit)
            with passing(self._clock):
                await response.read_up_to(MAX_REFUSAL_BODY, in_time)
            what = f"Content-Type {media_type!r}" if response.status == 200 else response.status
            raise SseError(
                f"expected an event stream (status 200, Content-Type text/event-stream) from "
                f"{request.url._shown}, but got {what}",
                response,
            )
        else:
            self._response = response
            self._opened_at = self._clock.time()
            self._parser = self._new_parser(self._parser)
            self._chunks = response.chunks()

    def _new_parser(self, before: EventParser | None) -> EventParser:
        options = self._options
        parser = EventParser(
            max_size=options.max_event_size,
            shows_comments=options.shows_comments,
            shows_retry=options.shows_retry,
            last_id=None if before is None else before.last_id,
        )
        parser.retry = None if before is None else before.retry
        return parser

    # --- going on: by steps, each in a task of its own, which a cancelled wait does not end ---

    async def _go_on(self) -> None:
        if self._step is None:
            self._step = asyncio.get_running_loop().create_task(self._next_step())
        step = self._step
        await asyncio.wait({step})
        if self._step is step:
            self._step = None
        if not (self._is_over and step.cancelled()):  # else it was cancelled from within
            step.result()

    async def _next_step(self) -> None:
        try:
            await self._advance()
        except Exception as error:
            self._error = self._error or error
            self._finish()
            await self._drop()

    async def _advance(self) -> None:
        """Read once; or open the stream again; or wait until that is due."""
        error: KtorClientError | None = None
        try:
            if self._chunks is None:
                self._request = self._request.copy()  # as new: plugins keep notes in attributes
                self._request.attributes = Attributes(self._attributes)
                await self._open()
                return
            if await self._read(self._chunks):
                return
        except EventTooLargeError as too_large:
            self._events.extend(too_large.events)
            raise SseError(
                f"an event from {self._request.url._shown} has more than "
                f"{self._options.max_event_size} characters (max_event_size)",
                self._response,
            ) from None
        except KtorClientError as caught:
            error = caught
        await self._drop()
        self._parser.end()
        delay = await self._delay(error)
        if delay is not None:
            await sleep(self._clock, delay)

    async def _read(self, chunks: AsyncGenerator[bytes]) -> bool:
        """Take what comes; False where the stream has ended."""
        idle = self._options.idle_timeout
        try:
            chunk = await _within(
                self._clock,
                idle,
                anext(chunks),
                RequestTimeoutError,
                f"{self._request.url._shown} sent nothing for {idle or 0:g} s (idle_timeout)",
            )
        except StopAsyncIteration:
            return False
        events = self._parser.feed(chunk)
        if events:
            self._events.extend(events)
            self._attempts.reset(self._clock.time())
        return True

    async def _delay(self, error: KtorClientError | None) -> float | None:
        """Return how long to wait before the stream is opened again; None where it is over."""
        if not self._request.method.is_idempotent or once_only(self._request.body) is not None:
            if error is not None:
                raise error
            self._finish()
            return None
        hint = self._parser.retry
        if hint is None and self._options.policy is None:
            hint = DEFAULT_RETRY
        if isinstance(error, SseError) and (asked := error.response.retry_after) is not None:
            hint = max(asked, hint or 0.0)
        attempts, now = self._attempts, self._clock.time()
        if self._opened_at is not None:
            attempts.excuse(now, now - self._opened_at)
            self._opened_at = None
        failure = attempts.failed(now, error=error, was_open=True, hint=hint)
        verdict = await attempts.verdict(
            failure, lambda failure: error is None or is_worth_a_retry(failure)
        )
        if not isinstance(verdict, Stop):
            return verdict
        if error is not None:
            error.add_note(f"the stream was not opened again: {verdict.why}")
            raise error
        self._finish()
        return None

    # --- the end ---

    def _finish(self) -> None:
        self._is_over = True
        if self._on_end is not None:
            on_end, self._on_end = self._on_end, None
            on_end(self)

    async def _end(self, error: Exception | None) -> None:
        """End the stream; whoever waits for an event hears of `error`, or that it is over."""
        if not self._is_over:
            self._error = error
        self._finish()
        step = self._step
        if step is not None and step.get_loop().is_closed():
            self._chunks = None  # the step has them, and never goes on
        elif step is not None:
            step.cancel()
            await asyncio.wait({step})
        await self._drop()

    async def _drop(self) -> None:
        """Give the connection back."""
        chunks, self._chunks = self._chunks, None
        if chunks is not None:
            await chunks.aclose()
        if self._response is not None:
            await self._response.close()


def _prepared(scope: PluginScope, request: HttpRequest) -> HttpRequest:
    """Return the request as the stream sends it: without a limit for what is open."""
    if SOCKET_TIMEOUT.capability in scope.engine.capabilities:
        request = request.with_setting(SOCKET_TIMEOUT, None)
    request.attributes[REQUEST_TIMEOUT] = None
    request.attributes[max_decoded_size] = None
    return request


async def _within(
    clock: Clock,
    limit: float | None,
    wait: Awaitable[T],
    error_class: type[RequestTimeoutError],
    message: str,
) -> T:
    """Await something for at most `limit` seconds of that clock; None for no limit.

    Raises:
        RequestTimeoutError: the time is over, as `error_class`.
    """
    if limit is None:
        return await wait
    over = TimeLimit(clock, limit)
    try:
        with passing(clock):
            async with over:
                return await wait
    except TimeoutError as error:
        if not over.is_over:
            raise
        raise error_class(f"{message}{was_still(error)}") from error
