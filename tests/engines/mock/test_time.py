"""MockEngine: virtual time and faults on the wire."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import (
    CloseReason,
    ConnectionClosedError,
    Frame,
    HttpClient,
    HttpRequest,
    HttpResponse,
    OpenTimeoutError,
    PingTimeoutError,
    ProtocolViolationError,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.engines._mock import MockPeerSession
from ktor_client.plugins import PluginScope, Send, WebSockets, client_plugin
from tests.engines.mock.scripts import echo, idle


class TestVirtualTime:
    async def test_keepalive(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.delay(65)
            await session.send("late")

        engine.on_web_socket("/", peer)
        async with client.web_socket("/") as session:
            assert await session.receive_text() == "late"
            assert session.latency == 0.0
        pings = [e for e in engine.conversations[0].entries if isinstance(e.frame, Frame.Ping)]
        assert [entry.time for entry in pings] == [20, 40, 60]

    async def test_a_dead_peer(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.stall()

        engine.on_web_socket("/", peer)
        session = await client.web_socket_session("/")
        with pytest.raises(PingTimeoutError, match="Ping timeout"):
            await session.receive_text()
        assert engine.clock.time() == pytest.approx(60, abs=1)  # 20 to the ping, 40 for its pong

    async def test_the_close_deadline(self, engine: MockEngine) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.stall()

        engine.on_web_socket("/", peer)
        patient = install(WebSockets, ping_interval=None, close_timeout=7)
        async with HttpClient(engine, patient) as client:
            session = await client.web_socket_session("/")
            await session.close(CloseReason(4000, "no answer"))
            assert engine.clock.time() == 7
            assert (session.close_reason.code, session.close_reason.clean) == (4000, False)

    async def test_a_peer_that_recovers(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.stall(30)
            await session.expect("are you there?")
            await session.send("yes")

        engine.on_web_socket("/", peer)
        async with client.web_socket("/") as session:
            await session.send("are you there?")
            assert await session.receive_text() == "yes"
            assert session.latency == 10.0  # the ping of second 20 waited till 30

    async def test_pings(self, engine: MockEngine, client: HttpClient) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.expect(Frame.Ping)
            await session.send("seen")
            await session.expect(Frame.Ping(b"mine"))
            assert await session.ping() == 0.0

        engine.on_web_socket("/", peer)
        async with client.web_socket("/") as session:
            async with asyncio.timeout(5):
                await session.incoming.receive()  # the peer has seen a keepalive ping
            await session.ping(b"mine")
            await session.wait_closed()
        assert engine.clock.time() == 20

    async def test_the_open_timeout(self, engine: MockEngine, client: HttpClient) -> None:
        engine.on_web_socket("/", echo, delay=30)
        with pytest.raises(OpenTimeoutError, match=r"open_timeout=10 s; no answer came$") as caught:
            await client.web_socket_session("/?token=s3cret")
        assert "did not open ws://localhost/?... within" in str(caught.value)
        assert engine.clock.time() == 10

    async def test_the_open_timeout_after_the_answer(self, engine: MockEngine) -> None:
        @client_plugin
        def Slow(scope: PluginScope) -> None:
            async def linger(request: HttpRequest, send: Send) -> HttpResponse:
                response = await send(request)
                await engine.clock.sleep(30)
                return response

            scope.on_send(linger)

        engine.on_web_socket("/", echo)
        async with HttpClient(engine, install(WebSockets), install(Slow)) as client:
            with pytest.raises(OpenTimeoutError, match=r"within open_timeout=10 s$"):
                await client.web_socket_session("/")

    async def test_a_server_that_takes_its_time(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        engine.on_web_socket("/", echo, delay=3)
        async with client.web_socket("/") as session:
            assert engine.clock.time() == 3
            await session.send("hello")
            assert await session.receive_text() == "hello"

    async def test_stalling_after_the_client_has_gone(
        self, engine: MockEngine, client: HttpClient
    ) -> None:
        async def peer(session: MockPeerSession) -> None:
            await session.wait_closed()
            await session.stall()
            ended.append(engine.clock.time())

        ended: list[float] = []
        engine.on_web_socket("/", peer)
        session = await client.web_socket_session("/")
        session.cancel()
        await client.close()
        assert ended == [0.0]

    async def test_a_test_may_let_time_pass(self, engine: MockEngine, client: HttpClient) -> None:
        engine.on_web_socket("/", idle)
        async with client.web_socket("/"):
            await engine.clock.sleep(90)
        assert len([f for f in engine.conversations[0].frames() if isinstance(f, Frame.Ping)]) == 4


class TestFaults:
    async def test_split(self, engine: MockEngine, client: HttpClient) -> None:
        engine.faults.split(1)
        engine.on_web_socket("/", echo)
        async with client.web_socket("/") as session:
            await session.send("häppchen")
            assert await session.receive_text() == "häppchen"

    async def test_delay(self, engine: MockEngine, client: HttpClient) -> None:
        engine.faults.delay(3)
        engine.on_web_socket("/", echo)
        async with client.web_socket("/") as session:
            assert await session.ping() == 6.0

    @pytest.mark.parametrize("after", range(12))
    async def test_drop(self, engine: MockEngine, client: HttpClient, after: int) -> None:
        engine.faults.drop(after=after, towards="client")
        engine.on_web_socket("/", echo)
        session = await client.web_socket_session("/")
        with pytest.raises(ConnectionClosedError, match="dropped") as lost:
            for _ in range(3):
                await session.send("abc")  # 5 bytes each
                await session.receive_text()
        assert lost.value.reason.code == 1006
        assert session.statistics.frames_received == after // 5

    async def test_corrupt(self, engine: MockEngine, client: HttpClient) -> None:
        engine.faults.corrupt(2, flip=0x80, towards="client")  # the first byte of the text
        engine.on_web_socket("/", echo)
        session = await client.web_socket_session("/")
        await session.send("abc")
        with pytest.raises(ProtocolViolationError, match="UTF-8") as broken:
            await session.receive_text()
        assert broken.value.reason.code == 1007
