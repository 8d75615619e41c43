"""Counting attempts, and the verdict on each failure."""

from __future__ import annotations

import asyncio
import ssl
from typing import Any

import pytest

from ktor_client import (
    Backoff,
    CloseReason,
    ConnectError,
    Failure,
    Headers,
    HttpMethod,
    HttpRequest,
    HttpResponse,
    OpenTimeoutError,
    Retry,
    RetryPolicy,
    Stop,
    UnsupportedCapabilityError,
    Url,
    WebSocketHandshakeError,
    errors,
)
from ktor_client.retry import Attempts, is_worth_a_retry
from ktor_client.retry.table import CODES, ERRORS, STATUSES

BACKOFF = Backoff(first=1, longest=8, jitter="none")


def answer(status: int, **headers: str) -> HttpResponse:
    fields = Headers({name.replace("_", "-"): value for name, value in headers.items()})
    request = HttpRequest(HttpMethod.Get, Url("http", "localhost"))
    return HttpResponse(request, status, fields)


def lost(code: int) -> errors.ConnectionClosedError:
    return errors.ConnectionClosedError("gone", reason=CloseReason(code))


def unauthorized(cause: Exception) -> errors.AuthError:
    error = errors.AuthError("no tokens")
    error.__cause__ = cause
    return error


def untrusted() -> errors.TlsError:
    error = errors.TlsError("no")
    error.__cause__ = OSError("a wrapper")
    error.__cause__.__context__ = ssl.SSLCertVerificationError("self-signed")
    return error


@pytest.mark.parametrize(
    ("told", "again"),
    [
        *(({"error": lost(code)}, True) for code in (1001, 1005, 1006, 1011, 1012, 1013, 1014)),
        *(({"reason": CloseReason(code)}, True) for code in (1001, 1005, 1006, 1012)),
        *(({"error": lost(code)}, False) for code in (1000, 1002, 1003, *range(1007, 1011))),
        *(({"error": lost(code)}, False) for code in (3000, 3003, 4000, 4999, 1004, 2000)),
        *(({"response": answer(status)}, True) for status in (408, 425, 429, 500, 502, 503, 599)),
        *(({"response": answer(status)}, False) for status in (200, 302, 400, 401, 403, 404, 410)),
        ({"error": WebSocketHandshakeError("", answer(503))}, True),
        ({"error": WebSocketHandshakeError("", answer(401))}, False),
        ({"error": WebSocketHandshakeError("", answer(101))}, False),
        ({"error": errors.RedirectError("", answer(302))}, False),
        ({"error": errors.ServerResponseError("made by hand")}, False),
        ({"error": ConnectError("refused")}, True),
        ({"error": errors.DnsError("no name")}, True),
        ({"error": errors.ProxyError("refused")}, True),
        ({"error": errors.TlsError("broke off")}, True),
        ({"error": unauthorized(errors.ConnectError("no way"))}, True),
        ({"error": unauthorized(TimeoutError())}, True),
        ({"error": unauthorized(ValueError())}, False),
        ({"error": unauthorized(errors.ServerResponseError("", answer(503)))}, True),
        ({"error": unauthorized(errors.ClientRequestError("", answer(429)))}, True),
        ({"error": unauthorized(errors.ClientRequestError("", answer(400)))}, False),
        ({"error": unauthorized(errors.ServerResponseError("made by hand"))}, False),
        ({"error": untrusted()}, False),
        ({"error": OpenTimeoutError("late")}, True),
        ({"error": errors.ConnectTimeoutError("late")}, True),
        ({"error": errors.PingTimeoutError("late", reason=CloseReason(1011))}, True),
        ({"error": errors.FrameTooBigError("big", reason=CloseReason(1009))}, False),
        ({"error": errors.ProtocolViolationError("bad", reason=CloseReason(1002))}, False),
        ({"error": TimeoutError()}, True),
        ({"error": UnsupportedCapabilityError("no")}, False),
        ({"error": errors.InvalidUrlError("no")}, False),
        ({"error": errors.ClientClosedError("no")}, False),
        ({"error": errors.WrongLoopError("no")}, False),
        ({"error": errors.ConverterError("no")}, False),
        ({"error": ZeroDivisionError()}, False),
        ({}, False),
    ],
    ids=repr,
)
async def test_the_table(told: dict[str, Any], again: bool) -> None:
    attempts = Attempts(RetryPolicy(BACKOFF), 0)
    failure = attempts.failed(0, **told)
    assert is_worth_a_retry(failure) is again
    assert await attempts.verdict(failure) == (
        1 if again else Stop("another attempt would not help")
    )


def test_every_error_has_a_row_and_no_number_has_two() -> None:
    for name in errors.__all__:
        assert any(issubclass(getattr(errors, name), row.kind) for row in ERRORS)
    for rows in (CODES, STATUSES):
        numbers = [number for row in rows for number in range(row.first, row.last + 1)]
        assert len(numbers) == len(set(numbers))


async def test_delays_grow_from_attempt_to_attempt() -> None:
    attempts = Attempts(RetryPolicy(BACKOFF), 100)
    delays: list[float | Stop] = []
    for _ in range(5):
        failure = attempts.failed(101, error=ConnectError("refused"))
        delays.append(await attempts.verdict(failure))
    assert delays == [1, 2, 4, 8, 8]
    assert attempts.number == 6


async def test_success_begins_anew() -> None:
    attempts = Attempts(RetryPolicy(BACKOFF, max_attempts=2, max_elapsed=50), 0)
    assert await attempts.verdict(attempts.failed(0, error=ConnectError(""))) == 1
    attempts.reset(1000)
    failure = attempts.failed(1000, reason=CloseReason(1006), was_open=True)
    assert (failure.attempt, failure.elapsed, failure.delay) == (1, 0, 1)
    assert await attempts.verdict(failure) == 1


async def test_a_failure_tells_what_is_known() -> None:
    attempts = Attempts(RetryPolicy(BACKOFF), 5)
    refused = WebSocketHandshakeError("", answer(503, retry_after="7"))
    failure = attempts.failed(8, error=refused)
    assert failure.response is refused.response
    assert attempts.failed(8, error=unauthorized(refused)).response is refused.response
    assert failure.error is refused
    assert (failure.attempt, failure.elapsed, failure.delay) == (1, 3, 7)
    assert failure.reason is None
    assert not failure.was_open
    error = lost(1012)
    failure = attempts.failed(8, error=error, was_open=True, hint=3)
    assert failure.reason is error.reason
    assert failure.was_open
    assert failure.delay == 3


async def test_limits_of_attempts_and_of_time() -> None:
    attempts = Attempts(RetryPolicy(BACKOFF, max_attempts=3), 0)
    for _ in range(2):
        assert isinstance(await attempts.verdict(attempts.failed(0, error=ConnectError(""))), float)
    stop = await attempts.verdict(attempts.failed(0, error=ConnectError("")))
    assert stop == Stop("max_attempts=3 is reached")

    attempts = Attempts(RetryPolicy(BACKOFF, max_elapsed=10), 0)
    assert await attempts.verdict(attempts.failed(9, error=ConnectError(""))) == 1
    stop = await attempts.verdict(attempts.failed(9, error=ConnectError("")))
    assert stop == Stop("max_elapsed=10 s would be over")


async def test_a_hint_beyond_all_time_stops() -> None:
    attempts = Attempts(RetryPolicy(), 0)
    failure = attempts.failed(0, response=answer(503, retry_after="9" * 400))
    assert await attempts.verdict(failure) == Stop("the server asks for a wait without an end")


async def test_chance_is_whose_it_is_given() -> None:
    attempts = Attempts(RetryPolicy(Backoff(first=2)), 0, random=lambda: 0.25)
    assert attempts.failed(0, error=ConnectError("")).delay == 0.5


@pytest.mark.parametrize("later", [False, True], ids=["function", "coroutine function"])
@pytest.mark.parametrize(
    ("word", "error", "verdict"),
    [
        (Retry(), lost(1000), 1),
        (Retry(0), lost(4000), 0),
        (Retry(90), ConnectError(""), 90),
        (Stop(), ConnectError(""), Stop("the policy's decide said so")),
        (Stop("enough"), ConnectError(""), Stop("enough")),
        (None, ConnectError(""), 1),
        (None, lost(1000), Stop("another attempt would not help")),
    ],
    ids=repr,
)
async def test_the_users_word_is_before_the_table(
    word: Retry | Stop | None, error: Exception, verdict: float | Stop, later: bool
) -> None:
    seen: list[Failure] = []

    def decide(failure: Failure) -> Retry | Stop | None:
        seen.append(failure)
        return word

    async def decide_later(failure: Failure) -> Retry | Stop | None:
        await asyncio.sleep(0)
        return decide(failure)

    attempts = Attempts(RetryPolicy(BACKOFF, decide=decide_later if later else decide), 0)
    failure = attempts.failed(0, error=error)
    assert await attempts.verdict(failure) == verdict
    assert seen == [failure]


async def test_the_limits_hold_against_decide() -> None:
    attempts = Attempts(RetryPolicy(BACKOFF, max_attempts=1, decide=lambda _: Retry()), 0)
    stop = await attempts.verdict(attempts.failed(0, error=ConnectError("")))
    assert stop == Stop("max_attempts=1 is reached")


async def test_what_decide_raises_comes_out() -> None:
    def decide(failure: Failure) -> None:
        raise LookupError("no idea")

    attempts = Attempts(RetryPolicy(decide=decide), 0)
    with pytest.raises(LookupError, match="no idea"):
        await attempts.verdict(attempts.failed(0, error=ConnectError("")))


@pytest.mark.parametrize("word", [True, 3, Retry, "retry"], ids=repr)
async def test_other_words_of_decide_are_refused(word: Any) -> None:
    attempts = Attempts(RetryPolicy(decide=lambda _: word), 0)
    with pytest.raises(TypeError, match=r"decide returns Retry\(\), Stop\(\) or None, not"):
        await attempts.verdict(attempts.failed(0, error=ConnectError("")))


@pytest.mark.parametrize("again", [True, False])
async def test_whoever_tries_may_bring_a_table_of_their_own(again: bool) -> None:
    async def worth_it(failure: Failure) -> bool:
        await asyncio.sleep(0)
        return again

    attempts = Attempts(RetryPolicy(BACKOFF), 0)
    verdict = await attempts.verdict(attempts.failed(0, error=ConnectError("")), worth_it)
    assert verdict == (1 if again else Stop("another attempt would not help"))
