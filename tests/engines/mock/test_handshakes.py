"""MockEngine: routes that decide about a handshake, raw peers, limits of peers, real time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from ktor_client import (
    Channels,
    ClientClosedError,
    CloseReason,
    ConnectError,
    Frame,
    FrameTooBigError,
    FrameType,
    HttpClient,
    HttpRequest,
    RequestTimeoutError,
    UnsafeHeaderError,
    WebSocketHandshakeError,
    bounded,
    header,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.plugins import WebSocketDeflate, WebSockets
from ktor_client.testing import (
    ExpectationError,
    MockAcceptance,
    MockPeerSession,
    MockResponse,
    accept,
    respond,
)
from tests.engines.mock.scripts import echo

CLOSE = CloseReason(4000, "done")


class TestDeciding:
    async def test_by_the_request(self, engine: MockEngine, client: HttpClient) -> None:
        def door(request: HttpRequest) -> MockAcceptance | MockResponse:
            if request.headers.get("authorization") != "Bearer secret":
                return respond("members only", 401, {"WWW-Authenticate": "Bearer"})
            return accept(echo, subprotocols=("chat.v2",), headers={"X-Room": "7"})

        engine.on_handshake("/chat", door)
        with pytest.raises(WebSocketHandshakeError, match="101 but was 401") as caught:
            await client.web_socket_session("/chat")
        assert await caught.value.response.body_as_text() == "members only"
        assert caught.value.response.headers["www-authenticate"] == "Bearer"
        member = header("Authorization", "Bearer secret")
        offered = ("chat.v1", "chat.v2")
        async with client.web_socket("/chat", member, subprotocols=offered) as session:
            assert session.subprotocol == "chat.v2"
            assert session.call.response.headers["x-room"] == "7"
            await session.send("hello")
            assert await session.receive_text() == "hello"
        assert len(engine.handshakes) == 2

    async def test_an_async_handler(self, engine: MockEngine, client: HttpClient) -> None:
        async def late(request: HttpRequest) -> MockAcceptance:
            await engine.clock.sleep(5)
            return accept(echo)

        engine.on_handshake("/", late)
        async with client.web_socket("/"):
            assert engine.clock.time() == 5

    async def test_a_refusal_whose_body_takes_longer(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        async def body() -> AsyncIterator[bytes]:
            yield b"soon"
            await engine.clock.sleep(3600)

        engine.on_handshake("/", respond(body(), 503))
        with pytest.raises(WebSocketHandshakeError, match="503") as caught:
            await client.web_socket_session("/")
        assert engine.clock.time() == 5  # half of the ten seconds of `open_timeout`
        assert await caught.value.response.body_as_bytes() == b"soon"
        assert isinstance(caught.value.__cause__, RequestTimeoutError)

    async def test_without_a_handler(self, engine: MockEngine, client: HttpClient) -> None:
        engine.on_handshake("/", respond(status=503), times=1)
        engine.on_handshake("/", ConnectError("no route to host"), times=1)
        engine.on_handshake("/", accept(echo, extensions=[WebSocketDeflate()]))
        with pytest.raises(WebSocketHandshakeError, match="503"):
            await client.web_socket_session("/")
        with pytest.raises(ConnectError, match="no route"):
            await client.web_socket_session("/")
        async with client.web_socket("/") as session:
            assert session.extensions == ()

    async def test_an_exception_class(self, engine: MockEngine, client: HttpClient) -> None:
        """It is what its instance is, wherever one may stand."""

        async def returning(request: HttpRequest) -> type[ConnectError]:
            return ConnectError

        engine.on_handshake("/given", ConnectError)
        engine.on_handshake("/returned", returning)
        engine.on_web_socket("/peer", ConnectError)
        engine.on_web_socket("/late", ConnectError, delay=1)
        for path in ("/given", "/returned", "/peer", "/late"):
            with pytest.raises(ConnectError) as raised:
                await client.web_socket_session(path)
            assert raised.value.args == ()

    async def test_a_wrong_101(self, engine: MockEngine, client: HttpClient) -> None:
        """The client refuses it, and the peer is never run."""
        engine.on_handshake("/", accept(echo, headers={"Sec-WebSocket-Accept": None}))
        with pytest.raises(WebSocketHandshakeError, match="Sec-WebSocket-Accept"):
            await client.web_socket_session("/")

    async def test_a_handler_that_fails(self, engine: MockEngine, client: HttpClient) -> None:
        def failing(request: HttpRequest) -> MockAcceptance:
            raise LookupError("no such room")

        engine.on_handshake("/", failing)
        with pytest.raises(LookupError, match="no such room"):
            await client.web_socket_session("/")

    async def test_a_handler_that_decides_nothing(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        def undecided(request: HttpRequest) -> Any:
            return None

        engine.on_handshake("/", undecided)
        with pytest.raises(
            TypeError, match=r"undecided returned None for a handshake; return accept\(peer\)"
        ):
            await client.web_socket_session("/")

    async def test_too_few_handshakes(self) -> None:
        engine = MockEngine()
        engine.on_handshake("/", accept(echo), times=2)
        with pytest.raises(ExpectationError, match="/ was to be called 2 times"):
            await engine.close()

    def test_impossible_scripts(self) -> None:
        for mistyped in (
            lambda: accept("text"),  # type: ignore[arg-type]
            lambda: accept(ConnectError),  # type: ignore[arg-type]
            lambda: MockEngine().on_handshake("/", FrameTooBigError),  # which needs arguments
            lambda: MockEngine().on_web_socket("/", FrameTooBigError),
            lambda: accept(echo, subprotocols="chat"),
            lambda: MockEngine().on_handshake("/", "text"),  # type: ignore[arg-type]
        ):
            with pytest.raises(TypeError):
                mistyped()
        with pytest.raises(UnsafeHeaderError):
            accept(echo, headers={"X-A": "a\r\nX-B: b"})
        assert repr(accept(echo)) == "accept(echo)"


class TestClosedMeanwhile:
    """The engine is closed while a handler waits: the open fails, and no peer is ever run."""

    async def test_a_handler_that_waits_for_ever(self) -> None:
        engine, asked = MockEngine(), asyncio.Semaphore(0)

        async def never(request: HttpRequest) -> Any:
            asked.release()
            await asyncio.Event().wait()

        engine.on_handshake("/", never)
        engine.on_request("/", never)
        async with HttpClient(engine, install(WebSockets)) as client:
            opening = asyncio.create_task(client.web_socket_session("/"))
            asking = asyncio.create_task(client.get("/"))
            await asked.acquire()
            await asked.acquire()
            await engine.close()
            with pytest.raises(ClientClosedError, match="closed during the handshake"):
                await opening
            with pytest.raises(ClientClosedError, match="closed during the request"):
                await asking

    async def test_a_handler_that_has_just_answered(self) -> None:
        engine, asked, door = MockEngine(), asyncio.Event(), asyncio.Event()

        async def late(request: HttpRequest) -> MockAcceptance:
            asked.set()
            await door.wait()
            return accept(echo)

        engine.on_handshake("/", late)
        async with HttpClient(engine, install(WebSockets)) as client:
            opening = asyncio.create_task(client.web_socket_session("/"))
            await asked.wait()
            door.set()
            await engine.close()
            with pytest.raises(ClientClosedError, match="closed during the handshake"):
                await opening
        assert asyncio.all_tasks() == {asyncio.current_task()}

    async def test_a_timeout_of_the_handlers_own(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        async def slow(request: HttpRequest) -> Any:
            raise TimeoutError("the database did not answer")

        engine.on_handshake("/", slow)
        with pytest.raises(TimeoutError, match="database"):
            await client.web_socket_session("/")


class TestPeers:
    async def test_a_raw_peer(self, engine: MockEngine, client: HttpClient) -> None:
        """It sees every frame and answers nothing by itself."""

        async def peer(session: MockPeerSession) -> None:
            await session.expect(Frame.Text("frag", fin=False))
            await session.expect(lambda frame: frame.data == b"ment" and not frame.fin)
            await session.expect(lambda frame: frame.data == b"" and frame.fin)
            ping = await session.expect(Frame.Ping)
            await session.send("no pong yet")
            await session.send(Frame.Pong(ping.data))
            closed = await session.expect(Frame.Close)
            await session.send(closed)
            kinds = [frame.frame_type for frame in session.conversation.frames("client")]
            text = [FrameType.TEXT] * 3
            assert kinds == [*text, FrameType.PING, FrameType.CLOSE]

        engine.on_handshake("/", accept(peer, raw=True))
        async with client.web_socket("/") as session:

            async def chunks() -> AsyncIterator[str]:
                yield "frag"
                yield "ment"

            await session.send_stream(chunks())
            pinging = asyncio.create_task(session.ping())
            assert await session.receive_text() == "no pong yet"
            await pinging
            await session.send(Frame.Close(CLOSE))
            reason = await session.close_reason
        assert (reason.code, reason.clean) == (4000, True)

    async def test_limits_of_a_peer(self, engine: MockEngine, client: HttpClient) -> None:
        """A peer with bounded channels is held back by a client that does not read."""

        async def flooding(session: MockPeerSession) -> None:
            with pytest.raises(asyncio.QueueFull):
                for _ in range(100):
                    session.outgoing.send_nowait(Frame.Binary(bytes(10_000)))
            await session.send("held back")

        engine.on_handshake("/", accept(flooding, channels=Channels(outgoing=bounded(2))))
        async with client.web_socket("/") as session:
            *blocks, last = [message async for message in session]
            assert last == "held back"
            assert 2 < len(blocks) < 100


async def test_real_time() -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.expect(Frame.Ping)
        await session.delay(0.001)
        await session.send("pinged")

    engine = MockEngine(real_time=True)
    engine.on_web_socket("/", peer)
    before = engine.clock.time()
    async with HttpClient(engine, install(WebSockets, ping_interval=0.001)) as client:
        async with client.web_socket("/") as session:
            assert await session.receive_text() == "pinged"
    assert engine.clock.time() >= before + 0.002
    assert repr(engine.clock).startswith("<RealClock at ")
    await engine.close()
