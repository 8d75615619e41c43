"""Links in memory: pipes as they are, or with bytes one by one; both keep the contract of links."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from ktor_client import (
    Channels,
    ConnectionClosedError,
    Frame,
    FrameTooBigError,
    FrameType,
    ProtocolViolationError,
    bounded,
)
from ktor_client.link import LinkOptions
from ktor_client.memory.faults import Faults
from ktor_client.memory.pipe import MemoryTransport, PipedLink, memory_transports, piped_links
from ktor_client.memory.virtual_clock import VirtualClock
from ktor_client.session import DefaultWebSocketSession, SessionCore
from tests.protocol.wire import frame, frames
from tests.support.receiver import Receiver, start

Join: TypeAlias = Callable[[], tuple[PipedLink, PipedLink]]


def pipe() -> tuple[PipedLink, PipedLink]:
    return piped_links(Faults())


def split_pipe() -> tuple[PipedLink, PipedLink]:
    faults = Faults()
    faults.split(1)
    return piped_links(faults)


@pytest.fixture(params=[pipe, split_pipe])
def join(request: pytest.FixtureRequest) -> Join:
    """Each way to join two ends."""
    made: Join = request.param
    return made


def session_on(link: PipedLink, *, client: bool, **options: Any) -> DefaultWebSocketSession:
    core = SessionCore(
        link,
        channels=options.pop("channels", Channels()),
        max_frame_size=options.pop("max_frame_size", 1 << 20),
        close_timeout=options.pop("close_timeout", 5),
        client=client,
        **options,
    )
    return DefaultWebSocketSession(core)


def sessions(
    join: Join, **client_options: Any
) -> tuple[DefaultWebSocketSession, DefaultWebSocketSession]:
    client, server = join()
    return session_on(client, client=True, **client_options), session_on(server, client=False)


async def test_messages_arrive_in_order(join: Join) -> None:
    client, server = sessions(join)
    for number in range(30):
        await client.send(f"text {number}")
        await client.send(b"bytes %d" % number)
    for number in range(30):
        assert await server.receive_text() == f"text {number}"
        assert await server.receive_bytes() == b"bytes %d" % number
    await client.close()
    assert client.statistics.frames_sent == server.statistics.frames_received == 61


class Color(enum.StrEnum):
    RED = "red"


class Name(bytes):
    """Bytes of a kind of their own."""


async def test_of_a_subclass_only_the_content_arrives(join: Join) -> None:
    """As on a wire, though a message may go over as it is."""
    client, server = sessions(join)
    for sender, receiver in ((client, server), (server, client)):
        await sender.send(Color.RED)
        assert type(await receiver.receive_text()) is str
        await sender.send(Name(b"blue"))
        assert type(await receiver.receive_bytes()) is bytes
    await client.close()


async def test_everything_sent_before_a_close_arrives(join: Join) -> None:
    """Also what one read brings beyond the mark of `incoming`, together with the Close."""
    client, server = sessions(join, channels=Channels(incoming=bounded(4)))

    async def talk() -> None:
        for number in range(200):
            await server.send(f"{number}")
        await server.close()

    talking = asyncio.create_task(talk())
    assert [text async for text in client] == [f"{number}" for number in range(200)]
    await talking


async def test_bytes_are_counted_as_on_a_wire(join: Join) -> None:
    """Also those of messages that go over as they are."""
    client, server = sessions(join)
    on_wire = 0
    for size, header in ((0, 2), (125, 2), (126, 4), (65_535, 4), (65_536, 10)):
        await client.send(bytes(size))
        await server.receive_bytes()
        await server.send("x" * size)
        await client.receive_text()
        on_wire += size + header
    sent, received = client.statistics.bytes_sent, client.statistics.bytes_received
    assert (sent, received) == (on_wire + 5 * 4, on_wire)  # masked, and not
    assert (server.statistics.bytes_received, server.statistics.bytes_sent) == (sent, received)
    await client.close()


async def test_fragments_are_joined(join: Join) -> None:
    client, server = sessions(join)
    await server.send(Frame.Text("ä".encode()[:1], fin=False))
    await server.ping()  # passes between the fragments
    await server.send(Frame.Text("ä".encode()[1:] + b" and", fin=False))
    await server.send(Frame.Text(" more"))
    await server.send(Frame.Binary(b"1", fin=False))
    await server.send(b"2")
    assert await client.receive_text() == "ä and more"
    assert await client.receive_bytes() == b"12"
    await client.close()


async def test_fragments_in_the_wrong_place(join: Join) -> None:
    client, server = sessions(join)
    await server.send(Frame.Text("begun", fin=False))
    with pytest.raises(ValueError, match="cannot continue an unfinished TEXT message"):
        await server.send(b"bytes")
    with pytest.raises(ValueError, match="RSV bits"):
        await server.send(Frame.Text("x", rsv1=True))
    await server.send("finished")
    await client.close()


async def test_lone_surrogates_are_refused(join: Join) -> None:
    client, server = sessions(join)
    with pytest.raises(UnicodeEncodeError):
        await client.send("\ud800")
    await client.send("fine")
    assert await server.receive_text() == "fine"
    await client.close()


async def test_text_that_is_not_utf8(join: Join) -> None:
    server, client = sessions(join, close_timeout=0.1)
    await client.send(Frame.Text(b"\xff", fin=False))
    await client.send(Frame.Text(""))
    with pytest.raises(ProtocolViolationError, match="UTF-8") as broken:
        await server.receive_text()
    assert broken.value.reason.code == 1007
    await client.wait_closed()


@pytest.mark.parametrize("in_fragments", [False, True])
async def test_the_limit(join: Join, in_fragments: bool) -> None:
    server, client = sessions(join, max_frame_size=10)
    await client.send("x" * 10)
    if in_fragments:
        await client.send(Frame.Text("x" * 6, fin=False))
        await client.send(Frame.Text("x" * 5, fin=False))
    else:
        await client.send(b"x" * 11)
    assert await server.receive_text() == "x" * 10
    with pytest.raises(FrameTooBigError, match="max_frame_size is 10") as broken:
        await server.receive_text()
    assert broken.value.reason.code == 1009
    await client.wait_closed()
    assert client.close_reason.code == 1009


async def test_the_limit_can_be_changed(join: Join) -> None:
    server, client = sessions(join, close_timeout=0.1)
    server.max_frame_size = 3
    await client.send("abc")
    assert await server.receive_text() == "abc"
    await client.send("abcd")
    with pytest.raises(FrameTooBigError):
        await server.receive_text()
    await client.wait_closed()


@pytest.mark.parametrize("join", [pipe])
async def test_a_reader_that_stops_holds_the_writer(join: Join) -> None:
    server, client = sessions(join, channels=Channels(incoming=bounded(2)))
    sent = 0

    async def flood() -> None:
        nonlocal sent
        for _ in range(400):
            await client.send("x" * 1000)
            sent += 1

    flooding = asyncio.create_task(flood())
    for _ in range(1000):
        await asyncio.sleep(0)
    assert sent < 300
    for _ in range(400):
        assert len(await server.receive_text()) == 1000
    await flooding
    await asyncio.gather(client.close(), server.close())


@pytest.mark.parametrize("join", [pipe])
async def test_a_writer_without_pauses_lets_the_loop_live(join: Join) -> None:
    """`send` gives way when much is under way, though it never has to wait for the reader."""
    client, server = sessions(join)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while server.is_open:
            turns += 1
            await asyncio.sleep(0)

    async def read() -> None:
        async for _ in server:
            pass

    tasks = [asyncio.create_task(count()), asyncio.create_task(read())]
    for _ in range(500):
        await client.send("x" * 1000)
    assert turns >= 4
    await client.close()
    await asyncio.gather(*tasks)


async def test_a_reset(join: Join) -> None:
    client, server = join()
    session = session_on(client, client=True)
    session_on(server, client=False)
    server.reset(ConnectionResetError("cut"))
    with pytest.raises(ConnectionClosedError, match="cut") as lost:
        await session.receive_text()
    assert isinstance(lost.value.__cause__, ConnectionResetError)
    assert lost.value.reason.code == 1006


async def test_an_end_that_was_never_started(join: Join) -> None:
    client, server = join()
    session = session_on(server, client=False)
    client.abort()
    await session.wait_closed()
    late = session_on(client, client=True)
    await late.wait_closed()
    assert late.close_reason.code == 1006


async def test_what_was_sent_before_the_start_is_delivered(join: Join) -> None:
    client, server = join()
    early = session_on(server, client=False)
    await early.send("early")
    await asyncio.sleep(0)
    session = session_on(client, client=True)
    assert await session.receive_text() == "early"
    await session.close()


async def test_what_was_sent_before_an_early_end_is_delivered(join: Join) -> None:
    client, server = join()
    session_on(server, client=False)
    server.send_text("early")
    server.close()
    for _ in range(3):
        await asyncio.sleep(0)
    receiver = start(client)
    assert not receiver.end.done()  # no end within the call
    assert await receiver.next() == Frame.Text("early")
    assert await receiver.end is None


async def test_nothing_is_taken_after_the_end(join: Join) -> None:
    client, server = join()
    session_on(server, client=False)
    session_on(client, client=True)
    client.close()
    client.close()
    client.abort()
    before = client.frames_sent
    client.send_text("late")
    await asyncio.sleep(0)
    assert server.frames_received == 0
    assert client.frames_sent in (before, before + 1)  # a pipe still counts what it then drops


async def test_nothing_comes_behind_an_abort(join: Join) -> None:
    client, server = join()
    receiver, other = start(client), start(server)
    for text in ("one", "two", "three"):
        server.send_text(text)
    client.abort()
    before = list(receiver.messages)
    await receiver.end
    await other.end
    assert list(receiver.messages) == before


async def test_engines_are_told_of_start_and_end(join: Join) -> None:
    client, server = join()
    told: list[str] = []
    client.watch(lambda: told.append("started"), lambda: told.append("lost"))
    assert told == []
    session = session_on(client, client=True)
    session_on(server, client=False)
    assert told == ["started"]
    await session.close()
    await session.wait_closed()
    assert told == ["started", "lost"]


async def test_clock_and_address() -> None:
    clock = VirtualClock()
    client, server = piped_links(Faults(), clock=clock, address="testserver:80")
    assert client.clock is server.clock is clock
    assert (client.peer_address, server.peer_address) == ("testserver:80", None)
    client.abort()
    client, _ = piped_links(Faults())
    assert client.clock is asyncio.get_running_loop()
    client.abort()


async def test_discarding_goes_on_to_the_end(join: Join) -> None:
    client, server = join()
    receiver = Receiver()
    session = session_on(server, client=False)
    client.start(receiver, LinkOptions(max_frame_size=100))
    client.pause()
    await session.send("never seen")
    client.discard()
    session.cancel()
    assert await asyncio.wait_for(receiver.end, 5) is None
    assert not receiver.messages


# --- pipes ---


class Recorder(asyncio.Protocol):
    """A protocol of the other kind, which is given bytes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self.pauses = 0
        self.lost: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()

    def data_received(self, data: bytes) -> None:
        self.data += data

    def pause_writing(self) -> None:
        self.pauses += 1

    def resume_writing(self) -> None:
        self.pauses -= 1

    def connection_lost(self, exc: Exception | None) -> None:
        self.lost.set_result(exc)


def transports(faults: Faults | None = None) -> tuple[MemoryTransport, MemoryTransport]:
    client, server = memory_transports(faults)
    for end in (client, server):
        end.set_protocol(Recorder())
    return client, server


def recorder(transport: MemoryTransport) -> Recorder:
    protocol = transport.get_protocol()
    assert isinstance(protocol, Recorder)
    return protocol


async def test_a_pipe_holds_the_writer() -> None:
    client, server = transports()
    client.write(b"x" * 100_000)
    assert recorder(client).pauses == 1
    assert not server.is_reading()
    server.resume_reading()
    client.close()
    assert await recorder(server).lost is None
    assert len(recorder(server).data) == 100_000
    assert recorder(client).pauses == 1  # a transport that is closing does not resume
    again, other = transports()
    again.write(b"x" * 100_000)
    other.resume_reading()
    for _ in range(5):
        await asyncio.sleep(0)
    assert recorder(again).pauses == 0
    again.close()
    await recorder(other).lost
    assert client.is_closing()


async def test_closing_a_pipe_lets_everything_arrive_first() -> None:
    client, server = transports()
    server.resume_reading()
    client.write(b"before the end")
    client.close()
    client.write(b"after the end")
    assert await recorder(server).lost is None
    assert recorder(server).data == b"before the end"
    assert await recorder(client).lost is None


async def test_what_was_written_arrives_before_a_reset() -> None:
    client, server = transports()
    client.write(b"before the reset" * 10_000)
    client.reset(ConnectionResetError("cut"))
    client.write(b"after it")
    server.resume_reading()
    assert isinstance(await recorder(server).lost, ConnectionResetError)
    assert recorder(server).data == b"before the reset" * 10_000


async def test_both_ends_hear_of_a_drop() -> None:
    faults = Faults()
    faults.drop(after=3, towards="server")
    client, server = transports(faults)
    server.resume_reading()
    client.resume_reading()
    client.write(b"abcdef")
    assert "dropped" in str(await recorder(client).lost)
    assert "dropped" in str(await recorder(server).lost)
    assert recorder(server).data == b"abc"


async def test_corruption_hits_one_byte() -> None:
    faults = Faults()
    faults.corrupt(4, flip=0x01, towards="server")
    faults.split(3)
    client, server = transports(faults)
    server.resume_reading()
    client.write(b"aaaaaa")
    client.close()
    await recorder(server).lost
    assert recorder(server).data == b"aaaa`a"


@pytest.mark.parametrize("ends", [False, True], ids=["the delay stays", "the delay ends"])
async def test_delays_keep_the_order(ends: bool) -> None:
    """Nothing overtakes what is delayed."""
    faults = Faults()
    clock = VirtualClock()
    client, server = memory_transports(faults, clock)
    client.set_protocol(Recorder())
    server.set_protocol(Recorder())
    server.resume_reading()
    faults.delay(2)
    client.write(b"one ")
    await asyncio.sleep(0)
    if ends:
        faults.clear()
    client.write(b"two")
    client.close()
    await recorder(server).lost
    assert recorder(server).data == b"one two"
    assert clock.time() == 2


async def test_a_drop_of_what_was_written_before_the_end() -> None:
    faults = Faults()
    client, server = transports(faults)
    client.write(b"abcdef")
    client.close()
    await recorder(client).lost
    faults.drop(after=3, towards="server")
    server.resume_reading()
    assert "dropped" in str(await recorder(server).lost)
    assert recorder(server).data == b"abc"


async def test_delays_on_the_loops_own_clock() -> None:
    faults = Faults()
    faults.delay(0.01)
    client, server = transports(faults)
    server.resume_reading()
    loop = asyncio.get_running_loop()
    before = loop.time()
    client.write(b"late")
    client.close()
    await recorder(server).lost
    assert recorder(server).data == b"late"
    assert loop.time() - before >= 0.009  # clocks are coarse


def test_faults_say_what_they_are() -> None:
    faults = Faults()
    assert repr(faults) == "Faults()"
    faults.split(2, towards="client")
    faults.drop(towards="server")
    assert repr(faults) == "Faults(split=2 towards client, drop_after=0 towards server)"
    faults.clear()
    assert repr(faults) == "Faults()"


@pytest.mark.parametrize(
    "wrong",
    [
        lambda faults: faults.split(0),
        lambda faults: faults.delay(0),
        lambda faults: faults.drop(-1),
        lambda faults: faults.corrupt(-1),
        lambda faults: faults.corrupt(0, flip=0),
        lambda faults: faults.split(1, towards="peer"),
    ],
)
def test_impossible_faults(wrong: Callable[[Faults], None]) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  # six different texts
        wrong(Faults())


async def test_an_end_that_comes_before_the_start(join: Join) -> None:
    """The other side has spoken and gone before: all of it is told, then the end."""
    client, server = join()
    talking = session_on(server, client=False)
    await talking.send("last words")
    await talking.flush()
    server.close()
    late = session_on(client, client=True)
    assert late.is_open  # within the call nothing ends
    assert await late.receive_text() == "last words"
    with pytest.raises(ConnectionClosedError):
        await late.receive_text()
    await talking.wait_closed()


# --- broken rules

TEXT = "é€😀é€😀".encode()


def fragments(kind: FrameType, *parts: bytes) -> list[Frame]:
    """Return fragments of a message that is not finished."""
    return [Frame.by_type(kind, part, fin=False) for part in parts]


BROKEN: dict[str, tuple[list[Frame], int, str]] = {
    "too big, ends within a character": (
        fragments(FrameType.TEXT, TEXT[:7]),
        1009,
        "Message of 7 bytes is too big: max_frame_size is 5",
    ),
    "too big, not UTF-8": (fragments(FrameType.TEXT, b"\xff" * 6), 1009, "Message of 6 bytes"),
    "too big by its second fragment": (
        fragments(FrameType.TEXT, TEXT[:3], TEXT[3:6]),
        1009,
        "Message of 6 bytes is too big",
    ),
    "binary, too big by its third": (
        fragments(FrameType.BINARY, b"123", b"", b"456"),
        1009,
        "Message of 6 bytes is too big",
    ),
    "too big with its last": (
        [*fragments(FrameType.BINARY, b"123"), Frame.Ping(b"p"), Frame.Binary(b"456")],
        1009,
        "Message of 6 bytes is too big",
    ),
    "whole": ([Frame.Text("abcdef")], 1009, "Message of 6 bytes is too big"),
    "whole, fewer letters than bytes": ([Frame.Text("ééé")], 1009, "Message of 6 bytes"),
    "not UTF-8 at its first byte": (
        fragments(FrameType.TEXT, b"\xff"),
        1007,
        "Text is not valid UTF-8",
    ),
    "half a surrogate": (fragments(FrameType.TEXT, b"\xed\xa0"), 1007, "not valid UTF-8"),
    "not UTF-8 in its second": (fragments(FrameType.TEXT, b"\xc3", b"("), 1007, "not valid"),
    "cut off at its end": (
        [*fragments(FrameType.TEXT, b"a\xe2"), Frame.Text("")],
        1007,
        "not valid UTF-8",
    ),
    "endless": (
        fragments(FrameType.BINARY, *[b""] * 131_073),
        1008,
        "more than max_fragments=131072",
    ),
}


@pytest.mark.parametrize("join", [pipe])
@pytest.mark.parametrize(("sent", "code", "text"), BROKEN.values(), ids=BROKEN)
async def test_broken_rules(join: Join, sent: list[Frame], code: int, text: str) -> None:
    client, server = join()
    receiver = start(client, max_frame_size=5)
    server.start(Receiver(), LinkOptions(max_frame_size=5, client=False))
    server.send_text("fine")
    for one in sent:
        server.send(one)
    server.flush()
    assert await receiver.next() == Frame.Text("fine")
    await receiver.broken.wait()
    violation = receiver.violation
    assert violation is not None
    assert not receiver.messages
    assert violation.code == code
    assert text in violation.message
    assert violation.error_type is (FrameTooBigError if code == 1009 else ProtocolViolationError)
    assert receiver.controls == [one for one in sent if isinstance(one, Frame.Ping)]
    client.abort()
    await receiver.end


@pytest.mark.parametrize("join", [pipe])
async def test_a_limit_that_is_just_met(join: Join) -> None:
    client, server = sessions(join, max_frame_size=5)
    for part in (*fragments(FrameType.TEXT, TEXT[:1], b"", TEXT[1:5]), Frame.Text("")):
        await server.send(part)
    await server.send(b"12345")
    assert await client.receive_text() == "é€"
    assert await client.receive_bytes() == b"12345"
    await client.close()


@pytest.mark.parametrize("join", [pipe])
async def test_as_many_fragments_as_one_likes(join: Join) -> None:
    client, server = sessions(join, max_fragments=2)
    for part in (*fragments(FrameType.TEXT, b"a"), Frame.Text("b"), Frame.Text("c")):
        await server.send(part)
    assert await client.receive_text() == "ab"
    assert await client.receive_text() == "c"
    for part in (*fragments(FrameType.TEXT, b"", b""), Frame.Text("")):
        await server.send(part)
    with pytest.raises(ProtocolViolationError, match="max_fragments=2") as caught:
        await client.receive_text()
    assert caught.value.reason.code == 1008


@pytest.mark.parametrize("join", [pipe])
async def test_frames_that_no_link_takes(join: Join) -> None:
    (odd,) = frames(frame(1, b"\xff"), raw=True)
    client, _ = sessions(join)
    with pytest.raises(ValueError, match="not UTF-8 can be sent by raw sessions only"):
        await client.send(odd)
    with pytest.raises(ValueError, match="a control frame has no RSV bits"):
        await client.send(Frame.by_type(FrameType.PING, b"", rsv1=True))
    await client.close()
