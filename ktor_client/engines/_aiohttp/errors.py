"""The exceptions of aiohttp, and ours for each."""

from __future__ import annotations

import aiohttp
from aiohttp.client_reqrep import ConnectionKey
from aiohttp.http import HttpProcessingError
from multidict import CIMultiDict, CIMultiDictProxy

from ktor_client.engine.error_table import ErrorRow, ErrorTable, tls_broken_off
from ktor_client.errors import (
    ConnectError,
    ConnectTimeoutError,
    DnsError,
    InvalidUrlError,
    ProxyError,
    RequestTimeoutError,
    SocketTimeoutError,
    TlsError,
)
from ktor_client.http1 import AnswerError

__all__ = ["ERRORS", "NoAnswerError", "or_no_answer", "said"]

_DNS_ROWS: tuple[ErrorRow, ...] = (  # new in aiohttp 3.10.6
    ((aiohttp.ClientConnectorDNSError, DnsError, "could not resolve"),)
    if hasattr(aiohttp, "ClientConnectorDNSError")
    else ()
)


class NoAnswerError(aiohttp.ClientConnectionError):
    """The connection ended where an answer was due."""


def or_no_answer(error: Exception) -> Exception:
    """Return an error, or ours for a connection that ended where the head of an answer was due.

    Of one that ends during the TLS handshake aiohttp says that there was none.
    """
    if type(error) is aiohttp.ClientConnectorError and _is_of_tls(error):
        cut = tls_broken_off(error.os_error)
        broken_off = aiohttp.ClientConnectorSSLError(error._conn_key, cut)
        broken_off.__cause__ = error
        return broken_off
    is_end = isinstance(error, aiohttp.ClientOSError | aiohttp.ServerDisconnectedError)
    if not is_end or isinstance(error, aiohttp.ClientConnectorError):
        return error
    has_begun = not isinstance(getattr(error, "message", ""), str)  # it is what there was
    silent = NoAnswerError(
        "Server disconnected within the head of its answer" if has_begun else str(error)
    )
    silent.__cause__ = error
    return silent


def _is_of_tls(error: aiohttp.ClientConnectorError) -> bool:
    refused = isinstance(error.os_error, ConnectionRefusedError)
    return error._conn_key.is_ssl and isinstance(error.os_error, ConnectionError) and not refused


def said(error: Exception) -> str:
    """Return what an error says, without what aiohttp adds.

    That is the URL with its query, and a 400 for what is no HTTP.
    """
    if isinstance(error, aiohttp.InvalidURL):
        return ""
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"{error.status} {error.message}"
    if isinstance(error, aiohttp.ClientResponseError | HttpProcessingError):
        return " ".join(error.message.split()).removesuffix(" ^")  # no arrow to a line above
    # Others wrap what the system said, and name the host again.
    return str(getattr(error, "os_error", error))


_SHOWN_TO_NOBODY = "***"


def _hide(error: Exception) -> None:
    """Take out what aiohttp's exceptions show of a request: its URL, its headers, its proxy."""
    if isinstance(error, aiohttp.ClientResponseError):
        bare = error.request_info.url.with_query(None)
        nothing = CIMultiDictProxy(CIMultiDict[str]())
        error.request_info = aiohttp.RequestInfo(bare, error.request_info.method, nothing, bare)
        error.history, error.headers = (), None
        error.args = (error.request_info, ())
    elif isinstance(error, aiohttp.InvalidURL):
        error._url, error.args = _SHOWN_TO_NOBODY, (_SHOWN_TO_NOBODY,)
    elif isinstance(error, aiohttp.ClientConnectorError):
        key = error._conn_key
        if isinstance(key, ConnectionKey):
            error._conn_key = key._replace(proxy=None, proxy_auth=None)
            error.args = (error._conn_key, *error.args[1:])


ERRORS = ErrorTable(
    "AiohttpEngine",
    (
        *_DNS_ROWS,
        (aiohttp.ClientProxyConnectionError, ProxyError, "could not reach the proxy for"),
        (aiohttp.ClientHttpProxyError, ProxyError, "was refused by the proxy for"),
        (
            aiohttp.ClientConnectorCertificateError,
            TlsError,
            "does not trust the certificate of",
        ),
        (aiohttp.ClientConnectorSSLError, TlsError, "could not agree on TLS with"),
        (aiohttp.ClientSSLError, TlsError, "could not agree on TLS with"),
        (aiohttp.ServerFingerprintMismatch, TlsError, "does not trust the certificate of"),
        (aiohttp.ClientConnectorError, ConnectError, "could not connect to"),
        (aiohttp.ConnectionTimeoutError, ConnectTimeoutError, "took too long to connect to"),
        (aiohttp.SocketTimeoutError, SocketTimeoutError, "waited too long (socket_timeout) for"),
        (aiohttp.ServerTimeoutError, RequestTimeoutError, "waited too long for"),
        (AnswerError, ConnectError, "got an answer that is not HTTP from"),
        (NoAnswerError, ConnectError, "got no answer from"),
        (aiohttp.ServerDisconnectedError, ConnectError, "got no answer from"),
        (aiohttp.ClientPayloadError, ConnectError, "did not get the whole body from"),
        (aiohttp.ClientConnectionError, ConnectError, "lost the connection to"),
        (aiohttp.ClientResponseError, ConnectError, "got an answer that is not HTTP from"),
        (aiohttp.InvalidURL, InvalidUrlError, "cannot request this URL of"),
        (aiohttp.NonHttpUrlClientError, InvalidUrlError, "cannot request this URL of"),
        (aiohttp.ClientError, ConnectError, "failed at"),
        (HttpProcessingError, ConnectError, "got an answer that is not HTTP from"),
    ),
    said,
    connecting=(aiohttp.ClientConnectorError, aiohttp.ServerFingerprintMismatch),
    hide=_hide,
)
