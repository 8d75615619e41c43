"""What a link says about bytes that have left this process, and about those that have not."""

from __future__ import annotations

import asyncio

from ktor_client import Frame
from ktor_client.link import LinkOptions, StreamLink
from ktor_client.link.tap import TapLink
from ktor_client.link.write_room import PIECE
from ktor_client.memory.faults import Faults
from ktor_client.memory.pipe import KERNEL, piped_links
from tests.support.fake_link import FakeLink, steps
from tests.support.fake_transport import FakeTransport, link_on
from tests.support.receiver import Receiver

OPTIONS = LinkOptions(max_frame_size=1 << 24)


class _Tap(TapLink):
    def sent(self, frame: Frame) -> None:
        """Change nothing."""

    def received(self, frame: Frame) -> None:
        """Change nothing."""


class SlowTransport(FakeTransport):
    """One whose buffer is emptied by the test."""

    def __init__(self, *, is_tls: bool = False) -> None:
        super().__init__()
        if is_tls:
            asyncio.Transport.__init__(self, {"sslcontext": object()})
        self.buffered = 0
        self.marks: tuple[int | None, int | None] | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        super().write(data)
        self.buffered += len(data)

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.marks = high, low


def slow(*, is_tls: bool = False) -> tuple[StreamLink, SlowTransport]:
    transport = SlowTransport(is_tls=is_tls)
    link = StreamLink(transport)
    link.start(Receiver(), OPTIONS)
    return link, transport


async def test_what_the_transport_has_may_have_left() -> None:
    link, transport = slow()
    link.send_text("one")
    size = link.taken
    assert link.left == (0, size)
    link.send_text("two")  # held back for the end of the step
    assert (link.taken, link.left) == (2 * size, (0, size))
    await asyncio.sleep(0)
    assert link.left == (0, 2 * size)
    transport.buffered = size + 1
    assert link.left == (size - 1, 2 * size)
    transport.buffered = 0
    assert link.left == (2 * size, 2 * size)


async def test_an_error_leaves_the_rest_unknown() -> None:
    link, transport = slow()
    link.send_text("one")
    size = link.taken
    transport.buffered = 3
    assert link.left == (size - 3, size)
    link.send_text("two")
    transport.buffered = 0  # as asyncio has it by then
    link.connection_lost(ConnectionResetError())
    assert link.left == (size - 3, size)
    link.abort()  # throws nothing away any more
    assert link.left == (size - 3, size)
    assert link.taken == 2 * size  # and the second has surely not left


async def test_an_orderly_end_comes_after_all_that_was_written() -> None:
    link, transport = slow()
    link.send_text("one")
    size = link.taken
    transport.closing = True
    for _ in range(2):
        link.send_text("late")
        await asyncio.sleep(0)
    link.send_binary(bytes(3 * PIECE))
    link.send(Frame.Binary(bytes(PIECE), fin=False))
    await asyncio.sleep(0)
    transport.buffered = 0
    link.connection_lost(None)
    assert link.left == (size, size)
    assert link.taken > size + 4 * PIECE


async def test_what_an_abort_throws_away_is_known() -> None:
    link, transport = slow()
    link.send_text("one")
    size = link.taken
    link.send_text("two")
    transport.buffered = 2
    link.abort()
    transport.buffered = 0
    link.abort()
    link.connection_lost(None)
    link.abort()
    assert (link.left, link.taken) == ((size - 2, size - 2), 2 * size)


async def test_of_tls_no_end_says_that_all_has_left() -> None:
    link, _ = slow(is_tls=True)
    link.send_text("one")
    link.connection_lost(None)
    assert link.left == (0, link.taken)


async def test_a_transport_that_loses_the_connection_within_a_long_message() -> None:
    link, _ = slow()

    class Breaking(SlowTransport):
        def write(self, data: bytes | bytearray | memoryview) -> None:
            super().write(data)
            self.closing = len(self.writes) == 2

    breaking = Breaking()
    link._transport = breaking
    link.send_binary(bytes(3 * PIECE))
    head = len(breaking.writes[0]) - PIECE
    assert link.taken == head + 3 * PIECE
    assert link.left == (0, head + 2 * PIECE)


async def test_who_watches_is_told_and_little_is_held_back() -> None:
    link, transport = slow()
    told: list[tuple[int, int]] = []
    link.watch_leaving(lambda: told.append(link.left))
    assert transport.marks == (1, 0)
    link.send_text("one")
    link.pause_writing()
    assert not link.writable
    transport.buffered = 0
    link.resume_writing()
    assert told == [(link.taken, link.taken)]
    assert link.writable


async def test_a_transport_that_says_nothing_has_taken_all() -> None:
    link, _, _ = link_on()
    link.send_text("one")
    assert link.left == (link.taken, link.taken)
    link.watch_leaving(lambda: None)
    link.resume_writing()


async def test_a_pipe_in_memory() -> None:
    client, server = piped_links(Faults())
    receiver, other = Receiver(), Receiver()
    client.start(receiver, OPTIONS)
    told: list[int] = []
    client.watch_leaving(lambda: told.append(client.left[0]))
    client.send_binary(bytes(100))
    assert client.left == (client.taken, client.taken)
    client.send_binary(bytes(2 * KERNEL))
    client.flush()
    assert not client.writable
    assert client.left[0] < client.taken - KERNEL
    server.start(other, OPTIONS)
    await steps()
    assert client.left == (client.taken, client.taken)
    assert told == [client.taken]
    client.send_binary(bytes(2 * KERNEL))
    client.flush()
    client.abort()
    assert client.left[1] < client.taken
    await steps()


async def test_what_an_abort_in_memory_throws_away_does_not_arrive() -> None:
    """Nobody may be told that a message was not sent, and its peer have it."""
    client, server = piped_links(Faults())
    client.start(Receiver(), OPTIONS)
    for _ in range(8):
        client.send_binary(bytes(KERNEL // 2))
    client.flush()
    client.abort()
    surely, possibly = client.left
    assert surely == possibly < client.taken
    server.start(Receiver(), OPTIONS)
    await steps()
    assert server.bytes_received == possibly


async def test_a_link_of_others_and_a_tap() -> None:
    link = FakeLink()
    link.start(Receiver(), OPTIONS)
    link.bytes_sent = 5
    told: list[int] = []
    link.watch_leaving(lambda: told.append(1))
    assert (link.taken, link.left) == (5, (5, 5))
    inner, _ = slow()
    tap = _Tap(inner)
    tap.watch_leaving(lambda: told.append(2))
    inner.send_text("one")
    assert (tap.taken, tap.left) == (inner.taken, (0, inner.taken))
    inner.resume_writing()
    assert told == [2]
