"""A request and its answer on a connection of the engine's own pool; handshakes are requests too.

`ClientSession.request` prepares for cookies, redirects and much else that is done above engines. A
session that the caller handed in has settings of its own and does send.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import aiohttp
from aiohttp.http import HttpVersion

from ktor_client.engine.error_table import place
from ktor_client.engine.outgoing import asks_to_close, fields_to_send, is_chunked
from ktor_client.engine.sending import AT_ONCE
from ktor_client.engine.settings import DEFAULT_SOCKET_TIMEOUT, SOCKET_TIMEOUT
from ktor_client.engine.settle import settle
from ktor_client.engine.upload import Upload
from ktor_client.engines._aiohttp.errors import NoAnswerError
from ktor_client.engines._aiohttp.protocol import PooledProtocol
from ktor_client.http import HttpRequest
from ktor_client.http.body import once_only
from ktor_client.http1 import request_head

if TYPE_CHECKING:
    from aiohttp.connector import Connection
    from aiohttp.streams import StreamReader

    from ktor_client.engine.dialer import Dialer
    from ktor_client.engines._aiohttp.connector import Connector

__all__ = ["Answer", "exchange"]

_GONE = (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError)


class Answer:
    """What is asked here of an `aiohttp.ClientResponse`, under the same names."""

    __slots__ = (
        "_error",
        "_is_dropped",
        "_is_last",
        "connection",
        "content",
        "protocol",
        "raw_headers",
        "reason",
        "status",
        "version",
    )

    content: StreamReader

    def __init__(self, connection: Connection, *, is_last: bool) -> None:
        self._is_last = is_last  # no request follows on the connection
        self.connection: Connection | None = connection
        self.protocol = cast("PooledProtocol", connection.protocol)
        self._is_dropped = False
        self._error: Exception | None = None

    def take(self, content: StreamReader) -> None:
        """Take the answer, whose head is here; give the connection back at the body's end."""
        head = self.protocol.head
        assert head is not None
        self.status = head.status
        self.reason = head.reason.decode("latin-1")
        self.version = HttpVersion(1, 0 if head.version == "1.0" else 1)
        self.raw_headers = tuple(head.fields)
        self.content = content
        if head.status != 101:
            content.on_eof(self._ended)

    @property
    def closed(self) -> bool:
        """Whether the connection is somebody else's, or gone."""
        return self.connection is None

    async def readany(self) -> bytes:
        """Return what has come of the body, and wait if there is nothing; b"" at its end."""
        self._await(True)
        try:
            data = await self.content.readany()
        finally:
            self._await(False)
        if not data and self._error is not None:
            raise self._error
        return data

    async def read(self) -> bytes:
        """Return the whole body."""
        self._await(True)
        try:
            data = await self.content.read()
        finally:
            self._await(False)
        if self._error is not None:
            raise self._error
        return data

    def _await(self, is_awaited: bool) -> None:
        """Tell the connection, while it is ours, whether somebody waits for it."""
        if self.connection is not None:
            self.protocol.is_awaited = is_awaited
            self.protocol.silence.heard()

    def _ended(self) -> None:
        head, connection, self._error = self.protocol.head, self.connection, self.protocol.broken
        if connection is None:
            return
        is_kept = head is not None and head.keeps and not self._is_last
        if not is_kept or not self.protocol.sending.is_whole:
            self.close()
            return
        self.connection = None
        self.protocol.finish()
        connection.release()

    def close(self) -> None:
        """Drop the connection, unless it was given back; its slot is free again."""
        if self.connection is not None:
            connection, self.connection = self.connection, None
            self._is_dropped = True
            connection.close()

    async def aclose(self) -> None:
        """Do what `close` does, and return when nothing of the request is sent any more."""
        self.close()
        if self._is_dropped and self.protocol.sending.is_running:  # else it is somebody else's
            await settle(self.protocol.sending.ended())


async def exchange(
    connector: Connector,
    dialer: Dialer,
    request: HttpRequest,
    upload: Upload | None = None,
    *,
    is_handshake: bool = False,
) -> Answer:
    """Send a request and return its answer once the head is here.

    Where a kept connection dies before a byte of an answer, an idempotent request is sent once
    more, on a new one (RFC 9112 9.3.1).

    Raises aiohttp's exceptions, those of the dialer, and those of the body's iterator.
    """
    url, forward, fields = request.url, None, fields_to_send(request, upload)
    target = url.target
    if url.scheme == "http":
        proxy = dialer.proxy_for(url)
        if proxy is not None and proxy.forwards:
            forward, target = proxy, f"http://{url.authority}{target}"
            if proxy.user is not None:
                fields.append(("Proxy-Authorization", proxy.credentials()))
    head = request_head(request.method, target, url.authority, fields)
    where, is_repetition = place(request), False
    while True:
        deadline = dialer.deadline(request)
        connection = await connector.connection(url, where, forward, deadline, fresh=is_repetition)
        answer = Answer(connection, is_last=asks_to_close(request))
        try:
            await _send(answer, request, upload, head, is_handshake)
        except BaseException as error:
            may_repeat = (
                isinstance(error, NoAnswerError)
                and answer.protocol.was_used
                and answer.protocol.is_unheard
                and request.method.is_idempotent
                and not is_repetition
                and not connector.closed
                and once_only(request.body) is None
            )
            await answer.aclose()
            if not may_repeat:
                raise
            is_repetition = True
        else:
            return answer


async def _send(
    answer: Answer, request: HttpRequest, upload: Upload | None, head: bytes, is_handshake: bool
) -> None:
    protocol, body = answer.protocol, request.body
    limit = SOCKET_TIMEOUT.of(request, DEFAULT_SOCKET_TIMEOUT)
    protocol.begin(place(request), request.method, limit, is_handshake=is_handshake)
    transport = protocol.transport
    assert transport is not None
    waits = body is not None and "100-continue" in request.headers.get("expect", "").lower()
    if upload is None and isinstance(body, bytes) and len(body) <= AT_ONCE and not waits:
        transport.write(head + body)
    else:
        transport.write(head)
        if body is not None:
            protocol.sending.begin(
                transport,
                body if upload is None else upload,
                chunked=is_chunked(request, upload),
                waits_for_go_on=waits,
            )
    try:
        _, content = await protocol.read()
    except _GONE as error:
        within = "" if protocol.is_unheard else " within the head of its answer"
        reset = isinstance(error, OSError) and error.errno is not None
        raise NoAnswerError(str(error) if reset else f"Server disconnected{within}") from error
    answer.take(content)
