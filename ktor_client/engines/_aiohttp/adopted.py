"""A session that the caller handed in: requests as it sends them, handshakes too.

Its own settings apply: its pool, its time limits, its cookie jar. What it would do on top
(following redirects, decoding, headers of its own) is off for each request.
"""

from __future__ import annotations

import asyncio
import io
from typing import Any

import aiohttp
from yarl import URL

from ktor_client.engine.proxies import Proxy, environment_proxy
from ktor_client.engine.sending import AT_ONCE
from ktor_client.engine.settings import CONNECT_TIMEOUT, SOCKET_TIMEOUT
from ktor_client.engine.upload import Upload
from ktor_client.errors import ProxyError, UnsupportedCapabilityError
from ktor_client.http import Headers, HttpRequest, RequestBody, Url
from ktor_client.http.codings import accept_encoding

__all__ = ["send_on"]

_NOT_ADDED = ("User-Agent", "Content-Type")
"""Headers that aiohttp must not add: what says who we are, or what we send."""
_NOT_ADDED_TO_HANDSHAKES = (*_NOT_ADDED, "Accept", "Accept-Encoding")


async def send_on(
    session: aiohttp.ClientSession, request: HttpRequest, upload: Upload | None
) -> aiohttp.ClientResponse:
    """Send a request on the caller's session. Raises aiohttp's exceptions.

    Raises:
        ProxyError: the session's proxy is no URL.
        UnsupportedCapabilityError: a ws handshake would go to a proxy in absolute form.
    """
    url, fields = request.url, _alike_named(request.headers)
    is_handshake = url.scheme in ("ws", "wss")
    _check_proxy(session, url)
    own: dict[str, Any] = {}
    if not (is_handshake or _has("accept-encoding", request, session)):
        accepted = accept_encoding(_has("range", request, session))
        fields.append(("Accept-Encoding", accepted))
    if upload is not None and upload.length is not None:
        if "content-length" not in request.headers:
            fields.append(("Content-Length", str(upload.length)))
    if url.server_name != url.host or url.host.endswith("."):
        # aiohttp would send the zone of an address and leave out the dot of a name.
        own["server_hostname"] = url.server_name.rstrip(".")
        if "host" not in request.headers:
            fields.append(("Host", url.authority))
    if CONNECT_TIMEOUT in request.engine_settings or SOCKET_TIMEOUT in request.engine_settings:
        own["timeout"] = _timeout(session.timeout, request)
    response = await session.request(
        request.method,
        _as_yarl(url),
        headers=fields,
        data=_data(request.body, upload),
        allow_redirects=False,
        raise_for_status=False,
        auto_decompress=False,
        skip_auto_headers=_NOT_ADDED_TO_HANDSHAKES if is_handshake else _NOT_ADDED,
        **own,
    )
    _end_with_connection(response)
    return response


def _end_with_connection(response: aiohttp.ClientResponse) -> None:
    """Tell who reads a body that its session was closed: aiohttp forgets that somebody waits."""
    connection, content = response.connection, response.content
    protocol = None if connection is None else connection.protocol
    closed: asyncio.Future[None] | None = getattr(protocol, "closed", None)  # of late versions
    if closed is None:
        return

    def end(_: object) -> None:
        if not content.is_eof() and content.exception() is None:
            content.set_exception(aiohttp.ClientPayloadError("the connection was closed here"))

    def forget() -> None:
        closed.remove_done_callback(end)

    closed.remove_done_callback(_look)  # of the answer before
    closed.add_done_callback(_look)
    closed.add_done_callback(end)
    content.on_eof(forget)


def _look(closed: asyncio.Future[None]) -> None:
    """Look at an error that aiohttp keeps there: else the loop would tell of it in the log."""
    if not closed.cancelled():
        closed.exception()


def _has(name: str, request: HttpRequest, session: aiohttp.ClientSession) -> bool:
    return name in request.headers or name in session.headers


def _timeout(own: aiohttp.ClientTimeout, request: HttpRequest) -> aiohttp.ClientTimeout:
    """Return the session's limits, but for those that the request has."""
    return aiohttp.ClientTimeout(
        total=own.total,
        connect=CONNECT_TIMEOUT.of(request, own.connect),
        sock_connect=own.sock_connect,
        sock_read=SOCKET_TIMEOUT.of(request, own.sock_read),
    )


def _data(body: RequestBody | None, upload: Upload | None) -> Any:
    """Return a body as aiohttp takes it: long ones it would warn of, unless they are a file."""
    if isinstance(body, bytes) and len(body) > AT_ONCE:
        return io.BytesIO(body)
    return body if upload is None else upload


def _as_yarl(url: Url) -> URL:
    bare = URL(url.as_http, encoded=True)
    if not url.trailing_query:
        return bare
    return URL.build(  # yarl drops a question mark unless it is the path's
        scheme=bare.scheme, authority=bare.raw_authority, path=f"{url.path}?", encoded=True
    )


def _alike_named(headers: Headers) -> list[tuple[str, str]]:
    """Write a repeated name like its first: aiohttp drops what came before another spelling."""
    fields = headers.fields()
    if len(set(map(str.lower, dict(fields)))) == len(fields):
        return fields
    spelling: dict[str, str] = {}
    return [(spelling.setdefault(n.lower(), n), value) for n, value in fields]


def _check_proxy(session: aiohttp.ClientSession, url: Url) -> None:
    """Look at the proxy that the caller's session would take.

    Raises:
        ProxyError: it is no URL, which aiohttp would quote whole, its password too.
        UnsupportedCapabilityError: a ws handshake would be sent to it in absolute form.
    """
    default = getattr(session, "_default_proxy", None)
    try:
        proxy = None if default is None else Proxy(str(default))
        if session.trust_env:
            environment_proxy(url.with_scheme("http" if url.is_secure else "https"))  # read as well
            proxy = proxy or environment_proxy(url)
    except ValueError as error:
        raise ProxyError(
            f"AiohttpEngine(session=...) cannot use the session's proxy: {error}"
        ) from None
    if proxy is not None and url.scheme == "ws":
        raise UnsupportedCapabilityError(
            "AiohttpEngine(session=...) cannot open ws:// through the session's proxy: aiohttp "
            "asks for no tunnel there; use AiohttpEngine(proxy=...) or wss://"
        )
