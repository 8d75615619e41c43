"""What is worth another attempt, where the user did not say: a table, and looking it up.

The rows are data, so that the documentation prints them and nobody else repeats them.
"""

from __future__ import annotations

import ssl
from typing import NamedTuple

from ktor_client.causes import causes
from ktor_client.errors import AuthError, ConnectionClosedError, ResponseError, TlsError
from ktor_client.http import HttpResponse
from ktor_client.retry.policy import Failure

__all__ = [
    "CODES",
    "ERRORS",
    "STATUSES",
    "ErrorRow",
    "NumberRow",
    "is_worth_a_retry",
    "refusal_of_tokens",
]


class ErrorRow(NamedTuple):
    """Errors of this class, or only those that come from a `cause`."""

    kind: type[BaseException]
    again: bool
    words: str
    cause: type[BaseException] | None = None


class NumberRow(NamedTuple):
    """Statuses or close codes, `first` to `last`."""

    first: int
    last: int
    again: bool
    words: str


ERRORS: tuple[ErrorRow, ...] = (
    ErrorRow(TlsError, False, "the certificate is not trusted", ssl.SSLCertVerificationError),
    ErrorRow(ConnectionError, True, "DNS, refused, reset, TLS that broke off, no way to a proxy"),
    ErrorRow(TimeoutError, True, "a time limit was over"),
    ErrorRow(AuthError, True, "no connection to where tokens come from", ConnectionError),
    ErrorRow(AuthError, True, "tokens did not come in time", TimeoutError),
    ErrorRow(BaseException, False, "a mistake, which time does not mend"),
)
"""By error, first match, where neither a close code nor a status says more."""

STATUSES: tuple[NumberRow, ...] = (
    NumberRow(408, 408, True, "the server gave up waiting for the request"),
    NumberRow(425, 425, True, "too early"),
    NumberRow(429, 429, True, "too many requests"),
    NumberRow(500, 599, True, "the server has failed"),
)
"""By status of the answer, where that is a failure."""

CODES: tuple[NumberRow, ...] = (
    NumberRow(1000, 1000, False, "the end was meant"),
    NumberRow(1001, 1001, True, "the server goes away"),
    NumberRow(1002, 1003, False, "we and the server do not speak alike"),
    NumberRow(1005, 1006, True, "no reason given, or the connection was lost"),
    NumberRow(1007, 1010, False, "the server will not have what we send, or we what it sends"),
    NumberRow(1011, 1014, True, "the server or its gateway failed, restarts, is busy; no pong"),
    NumberRow(1015, 1015, True, "TLS broke off"),
    NumberRow(3000, 4999, False, "the application said so"),
)
"""By close code of the session that ended."""


def is_worth_a_retry(failure: Failure) -> bool:
    """Whether the table says to go on. What no row names is not worth it."""
    error = failure.error
    is_answered = isinstance(error, AuthError) and failure.response is not None
    if error is not None and not (
        is_answered or isinstance(error, ConnectionClosedError | ResponseError)
    ):
        return next(row.again for row in ERRORS if _is_of(error, row))
    if failure.reason is not None and failure.reason.code is not None:
        return _says(CODES, failure.reason.code)
    return failure.response is not None and _says(STATUSES, failure.response.status)


def refusal_of_tokens(error: AuthError) -> HttpResponse | None:
    """Return the answer that loading or refreshing tokens has failed with, if that is known."""
    answers = [one._response for one in causes(error) if isinstance(one, ResponseError)]
    return answers[0] if answers else None


def _is_of(error: BaseException, row: ErrorRow) -> bool:
    return isinstance(error, row.kind) and (
        row.cause is None or any(isinstance(one, row.cause) for one in causes(error))
    )


def _says(rows: tuple[NumberRow, ...], number: int) -> bool:
    return any(row.again for row in rows if row.first <= number <= row.last)
