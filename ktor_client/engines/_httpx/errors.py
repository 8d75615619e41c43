"""The exceptions of httpx and httpcore, and ours for each."""

from __future__ import annotations

import httpcore
import httpx

from ktor_client.causes import causes
from ktor_client.engine.error_table import ErrorTable
from ktor_client.errors import (
    ConnectError,
    ConnectTimeoutError,
    InvalidUrlError,
    ProxyError,
    RequestTimeoutError,
    SocketTimeoutError,
)
from ktor_client.http1 import AnswerError

__all__ = ["BODY_ERRORS", "ERRORS", "NoAnswerError", "UnheardError", "or_no_answer"]


class NoAnswerError(httpcore.ReadError):
    """The connection ended where the head of an answer was due."""


class UnheardError(NoAnswerError):
    """It ended before a byte of one."""


def or_no_answer(error: Exception) -> Exception:
    """Return an error, or ours for a silent end, which httpx takes for bytes that are no HTTP."""
    if isinstance(error, httpx.RemoteProtocolError) and str(error).startswith("Server disconn"):
        silent = NoAnswerError("Server disconnected")
        silent.__cause__ = error
        return silent
    return error


def said(error: Exception) -> str:
    """Return what an error says; what the system said where httpx says nothing, or all of it."""
    text = "" if isinstance(error, httpx.InvalidURL) else str(error)
    if text in ("", "All connection attempts failed"):
        for cause in causes(error):
            for one in getattr(cause, "exceptions", (cause,)):
                if isinstance(one, OSError) and one.errno is not None:
                    return str(one)
    return text


ERRORS = ErrorTable(
    "HttpxEngine",
    (
        (AnswerError, ConnectError, "got an answer that is not HTTP from"),
        (httpx.ConnectTimeout, ConnectTimeoutError, "took too long to connect to"),
        (httpx.PoolTimeout, ConnectTimeoutError, "got no connection from the pool to"),
        (httpx.ReadTimeout, SocketTimeoutError, "waited too long (socket_timeout) for"),
        (httpx.WriteTimeout, SocketTimeoutError, "waited too long (socket_timeout) to send to"),
        (httpx.TimeoutException, RequestTimeoutError, "waited too long for"),
        (httpx.ConnectError, ConnectError, "could not connect to"),
        (httpx.ProxyError, ProxyError, "was refused by the proxy for"),
        (httpx.UnsupportedProtocol, InvalidUrlError, "cannot request this URL of"),
        (httpx.InvalidURL, InvalidUrlError, "cannot request this URL of"),
        (httpx.ProtocolError, ConnectError, "got an answer that is not HTTP from"),
        (httpx.DecodingError, ConnectError, "could not decode the body from"),
        (httpx.NetworkError, ConnectError, "got no answer from"),
        (httpx.HTTPError, ConnectError, "failed at"),
        (httpx.StreamError, ConnectError, "lost the body from"),
        (httpx.CookieConflict, ConnectError, "has two cookies of one name for"),
        (httpcore.ConnectTimeout, ConnectTimeoutError, "took too long to connect to"),
        (httpcore.PoolTimeout, ConnectTimeoutError, "got no connection from the pool to"),
        (httpcore.ReadTimeout, SocketTimeoutError, "waited too long (socket_timeout) for"),
        (httpcore.WriteTimeout, SocketTimeoutError, "waited too long (socket_timeout) to send to"),
        (httpcore.TimeoutException, RequestTimeoutError, "waited too long for"),
        (httpcore.ConnectError, ConnectError, "could not connect to"),
        (httpcore.ProxyError, ProxyError, "was refused by the proxy for"),
        (httpcore.UnsupportedProtocol, InvalidUrlError, "cannot request this URL of"),
        (httpcore.ProtocolError, ConnectError, "got an answer that is not HTTP from"),
        (httpcore.NetworkError, ConnectError, "got no answer from"),
        (httpcore.ConnectionNotAvailable, ConnectError, "got no connection to"),
    ),
    said,
    connecting=(httpx.ConnectError, httpcore.ConnectError, httpcore.ConnectionNotAvailable),
)

BODY_ERRORS = ErrorTable(
    "HttpxEngine",
    (
        (httpx.ConnectError, ConnectError, "could not connect to"),
        (httpx.NetworkError, ConnectError, "lost the connection to"),
        (httpcore.NetworkError, ConnectError, "lost the connection to"),
        (AnswerError, ConnectError, "did not get the whole body from"),
        (httpx.ProtocolError, ConnectError, "did not get the whole body from"),
        (httpcore.ProtocolError, ConnectError, "did not get the whole body from"),
        *ERRORS.rows,
    ),
    said,
)
"""While a body is read: an answer that is HTTP has come, and was cut off or broke its framing."""
