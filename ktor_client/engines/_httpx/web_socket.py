"""The handshake through httpx-ws, and what becomes of the connection behind the 101.

On our own client the transport is taken over and httpx-ws is left at once. A client that the
caller brought keeps its connection: a task of ours holds httpx-ws open and carries the bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import httpx
from httpx_ws import WebSocketUpgradeError, aconnect_ws

from ktor_client.engine.contract import WebSocketUpgrade
from ktor_client.engine.open_links import OpenLinks
from ktor_client.engine.settle import settle
from ktor_client.engine.socket_stream import SocketStream
from ktor_client.engines._httpx.network_stream import STREAM, NetworkStream
from ktor_client.engines._httpx.responses import to_response
from ktor_client.engines._httpx.stream_transport import StreamTransport
from ktor_client.errors import ClientClosedError
from ktor_client.http import HttpRequest, HttpResponse
from ktor_client.link import StreamLink

if TYPE_CHECKING:
    import httpcore

__all__ = ["Handshake"]

_CHUNK = 64 * 1024


@asynccontextmanager
async def _last_use(response: httpx.Response) -> AsyncGenerator[None, None]:
    """Keep the connection of a refusal out of the pool: many servers drop it without a word.

    The pool has it back as soon as the body is read, and must not give it to somebody then. One of
    HTTP/2 is shared with other requests.
    """
    stream: Any = response.extensions.get("network_stream")
    if isinstance(stream, NetworkStream):
        stream.is_spent = True
    yield
    if stream is not None and response.http_version.startswith("HTTP/1"):
        await settle(stream.aclose())


class _OpenedSession:
    """Stands in for httpx-ws' session, its reader, pings and close: only the stream is wanted."""

    def __init__(self, stream: httpcore.AsyncNetworkStream, **_: object) -> None:
        self.stream = stream

    async def __aenter__(self) -> _OpenedSession:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        """Leave the stream to who has it now."""


class Handshake:
    """One opening of a WebSocket; stands where httpx-ws expects its client."""

    def __init__(
        self,
        request: HttpRequest,
        send: Callable[[HttpRequest], Awaitable[httpx.Response]],
        links: OpenLinks,
        read_refusal: Callable[[HttpResponse], Awaitable[None]],
    ) -> None:
        self._request = request
        self._send = send
        self._links = links
        self._read_refusal = read_refusal
        self._answer: HttpResponse | None = None

    @asynccontextmanager
    async def stream(
        self, method: str, url: str, **kwargs: Any
    ) -> AsyncGenerator[httpx.Response, None]:
        """Send our handshake for httpx-ws, whose own headers are dropped; keep a refusal's body."""
        response = await self._send(self._request)
        try:
            self._answer = to_response(self._request, response)
            if response.status_code != 101:
                async with _last_use(response):
                    await self._read_refusal(self._answer)
            elif {"content-length", "transfer-encoding"} <= response.headers.keys():
                raise httpx.RemoteProtocolError("it has two lengths (RFC 9112 6.3)")
            yield response
        finally:
            await settle(response.aclose())

    def _connect(self) -> AbstractAsyncContextManager[_OpenedSession]:
        connect: Any = aconnect_ws  # it needs no more of client and session than we have
        opening: AbstractAsyncContextManager[_OpenedSession] = connect(
            str(self._request.url), self, session_class=_OpenedSession
        )
        return opening

    def _upgrade(self, link: StreamLink | None = None) -> WebSocketUpgrade:
        assert self._answer is not None
        return WebSocketUpgrade(self._answer, link)

    async def take_over(self) -> WebSocketUpgrade:
        """Open a WebSocket on our own client and take its transport."""
        link: StreamLink | None = None
        try:
            async with self._connect() as session:
                link = await self._link_of(session.stream)
        except WebSocketUpgradeError:
            return self._upgrade()
        except BaseException:
            if link is not None:
                link.abort()
            raise
        return self._upgrade(link)

    async def _link_of(self, network_stream: httpcore.AsyncNetworkStream) -> StreamLink:
        stream: SocketStream = network_stream.get_extra_info(STREAM)
        stream.detach()
        leading = b""
        while chunk := await network_stream.read(_CHUNK):  # never waits: the stream is detached
            leading += chunk
        stream.transport.pause_reading()  # until the session starts, some steps later
        link = self._links.make(stream.transport, leading)
        stream.hand_over(link)
        return link

    async def hold_open(self) -> WebSocketUpgrade:
        """Open a WebSocket on the caller's client, with a task that owns it to its end."""
        opened: asyncio.Future[StreamLink] = asyncio.get_running_loop().create_future()
        owner = self._links.own(self._carry(opened))
        both: set[asyncio.Future[Any]] = {owner, opened}
        try:
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            owner.cancel()
            await asyncio.wait({owner})
            raise
        if opened.done():
            return self._upgrade(opened.result())
        if owner.cancelled():
            raise ClientClosedError("HttpxEngine was closed during the handshake")
        with suppress(WebSocketUpgradeError):
            owner.result()
        return self._upgrade()

    async def _carry(self, opened: asyncio.Future[StreamLink]) -> None:
        async with self._connect() as session:
            transport = StreamTransport(session.stream)
            link = self._links.make(transport)
            opened.set_result(link)
            await transport.carry(link)
