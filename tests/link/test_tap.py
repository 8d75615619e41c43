"""A tap sees each frame, both ways, and changes nothing of what passes."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client import Channels, CloseReason, ConnectionClosedError, Frame, HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.engines import MockEngine
from ktor_client.link import FrameLink
from ktor_client.link.tap import TapLink
from ktor_client.memory.faults import Faults
from ktor_client.memory.pipe import piped_links
from ktor_client.plugin import PluginScope, client_plugin
from ktor_client.plugins import WebSockets
from ktor_client.session import DefaultWebSocketSession, SessionCore, WebSocketSession
from ktor_client.testing import MockPeerSession
from tests.support.fake_link import FakeLink, steps
from tests.support.raw_server import PING, TEXT, Peer, close_frame, frame, raw_server


class Notes(TapLink):
    """Keeps what it sees."""

    def __init__(self, link: FrameLink) -> None:
        super().__init__(link)
        self.seen: list[tuple[str, object]] = []

    def sent(self, frame: Frame) -> None:
        self.seen.append((">", frame))

    def received(self, frame: Frame) -> None:
        self.seen.append(("<", frame))

    def ended(self, error: BaseException | None) -> None:
        self.seen.append(("end", error))


def core_on(link: FrameLink, *, client: bool = True, raw: bool = False) -> SessionCore:
    return SessionCore(
        link,
        channels=Channels(),
        max_frame_size=1 << 20,
        close_timeout=5,
        client=client,
        raw=raw,
    )


async def test_it_sees_all_of_a_conversation() -> None:
    ours, theirs = piped_links(Faults())
    tap = Notes(ours)
    session = DefaultWebSocketSession(core_on(tap))
    peer = DefaultWebSocketSession(core_on(theirs, client=False))
    await session.send("hello")
    await session.send(b"\x01\x02")
    await session.send(Frame.Text("frame"))
    assert await peer.receive_text() == "hello"
    assert await peer.receive_bytes() == b"\x01\x02"
    assert await peer.receive_text() == "frame"
    await peer.send("back")
    assert await session.receive_text() == "back"
    await session.ping(b"!")
    statistics = session.statistics
    assert (statistics.frames_sent, statistics.frames_received) == (4, 2)
    assert statistics.bytes_sent > 0
    assert statistics.bytes_received > 0
    await peer.close(CloseReason(1001, "bye"))
    await session.wait_closed()
    close = Frame.Close(CloseReason(1001, "bye"))
    assert tap.seen == [
        (">", Frame.Text("hello")),
        (">", Frame.Binary(b"\x01\x02")),
        (">", Frame.Text("frame")),
        ("<", Frame.Text("back")),
        (">", Frame.Ping(b"!")),
        ("<", Frame.Pong(b"!")),
        ("<", close),
        (">", close),
        ("end", None),
    ]


async def test_it_sees_fragments_and_control_frames_of_a_raw_session() -> None:
    ours, theirs = piped_links(Faults())
    tap = Notes(ours)
    session = WebSocketSession(core_on(tap, raw=True))
    peer = WebSocketSession(core_on(theirs, client=False, raw=True))
    await peer.send(Frame.Text("he", fin=False))
    await peer.send(Frame.Ping(b"?"))
    assert not (await session.incoming.receive()).fin
    await session.incoming.receive()
    assert [frame.frame_type.name for _, frame in tap.seen if isinstance(frame, Frame)] == [
        "TEXT",
        "PING",
    ]
    session.cancel()
    await peer.wait_closed()


async def test_it_asks_the_connection_for_everything_else() -> None:
    link = FakeLink()
    tap = Notes(link)
    core_on(tap)
    for call in (tap.flush, tap.pause, tap.resume, tap.discard):
        call()
    tap.set_max_frame_size(7)
    tap.close()
    assert link.calls == ["flush", "pause", "resume", "discard", "limit 7", "close"]
    assert tap.clock is link.clock
    assert type(tap.home) is type(link.home)
    assert tap.create_future == link.create_future
    assert tap.peer_address is None
    assert tap.map_close(CloseReason(1000)) == CloseReason(1000)
    assert tap.writable
    await steps()
    assert tap.seen == [("end", None)]


async def test_a_frame_that_cannot_be_sent_is_not_seen() -> None:
    link = FakeLink()
    tap = Notes(link)
    session = DefaultWebSocketSession(core_on(tap))
    link.refuses.add(Frame.Text("wrong"))
    with pytest.raises(ValueError, match="wrong place"):
        await session.send(Frame.Text("wrong"))
    assert tap.seen == []
    session.cancel()
    with pytest.raises(ConnectionClosedError):
        await session.send("late")
    await steps()
    assert tap.seen == [("end", None)]


class Failing(TapLink):
    """Cannot bear anything."""

    def sent(self, frame: Frame) -> None:
        raise LookupError("sent")

    def received(self, frame: Frame) -> None:
        raise LookupError("received")

    def ended(self, error: BaseException | None) -> None:
        raise LookupError("ended")


@client_plugin
def failing_tap(scope: PluginScope) -> None:
    scope.on_link(lambda link, call: Failing(link))


async def converse(client: HttpClient, url: str) -> set[str]:
    """Be greeted twice and pinged, and close; return what was told to the loop."""
    told: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, on: told.append(on["exception"]))
    async with asyncio.timeout(20), client.web_socket(url) as session:
        assert await session.receive_text() == "one"
        assert await session.receive_text() == "two"
        await session.send("three")
        await session.close()
        assert session.close_reason.clean
        await session.wait_closed()
    return set(map(str, told))


@pytest.mark.parametrize("when", ["with the 101", "later"])
async def test_what_a_tap_raises_is_told_and_stops_nothing(
    engine: EngineFactory, when: str
) -> None:
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        data = frame(TEXT, b"one") + frame(PING) + frame(TEXT, b"two")
        if when == "later":
            await peer.upgrade()
            await peer.send(data)
        else:
            await peer.upgrade(trailing=data)
        for _ in range(3):
            got.append((await peer.read_frame())[1])
        await peer.send(close_frame(1000))

    async with (
        raw_server(script) as server,
        HttpClient(engine, install(WebSockets), install(failing_tap)) as client,
    ):
        assert await converse(client, server.url) == {"sent", "received", "ended"}
    assert got == [b"", b"three", b"\x03\xe8"]


async def test_so_it_is_in_memory() -> None:
    async def peer(session: MockPeerSession) -> None:
        await session.send("one")
        await session.send(Frame.Ping(b""))
        await session.send("two")
        await session.expect("three")
        await session.wait_closed()

    engine = MockEngine()
    engine.on_web_socket("/", peer)
    async with HttpClient(engine, install(WebSockets), install(failing_tap)) as client:
        assert await converse(client, "/") == {"sent", "received", "ended"}
