"""Sending a request again that failed in a way that passes (Ktor's `HttpRequestRetry`).

What is worth it, and how long to wait, is `ktor_client/retry/`'s to say. Here is what a request
adds: whether it may be sent twice, its body opened again, the answers in between let go.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeAlias

from ktor_client.errors import KtorClientError, RequestTimeoutError, ResponseError
from ktor_client.http import AttributeKey, HttpRequest, HttpResponse
from ktor_client.http.body import once_only
from ktor_client.link.sleeping import sleep
from ktor_client.plugin import ClientEvent, HttpClientPlugin, LayerKind, PluginScope, Send
from ktor_client.plugins.websockets import OPEN_LIMIT
from ktor_client.retry import Attempts, Failure, RetryPolicy, Stop, is_worth_a_retry
from ktor_client.unset import UNSET

__all__ = ["HttpRequestRetry", "RequestRetried"]

RetryIf: TypeAlias = Callable[[HttpRequest, HttpResponse], "bool | Awaitable[bool]"]
RetryOn: TypeAlias = Callable[[HttpRequest, Exception], "bool | Awaitable[bool]"]
ModifyRequest: TypeAlias = Callable[[HttpRequest, Failure], "HttpRequest | Awaitable[HttpRequest]"]

DEFAULT_MAX_RETRIES = 3

RequestRetried: ClientEvent[Failure] = ClientEvent("RequestRetried")
"""Each failure after which a request is sent again (Ktor's `HttpRequestRetryEvent`)."""

_BEGUN: AttributeKey[float] = AttributeKey("when HttpRequestRetry has begun with it")
_STORY: AttributeKey[str] = AttributeKey("what HttpRequestRetry has done")
_ANSWERED = "the answer had begun: what breaks while its body is read is not repeated"


class HttpRequestRetry(HttpClientPlugin):
    """Repeat requests, and handshakes, that fail: `install(HttpRequestRetry, max_retries=5)`.

    A request is repeated if that has no further effect: GET, HEAD, PUT, DELETE and other idempotent
    methods (RFC 9110 9.2.2), any method if nothing was sent for certain, and requests with an
    `Idempotency-Key` header. The caller sees the last response or error.
    """

    def __init__(
        self,
        *,
        policy: RetryPolicy = UNSET,
        max_retries: int | None = UNSET,
        retry_if: RetryIf | None = None,
        retry_on: RetryOn | None = None,
        modify_request: ModifyRequest | None = None,
        retry_on_timeout: bool = False,
    ) -> None:
        """Check and keep the options. Functions may be coroutine functions.

        Args:
            policy: delays and limits; no delay is shorter than the server's `Retry-After`.
            max_retries: how often a request is repeated at most; 3 if neither this nor
                `policy.max_attempts` is given, None for no limit.
            retry_if: called with each response instead of the policy's table, which repeats 408,
                425, 429 and 5xx.
            retry_on: called with each error instead of the table.
            modify_request: returns the request to send, given the caller's request and the failure,
                for instance by `request.with_header(...)`.
            retry_on_timeout: also repeat after a time limit expired.

        Raises:
            TypeError: an option of the wrong type, or both `max_retries` and `policy.max_attempts`.
            ValueError: `max_retries` is below 0.
        """
        if policy is not UNSET and not isinstance(policy, RetryPolicy):
            raise TypeError(f"policy takes RetryPolicy(...), not {policy!r}")
        for name, function in (
            ("retry_if", retry_if),
            ("retry_on", retry_on),
            ("modify_request", modify_request),
        ):
            if function is not None and not callable(function):
                raise TypeError(f"{name} takes a function, not {function!r}")
        if not isinstance(retry_on_timeout, bool):
            raise TypeError(f"retry_on_timeout is True or False, not {retry_on_timeout!r}")
        self._policy = _limited(RetryPolicy() if policy is UNSET else policy, max_retries)
        self._retry_if = retry_if
        self._retry_on = retry_on
        self._modify = modify_request
        self._on_timeout = retry_on_timeout

    def install(self, scope: PluginScope) -> None:
        """Register the layer, outside of time limits, and the note on errors."""
        self._scope, self._clock = scope, scope.engine.clock
        scope.on_send(self._repeat, kind=LayerKind.RETRY, when=self._begin)
        scope.on_error(_tell)

    def _begin(self, request: HttpRequest) -> bool | Callable[[HttpResponse], bool]:
        request.attributes[_BEGUN] = self._clock.time()
        return _may_have_failed if self._retry_if is None else True

    async def _repeat(self, request: HttpRequest, send: Send) -> HttpResponse:
        clock, begun = self._clock, request.attributes[_BEGUN]
        attempts: Attempts | None = None
        ready = request
        while True:
            response: HttpResponse | None = None
            try:
                response = await send(ready)
                if self._retry_if is None and not _may_have_failed(response):
                    request.attributes[_STORY] = _ANSWERED
                    return response
                attempts = attempts or Attempts(self._policy, begun)
                failure = attempts.failed(clock.time(), response=response)
                delay = await self._delay(attempts, ready, failure)
                if delay is None:
                    return response
            except Exception as error:
                if response is not None:  # what the user's functions raise ends it all
                    raise
                attempts = attempts or Attempts(self._policy, begun)
                failure = attempts.failed(clock.time(), error=error)
                delay = await self._delay(attempts, ready, failure)
                if delay is None:
                    raise
            await self._wait(request, failure, delay)
            ready = await self._modified(request, failure)

    async def _wait(self, request: HttpRequest, failure: Failure, delay: float) -> None:
        """Let go of an answer that is not the last, and wait."""
        limit = request.attributes.get(OPEN_LIMIT)
        if limit is not None:
            limit.pause()
        if self._scope.events.are_heard:
            await self._scope.events.emit(RequestRetried, failure)
        if failure.response is not None and failure.error is None:
            await failure.response.discard()
        await sleep(self._clock, delay)
        if limit is not None:
            limit.begin()

    async def _delay(
        self, attempts: Attempts, request: HttpRequest, failure: Failure
    ) -> float | None:
        """Return how long to wait before the next attempt; None if there is none."""
        verdict = await attempts.verdict(failure, lambda _: self._is_worth_it(request, failure))
        if not isinstance(verdict, Stop):
            hindrance = _hindrance(request, failure)
            if hindrance is None:
                return verdict
            why = hindrance
        elif failure.response is not None and failure.response.status < 400:
            request.attributes[_STORY] = _ANSWERED
            return None
        elif isinstance(failure.error, RequestTimeoutError) and not self._on_timeout:
            why = f"{verdict.why}: retry_on_timeout is off"
        else:
            why = verdict.why
        count = "1 attempt" if failure.attempt == 1 else f"{failure.attempt} attempts"
        request.attributes[_STORY] = f"{count} in {failure.elapsed:.3g} s; {why}"
        return None

    async def _is_worth_it(self, request: HttpRequest, failure: Failure) -> bool:
        again: object
        if failure.error is None:
            assert failure.response is not None
            if self._retry_if is None:
                return is_worth_a_retry(failure)
            again = self._retry_if(request, failure.response)
        elif self._retry_on is not None:
            assert isinstance(failure.error, Exception)
            again = self._retry_on(request, failure.error)
        elif isinstance(failure.error, RequestTimeoutError):
            return self._on_timeout
        else:
            return is_worth_a_retry(failure)
        return bool(await again if inspect.isawaitable(again) else again)

    async def _modified(self, request: HttpRequest, failure: Failure) -> HttpRequest:
        if self._modify is None:
            return request
        made: object = self._modify(request, failure)
        if inspect.isawaitable(made):
            made = await made
        if not isinstance(made, HttpRequest):
            raise TypeError(
                f"modify_request returns the request to send, for instance "
                f'request.with_header("X-Retry", "1"), not {made!r}'
            )
        return made


def _may_have_failed(response: HttpResponse) -> bool:
    return response.status >= 400


def _limited(policy: RetryPolicy, max_retries: int | None) -> RetryPolicy:
    """Return a policy with the limit of attempts that the options mean."""
    if max_retries is UNSET:
        if policy.max_attempts is not None:
            return policy
        max_retries = DEFAULT_MAX_RETRIES
    elif policy.max_attempts is not None:
        raise TypeError(
            f"max_retries={max_retries} and policy.max_attempts={policy.max_attempts} set the "
            "same limit: give one of them"
        )
    if max_retries is None:
        return policy
    if isinstance(max_retries, bool) or not isinstance(max_retries, int):
        raise TypeError(f"max_retries takes an int or None, not {max_retries!r}")
    if max_retries < 0:
        raise ValueError(f"max_retries must be 0 or more, not {max_retries}")
    return replace(policy, max_attempts=max_retries + 1)


def _hindrance(request: HttpRequest, failure: Failure) -> str | None:
    """Return why a request cannot be sent again, however much it would be worth it."""
    error = failure.error
    if not (
        request.method.is_idempotent
        or "idempotency-key" in request.headers
        or (isinstance(error, KtorClientError) and error.nothing_sent)
    ):
        return (
            f"{request.method} is not repeated, for the server may have acted on it already; "
            "an Idempotency-Key header would allow it"
        )
    once = once_only(request.body)
    return None if once is None else f"the body ({once}) can be sent only once"


def _tell(error: Exception, request: HttpRequest) -> None:
    """Add to the error of a call what came of repeating it."""
    story = request.attributes.get(_STORY, _ANSWERED if _BEGUN in request.attributes else None)
    if story is not None and not (story is _ANSWERED and isinstance(error, ResponseError)):
        error.add_note(f"HttpRequestRetry: {story}")
