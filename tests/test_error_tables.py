"""Every public exception of the network libraries, and ours for it; a new one fails here."""

from __future__ import annotations

import inspect
import socket
import ssl
from collections.abc import AsyncIterator
from types import ModuleType

import aiohttp
import httpcore
import httpx
import httpx_ws
import pytest
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from ktor_client.engine.error_table import ErrorTable
from ktor_client.engine.upload import Upload
from ktor_client.engines._aiohttp import errors as _aiohttp
from ktor_client.engines._httpx import errors as _httpx
from ktor_client.errors import (
    ConnectError,
    ConnectTimeoutError,
    DnsError,
    InvalidUrlError,
    KtorClientError,
    ProxyError,
    RequestTimeoutError,
    SocketTimeoutError,
    TlsError,
)
from ktor_client.http import HttpMethod, HttpRequest, Url

OF_AIOHTTP: dict[str, type[KtorClientError] | None] = {
    "BadContentDispositionHeader": None,  # a warning, of multipart bodies
    "BadContentDispositionParam": None,
    "ClientConnectionError": ConnectError,
    "ClientConnectionResetError": ConnectError,
    "ClientConnectorCertificateError": TlsError,
    "ClientConnectorDNSError": DnsError,
    "ClientConnectorError": ConnectError,
    "ClientConnectorSSLError": TlsError,
    "ClientError": ConnectError,
    "ClientHttpProxyError": ProxyError,
    "ClientOSError": ConnectError,
    "ClientPayloadError": ConnectError,
    "ClientProxyConnectionError": ProxyError,
    "ClientResponseError": ConnectError,
    "ClientSSLError": TlsError,
    "ConnectionTimeoutError": ConnectTimeoutError,
    "ContentTypeError": ConnectError,
    "EofStream": None,  # inside aiohttp's own WebSocket
    "InvalidURL": InvalidUrlError,
    "InvalidUrlClientError": InvalidUrlError,
    "InvalidUrlRedirectClientError": InvalidUrlError,
    "NonHttpUrlClientError": InvalidUrlError,
    "NonHttpUrlRedirectClientError": InvalidUrlError,
    "RedirectClientError": ConnectError,
    "ServerConnectionError": ConnectError,
    "ServerDisconnectedError": ConnectError,
    "ServerFingerprintMismatch": TlsError,
    "ServerTimeoutError": RequestTimeoutError,
    "SocketTimeoutError": SocketTimeoutError,
    "TooManyRedirects": ConnectError,
    "UploadAbortedError": ConnectError,
    "WSMessageTypeError": None,  # aiohttp's own WebSocket
    "WSServerHandshakeError": ConnectError,
    "WebSocketError": None,  # aiohttp's own WebSocket
}
OF_HTTPX: dict[str, type[KtorClientError] | None] = {
    "CloseError": ConnectError,
    "ConnectError": ConnectError,
    "ConnectTimeout": ConnectTimeoutError,
    "CookieConflict": ConnectError,
    "DecodingError": ConnectError,
    "HTTPError": ConnectError,
    "HTTPStatusError": ConnectError,
    "InvalidURL": InvalidUrlError,
    "LocalProtocolError": ConnectError,
    "NetworkError": ConnectError,
    "PoolTimeout": ConnectTimeoutError,
    "ProtocolError": ConnectError,
    "ProxyError": ProxyError,
    "ReadError": ConnectError,
    "ReadTimeout": SocketTimeoutError,
    "RemoteProtocolError": ConnectError,
    "RequestError": ConnectError,
    "RequestNotRead": ConnectError,
    "ResponseNotRead": ConnectError,
    "StreamClosed": ConnectError,
    "StreamConsumed": ConnectError,
    "StreamError": ConnectError,
    "TimeoutException": RequestTimeoutError,
    "TooManyRedirects": ConnectError,
    "TransportError": ConnectError,
    "UnsupportedProtocol": InvalidUrlError,
    "WriteError": ConnectError,
    "WriteTimeout": SocketTimeoutError,
}
OF_HTTPCORE: dict[str, type[KtorClientError] | None] = {
    "ConnectError": ConnectError,
    "ConnectTimeout": ConnectTimeoutError,
    "ConnectionNotAvailable": ConnectError,
    "LocalProtocolError": ConnectError,
    "NetworkError": ConnectError,
    "PoolTimeout": ConnectTimeoutError,
    "ProtocolError": ConnectError,
    "ProxyError": ProxyError,
    "ReadError": ConnectError,
    "ReadTimeout": SocketTimeoutError,
    "RemoteProtocolError": ConnectError,
    "TimeoutException": RequestTimeoutError,
    "UnsupportedProtocol": InvalidUrlError,
    "WriteError": ConnectError,
    "WriteTimeout": SocketTimeoutError,
}
OF_HTTPX_WS: dict[str, type[KtorClientError] | None] = {
    "HTTPXWSException": None,  # the root of the others
    "WebSocketDisconnect": None,  # its session, which is not used
    "WebSocketInvalidTypeReceived": None,
    "WebSocketNetworkError": None,
    "WebSocketUpgradeError": None,  # becomes the answer of the handshake
}
TABLES = [
    (aiohttp, OF_AIOHTTP, _aiohttp.ERRORS),
    (httpx, OF_HTTPX, _httpx.ERRORS),
    (httpcore, OF_HTTPCORE, _httpx.ERRORS),
    (httpx_ws, OF_HTTPX_WS, _httpx.ERRORS),
]
SYSTEM: list[tuple[Exception, type[KtorClientError]]] = [
    (socket.gaierror(-2, "Name or service not known"), DnsError),
    (ssl.SSLCertVerificationError("no"), TlsError),
    (ssl.SSLError("no"), TlsError),
    (TimeoutError(), RequestTimeoutError),
    (ConnectionRefusedError(111, "refused"), ConnectError),
    (ConnectionResetError(104, "reset"), ConnectError),
    (BrokenPipeError(32, "pipe"), ConnectError),
    (PermissionError(13, "denied"), ConnectError),
    (UnicodeError("label too long"), InvalidUrlError),
]


@pytest.mark.parametrize(
    ("library", "known", "table"), TABLES, ids=lambda v: getattr(v, "__name__", "")
)
def test_every_public_exception_has_its_place(
    library: ModuleType, known: dict[str, type[KtorClientError] | None], table: ErrorTable
) -> None:
    public = {
        name: value
        for name in library.__all__
        if inspect.isclass(value := getattr(library, name)) and issubclass(value, Exception)
    }
    unknown = set(public) - set(known)
    assert not unknown, f"{library.__name__} has new exceptions; decide what they become: {unknown}"
    for name, error in public.items():
        ours = known[name]
        rows = [row[1] for row in table.rows if issubclass(error, row[0])]
        if ours is not None:
            assert rows, f"{name} would leak"
            assert rows[0] is ours, f"{name} becomes {rows[0].__name__}"


@pytest.mark.parametrize("table", [_aiohttp.ERRORS, _httpx.ERRORS], ids=lambda table: table.engine)
def test_rows_are_reachable(table: ErrorTable) -> None:
    """No row stands behind a more general one."""
    for at, (error, _, _) in enumerate(table.rows):
        before = [row[0].__name__ for row in table.rows[:at] if issubclass(error, row[0])]
        assert not before, f"{error.__name__} is behind {before}"


@pytest.mark.parametrize("table", [_aiohttp.ERRORS, _httpx.ERRORS], ids=lambda table: table.engine)
@pytest.mark.parametrize(("error", "ours"), SYSTEM, ids=lambda value: type(value).__name__)
def test_what_the_system_says(
    table: ErrorTable, error: Exception, ours: type[KtorClientError]
) -> None:
    translated = table.translate(error, "host:80")
    assert type(translated) is ours
    assert str(translated).startswith(f"{table.engine} ")
    assert " host:80" in str(translated)


def test_the_proxys_status_is_shown_and_no_url() -> None:
    """Of an adopted session: what aiohttp says shows the URL, whose query may be a secret."""
    url = URL("https://host/?token=s3cret")
    asked = aiohttp.RequestInfo(url, "GET", CIMultiDictProxy(CIMultiDict()), url)
    error = aiohttp.ClientHttpProxyError(asked, (), status=407, message="Who are you?")
    assert "s3cret" in str(error)
    assert str(_aiohttp.ERRORS.translate(error, "host:443")) == (
        "AiohttpEngine was refused by the proxy for host:443: 407 Who are you?"
    )


def test_dns_and_tls_behind_a_general_error() -> None:
    """Httpx calls a missing name and a bad certificate alike; what is behind them differs."""
    for cause, ours in ((socket.gaierror(-2, "no"), DnsError), (ssl.SSLError("no"), TlsError)):
        error = httpx.ConnectError("all attempts failed")
        error.__context__ = cause
        assert type(_httpx.ERRORS.translate(error, "host:80")) is ours


def test_what_is_in_no_row_is_a_mistake_of_ours() -> None:
    with pytest.raises(AssertionError, match="KeyError is in no row"):
        _httpx.ERRORS.translate(KeyError("x"), "host:80")


def test_ours_inside_a_foreign_one_comes_out() -> None:
    ours = ConnectTimeoutError("ours")
    error = aiohttp.ClientOSError("wrapped")
    error.__cause__ = ours
    assert _aiohttp.ERRORS.translate(error, "host:80") is ours


@pytest.mark.parametrize("kept", ["cause", "context", "neither", "nothing"])
async def test_an_error_of_the_users_body_keeps_where_it_came_from(kept: str) -> None:
    origin = KeyError("origin")

    async def body() -> AsyncIterator[bytes]:
        yield b"x"
        if kept == "nothing":
            raise LookupError("of the user's")
        try:
            raise origin
        except KeyError as error:
            if kept == "context":
                raise LookupError("of the user's")  # noqa: B904
            raise LookupError("of the user's") from (error if kept == "cause" else None)

    upload = Upload(body())
    request = HttpRequest(HttpMethod.Post, Url.parse("http://host/"))
    with pytest.raises(LookupError, match="of the user's") as caught:
        try:
            try:
                async for _ in upload:
                    pass
            except LookupError as error:
                raise aiohttp.ClientConnectionError("wrapped") from error
        except aiohttp.ClientConnectionError as error:
            _aiohttp.ERRORS.fail(error, request, upload)
    assert caught.value.__cause__ is (origin if kept in ("cause", "context") else None)
