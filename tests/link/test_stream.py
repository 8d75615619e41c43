"""`StreamLink` on a transport that only notes: when bytes leave, who waits, and every end."""

from __future__ import annotations

import asyncio
import zlib
from typing import Any

import pytest

from ktor_client import Frame
from ktor_client.engine.open_links import LostTransport
from ktor_client.frames import CloseReason
from ktor_client.link import LinkOptions, StreamLink
from ktor_client.link.read_buffer import READ_SIZE
from ktor_client.link.stream import BATCH, PIECE, STEP
from ktor_client.protocol.deflate import WebSocketDeflate
from ktor_client.protocol.handshake import Negotiated
from tests.support.raw_server import BINARY, CLOSE, PING, TEXT, frame
from tests.support.receiver import Receiver


class FakeTransport(asyncio.Transport):
    """Takes what is written; ends when it is told to."""

    def __init__(self, peername: object = None) -> None:
        super().__init__({"peername": peername})
        self.writes: list[bytes] = []
        self.calls: list[str] = []
        self.closing = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.closing, "written to a transport that is closing"
        self.writes.append(bytes(data))

    def pause_reading(self) -> None:
        assert not self.closing
        self.reading = False

    def resume_reading(self) -> None:
        assert not self.closing
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        self.calls.append("close")

    def abort(self) -> None:
        self.closing = True
        self.calls.append("abort")


def link_on(
    leading: bytes = b"", *, start: bool = True, **options: Any
) -> tuple[StreamLink, FakeTransport, Receiver]:
    transport = FakeTransport()
    link = StreamLink(transport, leading)
    receiver = Receiver()
    if start:
        settings: dict[str, Any] = {"max_frame_size": 1 << 24}
        link.start(receiver, LinkOptions(**(settings | options)))
    return link, transport, receiver


def feed(link: StreamLink, data: bytes) -> None:
    """Do what a transport does when bytes have come."""
    rest = memoryview(data)
    while rest:
        buffer = link.get_buffer(-1)
        size = min(len(buffer), len(rest))
        buffer[:size] = rest[:size]
        link.buffer_updated(size)
        rest = rest[size:]


def spend_step(link: StreamLink) -> None:
    """Send as much as one step of the loop takes."""
    while link.writable:
        link.send_binary(bytes(BATCH))


def unmasked(data: bytes) -> list[tuple[int, bytes]]:
    """Return first byte and payload of masked frames; they must be whole."""
    frames: list[tuple[int, bytes]] = []
    while data:
        first, size, at = data[0], data[1] & 0x7F, 2
        assert data[1] & 0x80, "not masked"
        if size > 125:
            at += 2 if size == 126 else 8
            size = int.from_bytes(data[2:at], "big")
        mask, payload = data[at : at + 4], data[at + 4 : at + 4 + size]
        assert len(payload) == size
        key = (mask * (size // 4 + 1))[:size]
        plain = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
        frames.append((first, plain.to_bytes(size, "big")))
        data = data[at + 4 + size :]
    return frames


# --- starting


async def test_reading_begins_with_the_session() -> None:
    link, transport, receiver = link_on(start=False)
    link.resume()
    assert not transport.reading
    feed(link, frame(TEXT, b"from a transport that could not pause"))
    link.start(receiver, LinkOptions(max_frame_size=100))
    assert transport.reading
    assert receiver.messages.popleft() == Frame.Text("from a transport that could not pause")


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
    assert not transport.reading


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


# --- writing


async def test_the_first_frame_of_a_step_leaves_at_once_and_the_others_together() -> None:
    link, transport, receiver = link_on()
    link.send_text("1")
    assert len(transport.writes) == 1
    link.send_binary(bytearray(b"2"))
    link.send(Frame.Text("3"))
    link.send(Frame.Binary(b"4"))
    link.send(Frame.Ping(b"5"))
    assert len(transport.writes) == 1
    await asyncio.sleep(0)
    assert len(transport.writes) == 2
    link.send_text("6")
    assert len(transport.writes) == 3
    assert unmasked(b"".join(transport.writes)) == [
        (0x81, b"1"),
        (0x82, b"2"),
        (0x81, b"3"),
        (0x82, b"4"),
        (0x89, b"5"),
        (0x81, b"6"),
    ]
    assert link.frames_sent == 6
    assert link.bytes_sent == len(b"".join(transport.writes))
    assert not receiver.room.is_set()


async def test_flush_does_not_wait_for_the_end_of_the_step() -> None:
    link, transport, _ = link_on()
    for text in "abc":
        link.send_text(text)
    link.flush()
    link.flush()
    assert len(transport.writes) == 2
    await asyncio.sleep(0)
    assert len(transport.writes) == 2


async def test_an_answer_within_a_read_leaves_at_once() -> None:
    link, transport, _ = link_on()
    link.send_text("1")
    feed(link, frame(TEXT, b"x"))
    link.send_text("2")
    assert len(transport.writes) == 2
    link.send_text("3")
    feed(link, frame(TEXT, b"x"))
    link.send_text("4")  # behind what is held back
    await asyncio.sleep(0)
    assert [payload for _, payload in unmasked(b"".join(transport.writes))] == [
        b"1",
        b"2",
        b"3",
        b"4",
    ]


@pytest.mark.parametrize("size", [0, 125, 126, 65535, 65536, 2 * PIECE - 1, 2 * PIECE, 300_001])
async def test_sizes(size: int) -> None:
    link, transport, _ = link_on()
    payload = bytes(range(256)) * (size // 256) + bytes(size % 256)
    link.send_binary(payload)
    link.send_text("x" * size)
    link.send_text("end")
    link.flush()
    frames = unmasked(b"".join(transport.writes))
    assert frames == [(0x82, payload), (0x81, b"x" * size), (0x81, b"end")]
    assert link.frames_sent == 3
    assert link.bytes_sent == sum(map(len, transport.writes))


@pytest.mark.parametrize("size", [BATCH // 4, BATCH, 2 * PIECE])
async def test_a_step_takes_so_much(size: int) -> None:
    """Then senders wait, so that they do not keep the loop from everything else."""
    link, transport, receiver = link_on()
    count = 0
    while link.writable:
        link.send_binary(bytes(size))
        count += 1
        assert count * size <= 1 << 20
    assert not receiver.room.is_set()
    await asyncio.sleep(0)
    assert link.writable
    assert receiver.room.is_set()
    assert len(unmasked(b"".join(transport.writes))) == count


async def test_one_big_frame_of_a_server_spends_the_step() -> None:
    link, transport, receiver = link_on(client=False)
    link.send_binary(bytes(STEP))
    assert not link.writable
    await receiver.room.wait()
    assert link.writable
    assert transport.writes == [frame(BINARY, bytes(STEP))]


async def test_a_congested_transport() -> None:
    link, _, receiver = link_on()
    link.pause_writing()
    assert not link.writable
    link.send_binary(bytes(BATCH))
    await asyncio.sleep(0)
    assert not link.writable  # the step is over, the transport is still full
    link.resume_writing()
    assert link.writable
    assert receiver.room.is_set()
    link.resume_writing()


async def test_room_before_the_end_of_a_spent_step() -> None:
    link, _, receiver = link_on()
    spend_step(link)
    link.pause_writing()
    link.resume_writing()
    assert not link.writable
    await asyncio.sleep(0)
    assert link.writable
    assert receiver.room.is_set()


async def test_room_on_a_link_that_nobody_started() -> None:
    link, _, _ = link_on(start=False)
    link.pause_writing()
    link.resume_writing()
    assert link.writable


async def test_fragments_leave_the_short_cut_and_come_back() -> None:
    link, transport, _ = link_on()
    link.send(Frame.Text("a", fin=False))
    link.send_text("b")
    link.send_binary(b"c")
    link.send(Frame.Binary(b"d", fin=False))
    link.send_binary(b"e")
    with pytest.raises(ValueError, match="RSV"):
        link.send(Frame.Binary(b"f", rsv1=True))
    link.flush()
    assert unmasked(b"".join(transport.writes)) == [
        (0x01, b"a"),
        (0x80, b"b"),
        (0x82, b"c"),
        (0x02, b"d"),
        (0x80, b"e"),
    ]


async def test_a_server_does_not_mask() -> None:
    link, transport, receiver = link_on(client=False)
    link.send_text("a")
    link.send_binary(b"b")
    link.flush()
    assert b"".join(transport.writes) == frame(TEXT, b"a") + frame(BINARY, b"b")
    feed(link, frame(TEXT, b"masked", mask=b"key!"))
    assert receiver.messages.popleft() == Frame.Text("masked")


async def test_keys_are_fresh() -> None:
    link, transport, _ = link_on()
    for _ in range(5000):
        link.send_binary(b"")
    link.flush()
    wire = b"".join(transport.writes)
    keys = {wire[at + 2 : at + 6] for at in range(0, len(wire), 6)}
    assert len(keys) > 4990


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
    negotiated = Negotiated(extensions=[deflate], codecs=[deflate.accept([])])
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
    engine: list[Exception | None] = []
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
    assert engine == [error]
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
