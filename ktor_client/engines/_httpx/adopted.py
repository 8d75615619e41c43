"""A client that the caller handed in: requests as it sends them, handshakes too.

Its own settings apply: its pool, its time limits, its cookie jar, its hooks.
"""

from __future__ import annotations

from typing import Any

import httpx

from ktor_client.engine.settings import CONNECT_TIMEOUT, SOCKET_TIMEOUT
from ktor_client.engine.upload import Upload
from ktor_client.engines._httpx.quiet import OwnUrl
from ktor_client.errors import UnsupportedCapabilityError
from ktor_client.http import HttpRequest
from ktor_client.http.codings import accept_encoding

__all__ = ["send_on"]

# A client with a transport of its own loads no certificates, which would take long here.
_HTTPX_ACCEPTS = httpx.Client(transport=httpx.BaseTransport()).headers["accept-encoding"]
"""What a client of httpx accepts unless it was told otherwise."""


async def send_on(
    client: httpx.AsyncClient, request: HttpRequest, upload: Upload | None
) -> httpx.Response:
    """Send a request on the caller's client and return the response unread. Raises httpx' errors.

    Raises:
        UnsupportedCapabilityError: a handshake would go where no WebSocket can come of it.
    """
    url, headers = request.url, request.headers
    fields = headers.fields()
    extensions: dict[str, Any] = {}
    if url.server_name != url.host or url.host.endswith("."):
        # Neither the zone of an address nor the dot of a name stands in a certificate.
        extensions["sni_hostname"] = url.server_name.rstrip(".")
        if "host" not in headers:
            fields.append(("Host", url.authority))
    if url.scheme in ("ws", "wss"):
        extensions["trace"] = _refuse_what_opens_none
    elif "accept-encoding" not in headers:
        if client.headers.get("accept-encoding", _HTTPX_ACCEPTS) == _HTTPX_ACCEPTS:
            fields.append(("Accept-Encoding", accept_encoding("range" in headers)))
    if upload is not None and upload.length is not None and "content-length" not in headers:
        fields.append(("Content-Length", str(upload.length)))
    if CONNECT_TIMEOUT in request.engine_settings or SOCKET_TIMEOUT in request.engine_settings:
        extensions["timeout"] = _timeout(client.timeout, request).as_dict()
    built = client.build_request(
        str(request.method),
        url.as_http,
        headers=[(name.encode(), value.encode()) for name, value in fields],
        content=request.body if upload is None else upload,
        extensions=extensions,
    )
    if url.query:
        built.url = OwnUrl(built.url)
    try:
        return await client.send(built, stream=True, follow_redirects=False)
    except (httpx.InvalidURL, httpx.RemoteProtocolError) as error:
        if isinstance(error, httpx.RemoteProtocolError) and "location header" not in str(error):
            raise
    # httpx reads a Location that it does not follow; what it says of that may show a password.
    raise httpx.RemoteProtocolError("its Location is not a URL that httpx takes")


def _timeout(own: httpx.Timeout, request: HttpRequest) -> httpx.Timeout:
    """Return the client's limits, but for those that the request has."""
    connect = CONNECT_TIMEOUT.of(request, own.connect)
    return httpx.Timeout(
        connect=connect,
        pool=connect if CONNECT_TIMEOUT in request.engine_settings else own.pool,
        read=SOCKET_TIMEOUT.of(request, own.read),
        write=SOCKET_TIMEOUT.of(request, own.write),
    )


async def _refuse_what_opens_none(event: str, info: dict[str, Any]) -> None:
    """Stop a handshake before the caller's client sends it where no WebSocket can come of it.

    That is to a proxy in place of a server, and on a connection that other requests share.
    """
    if event == "http2.send_request_headers.started":
        raise UnsupportedCapabilityError(
            "HttpxEngine(client=...) cannot open a WebSocket here: the client has http2=True, and "
            "it and the server agreed on HTTP/2, on which httpx has none; use "
            "httpx.AsyncClient(http2=False), or a client of the engine's own"
        )
    if event == "http11.send_request_headers.started":
        request = info["request"]
        if request.method != b"CONNECT" and not request.url.target.startswith(b"/"):
            raise UnsupportedCapabilityError(
                "HttpxEngine(client=...) cannot open ws:// through the client's proxy: httpx "
                "asks for no tunnel there; use HttpxEngine(proxy=...) or wss://"
            )
