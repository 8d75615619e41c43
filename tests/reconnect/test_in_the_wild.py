"""What users of other libraries complain of, and the engines that need no socket: as they are met.

Tokens that nobody accepts, names that cannot be had, proxies that refuse.
"""

from __future__ import annotations

import asyncio
import gc
import random
import socket
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress
from functools import partial
from types import FrameType, FunctionType, ModuleType
from typing import Any

import pytest

from ktor_client import (
    Backoff,
    ChannelOverflow,
    Channels,
    ConnectionClosedError,
    DefaultClientWebSocketSession,
    DnsError,
    Failure,
    FeedEvent,
    HttpClient,
    HttpRequest,
    Lost,
    Opened,
    Outbox,
    ProxyError,
    ReconnectStoppedError,
    Retry,
    RetryPolicy,
    Sent,
    SequenceResume,
    Waiting,
    WebSocketFeed,
    WebSocketHandshakeError,
    bounded,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine, TestEngine
from ktor_client.plugins import Auth, BearerAuth, BearerTokens, WebSocketReconnect, WebSockets
from ktor_client.testing import MockPeerSession, accept, echo_server, respond
from tests.engines.asgi.apps import accept as accept_asgi
from tests.engines.asgi.apps import web_socket_app
from tests.support.proxy_server import http_proxy
from tests.support.raw_server import CLOSE, TEXT, Peer, frame, raw_server
from tests.support.sequence_server import SequenceServer

STEADY = RetryPolicy(Backoff(first=1, longest=8, jitter="none"))
QUICK = RetryPolicy(Backoff(first=0.001, longest=0.01))
URL = "ws://test/feed"


class Gate:
    """A handshake that wants a token; counts what it was offered, and its tokens come from here."""

    def __init__(self, *valid: str) -> None:
        self.valid = set(valid)
        self.offered: list[str] = []
        self.refreshed = 0

    def __call__(self, request: HttpRequest) -> Any:
        token = (request.headers.get("Authorization") or "none").removeprefix("Bearer ")
        self.offered.append(token)
        return accept(self.serve) if token in self.valid else respond(status=401)

    async def serve(self, session: MockPeerSession) -> None:
        await session.send("welcome")
        with suppress(ConnectionClosedError):
            async for message in session:
                await session.send(message)

    async def load(self) -> BearerTokens:
        return BearerTokens("token 0")

    async def refresh(self, _: object) -> BearerTokens:
        self.refreshed += 1
        return BearerTokens(f"token {self.refreshed}")

    def client(self, engine: MockEngine) -> HttpClient:
        auth = install(Auth, providers=[BearerAuth(self.load, self.refresh)])
        return HttpClient(engine, install(WebSockets), auth)


# --- tokens


async def test_a_token_that_has_expired_is_refreshed_within_the_attempt() -> None:
    engine, gate = MockEngine(), Gate("token 0")
    engine.on_handshake("/feed", gate)
    async with engine, gate.client(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            assert await feed.receive_text() == "welcome"
            gate.valid = {"token 1"}  # the old one has expired
            assert feed.session is not None
            feed.session.cancel()
            assert await feed.receive_text() == "welcome"
            assert feed.generation == 2
    assert gate.offered == ["token 0", "token 0", "token 1"]
    assert gate.refreshed == 1


@pytest.mark.parametrize("form", ["feed", "loop"])
async def test_a_second_401_stops(form: str) -> None:
    """The new token is refused too: no further attempt would help."""
    engine, gate = MockEngine(), Gate()
    engine.on_handshake("/feed", gate)
    async with engine, gate.client(engine) as client:
        statement = client.web_socket_reconnecting(URL, policy=STEADY)
        with pytest.raises(ReconnectStoppedError, match="gave up after 1 attempt") as caught:
            if form == "loop":
                async for _ in statement:
                    raise AssertionError
            else:
                async with statement as feed:
                    await feed.receive_text()
        cause = caught.value.__cause__
        assert isinstance(cause, WebSocketHandshakeError)
        assert cause.response.status == 401
        assert engine.clock.time() == 0  # it did not wait either
    assert gate.offered == ["token 0", "token 1"]
    assert gate.refreshed == 1


async def test_a_401_that_decide_lets_pass_is_refreshed_once_per_attempt() -> None:
    engine, gate = MockEngine(), Gate("token 3")
    engine.on_handshake("/feed", gate)
    policy = RetryPolicy(STEADY.backoff, decide=lambda failure: Retry())
    async with engine, gate.client(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=policy) as feed:
            assert await feed.receive_text() == "welcome"
            lost = [event async for event in _so_far(feed) if isinstance(event, Lost)]
    assert [event.failure.attempt for event in lost] == [1, 2]
    assert gate.offered == ["token 0", "token 1", "token 1", "token 2", "token 2", "token 3"]


async def _so_far(feed: WebSocketFeed) -> AsyncIterator[FeedEvent]:
    """Yield the events up to the one that opened the connection."""
    async for event in feed.events:
        yield event
        if isinstance(event, Opened):
            return


# --- names and proxies


@pytest.mark.parametrize("seed", range(3))
async def test_names_that_cannot_be_had_for_a_minute(seed: int) -> None:
    """A network without DNS: it goes on trying, keeps what is sent, and is back soon after."""
    random.seed(seed)
    engine, heard = MockEngine(), list[str | bytes]()
    attempts: list[float] = []
    gone = False

    async def serve(session: MockPeerSession) -> None:
        with suppress(ConnectionClosedError):
            async for message in session:
                heard.append(message)

    def decide(_: HttpRequest) -> Any:
        attempts.append(engine.clock.time())
        return DnsError("name or service not known") if gone else accept(serve)

    engine.on_handshake("/feed", decide)
    async with engine, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            await feed.opened()
            await engine.clock.sleep(20)
            gone, begun = True, engine.clock.time()
            assert feed.session is not None
            feed.session.cancel()
            await asyncio.sleep(0)
            receipts = [await feed.send(str(number)) for number in range(100)]
            await engine.clock.sleep(60)
            assert feed.state == "waiting" or feed.session is None
            assert all(receipt.verdict is None for receipt in receipts)
            during = len(attempts) - 1
            assert 4 <= during <= 20
            gone = False
            await feed.opened()
            assert engine.clock.time() - begun <= 60 + 30  # no delay is longer than that
            assert Counter([await receipt for receipt in receipts]) == {Sent.WRITTEN: 100}
    assert heard == [str(number) for number in range(100)]


@pytest.mark.parametrize("status", ["503 Service Unavailable", "403 Forbidden"])
async def test_a_proxy_that_refuses(engine: EngineFactory, status: str) -> None:
    """It is a failed connection, tried again as one; what the proxy says is no server's answer."""
    answer = f"HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n".encode()
    async with echo_server() as server, http_proxy(answer=answer) as log:
        policy, url = RetryPolicy(QUICK.backoff, max_attempts=4), f"{server.url}/echo"
        async with HttpClient(partial(engine, proxy=log.url), install(WebSockets)) as client:
            with pytest.raises(ReconnectStoppedError, match="max_attempts=4") as caught:
                async with client.web_socket_reconnecting(url, policy=policy) as feed:
                    await feed.receive_text()
    assert isinstance(caught.value.__cause__, ProxyError)
    assert len(log.heads) == 4


# --- outages


@pytest.mark.parametrize("what", ["refused", "503"])
async def test_events_of_an_outage_hold_no_frames_and_no_connections(
    engine: EngineFactory, what: str, unused_tcp_port: int
) -> None:
    async def busy(peer: Peer) -> None:
        await peer.read_request()
        answer = "HTTP/1.1 503 Busy\r\nRetry-After: 0\r\nContent-Length: 5\r\n\r\nlater"
        await peer.send(answer.encode())

    async with raw_server(busy) as server:
        url = server.url if what == "503" else f"ws://127.0.0.1:{unused_tcp_port}/"
        async with HttpClient(engine, install(WebSockets)) as client:
            async with client.web_socket_reconnecting(url, policy=QUICK) as feed:
                lost: list[Failure] = []
                async for event in feed.events:
                    if isinstance(event, Waiting) and len(lost) >= 3:
                        break
                    if isinstance(event, Lost):
                        lost.append(event.failure)
    for failure in lost:
        assert held_by(failure) == []
        assert (failure.response is None) == (what == "refused")
        if failure.response is not None:
            assert await failure.response.body_as_text() == "later"


def held_by(failure: Failure) -> list[object]:
    """Return the frames and the connections that a failure keeps alive."""
    seen: dict[int, object] = {}
    new: list[object] = [failure]
    while new:
        one = new.pop()
        if id(one) not in seen and not isinstance(one, type | ModuleType | FunctionType | str):
            seen[id(one)] = one
            new += gc.get_referents(one)
    kinds = (FrameType, socket.socket, asyncio.BaseTransport, asyncio.BaseProtocol)
    return [one for one in seen.values() if isinstance(one, kinds)]


# --- servers in a hurry


@pytest.mark.parametrize("form", ["feed", "loop", "on_open"])
async def test_messages_that_come_with_the_end(engine: EngineFactory, form: str) -> None:
    """101, messages and Close in one packet: what was said is received, and the end is an end."""
    connections = 0

    async def serve(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.read_request()
        code = (1000 if connections == 3 else 1012).to_bytes(2, "big")
        said = b"".join(frame(TEXT, f"{connections}{word}".encode()) for word in "abc")
        await peer.send(peer.switch(trailing=said + frame(CLOSE, code)))
        await peer.read_eof()

    taken: list[str] = []

    async def take_one(session: DefaultClientWebSocketSession) -> None:
        taken.append(await session.receive_text())

    received: list[str | bytes] = []
    async with raw_server(serve) as server, HttpClient(engine, install(WebSockets)) as client:
        on_open = take_one if form == "on_open" else None
        statement = client.web_socket_reconnecting(server.url, policy=QUICK, on_open=on_open)
        if form == "loop":
            async for session in statement:
                async with session:
                    async for message in session:
                        received.append(message)
        else:
            async with statement as feed:
                received += [message async for message in feed]
                assert feed.generation == 3
    assert taken == (["1a", "2a", "3a"] if form == "on_open" else [])
    words = "bc" if form == "on_open" else "abc"
    assert received == [f"{number}{word}" for number in (1, 2, 3) for word in words]


@pytest.mark.parametrize("form", ["feed", "loop", "on_open"])
@pytest.mark.parametrize("failure", ["violation", "overflow"])
async def test_messages_that_come_before_a_failure(
    engine: EngineFactory, failure: str, form: str
) -> None:
    """What came before it is received, then the policy stops: it is over by the end of on_open."""

    async def serve(peer: Peer) -> None:
        await peer.read_request()
        said = b"".join(frame(TEXT, word.encode()) for word in "abc")
        await peer.send(peer.switch(trailing=said + frame(3 if failure == "violation" else TEXT)))
        await peer.read_frame()

    async def until_it_is_over(session: DefaultClientWebSocketSession) -> None:
        await session.close_reason

    strict = bounded(3, on_overflow=ChannelOverflow.CLOSE)
    received: list[str | bytes] = []
    async with (
        raw_server(serve) as server,
        HttpClient(engine, install(WebSockets, channels=Channels(incoming=strict))) as client,
    ):
        on_open = until_it_is_over if form == "on_open" else None
        statement = client.web_socket_reconnecting(server.url, policy=QUICK, on_open=on_open)
        with pytest.raises(ReconnectStoppedError) as caught:
            if form == "loop":
                async for session in statement:
                    async with session:
                        async for message in session:
                            received.append(message)
            else:
                async with statement as feed:
                    async for message in feed:
                        received.append(message)
        assert received == ["a", "b", "c"]
        assert caught.value.reason.code == (1002 if failure == "violation" else 1008)


# --- an application in memory


async def test_a_feed_over_an_application() -> None:
    """TestEngine: one stream over several connections, what waits is sent, and nothing is left."""
    connections = 0
    heard: list[str] = []

    async def run(scope: Any, receive: Any, send: Any) -> None:
        nonlocal connections
        connections += 1
        await accept_asgi(receive, send)
        await send({"type": "websocket.send", "text": f"hello {connections}"})
        while (event := await receive())["type"] == "websocket.receive":
            heard.append(event["text"])
            if event["text"].startswith("go"):
                await send({"type": "websocket.close", "code": 1012, "reason": "restart"})
                return

    before = asyncio.all_tasks()
    async with HttpClient(TestEngine(web_socket_app(run)), install(WebSockets)) as client:
        async with client.web_socket_reconnecting("/", policy=QUICK) as feed:
            receipts = []
            for number in (1, 2, 3):
                assert await feed.receive_text() == f"hello {number}"
                receipts.append(await feed.send(f"go {number}"))
            assert await feed.receive_text() == "hello 4"
            receipts.append(await feed.send("last"))
        assert [await receipt for receipt in receipts] == [Sent.WRITTEN] * 4
    assert heard == ["go 1", "go 2", "go 3", "last"]
    assert asyncio.all_tasks() == before


class Cut(Exception):
    """The application lets go of its end."""


class Socket:
    """An application's end in the words of a session; it is cut after so many messages."""

    def __init__(self, receive: Any, send: Any, lasts: int | None) -> None:
        self._receive, self._send = receive, send
        self._lasts = lasts

    async def receive_text(self) -> str:
        message = await self._next()
        assert isinstance(message, str)
        return message

    async def _next(self) -> str | bytes:
        if self._lasts == 0:
            raise Cut
        if self._lasts is not None:
            self._lasts -= 1
        event = await self._receive()
        if event["type"] != "websocket.receive":
            raise Cut
        text: str = event["text"]
        return text

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            yield await self._next()

    async def send(self, message: str | bytes) -> None:
        await self._send({"type": "websocket.send", "text": message})


async def test_sequences_over_an_application() -> None:
    """TestEngine under `SequenceResume`: an application that drops people loses nothing."""
    server = SequenceServer(acknowledge_every=1)
    connections = 0

    async def run(scope: Any, receive: Any, send: Any) -> None:
        nonlocal connections
        connections += 1
        await accept_asgi(receive, send)
        socket: Any = Socket(receive, send, 5 if connections < 4 else None)
        try:
            await server.serve(socket)
        except Cut:
            if connections < 4:
                await send({"type": "websocket.close", "code": 1012})

    async with HttpClient(TestEngine(web_socket_app(run)), install(WebSockets)) as client:
        async with client.web_socket_reconnecting(
            "/", policy=QUICK, resume=SequenceResume(), outbox=Outbox(mode="at_least_once")
        ) as feed:
            receipts = [await feed.send(str(number)) for number in range(30)]
            assert {await receipt for receipt in receipts} == {Sent.ACKNOWLEDGED}
            assert feed.generation == 4
    (stream,) = server.streams.values()
    assert [message for _, message in stream.received] == [str(number) for number in range(30)]


async def test_the_settings_of_the_plugin_are_the_clients() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", respond(status=503))
    settings = install(WebSocketReconnect, policy=RetryPolicy(max_attempts=2))
    async with engine, HttpClient(engine, install(WebSockets), settings) as client:
        with pytest.raises(ReconnectStoppedError, match="max_attempts=2"):
            async with client.web_socket_reconnecting(URL) as feed:
                await feed.receive_text()
