"""Make before break, wake-ups, and blocks that are coroutine functions."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from ktor_client import (
    Backoff,
    CloseReason,
    ConnectError,
    Connecting,
    ConnectionClosedError,
    DefaultClientWebSocketSession,
    Failure,
    HttpClient,
    HttpRequestBuilder,
    Lost,
    Opened,
    Outbox,
    PositionResume,
    ReconnectStoppedError,
    RetryPolicy,
    Sent,
    Waiting,
    WebSocketFeed,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.plugins import WebSockets
from ktor_client.reconnect.running import Running
from ktor_client.testing import MockPeerSession, respond
from tests.support.fake_link import steps

STEADY = RetryPolicy(Backoff(first=1, longest=8, jitter="none"))
URL = "ws://test/feed"


def client_of(engine: MockEngine, **options: Any) -> HttpClient:
    return HttpClient(engine, install(WebSockets, ping_interval=None, **options))


class Server:
    """Answers with the number of its connection; says hello, and at the end goodbye."""

    def __init__(self, life: float = 0, code: int = 1001) -> None:
        self.connections = 0
        self.open: list[int] = []
        self.most = 0
        self.heard: list[tuple[int, str]] = []
        self.closed_with: list[int | None] = []
        self._life = life
        self._code = code

    async def __call__(self, session: MockPeerSession) -> None:
        self.connections += 1
        number = self.connections
        self.open.append(number)
        self.most = max(self.most, len(self.open))
        await session.send(f"hello {number}")
        listening = asyncio.ensure_future(self._listen(session, number))
        if self._life:
            await session.delay(self._life)
            await session.send(f"goodbye {number}")
            await session.close(CloseReason(self._code))
        await listening
        self.open.remove(number)

    async def _listen(self, session: MockPeerSession, number: int) -> None:
        with contextlib.suppress(ConnectionClosedError):
            async for message in session:
                assert isinstance(message, str)
                self.heard.append((number, message))
                await session.send(f"{message} by {number}")
        self.closed_with.append(session.close_reason.code)


def kinds(feed: WebSocketFeed) -> list[type]:
    return [type(event) for _, event in feed._running.arriving.log._kept]


async def test_a_session_that_is_too_old_is_replaced_before_it_is_closed() -> None:
    engine, server = MockEngine(), Server()
    engine.on_web_socket("/feed", server)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, overlap=True, max_age=60) as feed:
            assert await feed.receive_text() == "hello 1"
            receipts = [await feed.send("early")]
            await engine.clock.sleep(59)
            assert server.connections == 1
            receipts.append(await feed.send("late"))
            await engine.clock.sleep(2)
            assert feed.generation == 2
            assert (server.connections, server.most, server.open) == (2, 2, [2])
            receipts.append(await feed.send("new"))
            assert [await receipt for receipt in receipts] == [Sent.WRITTEN] * 3
            rest = [await feed.receive_text() for _ in range(4)]
            assert rest == ["early by 1", "late by 1", "hello 2", "new by 2"]
            assert kinds(feed) == [Connecting, Opened, Connecting, Opened]
            assert feed.state == "open"
            await engine.clock.sleep(600)
            assert server.connections == 12
        assert server.heard == [(1, "early"), (1, "late"), (2, "new")]
        await steps()
        assert set(server.closed_with) == {1000}


async def test_what_the_old_one_still_has_comes_first() -> None:
    async def talkative(session: MockPeerSession) -> None:
        numbers.append(len(numbers) + 1)
        mine = numbers[-1]
        await session.send(f"first of {mine}")
        await session.wait_closed() if mine > 1 else await session.receive_text()

    numbers: list[int] = []
    engine = MockEngine()
    engine.on_web_socket("/feed", talkative)
    engine.faults.delay(0.5, towards="client")
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, overlap=True, max_age=10) as feed:
            assert await feed.receive_text() == "first of 1"
            await engine.clock.sleep(10)
            await feed.send("say your last")
            await engine.clock.sleep(5)
            assert await feed.receive_text() == "first of 2"


async def test_what_is_sent_during_the_change_goes_over_the_new_one() -> None:
    engine, server = MockEngine(), Server()
    engine.on_web_socket("/feed", server)
    engine.faults.delay(0.2)
    async with engine, client_of(engine) as client:
        outbox = Outbox(mode="at_least_once")
        async with client.web_socket_reconnecting(
            URL, overlap=True, max_age=5, outbox=outbox
        ) as feed:
            receipts: list[Any] = []
            for number in range(300):
                receipts.append(await feed.send(str(number)))
                await engine.clock.sleep(0.1)
            assert {await receipt for receipt in receipts} == {Sent.WRITTEN}
            assert feed.generation >= 6
        await steps(50)
        assert [text for _, text in server.heard] == [str(number) for number in range(300)]
        assert Waiting not in kinds(feed)
        assert Lost not in kinds(feed)


@pytest.mark.parametrize("code", [1001, 1012])
async def test_a_peer_that_goes_away_is_followed_at_once(code: int) -> None:
    engine, server = MockEngine(), Server(life=20, code=code)
    engine.on_web_socket("/feed", server)
    policy = RetryPolicy(Backoff(first=5, longest=5, jitter="none"))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=policy, overlap=True) as feed:
            for number in (1, 2, 3):
                assert await feed.receive_text() == f"hello {number}"
                if number < 3:
                    await engine.clock.sleep(20.001)
                    assert await feed.receive_text() == f"goodbye {number}"
            assert kinds(feed)[:5] == [Connecting, Opened, Lost, Connecting, Opened]
            assert Waiting not in kinds(feed)
            assert engine.clock.time() < 41


async def test_others_wait_and_so_does_one_that_was_not_stable() -> None:
    engine, server = MockEngine(), Server(life=5)
    engine.on_web_socket("/feed", server)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, overlap=True) as feed:
            await engine.clock.sleep(5.5)
            assert Waiting in kinds(feed)
    engine, server = MockEngine(), Server(life=20, code=1013)
    engine.on_web_socket("/feed", server)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, overlap=True) as feed:
            await engine.clock.sleep(20.5)
            assert Waiting in kinds(feed)


async def test_without_overlap_a_session_that_is_too_old_is_closed_first() -> None:
    engine, server = MockEngine(), Server()
    engine.on_web_socket("/feed", server)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, max_age=30) as feed:
            await engine.clock.sleep(40)
            assert (server.connections, server.most, feed.generation) == (2, 1, 2)


async def test_a_replacement_that_cannot_be_had_is_waited_for() -> None:
    engine, server = MockEngine(), Server()
    engine.on_web_socket("/feed", server, times=1)
    engine.on_web_socket("/feed", ConnectError("no"), times=3)
    engine.on_web_socket("/feed", server, times=1)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, overlap=True, max_age=30
        ) as feed:
            await engine.clock.sleep(34)
            assert (feed.state, feed.generation, server.open) == ("open", 1, [1])
            await (await feed.send("still here"))
            await engine.clock.sleep(5)
            assert (feed.state, feed.generation) == ("open", 2)


async def test_a_session_that_was_replaced_was_a_success() -> None:
    """What came before it is no part of the next outage."""
    engine, server = MockEngine(), Server()
    engine.on_web_socket("/feed", server, times=10)
    engine.on_web_socket("/feed", Server(life=1), times=1)
    engine.on_web_socket("/feed", server)
    policy = RetryPolicy(STEADY.backoff, max_elapsed=60)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=policy, overlap=True, max_age=30
        ) as feed:
            await engine.clock.sleep(310)
            assert (feed.state, feed.generation) == ("open", 12)


async def test_a_replacement_that_is_refused_leaves_the_old_one(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine, server = MockEngine(), Server(life=100)
    engine.on_web_socket("/feed", server, times=1)
    engine.on_web_socket("/feed", respond(status=403), times=1)
    engine.on_web_socket("/feed", server, times=1)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, overlap=True, max_age=30
        ) as feed:
            await engine.clock.sleep(90)
            assert (feed.state, feed.generation) == ("open", 1)
            assert "not replaced at its max_age" in caplog.text
            await engine.clock.sleep(11)
            assert feed.generation == 2


async def test_an_old_one_that_is_lost_while_it_is_replaced() -> None:
    async def dropped(session: MockPeerSession) -> None:
        await session.delay(31)
        session.drop()

    engine, server = MockEngine(), Server()
    engine.on_web_socket("/feed", dropped, times=1)
    engine.on_web_socket("/feed", ConnectError("no"), times=2)
    engine.on_web_socket("/feed", server, times=1)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, overlap=True, max_age=30
        ) as feed:
            await engine.clock.sleep(31.5)
            assert feed.state == "waiting"
            assert feed.session is None
            receipt = await feed.send("while there is none")
            await feed.opened()
            assert await receipt is Sent.WRITTEN
            assert feed.generation == 2


async def test_what_waits_for_a_busy_connection_goes_over_its_successor() -> None:
    """The old one says Close behind what it has taken, not behind all that waits."""
    heard: list[tuple[int, int]] = []
    connections = 0

    async def slow(session: MockPeerSession) -> None:
        nonlocal connections
        connections += 1
        number = connections
        if number == 1:
            session._core.link.pause()
            await session.delay(12)
            session._core.link.resume()
        with contextlib.suppress(ConnectionClosedError):
            while True:
                heard.append((number, (await session.receive_bytes())[0]))

    engine = MockEngine()
    engine.on_web_socket("/feed", slow)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, overlap=True, max_age=10) as feed:
            await feed.opened()
            sending = [
                asyncio.create_task(feed.send(bytes([number]) * 20_000)) for number in range(20)
            ]
            await engine.clock.sleep(11)
            assert connections == 2  # it is there, and waits for the end of the old one
            await engine.clock.sleep(4)
            assert {await (await task) for task in sending} == {Sent.WRITTEN}
        await steps(20)
    assert [number for _, number in heard] == list(range(20))
    first = [number for connection, number in heard if connection == 1]
    assert 0 < len(first) < 20


@pytest.mark.parametrize("how", ["close", "cancel", "leave", "cancelled"])
async def test_the_end_in_the_middle_of_a_change(how: str) -> None:
    engine, server = MockEngine(), Server()

    async def stalls(session: MockPeerSession) -> None:
        await session.stall()

    engine.on_web_socket("/feed", stalls, times=1)
    engine.on_web_socket("/feed", server, times=1)
    async with engine, client_of(engine, close_timeout=5) as client:

        async def block() -> None:
            async with client.web_socket_reconnecting(URL, overlap=True, max_age=30) as feed:
                await engine.clock.sleep(31)
                assert (feed.generation, server.connections) == (1, 1)  # the old one is closing
                if how == "close":
                    await feed.close(CloseReason(4000))
                elif how == "cancel":
                    feed.cancel()
                elif how == "cancelled":
                    await feed.receive_text()

        task = asyncio.create_task(block())
        await engine.clock.sleep(32)
        if how == "cancelled":
            task.cancel()
        await asyncio.wait({task})
        await steps(20)
        assert server.open == []
        expected = {"close": 4000, "cancel": 1006, "leave": 1000, "cancelled": 1001}
        assert server.closed_with == [expected[how]]


async def test_both_deliver_and_positions_tell_what_is_new() -> None:
    counter = 0
    peers: list[MockPeerSession] = []

    async def broadcasts(session: MockPeerSession) -> None:
        await session.send(str(counter))  # what came last, again
        peers.append(session)
        await session.wait_closed()

    async def ask(session: Any, position: Any) -> None:
        return None

    engine = MockEngine()
    engine.on_web_socket("/feed", broadcasts)
    engine.faults.delay(0.3)
    async with engine, client_of(engine) as client:
        resume = PositionResume(ask, lambda message: int(message))
        async with client.web_socket_reconnecting(
            URL, overlap=True, max_age=10, resume=resume
        ) as feed:
            received: list[int] = []

            async def receive() -> None:
                async for message in feed:
                    received.append(int(message))

            receiving = asyncio.create_task(receive())
            for _ in range(300):
                await engine.clock.sleep(0.1)
                counter += 1
                for peer in peers:
                    if peer.is_open:
                        await peer.send(str(counter))
            await engine.clock.sleep(1)
            receiving.cancel()
            assert received == list(range(received[0], 301))
            assert feed.generation >= 3


# --- wake-ups


class Awake(MockEngine):
    """An engine whose platform tells of its network."""

    def __init__(self) -> None:
        super().__init__(real_time=True)
        self.callbacks: list[Callable[[], object]] = []

    def on_network_back(self, callback: Callable[[], object]) -> Callable[[], None]:
        self.callbacks.append(callback)
        return lambda: self.callbacks.remove(callback)


async def test_news_of_the_network_end_a_wait() -> None:
    engine, server = Awake(), Server()
    engine.on_web_socket("/feed", ConnectError("no"), times=2)
    engine.on_web_socket("/feed", server)
    policy = RetryPolicy(Backoff(first=3600, longest=3600, jitter="none"))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=policy) as feed:
            for _ in range(2):
                await steps(20)
                assert feed.state == "waiting"
                (callback,) = engine.callbacks
                callback()
            await feed.opened()
            assert engine.callbacks == []


async def test_a_wait_while_the_computer_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ktor_client.reconnect.waits.LOOK_EVERY", 0.001)
    slept = 0.0

    class Loop(MockEngine):
        @property
        def clock(self) -> Any:
            return asyncio.get_running_loop()

    engine, server = Loop(), Server()
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", server)
    policy = RetryPolicy(Backoff(first=3600, longest=3600, jitter="none"))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=policy) as feed:
            loop = asyncio.get_running_loop()
            feed._running.connector.waits._wall = lambda: loop.time() + slept
            await steps(20)
            assert feed.state == "waiting"
            slept = 8 * 3600.0
            await feed.opened()


# --- blocks


async def test_blocks_that_are_coroutine_functions() -> None:
    engine, server = MockEngine(), Server(life=1)
    engine.on_web_socket("/feed", server)
    tokens = 0

    async def token(request: HttpRequestBuilder) -> None:
        nonlocal tokens
        await asyncio.sleep(0)
        tokens += 1
        request.headers.set("Authorization", f"Bearer {tokens}")

    def stamp(request: HttpRequestBuilder) -> None:
        assert "authorization" in request.headers  # blocks run in order
        request.subprotocols = []

    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, token, stamp, policy=STEADY):
            await engine.clock.sleep(10)
    sent = [request.headers["authorization"] for request in engine.handshakes]
    assert sent[:3] == ["Bearer 1", "Bearer 2", "Bearer 3"]


async def test_a_connection_that_has_ended_is_none_while_its_successor_is_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who sends does not wait, who waits for a connection rests, and closing is at once."""
    engine, server = MockEngine(), Server(life=20)
    engine.on_web_socket("/feed", server)

    async def on_open(session: DefaultClientWebSocketSession) -> None:
        if len(engine.handshakes) > 1:
            await asyncio.Event().wait()

    asked = 0

    def counted(running: Running) -> bool:
        nonlocal asked
        asked += 1
        return running.session is not None and running.session.is_open

    async with engine, client_of(engine, open_timeout=3600) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, overlap=True, on_open=on_open
        ) as feed:
            await feed.opened()
            await engine.clock.sleep(25)
            assert len(engine.handshakes) == 2
            assert feed.session is None
            receipt = await asyncio.wait_for(feed.send("waits"), 60)
            monkeypatch.setattr(Running, "is_open", property(counted))
            opened = asyncio.create_task(feed.opened())
            await steps(50)
            assert asked < 5
            before = engine.clock.time()
            await feed.close()
            assert engine.clock.time() == before
            with pytest.raises(ReconnectStoppedError):
                await opened
        assert await receipt is Sent.NOT_SENT


async def test_what_decide_raises_while_a_connection_is_replaced_ends_that_too() -> None:
    def decide(failure: Failure) -> None:
        raise LookupError("in decide")

    engine, server = MockEngine(), Server()
    engine.on_web_socket("/feed", server, times=1)
    engine.on_web_socket("/feed", ConnectError("no"))
    policy = RetryPolicy(STEADY.backoff, decide=decide)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=policy, overlap=True, max_age=10
        ) as feed:
            assert await feed.receive_text() == "hello 1"
            await engine.clock.sleep(11)
            with pytest.raises(LookupError, match="in decide"):
                await feed.receive_text()
            await steps(20)
            assert server.closed_with == [1001]
