"""The handshake of the engine's own session: aiohttp's pool and parser, and nothing in between.

`ClientSession.request` prepares for bodies, cookies, redirects and timeouts, none of which a
handshake has. A session that the caller handed in has settings of its own and does send it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import aiohttp

from ktor_client.engines._aiohttp.errors import no_answer
from ktor_client.engines._aiohttp.session import MAX_LINE, NO_TIMEOUT, PooledProtocol, Way
from ktor_client.errors import UnsafeHeaderError
from ktor_client.http import HttpRequest, Url

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.http_parser import RawResponseMessage
    from aiohttp.streams import StreamReader

__all__ = ["Answer", "shake_hands"]

_CONTROLS = bytes({*range(32), 127} - {9})


class Answer:
    """What is asked here of an `aiohttp.ClientResponse`, under the same names."""

    __slots__ = ("connection", "content", "raw_headers", "reason", "status", "version")

    def __init__(
        self, connection: Connection, message: RawResponseMessage, content: StreamReader
    ) -> None:
        self.connection: Connection | None = connection
        self.status = message.code
        self.reason = message.reason
        self.version = message.version
        self.raw_headers = message.raw_headers
        self.content = content

    @property
    def closed(self) -> bool:
        return self.connection is None

    def close(self) -> None:
        """Drop the connection, for a refused one is kept by nobody; its slot is free again."""
        if self.connection is not None:
            connection, self.connection = self.connection, None
            connection.close()


async def shake_hands(connector: aiohttp.BaseConnector, request: HttpRequest) -> Answer:
    """Send a handshake on a connection of the pool's, and return the answer's head.

    Raises aiohttp's exceptions, and those of the dialer.
    """
    head = _head(request)
    connection = await connector.connect(cast("Any", _Wanted(request.url)), [], NO_TIMEOUT)
    try:
        protocol = cast("PooledProtocol", connection.protocol)
        protocol.takes_head_alone = True
        protocol.set_response_params(
            read_until_eof=True,
            auto_decompress=False,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
        )
        if protocol.transport is not None:  # else it was lost at once, and reading says so
            protocol.transport.write(head)
        try:
            message, content = await protocol.read()
            while 100 <= message.code < 200 and message.code != 101:
                message, content = await protocol.read()
        except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
            raise no_answer(error) from error
    except BaseException:
        connection.close()
        raise
    return Answer(connection, message, content)


class _Wanted:
    """What a connector asks of a request: the way to go."""

    __slots__ = ("connection_key", "host", "port")

    proxy = None  # the dialer knows of one, and makes a tunnel

    def __init__(self, url: Url) -> None:
        self.host = url.host
        self.port = url.port
        self.connection_key = Way(url.host, url.port, url.is_secure)

    def is_ssl(self) -> bool:
        return self.connection_key.is_ssl


def _head(request: HttpRequest) -> bytes:
    """Write the head as aiohttp writes those of plain requests: one Host, and that first."""
    url, fields = request.url, request.headers.fields()
    if "host" in request.headers:
        host = request.headers.get_all("host")[-1]
        fields = [(name, value) for name, value in fields if name.lower() != "host"]
    else:
        host = url.authority
    lines = [f"{request.method} {url.target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in fields]
    lines += ("", "")
    try:
        head = "\r\n".join(lines).encode()
    except UnicodeEncodeError:
        raise UnsafeHeaderError("a header of the handshake has a lone surrogate in it") from None
    if len(head) - len(head.translate(None, _CONTROLS)) != 2 * (len(lines) - 1):
        raise UnsafeHeaderError(
            "a header of the handshake has a control character (CR, LF, NUL ...) in it"
        )
    return head
