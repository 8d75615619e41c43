"""Going on where a connection was cut: positions, sequences, gaps, reloads, and plugs that lie."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from ktor_client import (
    Backoff,
    CloseReason,
    Connecting,
    DefaultClientWebSocketSession,
    FeedEvent,
    Gap,
    HttpClient,
    Lost,
    Opened,
    Outbox,
    Position,
    PositionResume,
    ProtocolViolationError,
    Receipt,
    ReconnectStoppedError,
    Resume,
    Resumed,
    RetryPolicy,
    Sent,
    SequenceResume,
    Waiting,
    WebSocketFeed,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.plugins import WebSockets
from ktor_client.testing import MockPeerSession
from tests.support.fake_link import steps
from tests.support.sequence_server import SequenceServer, Stream

STEADY = RetryPolicy(Backoff(first=1, longest=8, jitter="none"))
URL = "ws://test/feed"


def client_of(engine: MockEngine, **options: Any) -> HttpClient:
    return HttpClient(engine, install(WebSockets, **options))


class Numbered:
    """A server whose messages are `{"offset": n}`; a script says what each connection gets."""

    def __init__(
        self,
        *connections: list[int],
        epoch: str | None = None,
        hold: asyncio.Event | None = None,
    ) -> None:
        self._connections = list(connections)
        self._hold = hold
        self.asked: list[Any] = []
        self.epoch = epoch

    async def __call__(self, session: MockPeerSession) -> None:
        self.asked.append(json.loads(await session.receive_text()))
        for offset in self._connections.pop(0):
            await session.send(json.dumps({"offset": offset, "epoch": self.epoch}))
        if self._hold is not None and not self._connections:
            await self._hold.wait()
        await session.close(CloseReason(1001 if self._connections else 1000))


async def ask(session: DefaultClientWebSocketSession, position: Position | None) -> bool | None:
    await session.send(json.dumps(None if position is None else position.offset))
    return None


def position_of(message: str | bytes) -> Position | None:
    parsed = json.loads(message)
    return Position(parsed["offset"], parsed["epoch"]) if "offset" in parsed else None


async def stream(server: Numbered, resume: Resume) -> list[Any]:
    """Return what the user sees: offsets, and `Gap`s in their places."""
    engine = MockEngine()
    engine.on_web_socket("/feed", server)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, resume=resume) as feed:
            return [
                json.loads(item)["offset"] if isinstance(item, str) else item
                async for item in feed.merged()
                if isinstance(item, str | Gap)
            ]


# --- positions


async def test_duplicates_are_dropped_and_what_is_missing_is_told_in_its_place() -> None:
    server = Numbered([1, 2], [2, 3], [4], [7, 8])
    seen = await stream(server, PositionResume(ask, position_of))
    assert seen == [1, 2, 3, 4, Gap(Position(4), Position(7), 2), 7, 8]
    assert server.asked == [None, 2, 3, 4]


async def test_a_gap_within_a_connection() -> None:
    seen = await stream(Numbered([1, 3]), PositionResume(ask, position_of))
    assert seen == [1, Gap(Position(1), Position(3), 1), 3]


async def test_another_epoch_counts_from_anew() -> None:
    server = Numbered([5, 6], [1, 2], epoch="a")

    async def ask_and_change(
        session: DefaultClientWebSocketSession, position: Position | None
    ) -> bool | None:
        await ask(session, position)
        if position is not None:
            server.epoch = "b"
        return None

    seen = await stream(server, PositionResume(ask_and_change, position_of))
    assert seen == [5, 6, Gap(Position(6, "a"), Position(1, "b")), 1, 2]


async def test_a_start_from_another_life_of_the_program() -> None:
    server = Numbered([3, 4])
    seen = await stream(server, PositionResume(ask, position_of, start=Position(2)))
    assert seen == [3, 4]
    assert server.asked == [2]
    seen = await stream(Numbered([3]), PositionResume(ask, position_of, start=1))
    assert seen == [Gap(Position(1), Position(3), 1), 3]


async def test_a_server_that_says_it_goes_on_is_believed_and_checked() -> None:
    async def yes(session: DefaultClientWebSocketSession, position: Position | None) -> bool:
        await ask(session, position)
        return True

    def number(message: str | bytes) -> int:
        offset: int = json.loads(message)["offset"]
        return offset

    engine = MockEngine()
    engine.on_web_socket("/feed", Numbered([1], [2], [4]))
    resume = PositionResume(yes, number)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, resume=resume) as feed:
            opened = [event async for event in feed.events if isinstance(event, Opened | Gap)]
    assert opened == [
        Opened(1, resumed=False),
        Opened(2, resumed=True),
        Opened(3, resumed=True),
        Gap(Position(2), Position(4), 1),  # it lied
    ]


async def test_a_position_too_old_is_reloaded_and_messages_are_held_meanwhile() -> None:
    loading = asyncio.Event()
    order: list[str] = []

    async def too_old(session: DefaultClientWebSocketSession, position: Position | None) -> Resumed:
        await ask(session, position)
        return Resumed(position is None)

    async def reload() -> Position:
        order.append("reload")
        await loading.wait()
        order.append("reloaded")
        return Position(12)

    engine = MockEngine()
    engine.on_web_socket("/feed", Numbered([1, 2], [11, 12, 13], hold=loading))
    resume = PositionResume(too_old, position_of, reload)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, policy=STEADY, resume=resume) as feed:
            merged = feed.merged()
            items: list[Any] = [await anext(merged) for _ in range(9)]
            assert [type(item) for item in items[4:8]] == [Lost, Waiting, Connecting, Opened]
            assert items[8] == Gap(Position(2))
            assert order == ["reload"]
            assert feed.session is not None  # and what is sent goes
            waiting = asyncio.ensure_future(anext(merged))
            await steps(20)
            assert not waiting.done()
            loading.set()
            assert position_of(await waiting) == Position(13)  # type: ignore[arg-type]
            assert order == ["reload", "reloaded"]


async def test_a_reload_that_fails_is_tried_again_and_the_gap_told_once() -> None:
    loads = 0

    async def too_old(session: DefaultClientWebSocketSession, position: Any) -> bool:
        await ask(session, position)
        return False

    async def reload() -> Position:
        nonlocal loads
        loads += 1
        if loads == 1:
            raise ConnectionError("the database is away")
        return Position(5)

    server = Numbered([1], [6], [6])
    seen = await stream(server, PositionResume(too_old, position_of, reload))
    assert seen == [1, Gap(Position(1)), 6]
    assert (loads, server.asked) == (2, [None, 1, 1])


async def test_a_connection_that_ends_during_a_reload() -> None:
    loads = 0

    async def too_old(session: DefaultClientWebSocketSession, position: Any) -> bool:
        await ask(session, position)
        return False

    async def reload() -> Position:
        nonlocal loads
        loads += 1
        await steps(30)
        return Position(5)

    server = Numbered([1], [5, 6], [])
    seen = await stream(server, PositionResume(too_old, position_of, reload))
    assert seen == [1, Gap(Position(1)), 6, Gap(Position(6))]
    assert loads == 2


async def test_no_gap_is_told_where_nothing_has_come_yet() -> None:
    class Silent(Resume):
        async def on_open(self, session: DefaultClientWebSocketSession, position: Any) -> bool:
            await ask(session, None)
            return False

    seen = await stream(Numbered([], [1]), Silent())
    assert seen == [1]


# --- a plug of one's own


class Gateway(Resume):
    """Resumes as gateways of chat services do: by session and number, or by identifying anew."""

    session_id: str | None = None

    async def on_open(self, session: DefaultClientWebSocketSession, position: Any) -> bool:
        if position is not None:
            known = {"session_id": self.session_id, "seq": position}
            await session.send(json.dumps({"op": "resume", "token": "...", **known}))
            if json.loads(await session.receive_text())["op"] == "resumed":
                return True  # else it was too long ago
        await session.send(json.dumps({"op": "identify", "token": "..."}))
        self.session_id = json.loads(await session.receive_text())["session_id"]
        return False

    def position_of(self, message: str | bytes) -> Any:
        return json.loads(message).get("s")


async def test_a_gateway() -> None:
    asked: list[str] = []

    async def gateway(session: MockPeerSession) -> None:
        while True:
            hello = json.loads(await session.receive_text())
            asked.append(hello["op"])
            if hello["op"] == "identify":
                await session.send('{"op": "ready", "session_id": "abc"}')
                break
            assert hello["session_id"] == "abc"
            if len(asked) != 4:
                await session.send('{"op": "resumed"}')
                break
            await session.send('{"op": "invalid"}')
        await session.send(json.dumps({"s": len(asked) * 2}))
        await session.close(CloseReason(1001 if len(asked) < 5 else 1000))

    engine = MockEngine()
    engine.on_web_socket("/feed", gateway)
    async with engine, client_of(engine) as client:
        statement = client.web_socket_reconnecting(URL, policy=STEADY, resume=Gateway())
        async with statement as feed:
            seen = [item async for item in feed.merged() if isinstance(item, str | Gap | Opened)]
    assert asked == ["identify", "resume", "resume", "resume", "identify"]
    assert seen == [
        *(Opened(1), '{"s": 2}'),
        *(Opened(2, resumed=True), '{"s": 4}'),
        *(Opened(3, resumed=True), '{"s": 6}'),
        *(Opened(4), Gap(6), '{"s": 10}'),
    ]


# --- sequences


async def test_both_sides_number_acknowledge_and_repeat() -> None:
    cuts = 0

    def cut(stream: Stream, message: str | bytes) -> None:
        nonlocal cuts
        if cuts < 3 and len(stream.received) % 4 == 0:
            cuts += 1
            assert stream.session is not None
            stream.session.cancel()

    server = SequenceServer(cut)
    engine = MockEngine()
    engine.on_web_socket("/feed", server.serve)
    outbox = Outbox(mode="at_least_once")
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, outbox=outbox, resume=SequenceResume(acknowledge_every=2)
        ) as feed:
            receipts = [await feed.send(str(number)) for number in range(10)]
            receipts += [await feed.send(bytes([number])) for number in range(10)]
            assert [await receipt for receipt in receipts] == [Sent.ACKNOWLEDGED] * 20
            (stream,) = server.streams.values()
            assert [number for number, _ in stream.received] == list(range(1, 21))
            assert stream.received[0] == (1, "0")
            assert stream.received[-1] == (20, b"\x09")
            assert cuts == 3
            for number in range(5):
                await stream.send(str(number))
                await stream.send(bytes([number]))
            assert [await feed.receive_text(), await feed.receive_bytes()] == ["0", b"\x00"]
            assert stream.session is not None
            stream.session.cancel()
            await stream.send("5")
            rest = [await anext(aiter(feed)) for _ in range(9)]
            assert rest[-1] == "5"
            assert len(stream.kept) <= 2
            assert not any(isinstance(event, Gap) for event in until_now(feed))


def until_now(feed: WebSocketFeed) -> list[FeedEvent]:
    """Return what has happened until now."""
    return [event for _, event in feed._running.arriving.log._kept]


async def test_at_most_once_under_receipts_is_unknown_when_it_is_cut() -> None:
    async def silent(session: MockPeerSession) -> None:
        await session.receive_text()
        await session.send("resumed 0")
        await session.receive_text()
        session.drop()

    engine = MockEngine()
    engine.on_web_socket("/feed", silent, times=1)
    engine.on_web_socket("/feed", SequenceServer().serve)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, resume=SequenceResume()
        ) as feed:
            await feed.opened()
            first = await feed.send("1")
            assert await first is Sent.UNKNOWN
            assert await (await feed.send("2")) is Sent.ACKNOWLEDGED
            last = await feed.send("3")
            feed.cancel()
            assert await last is Sent.UNKNOWN


async def test_a_server_that_has_forgotten_the_stream() -> None:
    server = SequenceServer()
    reloads = 0

    async def reload() -> None:
        nonlocal reloads
        reloads += 1

    engine = MockEngine()
    engine.on_web_socket("/feed", server.serve)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, resume=SequenceResume(reload)
        ) as feed:
            await (await feed.send("hello"))
            (stream,) = server.streams.values()
            await stream.send("1")
            assert await feed.receive_text() == "1"
            server.streams.clear()
            assert stream.session is not None
            stream.session.cancel()
            await steps()
            await (await feed.send("again"))
            (stream,) = server.streams.values()
            await stream.send("one")
            assert await feed.receive_text() == "one"
            assert reloads == 1
            assert Gap(1) in until_now(feed)


async def test_a_server_that_does_not_begin_at_the_beginning() -> None:
    """Its first messages were lost with a connection, say, and it has forgotten them."""
    connections = 0

    async def peer(session: MockPeerSession) -> None:
        nonlocal connections
        connections += 1
        await session.receive_text()
        await session.send("resumed 0")
        if connections == 2:
            await session.send("3 hello")
            await session.send("4 again")
        await session.close(CloseReason(1012 if connections == 1 else 1000))

    engine = MockEngine()
    engine.on_web_socket("/feed", peer)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, resume=SequenceResume()
        ) as feed:
            seen = [item async for item in feed.merged() if isinstance(item, str | Gap)]
    assert seen == [Gap(None, 3, missed=2), "hello", "again"]


async def test_what_comes_after_a_reset_is_acknowledged() -> None:
    server = SequenceServer()
    engine = MockEngine()
    engine.on_web_socket("/feed", server.serve)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, resume=SequenceResume(acknowledge_every=2)
        ) as feed:
            for count in (8, 2):
                await (await feed.send("hello"))
                (stream,) = server.streams.values()
                for number in range(count):
                    await stream.send(str(number))
                    assert await feed.receive_text() == str(number)
                await steps()
                assert not stream.kept
                server.streams.clear()
                assert stream.session is not None
                stream.session.cancel()
                await steps()


@pytest.mark.parametrize("how", ["lost at once", "reload fails"])
async def test_a_reset_counts_until_the_reload(how: str) -> None:
    """The server says it once: on the next connection it knows the stream again."""
    server = SequenceServer()
    reloads = connections = 0

    async def reload() -> None:
        nonlocal reloads
        reloads += 1
        if how == "reload fails" and reloads == 1:
            raise ConnectionError("the database is away")

    async def serve(session: MockPeerSession) -> None:
        nonlocal connections
        connections += 1
        if connections == 2 and how == "lost at once":
            _, name, _ = (await session.receive_text()).split()
            server.streams[name] = Stream()
            session.write_bytes(b"\x81\x07reset 0\x88\x02\x03\xf4")
            await session.wait_closed()
        else:
            await server.serve(session)

    engine = MockEngine()
    engine.on_web_socket("/feed", serve)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, policy=STEADY, resume=SequenceResume(reload)
        ) as feed:
            await (await feed.send("hello"))
            (stream,) = server.streams.values()
            for number in range(3):
                await stream.send(str(number))
                assert await feed.receive_text() == str(number)
            server.streams.clear()
            assert stream.session is not None
            stream.session.cancel()
            await steps()
            while connections < 3:
                await engine.clock.sleep(1)
            await (await feed.send("again"))
            (stream,) = server.streams.values()
            await stream.send("one")
            assert await feed.receive_text() == "one"
            assert reloads == (2 if how == "reload fails" else 1)
            assert [event for event in until_now(feed) if isinstance(event, Gap)] == [Gap(3)]


async def test_receipts_are_a_window() -> None:
    heard: list[str] = []

    async def slow(session: MockPeerSession) -> None:
        await session.receive_text()
        await session.send("resumed 0")
        while True:
            heard.append(await session.receive_text())

    engine = MockEngine()
    engine.on_web_socket("/feed", slow)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(
            URL, outbox=Outbox(max_messages=3), resume=SequenceResume()
        ) as feed:
            sending = [asyncio.create_task(feed.send(str(number))) for number in range(10)]
            await steps(30)
            assert len(heard) == 3  # what may have to be repeated is bounded
            assert sum(task.done() for task in sending) == 3
            for task in sending:
                task.cancel()


MANY_DIGITS = "9" * 5000
"""More than Python makes a number of."""


@pytest.mark.parametrize(
    "answer", ["hello", "resumed", "resumed x", "resumed -1", f"resumed {MANY_DIGITS}"]
)
async def test_a_server_that_does_not_speak_it(answer: str) -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.receive_text()
        await session.send(answer)
        await session.wait_closed()

    await stops(peer, SequenceResume(), "the server answered", ProtocolViolationError)


@pytest.mark.parametrize(
    "message",
    [
        "text",
        "12",
        "x y",
        "0 text",
        "ack",
        "ack x",
        f"{MANY_DIGITS} text",
        f"ack {MANY_DIGITS}",
        b"short",
        bytes(8) + b"text",
    ],
)
async def test_a_server_that_does_not_number(message: str | bytes) -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.receive_text()
        await session.send("resumed 0")
        await session.send(message)
        await session.wait_closed()

    await stops(peer, SequenceResume(), "number", ProtocolViolationError)


async def stops(peer: Any, resume: Resume, told: str, cause: type[Exception]) -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", peer)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, resume=resume) as feed:
            await feed.send("hello")
            with pytest.raises(ReconnectStoppedError, match=told) as caught:
                while True:
                    await feed.receive_text()
            assert type(caught.value.__cause__) is cause
        assert len(engine.handshakes) == 1


# --- plugs that lie


class Lying(Resume):
    """Whatever the test wants."""

    def __init__(self, **lies: Any) -> None:
        self.lies = lies

    async def on_open(self, session: DefaultClientWebSocketSession, position: Any) -> Any:
        return self.lies.get("on_open")

    def position_of(self, message: str | bytes) -> Any:
        return self._lie("position_of", message)

    def missed(self, after: Any, before: Any) -> Any:
        return self.lies.get("missed", lambda after, before: None)(after, before)

    def acknowledges(self, message: str | bytes) -> Any:
        return self._lie("acknowledges", message)

    def _lie(self, name: str, message: str | bytes) -> Any:
        lie = self.lies.get(name)
        return lie(message) if callable(lie) else lie


async def two_messages(session: MockPeerSession) -> None:
    await session.receive_text()
    await session.send("1")
    await session.send("2")
    await session.wait_closed()


async def test_an_acknowledgement_of_what_was_never_sent() -> None:
    await stops(
        two_messages,
        Lying(acknowledges=lambda _: 7),
        "message 7 is acknowledged, but no more than 1 were sent, says Lying",
        ProtocolViolationError,
    )


async def test_the_oldest_of_none() -> None:
    await stops(
        two_messages, Lying(acknowledges=True), "message 2 is acknowledged", ProtocolViolationError
    )


async def test_a_position_that_goes_back_is_no_duplicate() -> None:
    await stops(
        two_messages,
        Lying(position_of=lambda m: -int(m), missed=lambda a, b: b - a - 1),
        "position -2 came behind -1 on one connection, says Lying",
        ProtocolViolationError,
    )


@pytest.mark.parametrize(
    ("lie", "told"),
    [
        ({"on_open": "yes"}, "Lying.on_open returns True, False, None or a Resumed, not 'yes'"),
        ({"acknowledges": "1"}, "Lying.acknowledges returns a number, True or None, not '1'"),
        (
            {"position_of": int, "missed": lambda a, b: "1"},
            "Lying.missed returns an int or None, not '1'",
        ),
    ],
)
async def test_answers_of_the_wrong_type(lie: dict[str, Any], told: str) -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", two_messages)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, resume=Lying(**lie)) as feed:
            await feed.send("hello")
            with pytest.raises((ReconnectStoppedError, TypeError), match=told):
                while True:
                    await feed.receive_text()
        assert len(engine.handshakes) == 1


async def test_what_a_plug_raises_ends_it_and_comes_out_unchanged() -> None:
    def broken(message: str | bytes) -> Any:
        raise ZeroDivisionError("in the plug")

    engine = MockEngine()
    engine.on_web_socket("/feed", two_messages)
    async with engine, client_of(engine) as client:
        with pytest.raises(ZeroDivisionError, match="in the plug"):
            async with client.web_socket_reconnecting(
                URL, resume=Lying(position_of=broken)
            ) as feed:
                await feed.send("hello")
                await feed.receive_text()


@pytest.mark.parametrize("when", ["open", "before", "busy"])
async def test_what_a_plug_raises_of_what_is_sent_ends_it_too(when: str) -> None:
    class Picky(Lying):
        def sent(self, message: str | bytes, number: int) -> str | bytes:
            if message == "bad":
                raise ZeroDivisionError("in the plug")
            return message

    async def listens(session: MockPeerSession) -> None:
        if when == "busy":
            session._core.link.pause()
            await steps(20)
            session._core.link.resume()
        await session.wait_closed()

    engine = MockEngine()
    engine.on_web_socket("/feed", listens)
    receipts: list[Receipt] = []
    async with engine, client_of(engine) as client:
        with pytest.raises(ZeroDivisionError, match="in the plug"):
            async with client.web_socket_reconnecting(URL, resume=Picky()) as feed:
                if when != "before":
                    await feed.opened()
                if when == "busy":
                    receipts.append(await feed.send(bytes(200_000)))
                receipts.append(await feed.send("bad"))
                await feed.receive_text()
        assert receipts[-1].verdict is Sent.NOT_SENT
    assert len(engine.handshakes) == 1


async def test_no_receipts_are_waited_for_where_a_plug_has_none() -> None:
    engine = MockEngine()
    engine.on_web_socket("/feed", two_messages)
    resume = PositionResume(ask, lambda _: None)
    async with engine, client_of(engine) as client:
        async with client.web_socket_reconnecting(URL, resume=resume) as feed:
            assert await (await feed.send("hello")) is Sent.WRITTEN


async def test_options() -> None:
    engine = MockEngine()
    async with engine, client_of(engine) as client:
        with pytest.raises(TypeError, match="resume takes an instance of a Resume"):
            client.web_socket_reconnecting(URL, resume=Gateway)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="acknowledge_every must be at least 1"):
        SequenceResume(acknowledge_every=0)
