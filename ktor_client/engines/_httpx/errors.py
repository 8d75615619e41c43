"""The exceptions of httpx and httpcore, and ours for each."""

from __future__ import annotations

import httpcore
import httpx

from ktor_client.engine.error_table import ErrorTable
from ktor_client.errors import (
    ConnectError,
    ConnectTimeoutError,
    InvalidUrlError,
    ProxyError,
    RequestTimeoutError,
    SocketTimeoutError,
)

__all__ = ["BODY_ERRORS", "ERRORS"]

ERRORS = ErrorTable(
    "HttpxEngine",
    (
        (httpx.ConnectTimeout, ConnectTimeoutError, "took too long to connect to"),
        (httpx.PoolTimeout, ConnectTimeoutError, "got no connection from the pool to"),
        (httpx.ReadTimeout, SocketTimeoutError, "waited too long (socket_timeout) for"),
        (httpx.WriteTimeout, SocketTimeoutError, "waited too long (socket_timeout) to send to"),
        (httpx.TimeoutException, RequestTimeoutError, "waited too long for"),
        (httpx.ConnectError, ConnectError, "could not connect to"),
        (httpx.ProxyError, ProxyError, "was refused by the proxy for"),
        (httpx.UnsupportedProtocol, InvalidUrlError, "cannot request this URL of"),
        (httpx.InvalidURL, InvalidUrlError, "cannot request this URL of"),
        (httpx.ProtocolError, ConnectError, "got no answer that is HTTP from"),
        (httpx.DecodingError, ConnectError, "could not decode the body from"),
        (httpx.NetworkError, ConnectError, "lost the connection to"),
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
        (httpcore.ProtocolError, ConnectError, "got no answer that is HTTP from"),
        (httpcore.NetworkError, ConnectError, "lost the connection to"),
        (httpcore.ConnectionNotAvailable, ConnectError, "got no connection to"),
    ),
    connecting=(httpx.ConnectError, httpcore.ConnectError, httpcore.ConnectionNotAvailable),
)

BODY_ERRORS = ErrorTable(
    "HttpxEngine",
    (
        (httpx.ProtocolError, ConnectError, "did not get the whole body from"),
        (httpcore.ProtocolError, ConnectError, "did not get the whole body from"),
        *ERRORS.rows,
    ),
)
"""While a body is read: an answer that is HTTP has come, and was cut off or broke its framing."""
