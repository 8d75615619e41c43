"""`StreamLink` on a transport that only notes: its start, what it reads, and every end."""

from __future__ import annotations

import asyncio
import weakref
import zlib

import pytest

from ktor_client import Frame
from ktor_client.engine.open_links import LostTransport
from ktor_client.frames import CloseReason
from ktor_client.link import LinkOptions, StreamLink
from ktor_client.link.read_buffer import READ_SIZE
from ktor_client.link.write_room import PIECE
from ktor_client.protocol.decoder import WORK
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.handshake import Negotiated
from tests.support.fake_transport import FakeTransport, feed, link_on, spend_step, unmasked
from tests.support.raw_server import BINARY, CLOSE, PING, TEXT, frame
from tests.support.receiver import Receiver

# --- starting


async def test_what_comes_before_the_session_is_kept() -> None:
    link, transport, receiver = link_on(start=False)
    link.resume()
    feed(link, frame(TEXT, b"early"))
    assert not transport.reading, "one read ahead is enough"
    feed(link, frame(TEXT, b"from a transport that could not pause"))
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert transport.reading
    assert receiver.messages.popleft() == Frame.Text("early")
    assert receiver.messages.popleft() == Frame.Text("from a transport that could not pause")


async def test_a_transport_that_was_left_paused() -> None:
    link, transport, receiver = link_on(start=False)
    transport.reading = False
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert transport.reading


async def test_what_came_with_the_handshake_is_first() -> None:
    link, _, receiver = link_on(frame(TEXT, b"a") + frame(TEXT, b"b")[:2])
    feed(link, b"b" + frame(BINARY, b"c"))
    assert list(receiver.messages) == [Frame.Text("a"), Frame.Text("b"), Frame.Binary(b"c")]
    assert (link.frames_received, link.bytes_received) == (3, 9)


async def test_lost_before_the_start_is_told_after_it() -> None:
    link, transport, receiver = link_on(frame(TEXT, b"a"), start=False)
    error = ConnectionResetError("reset")
    transport.closing = True
    link.connection_lost(error)
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert not receiver.end.done()
    assert list(receiver.messages) == [Frame.Text("a")]
    assert await receiver.end is error


async def test_lost_within_a_long_payload_before_the_start() -> None:
    link, transport, receiver = link_on(frame(BINARY, bytes(100_000))[:20], start=False)
    transport.closing = True
    link.connection_lost(None)
    link.start(receiver, LinkOptions(max_frame_size=1 << 20))
    assert link._decoder is not None
    assert link._decoder.direct_buffer() is None, "no room is left that somebody could write"
    assert await receiver.end is None


async def test_a_session_that_pauses_while_it_starts_stays_paused() -> None:
    class Sated(Receiver):
        def arrived(self, size: int) -> None:
            link.pause()

    transport = FakeTransport()
    link = StreamLink(transport, frame(TEXT, b"a"))
    link.start(Sated(), LinkOptions(max_frame_size=100))
    await asyncio.sleep(0)
    assert not transport.reading
    link.resume()
    assert transport.reading


@pytest.mark.parametrize(
    ("peername", "shown"),
    [
        (("127.0.0.1", 80), "127.0.0.1:80"),
        (("::1", 80, 0, 0), "[::1]:80"),
        ("/unix/socket", None),
        (None, None),
    ],
)
async def test_addresses(peername: object, shown: str | None) -> None:
    assert StreamLink(FakeTransport(peername)).peer_address == shown


# --- reading


async def test_any_split_gives_the_same(subtests: pytest.Subtests) -> None:
    big = bytes(range(256)) * 80
    wire = b"".join(
        [
            frame(TEXT, "grüß dich".encode()),
            frame(BINARY, big),
            frame(TEXT, b"frag", fin=False),
            frame(PING, b"p"),
            frame(0, b"ment"),
            frame(BINARY, bytes(126)),
        ]
    )
    for piece in (1, 7, 1000, READ_SIZE, len(wire)):
        with subtests.test(piece=piece):
            link, _, receiver = link_on()
            for at in range(0, len(wire), piece):
                feed(link, wire[at : at + piece])
            assert list(receiver.messages) == [
                Frame.Text("grüß dich"),
                Frame.Binary(big),
                Frame.Text("fragment"),
                Frame.Binary(bytes(126)),
            ]
            assert receiver.controls == [Frame.Ping(b"p")]
            assert link.bytes_received == len(wire)
            assert link.frames_received == 5


async def test_a_violation_comes_behind_what_was_legal() -> None:
    link, _, receiver = link_on()
    feed(link, frame(TEXT, b"a") + frame(PING, b"p") + frame(3))
    assert list(receiver.messages) == [Frame.Text("a")]
    assert receiver.controls == [Frame.Ping(b"p")]
    assert receiver.violation is not None
    assert receiver.violation.code == 1002


async def test_the_limit_can_be_changed() -> None:
    link, _, receiver = link_on(max_frame_size=10)
    link.set_max_frame_size(5)
    feed(link, frame(TEXT, b"12345") + frame(TEXT, b"123456"))
    assert list(receiver.messages) == [Frame.Text("12345")]
    assert receiver.violation is not None
    assert receiver.violation.code == 1009
    unstarted, _, _ = link_on(start=False)
    unstarted.set_max_frame_size(5)


async def test_what_is_discarded_is_counted() -> None:
    link, transport, receiver = link_on()
    feed(link, frame(BINARY, bytes(500_000))[:300_000])  # in the midst of a long payload
    assert link.get_buffer(-1) is not link._buffer
    link.pause()
    await asyncio.sleep(0)
    assert not transport.reading
    link.discard()
    assert transport.reading
    assert link.get_buffer(-1) is link._buffer
    feed(link, bytes(200_000))
    assert not receiver.messages
    assert link.bytes_received == 500_000


async def test_pause_and_resume() -> None:
    link, transport, _ = link_on()
    link.pause()
    await asyncio.sleep(0)
    assert not transport.reading
    link.resume()
    assert transport.reading
    transport.closing = True
    link.pause()
    await asyncio.sleep(0)
    link.resume()
    assert transport.reading  # a transport that closes is left alone


async def test_inflated_bytes_are_what_counts() -> None:
    class Weigher(Receiver):
        sizes: list[int]

        def arrived(self, size: int) -> None:
            self.sizes.append(size)

    receiver = Weigher()
    receiver.sizes = []
    deflate = WebSocketDeflate(threshold=0)
    negotiated = Negotiated(extensions=(deflate,), codecs=(deflate.accept([]),))
    packed = zlib.compressobj(wbits=-15)
    payload = packed.compress(bytes(10_000)) + packed.flush(zlib.Z_SYNC_FLUSH)[:-4]
    transport = FakeTransport()
    link = StreamLink(transport)
    link.start(receiver, LinkOptions(max_frame_size=1 << 20, negotiated=negotiated))
    feed(link, frame(BINARY, payload, rsv=0x40))
    assert list(receiver.messages) == [Frame.Binary(bytes(10_000))]
    assert receiver.sizes == [10_000]
    link.send_text("x" * 1000)
    link.send_binary(bytes(1000))
    link.flush()
    assert [first for first, _ in unmasked(b"".join(transport.writes))] == [0xC1, 0xC2]


# --- the end


async def test_close_lets_everything_leave_first() -> None:
    link, transport, _ = link_on()
    for text in "abc":
        link.send_text(text)
    link.send(Frame.Close(CloseReason(1000)))
    link.close()
    assert transport.calls[-1] == "close"
    assert [payload for _, payload in unmasked(b"".join(transport.writes))] == [
        b"a",
        b"b",
        b"c",
        b"\x03\xe8",
    ]
    await asyncio.sleep(0)


async def test_abort_drops_what_was_held_back() -> None:
    link, transport, _ = link_on()
    link.send_text("a")
    link.send_text("b")
    link.abort()
    await asyncio.sleep(0)
    assert len(transport.writes) == 1
    assert transport.calls[-1] == "abort"


async def test_the_end_of_the_stream_closes_the_transport() -> None:
    link, _, _ = link_on()
    assert link.eof_received() is None  # type: ignore[func-returns-value]


async def test_a_loss_is_told_once_and_nothing_comes_behind_it() -> None:
    engine: list[StreamLink] = []
    transport = FakeTransport()
    link = StreamLink(transport, on_lost=engine.append)
    receiver = Receiver()
    link.start(receiver, LinkOptions(max_frame_size=100))
    spend_step(link)
    link.send_text("held back")
    error = ConnectionResetError("reset")
    transport.closing = True
    link.connection_lost(error)
    assert receiver.end.result() is error
    assert engine == [link]
    assert not link.writable
    await asyncio.sleep(0)
    assert not link.writable
    assert not receiver.room.is_set()
    link.resume()


async def test_nothing_is_written_to_a_transport_that_closes() -> None:
    link, transport, _ = link_on()
    transport.closing = True
    link.send_text("a")
    link.send_text("b")
    link.send_binary(bytes(2 * PIECE))
    link.send_text("c")
    link.flush()
    link.pause()
    await asyncio.sleep(0)
    assert transport.writes == []


async def test_half_a_close_is_none() -> None:
    link, _, receiver = link_on()
    feed(link, frame(CLOSE, b"\x03\xe8")[:3])
    link.connection_lost(None)
    assert receiver.controls == []
    assert receiver.end.result() is None


async def test_a_connection_that_was_lost_before_it_was_handed_over() -> None:
    link = StreamLink(LostTransport(), frame(TEXT, b"a"))
    receiver = Receiver()
    link.connection_lost(None)
    link.start(receiver, LinkOptions(max_frame_size=100))
    link.send_text("x")
    link.abort()
    link.close()
    assert await receiver.end is None
    assert list(receiver.messages) == [Frame.Text("a")]


async def test_control_frames_of_raw_sessions_count_once() -> None:
    link, _, receiver = link_on(start=False)
    link.start(receiver, LinkOptions(max_frame_size=100, raw=True))
    feed(link, frame(TEXT, b"a") + frame(PING, b"p"))
    assert list(receiver.messages) == [Frame.Text("a"), Frame.Ping(b"p")]
    assert link.frames_received == 2


async def test_a_loop_that_gives_bytes() -> None:
    link, _, receiver = link_on()
    long = bytes(range(256)) * 1024
    stream = frame(TEXT, b"short") + frame(PING, b"p") + frame(BINARY, long) + frame(TEXT, b"last")
    for start in range(0, len(stream), 100_000):
        link.data_received(stream[start : start + 100_000])
    assert list(receiver.messages) == [
        Frame.Text("short"),
        Frame.Binary(long),
        Frame.Text("last"),
    ]
    assert [event.data for event in receiver.controls] == [b"p"]
    assert (link.frames_received, link.bytes_received) == (4, len(stream))
    assert len(link.get_buffer(-1)) == READ_SIZE, "nothing waits for a buffer to be filled"


# --- floods of small frames, and what a broken rule leaves behind


async def test_a_flood_of_small_frames_lets_the_loop_run() -> None:
    link, transport, receiver = link_on()
    feed(link, frame(PING, b"p") * (2 * WORK) + frame(TEXT, b"last"))
    assert len(receiver.controls) == WORK
    assert not transport.reading, "first what is here"
    await asyncio.sleep(0)
    assert len(receiver.controls) == 2 * WORK
    assert not receiver.messages
    await asyncio.sleep(0)
    assert list(receiver.messages) == [Frame.Text("last")]
    await asyncio.sleep(0)
    assert transport.reading


async def test_what_is_left_of_a_flood_waits_for_room_too() -> None:
    link, transport, receiver = link_on()
    feed(link, frame(PING, b"p") * (2 * WORK))
    link.pause()
    for _ in range(3):
        await asyncio.sleep(0)
    assert len(receiver.controls) == WORK
    link.resume()
    assert not transport.reading
    await asyncio.sleep(0)
    assert len(receiver.controls) == 2 * WORK


async def test_nothing_of_a_flood_is_lost_with_the_connection() -> None:
    link, transport, receiver = link_on()
    feed(link, frame(PING, b"p") * (3 * WORK))
    transport.closing = True
    link.connection_lost(None)
    assert receiver.is_cut
    assert len(receiver.controls) == WORK, "no step takes more, not even the last one"
    assert await receiver.end is None
    assert len(receiver.controls) == 3 * WORK


async def test_a_flood_that_came_with_the_handshake_before_the_end() -> None:
    link, transport, receiver = link_on(frame(PING, b"p") * (3 * WORK), start=False)
    transport.closing = True
    link.connection_lost(None)
    link.start(receiver, LinkOptions(max_frame_size=100))
    await receiver.end
    assert len(receiver.controls) == 3 * WORK


async def test_what_is_left_of_a_flood_is_thrown_away_too() -> None:
    link, transport, receiver = link_on()
    feed(link, frame(PING, b"p") * (3 * WORK))
    link.discard()
    await asyncio.sleep(0)
    assert transport.reading
    assert len(receiver.controls) == WORK


async def test_nothing_of_a_flood_comes_behind_an_abort() -> None:
    link, _, receiver = link_on()
    feed(link, frame(PING, b"p") * (3 * WORK))
    link.abort()
    await asyncio.sleep(0)
    link.connection_lost(None)
    assert len(receiver.controls) == WORK


def test_a_flood_that_outlives_its_loop() -> None:
    async def flood() -> tuple[StreamLink, Receiver]:
        link, _, receiver = link_on()
        feed(link, frame(PING, b"p") * (3 * WORK))
        link.pause()
        await asyncio.sleep(0)
        return link, receiver

    link, receiver = asyncio.run(flood())
    link.abort()
    assert receiver.end.result() is None


@pytest.mark.parametrize("end", ["discard", "abort"])
async def test_the_room_of_a_long_payload_ends_with_it(end: str) -> None:
    """CPython before 3.13 may crash when it collects a payload that somebody can still write."""
    link, _, _ = link_on()
    feed(link, frame(BINARY, bytes(100_000))[:10])
    room = link.get_buffer(-1)
    assert len(room) == 100_000
    getattr(link, end)()
    with pytest.raises(ValueError, match="released"):
        len(room)
    assert len(link.get_buffer(-1)) == READ_SIZE


async def test_a_broken_rule_leaves_nothing_behind() -> None:
    link, _, receiver = link_on()
    feed(link, frame(TEXT, b"\xff" * 100_000)[:20])
    assert receiver.violation is not None
    violation = weakref.ref(receiver.violation)
    receiver.violation = None
    assert violation() is None, "without the garbage collector"


# --- a rest that waits for room when the connection is lost


async def test_a_rest_waits_for_room_and_the_end_behind_it() -> None:
    link, transport, receiver = link_on()
    feed(link, frame(PING, b"p") * (3 * WORK))
    link.pause()
    transport.closing = True
    error = ConnectionResetError("reset")
    link.connection_lost(error)
    assert receiver.is_cut
    assert not link.writable
    for _ in range(5):
        await asyncio.sleep(0)
    assert len(receiver.controls) == WORK
    assert not receiver.end.done()
    link.resume()
    assert await receiver.end is error
    assert len(receiver.controls) == 3 * WORK


@pytest.mark.parametrize("how", ["abort", "discard"])
async def test_a_rest_that_nobody_wants_any_more(how: str) -> None:
    link, transport, receiver = link_on()
    feed(link, frame(PING, b"p") * (3 * WORK))
    link.pause()
    transport.closing = True
    link.connection_lost(None)
    await asyncio.sleep(0)
    getattr(link, how)()
    assert await receiver.end is None
    assert len(receiver.controls) == WORK


async def test_the_end_of_the_stream_with_a_rest() -> None:
    link, transport, receiver = link_on()
    feed(link, frame(TEXT, b"x") + frame(PING, b"p") * (2 * WORK))
    transport.waiting = 1000
    link.eof_received()
    assert receiver.is_cut
    assert not receiver.end.done()
    assert await receiver.end is None
    assert len(receiver.controls) == 2 * WORK
    link.connection_lost(None)


async def test_bytes_that_do_not_leave_have_a_second(monkeypatch: pytest.MonkeyPatch) -> None:
    link, transport, receiver = link_on()
    aborted = asyncio.Event()
    monkeypatch.setattr(transport, "abort", aborted.set)
    transport.waiting = 1000
    link.eof_received()
    assert receiver.end.done()
    assert not aborted.is_set()
    await aborted.wait()
    link.connection_lost(None)


async def test_a_close_that_met_a_closing_transport_has_not_left() -> None:
    link, transport, _ = link_on()
    transport.closing = True
    link.send(Frame.Close(CloseReason(1000)))
    link.flush()
    assert link.unsent
    assert (link.frames_sent, link.bytes_sent) == (0, 0)
    assert transport.writes == []
