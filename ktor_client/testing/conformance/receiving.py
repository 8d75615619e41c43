"""Checks of receiving: what is legal on the wire, limits, several receivers, cancelling."""

from __future__ import annotations

import asyncio

from ktor_client.engine.capabilities import RawFramesCapability
from ktor_client.errors import ConnectionClosedError, FrameTooBigError
from ktor_client.frames import Frame
from ktor_client.testing.conformance.check import Lab, Query, Room, equal, expect, raises

__all__ = ["ROOM"]

ROOM = Room("receiving")
check = ROOM.check


# --- legal streams


def _legal(
    name: str, statement: str, data: str, expected: list[str | bytes], source: str = "RFC 6455 5.4"
) -> None:
    """Add a check that these bytes are these messages, and then a normal end."""

    async def run(lab: Lab) -> None:
        async with lab.wire(data + "8802 03e8") as session:
            equal([message async for message in session], expected, "the messages")
            equal((await session.close_reason).code, 1000, "close_reason.code")

    ROOM.add(name, statement, source, run)


_legal(
    "fragments_of_a_text",
    "Fragments are one message, with pings between them.",
    "0103414243 8900 00023132 8a00 800133",
    ["ABC123"],
    "RFC 6455 5.4; Ktor: WebSocketTest (server), fragmentation",
)
_legal(
    "fragments_of_a_binary",
    "Fragments of a binary are one message.",
    "0201aa 0001bb 8001cc",
    [b"\xaa\xbb\xcc"],
)
_legal(
    "empty_fragments",
    "Fragments may be empty, all of them too.",
    "0100 0000 8000 0100 000161 8000",
    ["", "a"],
)
_legal(
    "one_byte_fragments",
    "A character may be spread over fragments.",
    "0101e2 000182 8001ac",
    ["€"],
    "RFC 6455 5.6",
)
_legal(
    "unsolicited_pongs",
    "Pongs that nobody asked for are ignored.",
    "8a00 8a0161 810162",
    ["b"],
    "RFC 6455 5.5.3",
)
_legal(
    "pings_with_125_bytes",
    "Pings of 125 bytes are legal.",
    "897d" + "61" * 125 + "810162",
    ["b"],
    "RFC 6455 5.5",
)
_legal(
    "many_in_one_read",
    "Many messages in one read are all delivered, in order.",
    "".join(f"8101{ord('a') + i:02x}" for i in range(26)),
    [chr(ord("a") + i) for i in range(26)],
    "ktor-client: receiving",
)


@check("RFC 6455 5.4; Ktor: WebSocketTest (server), fragmentation")
async def fragments_by_the_server(lab: Lab) -> None:
    """A message in 20 fragments with pings between them is one message."""
    async with lab.session("/fragments?n=20&size=100&ping=yes") as session:
        text = "".join(chr(ord("a") + i) * 100 for i in range(20))
        equal(await session.receive_text(), text, "the text")
    async with lab.session("/fragments?n=3&size=70000&type=binary") as session:
        equal(await session.receive_bytes(), b"a" * 70000 + b"b" * 70000 + b"c" * 70000, "it")


# --- limits


@check("Ktor: testMaxFrameSizeSupported")
async def message_limit(lab: Lab) -> None:
    """A message over `max_frame_size` is FrameTooBigError and Close 1009; one within it passes."""
    async with lab.session("/echo", query={"id": lab.id}, max_frame_size=10) as session:
        await session.send("abc")
        equal(await session.receive_text(), "abc", "the echo")
        await session.send("x" * 1500)
        with raises(FrameTooBigError):
            await session.incoming.receive()
        reason = await session.close_reason
        equal((reason.code, reason.initiator), (1009, "local"), "close_reason")
    await lab.expect_code(1009)


@check("ktor-client: receiving")
async def message_limit_is_inclusive(lab: Lab) -> None:
    """A message of exactly `max_frame_size` bytes passes, one byte more does not."""
    async with lab.session("/echo", max_frame_size=1000) as session:
        for size in (999, 1000):
            await session.send(b"x" * size)
            equal(len(await session.receive_bytes()), size, "the length")
        await session.send(b"x" * 1001)
        with raises(FrameTooBigError):
            await session.incoming.receive()


@check("ktor-client: receiving; Ktor: WebSocketTest (server), limits")
async def message_limit_counts_fragments(lab: Lab) -> None:
    """The limit is for the sum of the fragments."""
    async with lab.session("/fragments?n=4&size=256", max_frame_size=1024) as session:
        equal(len(await session.receive_text()), 1024, "the length")
    async with lab.session("/fragments?n=4&size=256", max_frame_size=1023) as session:
        with raises(FrameTooBigError):
            await session.incoming.receive()
        equal((await session.close_reason).code, 1009, "close_reason.code")


@check("ktor-client: receiving")
async def message_limit_counts_bytes(lab: Lab) -> None:
    """The limit counts UTF-8 bytes, not characters."""
    async with lab.session("/echo", max_frame_size=10) as session:
        await session.send("é" * 5)
        equal(await session.receive_text(), "é" * 5, "the echo")
        await session.send("é" * 5 + "x")
        with raises(FrameTooBigError):
            await session.incoming.receive()


@check("Ktor: maxFrameSize")
async def message_limit_is_live(lab: Lab) -> None:
    """Setting `max_frame_size` on an open session takes effect."""
    async with lab.session("/echo", max_frame_size=10) as session:
        session.max_frame_size = 2000
        await session.send("x" * 1500)
        equal(len(await session.receive_text()), 1500, "the length")
        session.max_frame_size = 5
        equal(session.max_frame_size, 5, "max_frame_size")
        await session.send("x" * 6)
        with raises(FrameTooBigError):
            await session.incoming.receive()


# --- receivers


@check("ktor-client: receiving")
async def several_receivers(lab: Lab) -> None:
    """Of several waiting receivers each gets one message, in the order of their calls."""
    async with lab.session("/echo") as session:
        receivers: list[asyncio.Future[str]] = []
        for _ in range(5):
            receivers.append(asyncio.ensure_future(session.receive_text()))
            await asyncio.sleep(0)
        for i in range(5):
            await session.send(str(i))
        equal(await asyncio.gather(*receivers), ["0", "1", "2", "3", "4"], "the messages")


@check("ktor-client: receiving")
async def cancelling_loses_nothing(lab: Lab) -> None:
    """Cancelled receives lose no message, whenever the cancellation comes."""
    async with lab.session("/echo") as session:
        got: list[str] = []
        for i in range(30):
            await session.send(str(i))
            for steps in range(4):
                receiver = asyncio.ensure_future(session.receive_text())
                for _ in range(steps):
                    await asyncio.sleep(0)
                receiver.cancel()
                try:
                    got.append(await receiver)
                except asyncio.CancelledError:
                    pass
        got += [await session.receive_text() for _ in range(30 - len(got))]
        equal(got, [str(i) for i in range(30)], "the messages")


@check("ktor-client: the session")
async def timeouts_lose_nothing(lab: Lab) -> None:
    """A receive that times out is a TimeoutError; the session goes on and loses nothing."""
    async with lab.session("/echo") as session:
        with raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await session.incoming.receive()
        await session.send("later")
        equal(await session.receive_text(), "later", "the message")


@check("ktor-client: receiving")
async def all_before_the_end(lab: Lab) -> None:
    """Messages that came before the peer's Close are all delivered, then the end."""
    async with lab.session("/count", query={"n": 20}) as session:
        await session.wait_closed()
        for i in range(20):
            equal(await session.receive_text(), str(i), "the message")
        for _ in range(2):
            with raises(ConnectionClosedError) as caught:
                await session.incoming.receive()
            equal((caught.error.reason.code, caught.error.reason.message), (1000, "done"), "it")


@check("ktor-client: receiving", RawFramesCapability)
async def all_before_the_loss(lab: Lab) -> None:
    """Messages that came before the connection was lost are all delivered, then the end."""
    data = "".join(f"8101{ord('a') + i:02x}" for i in range(20))
    async with lab.wire(data, end=True) as session:
        await session.wait_closed()
        got = "".join([await session.receive_text() for _ in range(20)])
        equal(got, "abcdefghijklmnopqrst", "the messages")
        with raises(ConnectionClosedError) as caught:
            await session.incoming.receive()
        equal(caught.error.reason.code, 1006, "the code")


@check("ktor-client: receiving", RawFramesCapability)
async def loss_inside_a_message(lab: Lab) -> None:
    """A message that the connection's end cut off is not delivered."""
    for data in ("810a 6162", "0103616263", "82", "827e01"):
        async with lab.wire("810161" + data, end=True) as session:
            equal(await session.receive_text(), "a", "the message")
            with raises(ConnectionClosedError) as caught:
                await session.incoming.receive()
            equal(caught.error.reason.code, 1006, "the code")


@check("ktor-client: the session")
async def iteration_ends_quietly(lab: Lab) -> None:
    """Iterating just ends when the peer closed with 1000, 1001 or no code."""
    for code in ("1000", "1001", "none"):
        async with lab.session(f"/close?code={code}") as session:
            equal([m async for m in session], [], "the messages")
            equal([f async for f in session.incoming], [], "the frames")
            expect(session.close_reason.is_normal, f"{session.close_reason!r} is not normal")


@check("ktor-client: the session")
async def iteration_raises_otherwise(lab: Lab) -> None:
    """Iterating raises ConnectionClosedError when the peer closed with another code."""
    for code in (1002, 1011, 3000, 4999):
        async with lab.session(f"/close?code={code}&reason=why") as session:
            with raises(ConnectionClosedError) as caught:
                _ = [message async for message in session]
            equal((caught.error.reason.code, caught.error.reason.message), (code, "why"), "it")
            equal(caught.error.initiator, "peer", "initiator")


# --- raw sessions


@check("Ktor: RawWebSocketTest, ParserTest", RawFramesCapability)
async def raw_sessions_see_every_frame(lab: Lab) -> None:
    """A raw session gets control frames and fragments as they came."""
    data = "8904 6d616d61 0101 31 8a00 0001 32 8001 33 8205 0000000000 8802 03e8"
    query: Query = {"hex": data.replace(" ", "")}
    async with lab.raw_session("/wire", query=query) as session:
        frames = [await session.incoming.receive() for _ in range(7)]
        kinds = [(f.frame_type.name, f.fin, f.is_continuation, f.data) for f in frames]
        expected = [
            ("PING", True, False, b"mama"),
            ("TEXT", False, False, b"1"),
            ("PONG", True, False, b""),
            ("TEXT", False, True, b"2"),
            ("TEXT", True, True, b"3"),
            ("BINARY", True, False, bytes(5)),
            ("CLOSE", True, False, b"\x03\xe8"),
        ]
        equal(kinds, expected, "the frames")
        with raises(ConnectionClosedError):
            await session.incoming.receive()


@check("ktor-client: receiving", RawFramesCapability)
async def raw_sessions_get_texts_that_are_none(lab: Lab) -> None:
    """What a peer calls a text and is not UTF-8 comes to a raw session, its bytes in `.data`."""
    query: Query = {"hex": "8104 66696e65 8105 6865c3286f 0101 ff 8001 fe 8105 6166746572"}
    query["hex"] = str(query["hex"]).replace(" ", "")
    async with lab.raw_session("/wire", query=query) as session:
        frames = [await session.incoming.receive() for _ in range(5)]
        got = [frame.data for frame in frames]
        equal(got, [b"fine", b"he\xc3(o", b"\xff", b"\xfe", b"after"], "the payloads")
        for frame in frames[1:4]:
            assert isinstance(frame, Frame.Text)
            expect(not hasattr(frame, "text"), f"{frame!r} has a text")
            with raises(ValueError):
                frame.read_text()
        expect(session.is_open, "the session has ended")


@check("Ktor: RawWebSocketTest", RawFramesCapability)
async def raw_sessions_answer_nothing(lab: Lab) -> None:
    """A raw session answers no ping and echoes no Close; the application does."""
    async with lab.raw_session("/count-pong") as session:
        frame = await session.incoming.receive()
        equal(frame, Frame.Ping(b"ping"), "the frame")
        await session.send("count")
        equal(await session.incoming.receive(), Frame.Text("0"), "the count of pongs")
        await session.send(Frame.Pong(b"ping"))
        await session.send("count")
        equal(await session.incoming.receive(), Frame.Text("1"), "the count of pongs")


@check("Ktor: RawWebSocketTest", RawFramesCapability)
async def raw_sessions_close_by_hand(lab: Lab) -> None:
    """A raw session that got a Close answers it with `close`, and the reason tells both halves."""
    query: Query = {"code": 4000, "reason": "go", "id": lab.id}
    async with lab.raw_session("/close", query=query) as session:
        expect(isinstance(await session.incoming.receive(), Frame.Close), "no Close came")
        await session.close()
        reason = await session.close_reason
        equal((reason.code, reason.message, reason.clean), (4000, "go", True), "close_reason")
    equal((await lab.recorded()).code, 1000, "the code that the server saw")


@check("ktor-client: opening", RawFramesCapability)
async def raw_sessions_send_any_frame(lab: Lab) -> None:
    """A raw session sends fragments as they are, with control frames between."""
    async with lab.raw_session("/silent", query={"id": lab.id}, close_timeout=0.05) as session:
        sent = [
            Frame.Text("a", fin=False),
            Frame.Ping(b"p"),
            Frame.Text("b", fin=True),
            Frame.Binary(b"c"),
            Frame.Pong(b"q"),
        ]
        for frame in sent:
            await session.send(frame)
        with raises(ValueError):
            await session.send(Frame.Binary(b"x", rsv1=True))
    frames = (await lab.recorded()).frames
    expected = [(f.frame_type.name, f.fin, f.data) for f in sent]
    equal(frames[:5], expected, "the frames that the server saw")


@check("Ktor: maxFrameSize", RawFramesCapability)
async def raw_limit_is_per_frame(lab: Lab) -> None:
    """In a raw session `max_frame_size` counts each frame alone."""
    query: Query = {"hex": "010361616100036262628004636363"}
    async with lab.raw_session("/wire", query=query, max_frame_size=3) as session:
        for _ in range(2):
            equal(len((await session.incoming.receive()).data), 3, "the length")
        with raises(FrameTooBigError):
            await session.incoming.receive()


@check("Ktor: WebSocketEngineSuite, raw, peer disconnects", RawFramesCapability)
async def raw_sessions_hear_of_the_loss(lab: Lab) -> None:
    """A raw session whose connection is lost ends like another: 1006, and what came first."""
    query: Query = {"hex": "8900810161", "end": "yes"}
    async with lab.raw_session("/wire", query=query) as session:
        frames = [await session.incoming.receive() for _ in range(2)]
        equal(frames, [Frame.Ping(b""), Frame.Text("a")], "the frames")
        with raises(ConnectionClosedError) as caught:
            await session.incoming.receive()
        equal(caught.error.reason.code, 1006, "the code")
        with raises(ConnectionClosedError):
            await session.send("x")
