"""A tap sees each frame, both ways, and changes nothing of what passes."""

from __future__ import annotations

import pytest

from ktor_client import Channels, CloseReason, ConnectionClosedError, Frame
from ktor_client.link import FrameLink
from ktor_client.link.tap import TapLink
from ktor_client.memory.faults import Faults
from ktor_client.memory.pipe import piped_links
from ktor_client.session import DefaultWebSocketSession, SessionCore, WebSocketSession
from tests.support.fake_link import FakeLink, steps


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
