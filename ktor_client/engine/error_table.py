"""How an engine turns its library's exceptions into ours: one table for each engine.

The rows are the engine's; how they are looked up and worded is here. No library is named.
"""

from __future__ import annotations

import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import NoReturn

from ktor_client.causes import causes
from ktor_client.engine.phases import was_still
from ktor_client.engine.upload import Upload
from ktor_client.errors import (
    ConnectError,
    ConnectTimeoutError,
    DnsError,
    InvalidUrlError,
    KtorClientError,
    RequestTimeoutError,
    TlsError,
)
from ktor_client.http import HttpRequest
from ktor_client.http.host import in_brackets

__all__ = ["ErrorRow", "ErrorTable", "connect_timeout_error", "place", "tls_broken_off"]

ErrorRow = tuple[type[Exception], type[KtorClientError], str]
"""A foreign exception, ours, and what happened: the verb of "<Engine> <verb> <host>: <detail>"."""

_SYSTEM_ROWS: tuple[ErrorRow, ...] = (
    (socket.gaierror, DnsError, "could not resolve"),
    (ssl.SSLCertVerificationError, TlsError, "does not trust the certificate of"),
    (ssl.SSLError, TlsError, "could not agree on TLS with"),
    (TimeoutError, RequestTimeoutError, "waited too long for"),
    (UnicodeError, InvalidUrlError, "cannot look up the host name of"),
    (ConnectionRefusedError, ConnectError, "could not connect to"),
    (ConnectionError, ConnectError, "lost the connection to"),
    (OSError, ConnectError, "could not connect to"),
)

_HTTP2 = "; that is HTTP/2: let the ssl_context offer 'http/1.1' alone, by set_alpn_protocols"
_is_http2 = re.compile(r"\\x00\\x00(?:\\x[0-9a-f]{2}|\\?[^\\])\\x04\\x00").search
"""A SETTINGS frame in the bytes that a library quotes (RFC 9113 6.5)."""
_query = re.compile(r"(?<=[^\s?])\?[^\s\"'<>]+")
_ASYNCIO_SAYS = "Connect call failed"
_NO_TLS = "; no TLS is spoken there, so ws:// or http:// may be meant"
_TRUST = "; to trust it, give the engine an ssl_context that does"
_NOT_TRUSTED = ("self-signed certificate", "self signed certificate", "local issuer certificate")


class ErrorTable:
    """Rows of foreign exceptions, most specific first, and the operating system's behind them."""

    def __init__(
        self,
        engine: str,
        rows: Iterable[ErrorRow],
        said: Callable[[Exception], str] = str,
        *,
        connecting: tuple[type[Exception], ...] = (),
        hide: Callable[[Exception], None] = lambda _: None,
    ) -> None:
        """Take the rows, and what is known of the exceptions.

        Args:
            engine: the name to tell them by.
            rows: the library's exceptions.
            said: what of a foreign exception's text is worth showing.
            connecting: those that say that no connection was made, so that nothing was sent.
            hide: takes from a foreign exception, which stays as the cause of ours, what would show
                URLs or headers. Queries in its arguments are hidden anyway.
        """
        self.engine = engine
        self._said = said
        self._hide = hide
        self._connecting = (*connecting, ConnectionRefusedError, socket.gaierror)
        self.rows: tuple[ErrorRow, ...] = (*rows, *_SYSTEM_ROWS)
        self.foreign = tuple(row[0] for row in self.rows)

    def translate(self, error: Exception, where: str) -> KtorClientError:
        """Return our error for a foreign one; one of ours that it wraps comes out as it is."""
        for cause in causes(error, contexts=False):
            if isinstance(cause, KtorClientError):
                return cause
        for cause in causes(error):
            if isinstance(cause, Exception):
                _hide_queries(cause)
                self._hide(cause)
        own, happened = self._row(error)
        if own is ConnectError:
            # Libraries fold what the system said into one class; behind it is DNS or TLS.
            for cause in causes(error):
                if isinstance(cause, socket.gaierror | ssl.SSLError):
                    own, happened = self._row(cause)
                    break
        ours = own(f"{self.engine} {happened} {where}{self._detail(error)}")
        if isinstance(error, self._connecting):
            ours.nothing_sent = True
        return ours

    def _row(self, error: Exception) -> tuple[type[KtorClientError], str]:
        for foreign, own, happened in self.rows:
            if isinstance(error, foreign):
                return own, happened
        raise AssertionError(f"{type(error).__name__} is in no row")

    def _detail(self, error: Exception) -> str:
        """Say what the library said, except for timeouts, whose texts may hold the whole URL."""
        if isinstance(error, TimeoutError):
            return ""
        from ktor_client.http.shown_text import redacted_text

        text = redacted_text(self._said(error)) or type(error).__name__
        if _ASYNCIO_SAYS in text and (number := getattr(error, "errno", None)) is not None:
            text = text.replace(_ASYNCIO_SAYS, os.strerror(number))
        hint = _NO_TLS if "WRONG_VERSION_NUMBER" in text else ""
        if _is_http2(text):
            hint = _HTTP2
        if "CERTIFICATE_VERIFY_FAILED" in text and any(one in text for one in _NOT_TRUSTED):
            hint = _TRUST
        return f": {text}{hint}"

    def fail(
        self, error: Exception, request: HttpRequest, upload: Upload | None = None
    ) -> NoReturn:
        """Raise ours for a foreign error; the error of a user's own body iterator unchanged."""
        users = None if upload is None else upload.error
        if users is not None:
            hidden = users.__suppress_context__
            raise users from (users.__cause__ if hidden else users.__context__)
        ours = self.translate(error, place(request))
        if ours is error:
            raise error
        raise ours from (ours.__cause__ or error)


def _hide_queries(error: Exception) -> None:
    """Libraries quote URLs, and tokens travel in their queries."""
    args = tuple(_query.sub("?...", arg) if isinstance(arg, str) else arg for arg in error.args)
    if args != error.args:
        error.args = args


def place(request: HttpRequest) -> str:
    """Return host and port of a request, for messages; nothing secret is in there."""
    return f"{in_brackets(request.url.host)}:{request.url.port}"


def connect_timeout_error(
    engine: str, where: str, timeout: float, error: TimeoutError
) -> ConnectTimeoutError:
    """Return the error for a `connect_timeout` that is over."""
    return ConnectTimeoutError(
        f"{engine} could not connect to {where} within {timeout:g} s (connect_timeout)"
        f"{was_still(error)}"
    )


def tls_broken_off(error: OSError) -> ssl.SSLError:
    """Return the error for a connection that ended during the TLS handshake.

    Of a peer that just hangs up, asyncio says nothing but `ConnectionResetError`.
    """
    said = str(error)
    what = "the connection ended during the handshake" + (f": {said}" if said else "")
    broken_off = ssl.SSLEOFError(ssl.SSL_ERROR_EOF, what)
    broken_off.__cause__ = error
    return broken_off
