"""`MockEngine` with the routes of the echo server for peers: so it takes the battery.

A route sees an `Exchange` as on a socket. Here its answers are told in what `MockEngine` offers to
every test: `accept(...)`, `respond(...)` or an exception, and the peer's session.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

from ktor_client.channels import Channels
from ktor_client.engines._mock import MockAcceptance, MockEngine, MockPeerSession, MockResponse
from ktor_client.engines._mock.sockets import HandshakeAnswer, accept
from ktor_client.errors import ConnectError, DnsError, UnsafeHeaderError
from ktor_client.http import Headers, HeadersBuilder, HttpRequest
from ktor_client.session import SessionCore
from ktor_client.testing.exchange import MAX_FRAME_SIZE, Exchange, Refusal, Response
from ktor_client.testing.server import EchoServer

__all__ = ["echo_mock"]

KNOWN_HOSTS = ("127.0.0.1", "localhost")


def echo_mock(server: EchoServer) -> MockEngine:
    """Return an engine, in real time, that meets the routes of a server which listens nowhere.

    Args:
        server: its routes, and what it remembers of sessions.
    """
    engine = MockEngine(real_time=True)

    async def decide(request: HttpRequest) -> HandshakeAnswer:
        if request.url.host not in KNOWN_HOSTS:
            return DnsError(f"{request.url.host} does not resolve")
        return await _MockExchange(server, request).decide()

    async def handle(request: HttpRequest) -> MockResponse | Exception:
        answer = await decide(request)
        assert not isinstance(answer, MockAcceptance), "a route accepts handshakes only"
        return answer

    engine.on_handshake(_always, decide)
    engine.on_request(_always, handle)
    return engine


def _always(_: HttpRequest) -> bool:
    return True


class _MockExchange(Exchange):
    """An exchange whose connection is a `MockEngine`'s; the route runs in a task of its own."""

    def __init__(self, server: EchoServer, request: HttpRequest) -> None:
        headers = HeadersBuilder(request.headers)
        if "host" not in headers:
            headers.add("Host", request.url.authority)
        stream: Any = _Connection(request, self._hang_up)
        super().__init__(server, stream, str(request.method), request.url.target, headers)
        self._transport: _Transport = stream.transport
        loop = asyncio.get_running_loop()
        self._decision: asyncio.Future[HandshakeAnswer] = loop.create_future()
        self._session: asyncio.Future[MockPeerSession] = loop.create_future()

    async def decide(self) -> HandshakeAnswer:
        """Start the route, and return its answer; a session is then left to the peer."""
        self._route = asyncio.get_running_loop().create_task(self._run())
        try:
            return await asyncio.shield(self._decision)
        except asyncio.CancelledError:
            self._route.cancel()
            raise

    async def _run(self) -> None:
        try:
            try:
                response = await self.server.answer(self)
            except Refusal as refusal:
                response = refusal.response
            except OSError:  # the client left; our ConnectionClosedError too
                response = None
        except Exception as error:
            if self._decision.done():
                raise
            self._settle(error)
            return
        if response is None:
            self._hang_up()
        else:
            self._settle(self._told(response))

    def _settle(self, answer: HandshakeAnswer) -> None:
        if not self._decision.done():
            self._decision.set_result(answer)

    def _hang_up(self) -> None:
        self._settle(ConnectError("the server ended the connection"))

    @staticmethod
    def _told(response: Response) -> MockResponse:
        headers = HeadersBuilder(response.headers)
        headers.set("Content-Type", headers.get("content-type", response.content_type))
        body = response.body
        if isinstance(body, bytes):
            headers.set("Content-Length", str(len(body)))
        return MockResponse(response.status, headers.build(), body)

    async def _upgrade(
        self, subprotocol: str | None, rewrite: Mapping[str, str], *, raw: bool
    ) -> SessionCore:
        self._checked_key()
        if subprotocol == "*":
            subprotocol = self.offered[0] if self.offered else None
        deflate = self._deflate()
        max_frame_size = self.number("max_frame_size", MAX_FRAME_SIZE)
        ping_interval, timeout = self.seconds("ping_interval"), self.seconds("timeout")

        async def peer(session: MockPeerSession) -> None:
            session.max_frame_size = max_frame_size
            session.ping_interval, session.timeout = ping_interval, timeout
            self.server.sessions.add(session._core, self.query.get("id"))
            self._transport.session = session
            self._session.set_result(session)
            await self._route

        try:
            acceptance = accept(
                peer,
                subprotocols=() if subprotocol is None else (subprotocol,),
                extensions=() if deflate is None else (deflate,),
                headers={name: value or None for name, value in rewrite.items()},
                raw=raw,
                channels=Channels(),
            )
        except UnsafeHeaderError as error:
            raise Refusal(400, str(error)) from None
        acceptance.abandoned = self._route.cancel
        self.is_taken = True
        self._settle(acceptance)
        return (await self._session)._core


class _Connection:
    """What routes ask of a connection."""

    def __init__(self, request: HttpRequest, hang_up: Callable[[], None]) -> None:
        self._request = request
        self._hang_up = hang_up
        self.transport = _Transport(hang_up)

    async def body(self, headers: Headers) -> AsyncIterator[bytes]:
        body = self._request.body
        if isinstance(body, bytes):  # engines have read what streams
            yield body

    async def wait_lost(self) -> None:
        """Wait for ever: a client that gives up cancels the route."""
        await asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """End the connection."""
        self.transport.close()

    async def write(self, data: bytes) -> None:
        """Answer with bytes of the route's own, which are no HTTP."""
        self._hang_up()


class _Transport:
    """What routes ask of a transport: behind a 101, whatever the peer's session can do."""

    def __init__(self, hang_up: Callable[[], None]) -> None:
        self._hang_up = hang_up
        self.session: MockPeerSession | None = None

    def write(self, data: bytes) -> None:
        assert self.session is not None
        if data:
            self.session.write_bytes(data)

    def close(self) -> None:
        self._hang_up()
        if self.session is not None:
            self.session._core.link.close()

    def abort(self) -> None:
        self._hang_up()
        if self.session is not None:
            self.session.drop()

    def get_extra_info(self, name: str) -> None:
        """Return nothing: there is no socket."""

    def pause_reading(self) -> None:
        assert self.session is not None
        self.session._core.link.pause()

    def resume_reading(self) -> None:
        assert self.session is not None
        self.session._core.link.resume()
