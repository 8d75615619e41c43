"""MockEngine: what scripted peers can do."""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

import pytest

from ktor_client import (
    CloseReason,
    ConnectError,
    ConnectionClosedError,
    Frame,
    FrameTooBigError,
    HttpClient,
    ProtocolViolationError,
    WebSocketHandshakeError,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.engines._mock import MockPeerSession, respond
from ktor_client.plugins import WebSocketDeflate, WebSockets
from tests.engines.mock.scripts import echo, idle


class TestPeers:
    async def test_a_conversation(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.expect("hello")
            await session.send("welcome")
            await session.expect(b"\x00\x01")
            await session.expect_close(1000)

        engine.on_web_socket("/chat", peer)
        async with client.web_socket("/chat") as chat:
            await chat.send("hello")
            assert await chat.receive_text() == "welcome"
            await chat.send(b"\x00\x01")
        (conversation,) = engine.conversations
        assert conversation.frames("client") == [
            Frame.Text("hello"),
            Frame.Binary(b"\x00\x01"),
            Frame.Close(CloseReason(1000)),
        ]
        assert conversation.frames("peer") == [
            Frame.Text("welcome"),
            Frame.Close(CloseReason(1000)),
        ]
        assert str(engine.handshakes[0].url) == "ws://localhost/chat"

    async def test_a_peer_may_be_an_async_with(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        async def peer(session: MockPeerSession) -> None:
            async with session as same:
                assert same is session
                await same.send("hello")
            assert session.close_reason.code == 1000

        engine.on_web_socket("/", peer)
        async with client.web_socket("/") as session:
            assert [message async for message in session] == ["hello"]
        assert repr(engine.conversations[0]) == "<Conversation of ws://localhost/, 3 frames>"

    async def test_a_message_beyond_the_peers_limit(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        async def peer(session: MockPeerSession) -> None:
            session.max_frame_size = 10
            await session.send("ready")
            with pytest.raises(FrameTooBigError):
                await session.incoming.receive()

        engine.on_web_socket("/", peer)
        async with client.web_socket("/") as session:
            assert await session.receive_text() == "ready"
            await session.send("x" * 11)
            assert (await session.close_reason).code == 1009

    async def test_every_kind_of_expectation(self, engine: MockEngine, client: HttpClient) -> None:
        @dataclass
        class Join:
            type: str
            room: int

        async def peer(session: MockPeerSession) -> None:
            await session.expect("text")
            await session.expect(Frame.Text("frame"))
            await session.expect(Frame.Binary)
            await session.expect(re.compile("pat+ern"))
            await session.expect(lambda frame: len(frame.data) == 3)
            await session.expect(json=Join("join", 1))
            assert await session.expect() == Frame.Text("anything")
            closed = await session.expect(Frame.Close(CloseReason(4000, "done")))
            assert isinstance(closed, Frame.Close)

        engine.on_web_socket("/", peer)
        chat = await client.web_socket_session("/")
        await chat.send("text")
        await chat.send("frame")
        await chat.send(b"any bytes")
        await chat.send("patttern and more")
        await chat.send("abc")
        await chat.send('{ "room": 1, "type": "join" }')
        await chat.send("anything")
        await chat.close(CloseReason(4000, "done"))

    async def test_the_peer_sees_the_handshake(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.send(session.request.headers["x-token"])
            await session.send(session.request.url.query)

        engine.on_web_socket("/", peer)
        async with client.web_socket("/?room=1", headers={"X-Token": "secret"}) as session:
            assert [text async for text in session] == ["secret", "room=1"]

    async def test_returning_closes(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.send("bye")

        engine.on_web_socket("/", peer)
        session = await client.web_socket_session("/")
        assert [text async for text in session] == ["bye"]
        reason = await session.close_reason
        assert (reason.code, reason.initiator, reason.clean) == (1000, "peer", True)

    async def test_the_peer_closes(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.close(CloseReason(4001, "enough"))

        engine.on_web_socket("/", peer)
        session = await client.web_socket_session("/")
        with pytest.raises(ConnectionClosedError, match="4001: enough"):
            await session.receive_text()

    async def test_the_peer_drops(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.expect("hello")
            session.drop()

        engine.on_web_socket("/", peer)
        session = await client.web_socket_session("/")
        await session.send("hello")
        with pytest.raises(ConnectionClosedError, match="the mock peer dropped it") as lost:
            await session.receive_text()
        assert lost.value.reason.code == 1006
        assert isinstance(lost.value.__cause__, ConnectionResetError)
        assert engine.conversations[0].describe().endswith("the peer dropped the connection")

    @pytest.mark.parametrize("error", [TimeoutError, TimeoutError("too late")])
    async def test_the_peer_drops_with_an_error_of_its_own(
        self, engine: MockEngine, client: HttpClient, error: Exception | type[Exception]
    ) -> None:
        async def peer(session: MockPeerSession) -> None:
            session.drop(error)

        engine.on_web_socket("/", peer)
        session = await client.web_socket_session("/")
        async with asyncio.timeout(20):
            with pytest.raises(ConnectionClosedError) as lost:
                await session.receive_text()
        assert isinstance(lost.value.__cause__, TimeoutError)

    @pytest.mark.parametrize("late", [False, True])
    async def test_what_the_peer_sent_arrives_before_it_drops(
        self, engine: MockEngine, client: HttpClient, late: bool
    ) -> None:
        said: list[str | bytes] = ["one", b"two", "three", "x" * 100_000, "four"]

        async def peer(session: MockPeerSession) -> None:
            for message in said:
                await session.send(message)
            await session.flush()
            session.drop()

        engine.on_web_socket("/", peer)
        if late:
            engine.faults.delay(3)
        heard: list[str | bytes] = []
        session = await client.web_socket_session("/")
        with pytest.raises(ConnectionClosedError, match="the mock peer dropped it"):
            async for message in session:
                heard.append(message)
        assert heard == said

    async def test_reconnecting(self, engine: MockEngine, client: HttpClient) -> None:
        async def first(session: MockPeerSession) -> None:
            session.drop()

        engine.on_web_socket("/", first, times=1)
        engine.on_web_socket("/", ConnectError("still down"), times=1)
        engine.on_web_socket("/", respond("overloaded", 503, {"Retry-After": "3"}), times=1)
        engine.on_web_socket("/", echo, times=1)
        session = await client.web_socket_session("/")
        with pytest.raises(ConnectionClosedError):
            await session.receive_text()
        with pytest.raises(ConnectError, match="still down"):
            await client.web_socket_session("/")
        with pytest.raises(WebSocketHandshakeError, match="101 but was 503") as refused:
            await client.web_socket_session("/")
        assert refused.value.retry_after == 3.0
        assert await refused.value.response.body_as_text() == "overloaded"
        async with client.web_socket("/") as session:
            await session.send("back")
            assert await session.receive_text() == "back"
        assert len(engine.handshakes) == 4

    async def test_subprotocols(self, engine: MockEngine, client: HttpClient) -> None:
        engine.on_web_socket("/", idle, subprotocols=("v1", "v2"))
        async with client.web_socket("/", subprotocols=("v3", "v2", "v1")) as session:
            assert session.subprotocol == "v2"
        async with client.web_socket("/", subprotocols=("v3",)) as session:
            assert session.subprotocol is None

    async def test_extensions(self, engine: MockEngine) -> None:
        deflate = WebSocketDeflate(threshold=0)
        engine.on_web_socket("/", echo, extensions=[deflate])
        async with HttpClient(engine, install(WebSockets, extensions=[deflate])) as client:
            async with client.web_socket("/") as session:
                assert session.extensions == ("permessage-deflate",)
                await session.send("x" * 1000)
                assert await session.receive_text() == "x" * 1000
                assert session.statistics.bytes_sent < 100

    @pytest.mark.parametrize(
        ("headers", "text"),
        [
            ({"Sec-WebSocket-Accept": "wrong"}, "does not answer our key"),
            ({"Upgrade": None}, "the Upgrade header is None"),
            ({"Sec-WebSocket-Protocol": "chat"}, "chose subprotocol 'chat'"),
            ({"Sec-WebSocket-Extensions": "x-none"}, "which was not offered"),
        ],
    )
    async def test_wrong_answers(
        self, engine: MockEngine, client: HttpClient, headers: dict[str, str | None], text: str
    ) -> None:
        async def peer(session: MockPeerSession) -> None:
            pytest.fail("the client refused; there is nobody to talk to")

        engine.on_web_socket("/", peer, headers=headers)
        with pytest.raises(WebSocketHandshakeError, match=text):
            await client.web_socket_session("/")

    async def test_bytes_of_ones_own(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.send("before")
            session.write_bytes(b"\x83\x00")
            await session.expect_close(1002)

        engine.on_web_socket("/", peer)
        session = await client.web_socket_session("/")
        assert await session.receive_text() == "before"
        with pytest.raises(ProtocolViolationError, match="unknown opcode"):
            await session.receive_text()

    async def test_bytes_of_ones_own_overtake_no_message(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        async def peer(session: MockPeerSession) -> None:
            for character in "123":
                await session.send(character * 70_000)
            with pytest.raises(RuntimeError, match=r"await session\.flush\(\)"):
                session.write_bytes(b"\x81\x014")
            await session.flush()
            session.write_bytes(b"\x81\x014")
            await session.send("5")

        engine.on_web_socket("/", peer)
        async with client.web_socket("/") as session:
            assert "".join([str(message)[0] async for message in session]) == "12345"

    async def test_raw_sessions(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.expect("onetwo")
            await session.send(Frame.Ping(b"?"))

        engine.on_web_socket("/", peer)
        session = await client.web_socket_raw_session("/")
        await session.send(Frame.Text("one", fin=False))
        await session.send(Frame.Text("two"))
        assert await session.incoming.receive() == Frame.Ping(b"?")
        assert await session.incoming.receive() == Frame.Close(CloseReason(1000))
        await session.close()

    async def test_many_at_once(self, engine: MockEngine, client: HttpClient) -> None:
        engine.on_web_socket("/", echo)

        async def talk(number: int) -> str:
            async with client.web_socket("/") as session:
                await session.send(f"{number}")
                return await session.receive_text()

        assert await asyncio.gather(*map(talk, range(50))) == [f"{n}" for n in range(50)]


async def test_peers_that_never_end_are_cancelled() -> None:
    ends: list[str] = []

    async def peer(session: MockPeerSession) -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            ends.append("cancelled")
            raise

    engine = MockEngine()
    engine.on_web_socket("/", peer)
    async with HttpClient(engine, install(WebSockets)) as client, client.web_socket("/"):
        await asyncio.sleep(0)
    assert ends == ["cancelled"]


async def test_a_closed_engine_refuses() -> None:
    engine = MockEngine()
    await engine.close()
    await engine.close()
    async with HttpClient(engine) as client:
        with pytest.raises(RuntimeError, match="MockEngine is closed"):
            await client.get("/")
