"""`async with client.web_socket_reconnecting(url) as feed`, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import pytest

from ktor_client import (
    Backoff,
    Channels,
    ClientClosedError,
    CloseReason,
    ConnectError,
    Connecting,
    ConnectionClosedError,
    DefaultClientWebSocketSession,
    DeserializationError,
    Failure,
    FeedState,
    Frame,
    HttpClient,
    Lost,
    Opened,
    OpenTimeoutError,
    Outbox,
    OutboxFullError,
    Position,
    PositionResume,
    Receipt,
    ReconnectStoppedError,
    RetryPolicy,
    Sent,
    Stopped,
    Waiting,
    bounded,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.engines._mock.peer import Peer
from ktor_client.plugins import JsonConverter, WebSockets
from ktor_client.testing import MockPeerSession, accept, respond
from tests.support.fake_link import steps

STEADY = RetryPolicy(Backoff(first=1, longest=8, jitter="none"))
URL = "ws://test/feed"


def says(*texts: str, code: int | None = 1001) -> Peer:
    """Return a peer that says something and closes; without a code, it drops the connection."""

    async def peer(session: MockPeerSession) -> None:
        for text in texts:
            await session.send(text)
        if code is None:
            session.drop()
        else:
            await session.close(CloseReason(code))

    return peer


class Heard:
    """A peer that keeps what it hears, of all connections; `then` is done after so many."""

    def __init__(
        self, count: int = 0, then: Callable[[MockPeerSession], Any] | None = None
    ) -> None:
        self.texts: list[str] = []
        self.reasons: list[int | None] = []
        self._count = count
        self._then = then

    async def __call__(self, session: MockPeerSession) -> None:
        try:
            while True:
                self.texts.append(await session.receive_text())
                if self._then is not None and len(self.texts) == self._count:
                    self._then(session)
        except ConnectionClosedError as end:
            self.reasons.append(end.reason.code)


async def listens(session: MockPeerSession) -> None:
    await session.wait_closed()


def client_of(engine: MockEngine, **options: Any) -> HttpClient:
    return HttpClient(engine, install(WebSockets, **options))


# --- receiving


async def test_one_stream_of_messages_across_connections() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", "b"), times=1)
    engine.on_web_socket("/feed", ConnectError("no"), times=2)
    engine.on_web_socket("/feed", says("c", code=None), times=1)
    engine.on_web_socket("/feed", says("d", code=1000), times=1)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            assert (feed.state, feed.generation, feed.session) == ("connecting", 0, None)
            received = [message async for message in feed]
            assert received == ["a", "b", "c", "d"]  # a peer's 1000 ends it quietly
            assert (feed.state, feed.generation) == (FeedState.STOPPED, 3)
            with pytest.raises(ReconnectStoppedError) as caught:
                await feed.receive_text()
            assert caught.value.reason.code == 1000
            assert isinstance(caught.value.__cause__, ConnectionClosedError)
            with pytest.raises(ReconnectStoppedError):
                await feed.send("late")
            assert [message async for message in feed] == []


async def test_a_stop_is_raised_behind_what_came_before_it() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", "b", code=4003))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            received: list[str | bytes] = []

            async def receive() -> None:
                async for message in feed:
                    received.append(message)

            with pytest.raises(ReconnectStoppedError, match="gave up after 1 attempt") as caught:
                await receive()
            assert received == ["a", "b"]
            assert caught.value.reason.code == 4003
            assert isinstance(caught.value.__cause__, ConnectionClosedError)
            with pytest.raises(ReconnectStoppedError):
                await feed.send("late")
            with pytest.raises(ReconnectStoppedError):
                await feed.opened()


async def test_the_ways_to_receive() -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.send("text")
        await session.send(b"bytes")
        await session.send('{"a": 1}')
        await session.send(b"not text")
        await session.send("frame")
        await session.wait_closed()

    engine = MockEngine()
    engine.on_web_socket("/feed", peer)
    async with engine, client_of(engine, content_converter=JsonConverter()) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            assert await feed.receive_text() == "text"
            assert await feed.receive_bytes() == b"bytes"
            assert await feed.receive_deserialized(dict) == {"a": 1}
            with pytest.raises(DeserializationError):
                await feed.receive_text()
            assert await feed.incoming.receive() == Frame.Text("frame")
            assert repr(feed) == "<WebSocketFeed open, generation 1>"
            with pytest.raises(TypeError, match="async for message in feed"):
                for _ in feed:  # type: ignore[attr-defined]
                    pass


async def test_a_slow_reader_holds_the_server_back() -> None:
    sent = 0

    async def flood(session: MockPeerSession) -> None:
        nonlocal sent
        for number in range(1000):
            await session.send("x" * 10_000)
            sent = number + 1
        await session.close(CloseReason(1001))

    engine = MockEngine()
    narrow = accept(flood, channels=Channels(outgoing=bounded(4)))
    engine.on_handshake("/feed", narrow, times=1)
    engine.on_web_socket("/feed", says("end", code=1000), times=1)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            await feed.opened()
            await steps(100)
            held = sent
            assert held < 200
            await steps(100)
            assert sent == held
            received = [message async for message in feed]
            assert (len(received), received[-1]) == (1001, "end")


async def test_who_reads_nothing_is_not_flooded_by_connections() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says(*map(str, range(50))))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            await engine.clock.sleep(3600)
            assert len(engine.handshakes) <= 5
            assert len(feed.incoming) <= 200
            for _ in range(1000):  # and then it goes on
                await feed.receive_text()


# --- events


async def test_events_in_order() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", says("a"), times=1)
    engine.on_web_socket("/feed", says("b", code=1000), times=1)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            items = [item async for item in feed.merged()]
            assert [item if isinstance(item, str) else type(item) for item in items] == [
                *(Connecting, Lost, Waiting),
                *(Connecting, Opened, "a", Lost, Waiting),
                *(Connecting, Opened, "b", Lost, Stopped),
            ]
            events = [event async for event in feed.events]
            assert events == [item for item in items if not isinstance(item, str)]
            assert [e.attempt for e in events if isinstance(e, Connecting)] == [1, 2, 3]
            assert {e.url for e in events if isinstance(e, Connecting)} == {URL}
            assert [e.generation for e in events if isinstance(e, Opened)] == [1, 2]
            assert [(e.delay, e.until) for e in events if isinstance(e, Waiting)] == [
                (1, 1),
                (2, 3),
            ]
            assert [e.failure.was_open for e in events if isinstance(e, Lost)] == [
                False,
                True,
                True,
            ]
            last = events[-1]
            assert isinstance(last, Stopped)
            assert last.failure is not None
            assert last.failure.reason == CloseReason(1000)


async def test_a_reader_of_both_hears_of_an_event_in_its_place_only() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", "b"), times=1)
    engine.on_web_socket("/feed", listens, times=1)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            while feed.generation < 2:
                await engine.clock.sleep(1)
            merged = feed.merged()
            seen = [await anext(merged) for _ in range(8)]
            assert [item if isinstance(item, str) else type(item) for item in seen] == [
                *(Connecting, Opened, "a", "b", Lost, Waiting, Connecting, Opened)
            ]
            waiting = asyncio.create_task(anext(merged))
            await steps()
            assert not waiting.done()
            await feed.close()
            assert await waiting == Stopped()
            with pytest.raises(StopAsyncIteration):
                await anext(merged)


async def test_a_reader_of_both_hears_of_a_message_that_was_given_back() -> None:
    async def on_open(session: DefaultClientWebSocketSession) -> None:
        await steps()  # in which the greeting comes

    async def greets(session: MockPeerSession) -> None:
        await session.send("hello")
        await session.wait_closed()

    engine = MockEngine()
    engine.on_web_socket("/feed", greets)
    seen: list[object] = []
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, on_open=on_open) as feed:
            receiving = asyncio.create_task(feed.receive_text())

            async def read() -> None:
                async for item in feed.merged():
                    seen.append(item)
                    if isinstance(item, Opened):  # the message has its receiver by now
                        receiving.cancel()

            reading = asyncio.create_task(read())
            await steps(40)
            assert seen == [Connecting(1, URL), Opened(1), "hello"]
            assert receiving.cancelled()
            await feed.close()
            await reading


async def test_events_of_a_long_life_are_forgotten() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", ConnectError("no"))
    policy = RetryPolicy(Backoff(first=1, longest=1, factor=1, jitter="none"))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=policy) as feed:
            early = aiter(feed.events)
            assert await anext(early) == Connecting(1, URL)
            await engine.clock.sleep(2000)
            late = await anext(aiter(feed.events))
            assert late == await anext(early)
            waiting = asyncio.create_task(anext(aiter(feed.events)))
            waiting.cancel()


# --- sending


async def test_what_is_sent_before_there_is_a_connection() -> None:
    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", heard)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            receipts = [await feed.send(text) for text in ("1", "2", "3")]
            assert {receipt.verdict for receipt in receipts} == {None}
            await feed.opened()
            last = await feed.send("4")
            assert await last is Sent.WRITTEN
            assert [await receipt for receipt in receipts] == [Sent.WRITTEN] * 3
        assert heard.texts == ["1", "2", "3", "4"]
        assert heard.reasons == [1000]


async def test_what_no_connection_took_goes_over_the_next_one() -> None:
    engine, heard = MockEngine(), Heard(2, MockPeerSession.drop)
    engine.on_web_socket("/feed", heard)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            await feed.opened()
            first = [await feed.send(text) for text in ("1", "2")]
            await steps()
            assert feed.session is None
            second = [await feed.send(text) for text in ("3", "4")]
            assert [await one for one in first + second] == [Sent.WRITTEN] * 4
        assert heard.texts == ["1", "2", "3", "4"]


async def test_a_full_outbox_lets_send_wait_in_order() -> None:
    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", heard)
    outbox = Outbox(max_messages=2)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, outbox=outbox) as feed:
            await feed.send("1")
            await feed.send("2")
            sending = [asyncio.create_task(feed.send(str(number))) for number in range(3, 9)]
            await steps()
            assert not any(task.done() for task in sending)
            sending[1].cancel()
            await feed.opened()
            receipts = [await task for task in sending if not task.cancelling()]
            assert [await receipt for receipt in receipts] == [Sent.WRITTEN] * 5
        assert heard.texts == ["1", "2", "3", "5", "6", "7", "8"]


async def test_a_full_outbox_that_raises() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", ConnectError("no"))
    outbox = Outbox(max_messages=2, max_bytes=10, when_full="error")
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, outbox=outbox) as feed:
            first = await feed.send("12345")
            with pytest.raises(
                OutboxFullError, match="1 messages with 5 bytes wait, this one has 6"
            ):
                await feed.send("123456")
            second = await feed.send("2")
            with pytest.raises(OutboxFullError):
                await feed.send("")
        assert await first is await second is Sent.NOT_SENT


async def test_a_full_outbox_that_drops_the_oldest() -> None:
    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", heard)
    outbox = Outbox(max_messages=2, max_bytes=10, when_full="drop_oldest")
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, outbox=outbox) as feed:
            receipts = [await feed.send(str(number)) for number in range(5)]
            with pytest.raises(OutboxFullError):
                await feed.send("x" * 11)  # never fits
            assert [await r for r in receipts] == [Sent.NOT_SENT] * 3 + [Sent.WRITTEN] * 2
            assert await (await feed.send("x" * 11)) is Sent.WRITTEN  # but goes at once
        assert heard.texts == ["3", "4", "x" * 11]


async def test_a_message_larger_than_the_outbox_waits_for_the_connection() -> None:
    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", heard)
    outbox = Outbox(max_bytes=10)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, outbox=outbox) as feed:
            await feed.send("first")
            large = asyncio.create_task(feed.send("x" * 11))
            await steps()
            behind = asyncio.create_task(feed.send("y"))
            await steps()
            assert (large.done(), behind.done()) == (False, False)
            assert await (await large) is await (await behind) is Sent.WRITTEN
        assert heard.texts == ["first", "x" * 11, "y"]


async def test_keys_and_expiry() -> None:
    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", ConnectError("no"), times=4)
    engine.on_web_socket("/feed", heard)
    outbox = Outbox(expires=5)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, outbox=outbox) as feed:
            old = await feed.send("old")
            first = await feed.send("price 1", key="price")
            assert await old is Sent.NOT_SENT
            assert engine.clock.time() == 5
            assert await first is Sent.NOT_SENT
            second = await feed.send("price 2", key="price")
            await feed.send("other")
            third = await feed.send("price 3", key="price")
            assert await second is Sent.NOT_SENT
            await engine.clock.sleep(6)
            last = await feed.send("last")
            assert await last is Sent.WRITTEN
            assert await third is Sent.NOT_SENT
        assert heard.texts == ["last"]


async def test_serialized_and_in_fragments() -> None:
    async def chunks() -> AsyncIterator[str]:
        yield "a"
        yield "b"

    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", heard)
    async with engine, client_of(engine, content_converter=JsonConverter()) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            await feed.send_serialized({"a": 1})
            await feed.send_stream(chunks())
            assert await (await feed.send(Frame.Text("c"))) is Sent.WRITTEN
            for wrong in (Frame.Ping(b""), Frame.Text("x", fin=False)):
                with pytest.raises(ValueError, match="a feed sends whole messages"):
                    await feed.send(wrong)
            with pytest.raises(TypeError, match="send takes str, bytes or a Frame, not int"):
                await feed.send(5)  # type: ignore[arg-type]
            with pytest.raises(UnicodeEncodeError):
                await feed.send("\ud800")
        assert heard.texts == ['{"a":1}', "ab", "c"]


@pytest.mark.parametrize("how", ["go on", "close"])
async def test_streams_wait_for_what_was_sent_before(how: str) -> None:
    async def chunks(name: str) -> AsyncIterator[str]:
        yield name
        yield name

    go_on = asyncio.Event()
    heard: list[str | bytes] = []

    async def slow(session: MockPeerSession) -> None:
        if how == "close":
            await session.stall()
        session._core.link.pause()
        await go_on.wait()
        session._core.link.resume()
        async for message in session:
            heard.append(message if isinstance(message, str) else "")

    engine = MockEngine()
    engine.on_web_socket("/feed", slow)
    async with engine, client_of(engine, ping_interval=None, close_timeout=1) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            await feed.opened()
            sending = [asyncio.create_task(feed.send(bytes(20_000))) for _ in range(20)]
            await steps()
            streams = [asyncio.create_task(feed.send_stream(chunks(name))) for name in "ab"]
            await steps()
            if how == "go on":
                go_on.set()
                await asyncio.gather(*streams, *sending)
            else:
                await feed.close()
                for stream in streams:
                    with pytest.raises(ConnectionClosedError):
                        await stream
                await asyncio.gather(*sending)
    assert how == "close" or heard == [*[""] * 20, "aa", "bb"]


async def test_a_busy_connection_lets_send_wait() -> None:
    go_on = asyncio.Event()
    heard: list[bytes] = []

    async def slow(session: MockPeerSession) -> None:
        session._core.link.pause()
        await go_on.wait()
        session._core.link.resume()
        while len(heard) < 20:
            heard.append(await session.receive_bytes())

    engine = MockEngine()
    engine.on_web_socket("/feed", slow)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            await feed.opened()
            sending = [
                asyncio.create_task(feed.send(bytes([number]) * 20_000)) for number in range(20)
            ]
            await steps(50)
            done = sum(task.done() for task in sending)
            assert 0 < done < 20
            sending[15].cancel()
            go_on.set()
            receipts = [await task for task in sending if not task.cancelling()]
            await engine.clock.sleep(0.001)
            assert feed.session is not None
            await feed.send(b"last")
            assert [await receipt for receipt in receipts] == [Sent.WRITTEN] * 19
        assert [message[0] for message in heard] == [*range(15), *range(16, 20), ord("l")]


@pytest.mark.parametrize("size", [1, 3000, 20_000])
@pytest.mark.parametrize("room", [1, 2, 5])
async def test_who_waits_for_room_stays_in_order(room: int, size: int) -> None:
    heard = Heard()

    async def slow(session: MockPeerSession) -> None:
        for _ in range(20):
            session._core.link.pause()
            await steps(3)
            session._core.link.resume()
            await steps(2)
        await heard(session)

    engine = MockEngine()
    engine.faults.split(1500)
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", slow)
    texts = [str(number).ljust(size) for number in range(40)]
    async with engine, client_of(engine) as client:
        statement = client.web_socket_reconnecting(
            URL, policy=STEADY, outbox=Outbox(max_messages=room)
        )
        async with statement as feed:
            sending = [asyncio.create_task(feed.send(text)) for text in texts[:20]]
            await feed.opened()
            for text in texts[20:]:  # one by one, as those before are let in
                sending.append(asyncio.create_task(feed.send(text)))
                await steps(1)
            receipts = await asyncio.gather(*sending)
            assert {await receipt for receipt in receipts} == {Sent.WRITTEN}
    assert heard.texts == texts


# --- opening


async def test_on_open_comes_before_anything_of_the_users() -> None:
    seen: list[str] = []

    async def peer(session: MockPeerSession) -> None:
        seen.append(await session.receive_text())
        await session.send("welcome")
        await session.send("news")
        seen.append(await session.receive_text())
        await session.close(CloseReason(1001))

    async def log_in(session: DefaultClientWebSocketSession) -> None:
        await session.send("login")
        assert await session.receive_text() == "welcome"

    engine = MockEngine()
    engine.on_web_socket("/feed", peer)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, on_open=log_in) as feed:
            await feed.send("1")
            assert await feed.receive_text() == "news"  # what on_open left
            assert await feed.receive_text() == "news"
            await feed.send("2")
        await steps()
        assert seen == ["login", "1", "login", "2"]


@pytest.mark.parametrize("form", ["feed", "loop"])
async def test_an_on_open_that_fails(form: str, caplog: pytest.LogCaptureFixture) -> None:
    calls = 0

    async def on_open(session: DefaultClientWebSocketSession) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("not today")
        if calls == 2:
            await session.receive_text()

    engine, refused, heard = MockEngine(), Heard(), Heard()
    engine.on_web_socket("/feed", refused, times=1)
    engine.on_web_socket("/feed", says(code=1013), times=1)
    engine.on_web_socket("/feed", heard, times=1)
    async with engine, client_of(engine) as client:
        statement = client.web_socket_reconnecting(URL, policy=STEADY, on_open=on_open)
        if form == "feed":
            async with statement as feed:
                await feed.opened()
                assert feed.generation == 1
                events = aiter(feed.events)
                lost = [
                    event
                    for event in [await anext(events) for _ in range(6)]
                    if isinstance(event, Lost)
                ]
                assert isinstance(lost[0].failure.error, RuntimeError)
                assert lost[1].failure.reason is not None
                assert lost[1].failure.reason.code == 1013
                assert [one.failure.attempt for one in lost] == [1, 2]
        else:
            async for session in statement:
                async with session:
                    break
        assert 3 <= engine.clock.time() < 6
        assert refused.reasons == [1011]
    assert [record.name for record in caplog.records] == ["ktor_client.reconnect"]
    assert "not today" in caplog.text


async def test_an_on_open_of_several_tasks_whose_session_ends() -> None:
    """The end decides, as it does for one task: this code stops."""

    async def on_open(session: DefaultClientWebSocketSession) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(session.receive_text())
            group.create_task(session.receive_text())

    engine, policy = MockEngine(), RetryPolicy(STEADY.backoff, max_attempts=3)
    engine.on_web_socket("/feed", says(code=4001))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=policy, on_open=on_open) as feed:
            with pytest.raises(ReconnectStoppedError, match="4001") as caught:
                await feed.opened()
            assert caught.value.reason.code == 4001
    assert len(engine.handshakes) == 1


async def test_an_on_open_that_never_returns() -> None:
    async def on_open(session: DefaultClientWebSocketSession) -> None:
        await session.receive_text()

    engine = MockEngine()
    engine.on_web_socket("/feed", listens)
    policy = RetryPolicy(STEADY.backoff, max_attempts=2)
    async with engine, client_of(engine, open_timeout=7) as client:
        async with client.web_socket_reconnecting(URL, policy=policy, on_open=on_open) as feed:
            with pytest.raises(ReconnectStoppedError, match="open_timeout=7 s") as caught:
                await feed.opened()
            assert isinstance(caught.value.__cause__, OpenTimeoutError)
        assert engine.clock.time() >= 15


async def test_an_on_open_that_is_wrong_stops() -> None:
    async def typo(session: DefaultClientWebSocketSession) -> None:
        await session.sendd("login")  # type: ignore[attr-defined]

    def plain(session: DefaultClientWebSocketSession) -> None:
        """Return nothing to await."""

    engine = MockEngine()
    engine.on_web_socket("/feed", listens)
    async with engine, client_of(engine) as client:
        for wrong, told in ((typo, "sendd"), (plain, "takes a coroutine function")):
            async with client.web_socket_reconnecting(URL, on_open=wrong) as feed:  # type: ignore[arg-type]
                with pytest.raises(ReconnectStoppedError, match=told):
                    await feed.receive_text()


async def test_an_on_open_that_catches_and_one_that_closes() -> None:
    async def on_open(session: DefaultClientWebSocketSession) -> None:
        try:
            await session.receive_text()
        except ConnectionClosedError:
            pass

    engine = MockEngine()
    engine.on_web_socket("/feed", says(code=4000))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, on_open=on_open) as feed:
            with pytest.raises(ReconnectStoppedError) as caught:
                await feed.receive_text()
            assert caught.value.reason.code == 4000


async def test_a_session_that_the_user_closes_is_followed_by_another_one() -> None:
    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", heard)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY) as feed:
            await feed.opened()
            assert feed.session is not None
            session = feed.session
            await session.close(CloseReason(4321))
            await session.wait_closed()
            await feed.opened()
            assert feed.generation == 2
        assert heard.reasons == [4321, 1000]


# --- waiting


async def test_retry_now() -> None:
    engine = MockEngine(real_time=True)
    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", listens)
    policy = RetryPolicy(Backoff(first=3600, longest=3600, jitter="none"))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=policy) as feed:
            feed.retry_now()
            await steps(20)
            assert feed.state == "waiting"
            feed.retry_now()
            await feed.opened()
            assert feed.state == "open"
            feed.retry_now()


# --- the end


async def test_leaving_the_block_closes_and_leaves_nothing() -> None:
    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", heard)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            await feed.opened()
        with pytest.raises(KeyError):
            async with client.web_socket_reconnecting(URL) as feed:
                await feed.opened()
                raise KeyError("mine")
        assert heard.reasons == [1000, 1011]

        async def cancelled() -> None:
            async with client.web_socket_reconnecting(URL) as feed:
                await feed.opened()
                await feed.receive_text()

        task = asyncio.create_task(cancelled())
        await steps(20)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await steps()
        assert heard.reasons == [1000, 1011, 1001]
        assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("how", ["close", "cancel", "leave", "cancelled"])
async def test_the_end_while_it_waits_is_immediate(how: str) -> None:
    engine = MockEngine(real_time=True)
    engine.on_web_socket("/feed", ConnectError("no"))
    policy = RetryPolicy(Backoff(first=3600, longest=3600, jitter="none"))
    receipts: list[Any] = []
    async with engine, client_of(engine) as client:

        async def block() -> None:
            async with client.web_socket_reconnecting(URL, policy=policy) as feed:
                receipts.append(await feed.send("never"))
                await steps(20)
                assert feed.state == "waiting"
                if how == "close":
                    await feed.close()
                elif how == "cancel":
                    feed.cancel()
                elif how == "cancelled":
                    await feed.receive_text()
                else:
                    return
                assert feed.state == "stopped"
                with pytest.raises(ReconnectStoppedError, match="closed by us"):
                    await feed.send("late")
                assert [message async for message in feed] == []
                feed.cancel()
                await feed.close()

        task = asyncio.create_task(block())
        await steps(40)
        if how == "cancelled":
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        else:
            await task
        assert await receipts[0] is Sent.NOT_SENT
        assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_cancel_drops_the_connection() -> None:
    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", heard)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            await feed.opened()
            receipt = await feed.send("1")
            feed.cancel()
            assert await receipt is Sent.WRITTEN
            assert await anext(aiter(feed.merged())) == Connecting(1, URL)
            assert [event async for event in feed.events][-1] == Stopped()
        await steps()
        assert heard.reasons == [1006]


@pytest.mark.parametrize("how", ["cancel", "cancelled"])
async def test_what_the_link_still_had_at_the_end_is_told(how: str) -> None:
    """One message cut in its middle is unknown, those behind it are not sent."""
    engine = MockEngine()
    engine.faults.split(1000)  # bytes, not whole messages

    async def busy(session: MockPeerSession) -> None:
        session._core.link.pause()
        await session.wait_closed()

    engine.on_web_socket("/feed", busy)
    receipts: list[Receipt] = []
    async with engine, client_of(engine, ping_interval=None) as client:

        async def block() -> None:
            async with client.web_socket_reconnecting(URL) as feed:
                await feed.opened()
                receipts.append(await feed.send(bytes(400_000)))
                assert receipts[0].verdict is None
                sending = [asyncio.create_task(feed.send(b"x")) for _ in range(2)]
                await steps()
                if how == "cancel":
                    feed.cancel()
                    receipts.extend([await task for task in sending])
                else:
                    try:
                        await asyncio.Event().wait()
                    finally:
                        for task in sending:
                            task.cancel()

        task = asyncio.create_task(block())
        await steps(40)
        task.cancel()
        await asyncio.wait({task})
    verdicts = [receipt.verdict for receipt in receipts]
    assert verdicts == [Sent.UNKNOWN, Sent.NOT_SENT, Sent.NOT_SENT][: len(receipts)]


async def test_every_caller_of_close_waits_and_the_first_reason_counts() -> None:
    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", heard)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            await feed.opened()
            await asyncio.gather(feed.close(CloseReason(4001, "bye")), feed.close())
            with pytest.raises(TypeError, match="close takes a CloseReason"):
                await feed.close(1000)  # type: ignore[arg-type]
            with pytest.raises(ValueError, match="may not be sent"):
                await feed.close(CloseReason(1006))
        assert heard.reasons == [4001]


@pytest.mark.parametrize("where", ["on_open", "decide", "headers", "reload", "a task of on_open"])
@pytest.mark.parametrize("how", ["close", "cancel"])
async def test_a_function_that_ends_the_feed(how: str, where: str) -> None:
    """The feed waits for it, so it cannot wait for the feed's end; behind it nothing goes on."""
    engine, heard = MockEngine(), Heard()
    opened: list[DefaultClientWebSocketSession] = []
    back: list[str] = []

    async def end() -> None:
        if how == "close":
            await feed.close()
        else:
            feed.cancel()
        back.append(where)

    async def on_open(session: DefaultClientWebSocketSession) -> None:
        opened.append(session)
        if where == "on_open":
            await end()
        if where == "a task of on_open":
            async with asyncio.TaskGroup() as group:
                group.create_task(end())

    async def headers() -> dict[str, str]:
        if where == "headers":
            await end()
        return {}

    async def decide(failure: Failure) -> None:
        if where == "decide":
            await end()

    async def ask(session: DefaultClientWebSocketSession, position: Position | None) -> bool:
        return where != "reload"

    engine.on_web_socket("/feed", ConnectError("no"), times=1)
    engine.on_web_socket("/feed", heard)
    policy = RetryPolicy(STEADY.backoff, decide=decide)
    resume = PositionResume(ask, lambda message: None, end, start=1)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, headers=headers, on_open=on_open, policy=policy, resume=resume
        ) as feed:
            assert [message async for message in feed] == []
            await steps(40)
            assert (feed.state, feed.session) == ("stopped", None)
            assert [event async for event in feed.events][-1] == Stopped()
            assert not any(session.is_open for session in opened)
        if where != "a task of on_open":
            assert back == [where]
        assert asyncio.all_tasks() == {asyncio.current_task()}


@pytest.mark.parametrize("where", ["on_open", "decide", "headers", "task"])
async def test_what_is_cancelled_from_within_lets_nobody_wait(where: str) -> None:
    """Such as an on_open that awaits a future which somebody cancels."""

    async def cancelled(at: str) -> None:
        if where == at:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

    async def on_open(session: DefaultClientWebSocketSession) -> None:
        await cancelled("on_open")

    async def headers() -> dict[str, str]:
        await cancelled("headers")
        return {}

    async def decide(failure: Failure) -> None:
        await cancelled("decide")

    engine, heard = MockEngine(), Heard()
    if where == "decide":
        engine.on_web_socket("/feed", ConnectError("no"))
    engine.on_web_socket("/feed", heard)
    policy = RetryPolicy(STEADY.backoff, decide=decide)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, headers=headers, on_open=on_open, policy=policy
        ) as feed:
            receiving = asyncio.create_task(feed.receive_text())
            receipt = await feed.send("hello")
            if where == "task":
                await feed.opened()
                feed._running._task.cancel()
            with pytest.raises(ReconnectStoppedError, match="cancelled from within"):
                await receiving
            assert (feed.state, feed.session) == ("stopped", None)
            assert await receipt is (Sent.WRITTEN if where == "task" else Sent.NOT_SENT)
        await steps()
        assert heard.reasons == ([1001] if where in ("on_open", "task") else [])


@pytest.mark.parametrize(
    ("where", "raises"),
    [("on_open", False), ("on_open", True), ("decide", False), ("reload", False), ("reload", True)],
)
async def test_close_waits_for_no_further_attempt(where: str, raises: bool) -> None:
    """Whatever a function of the user's makes of its cancellation."""
    reached = asyncio.Event()

    async def stubborn(at: str) -> None:
        if at == where:
            reached.set()
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                if raises:
                    raise LookupError(at) from None

    async def on_open(session: DefaultClientWebSocketSession) -> None:
        await stubborn("on_open")

    async def decide(failure: Failure) -> None:
        await stubborn("decide")

    async def ask(session: DefaultClientWebSocketSession, position: Position | None) -> bool:
        return where != "reload"

    async def reload() -> None:
        await stubborn("reload")

    engine = MockEngine()
    engine.on_web_socket("/feed", ConnectError("no") if where == "decide" else listens)
    policy = RetryPolicy(STEADY.backoff, decide=decide)
    resume = PositionResume(ask, lambda message: None, reload, start=1)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, on_open=on_open, policy=policy, resume=resume
        ) as feed:
            await reached.wait()
            closing = asyncio.create_task(feed.close())
            await steps(60)
            assert closing.done()
            assert feed.state == "stopped"
        assert engine.clock.time() == 0
        assert len(engine.handshakes) == 1


async def test_an_on_open_that_does_not_want_to_end() -> None:
    async def on_open(session: DefaultClientWebSocketSession) -> None:
        with suppress(asyncio.CancelledError):
            await session.receive_text()

    engine, heard = MockEngine(), Heard()
    engine.on_web_socket("/feed", heard)
    async with engine, client_of(engine, open_timeout=3600) as client:
        async with client.web_socket_reconnecting(URL, on_open=on_open) as feed:
            await steps(20)
            await feed.close()
            assert feed.session is None
        await steps()
        assert heard.reasons == [1001]


async def test_a_close_that_is_given_up_has_ended_it() -> None:
    engine, go_on = MockEngine(), asyncio.Event()

    async def on_open(session: DefaultClientWebSocketSession) -> None:
        try:
            await session.receive_text()
        finally:
            await go_on.wait()

    engine.on_web_socket("/feed", listens)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, on_open=on_open) as feed:
            await steps(20)
            closing = asyncio.create_task(feed.close())
            await steps()
            closing.cancel()
            await asyncio.wait({closing})
            await feed.close()
            assert [message async for message in feed] == []
            go_on.set()


async def test_close_sends_what_waits() -> None:
    engine = MockEngine()
    heard: list[bytes] = []

    async def slow(session: MockPeerSession) -> None:
        session._core.link.pause()
        await steps(60)
        session._core.link.resume()
        async for message in session:
            assert isinstance(message, bytes)
            heard.append(message)

    engine.on_web_socket("/feed", slow)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            await feed.opened()
            sending = [asyncio.create_task(feed.send(bytes(20_000))) for _ in range(10)]
            await steps()
            await feed.close()
            verdicts = [await (await task) for task in sending]
            assert verdicts == [Sent.WRITTEN] * 10
        assert len(heard) == 10


async def test_close_does_not_wait_for_ever_for_what_waits() -> None:
    async def stalls(session: MockPeerSession) -> None:
        await session.stall()

    engine = MockEngine()
    engine.on_web_socket("/feed", stalls)
    async with engine, client_of(engine, ping_interval=None, close_timeout=3) as client:
        async with client.web_socket_reconnecting(URL) as feed:
            await feed.opened()
            sending = [asyncio.create_task(feed.send(bytes(20_000))) for _ in range(10)]
            await steps()
            await feed.close()
            assert 3 <= engine.clock.time() <= 7
            verdicts = [await (await task) for task in sending]
            assert set(verdicts) == {Sent.UNKNOWN, Sent.NOT_SENT}


@pytest.mark.parametrize("when", ["waiting", "open", "opening"])
async def test_a_client_that_is_closed(when: str) -> None:
    async def on_open(session: DefaultClientWebSocketSession) -> None:
        if when == "opening":
            await session.wait_closed()

    engine = MockEngine(real_time=when == "waiting")
    engine.on_web_socket("/feed", ConnectError("no") if when == "waiting" else listens)
    policy = RetryPolicy(Backoff(first=3600, longest=3600, jitter="none"))
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=policy, on_open=on_open) as feed:
            await steps(20)
            receiving = asyncio.create_task(feed.receive_text())
            await steps()
            await client.close()
            with pytest.raises(ClientClosedError):
                await receiving
            with pytest.raises(ClientClosedError):
                await feed.send("late")
            with pytest.raises(ClientClosedError):
                async for _ in feed:
                    pass


async def test_what_decide_raises_ends_it_and_is_not_lost() -> None:
    def decide(failure: object) -> None:
        raise LookupError("in decide")

    engine = MockEngine()
    engine.on_web_socket("/feed", ConnectError("no"))
    policy = RetryPolicy(decide=decide)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=policy) as feed:
            with pytest.raises(LookupError, match="in decide"):
                await feed.receive_text()
            with pytest.raises(LookupError, match="in decide"):
                await feed.send("late")
        with pytest.raises(LookupError, match="in decide"):
            async with client.web_socket_reconnecting(URL, policy=policy) as feed:
                await steps(20)  # nobody has asked the feed
        with pytest.raises(KeyError):
            async with client.web_socket_reconnecting(URL, policy=policy) as feed:
                await steps(20)
                raise KeyError("mine")


async def test_a_statement_is_entered_once_at_a_time_and_again_after_it_stopped() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", says("a", code=4000))
    async with engine, client_of(engine) as client:
        statement = client.web_socket_reconnecting(URL)
        for _ in range(2):
            async with statement as feed:
                with pytest.raises(RuntimeError, match="entered already"):
                    await statement.__aenter__()
                assert await feed.receive_text() == "a"
                with pytest.raises(ReconnectStoppedError):
                    await feed.receive_text()


async def test_mistakes_raise_at_the_call() -> None:
    engine = MockEngine()
    async with engine, client_of(engine) as client:
        with pytest.raises(TypeError, match="on_open takes a coroutine function"):
            client.web_socket_reconnecting(URL, on_open=5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="outbox takes Outbox"):
            client.web_socket_reconnecting(URL, outbox=5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="outbox is for the steady form"):
            async for _ in client.web_socket_reconnecting(URL, outbox=Outbox()):
                pass


async def test_an_outage_of_ten_minutes() -> None:
    engine, heard = MockEngine(), Heard()
    up = False

    def answer(request: object) -> Any:
        return accept(heard) if up else respond(status=503)

    engine.on_handshake("/feed", answer)
    outbox = Outbox(max_messages=100, max_bytes=10_000, when_full="drop_oldest")
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, outbox=outbox) as feed:
            receipts: list[Any] = []
            for number in range(6000):
                receipts.append(await feed.send(f"{number}" + "x" * 150))
                await engine.clock.sleep(0.1)
                ledger = feed._running.sending.ledger
                assert len(ledger) <= 100
                assert ledger.waiting_bytes <= 10_000
            assert len(engine.handshakes) < 100
            up = True
            await feed.opened()
            verdicts = [await receipt for receipt in receipts]
        assert verdicts.count(Sent.WRITTEN) == len(heard.texts) > 50
        assert verdicts.index(Sent.WRITTEN) == 6000 - len(heard.texts)
