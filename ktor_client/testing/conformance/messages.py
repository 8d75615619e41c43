"""Checks of messages that go there and back: kinds, sizes, order, typed ones."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass
from typing import Any

from ktor_client.errors import (
    ConnectionClosedError,
    ConverterNotFoundError,
    DeserializationError,
)
from ktor_client.frames import Frame
from ktor_client.plugins import JsonConverter, WebSocketContentConverter
from ktor_client.testing.conformance.check import Lab, Room, equal, expect, raises

__all__ = ["ROOM"]

ROOM = Room("messages")
check = ROOM.check


@check("Ktor: testWebsocketSession")
async def text_goes_there_and_back(lab: Lab) -> None:
    """A text message comes back as a final Text frame."""
    async with lab.session("/echo") as session:
        await session.send("test")
        frame = await session.incoming.receive()
        equal(frame, Frame.Text("test"), "the frame")
        expect(frame.fin, "the frame is not final")


@check("Ktor: testRemotePingPong")
async def text_and_binary_alternate(lab: Lab) -> None:
    """Texts and binaries in turn keep their kinds."""
    async with lab.session("/echo") as session:
        for i in range(10):
            await session.send(f"text {i}")
            equal(await session.incoming.receive(), Frame.Text(f"text {i}"), "the frame")
            await session.send(b"\x00\xff%d" % i)
            equal(await session.incoming.receive(), Frame.Binary(b"\x00\xff%d" % i), "the frame")


@check("Ktor: testEmptyFrame")
async def empty_messages(lab: Lab) -> None:
    """Empty text and empty binary messages are messages."""
    async with lab.session("/echo") as session:
        await session.send("")
        equal(await session.incoming.receive(), Frame.Text(""), "the frame")
        await session.send(b"")
        equal(await session.incoming.receive(), Frame.Binary(b""), "the frame")


@check("Ktor: testReceiveLargeFrame")
async def large_text(lab: Lab) -> None:
    """A text of 24,000 characters comes as one message."""
    async with lab.session("/text", query={"size": 24_000}) as session:
        equal(await session.receive_text(), "x" * 24_000, "the text")


@check("RFC 6455 5.2; Ktor: WebSocketTest (server), frame sizes")
async def sizes_at_the_borders(lab: Lab) -> None:
    """Messages on both sides of the borders between length encodings are whole."""
    async with lab.session("/echo") as session:
        for size in (1, 124, 125, 126, 127, 0xC123, 0xCDEF, 65534, 65535, 65536, 65537):
            data = bytes(i * 7 & 0xFF for i in range(256)) * (size // 256 + 1)
            await session.send(data[:size])
            equal(await session.receive_bytes(), data[:size], f"the binary of {size} bytes")


@check("Ktor: WebSocketEngineSuite, lengths 1 to 125")
async def every_short_length(lab: Lab) -> None:
    """Messages of 1 to 130 bytes, sent in one go, come back in order."""
    async with lab.session("/echo") as session:
        for size in range(1, 131):
            await session.send("x" * size)
        for size in range(1, 131):
            equal(len(await session.receive_text()), size, "the length")


@check("Ktor: WebSocketTest (server), WebSocketEngineSuite, big frame")
async def twenty_megabytes(lab: Lab) -> None:
    """A binary of 20 MiB comes back whole."""
    size = 20 * 1024 * 1024
    data = random.Random(1).randbytes(65536) * (size // 65536)
    async with lab.session("/echo", max_frame_size=size) as session:
        await session.send(data)
        expect(await session.receive_bytes() == data, "the echo differs")


@check("Ktor: WebSocketEngineSuite, many frames")
async def many_messages_in_order(lab: Lab) -> None:
    """10,000 messages of a flood come in order, none is lost."""
    async with lab.session("/count", query={"n": 10_000}) as session:
        at = 0
        async for message in session:
            equal(message, str(at), "the message")
            at += 1
        equal(at, 10_000, "the number of messages")


@check("RFC 6455 8.1")
async def unicode_is_whole(lab: Lab) -> None:
    """Text of all planes, NUL and non-characters included, comes back as it was."""
    text = "\0aé€\ud7ff\ue000\ufffd\ufffe\uffff𐀀🐍\U0010ffff" * 3000
    async with lab.session("/echo") as session:
        await session.send(text)
        equal(await session.receive_text(), text, "the text")


@check("ktor-client: the session")
async def lone_surrogate_is_refused(lab: Lab) -> None:
    """Text that has no UTF-8 form is refused, and the session goes on."""
    async with lab.session("/echo") as session:
        with raises(UnicodeEncodeError):
            await session.send("broken \ud83d")
        await session.send("whole")
        equal(await session.receive_text(), "whole", "the echo")


@check("ktor-client: the session")
async def buffers_may_be_reused(lab: Lab) -> None:
    """bytes, bytearray and memoryview are sent, and a buffer may be changed after `send`."""
    async with lab.session("/echo") as session:
        for size in (10, 100_000):
            buffer = bytearray(b"a" * size)
            await session.send(buffer)
            buffer[:] = b"b" * size
            equal(await session.receive_bytes(), b"a" * size, "the bytearray")
        await session.send(memoryview(b"0123456789")[2:8:2])
        equal(await session.receive_bytes(), b"246", "the strided memoryview")


@check("ktor-client: the session")
async def other_types_are_refused(lab: Lab) -> None:
    """`send` of something else than str, bytes or a frame is a TypeError."""
    async with lab.session("/echo") as session:
        wrong: Any
        for wrong in (1, None, ["x"], {"a": 1}):
            with raises(TypeError):
                await session.send(wrong)
        await session.send("x")
        equal(await session.receive_text(), "x", "the echo")


@check("ktor-client: the session")
async def channels_are_the_same_road(lab: Lab) -> None:
    """Frames sent by `outgoing` and received by `incoming` are those of `send` and iteration."""
    async with lab.session("/echo") as session:
        await session.outgoing.send(Frame.Text("a"))
        session.outgoing.send_nowait(Frame.Binary(b"b"))
        await session.send(Frame.Text("c"))
        got = [await session.incoming.receive()]
        iterator = aiter(session.incoming)
        got += [await anext(iterator), await anext(iterator)]
        equal(got, [Frame.Text("a"), Frame.Binary(b"b"), Frame.Text("c")], "the frames")
        with raises(asyncio.QueueEmpty):
            session.incoming.receive_nowait()


@check("ktor-client: the session")
async def typed_receives(lab: Lab) -> None:
    """`receive_text` of a binary is an error that has the frame, and the other way round."""
    async with lab.session("/echo") as session:
        await session.send(b"binary")
        with raises(DeserializationError) as caught:
            await session.receive_text()
        equal(caught.error.frame, Frame.Binary(b"binary"), "the frame of the error")
        await session.send("text")
        with raises(DeserializationError) as caught:
            await session.receive_bytes()
        equal(caught.error.frame, Frame.Text("text"), "the frame of the error")


@check("ktor-client: the session")
async def statistics_count(lab: Lab) -> None:
    """`statistics` counts frames both ways."""
    async with lab.session("/echo") as session:
        for _ in range(3):
            await session.send("x")
            await session.receive_text()
        counts = session.statistics
        equal((counts.frames_sent, counts.frames_received), (3, 3), "frames sent and received")
        expect(counts.bytes_sent >= 3 and counts.bytes_received >= 3, f"bytes: {counts}")


# --- many sessions


@check("Ktor: testParallelWebsocketSessions")
async def parallel_sessions(lab: Lab) -> None:
    """Two sessions see only their own echoes, in order."""
    async with lab.client() as client:

        async def talk(name: str) -> None:
            async with client.web_socket(lab.url("/echo")) as session:
                for i in range(100):
                    await session.send(f"{name} {i}")
                    equal(await session.receive_text(), f"{name} {i}", "the echo")

        await asyncio.gather(talk("a"), talk("b"))


@check("Ktor: testImmediateReceiveAfterConnect")
async def first_message_at_once(lab: Lab) -> None:
    """100 sessions at a time each receive the message that came with the handshake."""
    async with lab.client() as client:

        async def first() -> str:
            async with client.web_socket(lab.url("/text", size=5)) as session:
                return await session.receive_text()

        equal(await asyncio.gather(*(first() for _ in range(100))), ["xxxxx"] * 100, "the texts")


@check("ktor-client: handshake")
async def sessions_take_no_slots(lab: Lab) -> None:
    """The 101st session opens like the first, and HTTP goes on beside them."""
    async with lab.client() as client:
        opening = (client.web_socket_session(lab.url("/echo")) for _ in range(100))
        sessions = await asyncio.gather(*opening)
        async with client.web_socket(lab.url("/echo")) as session:
            await session.send("101st")
            equal(await session.receive_text(), "101st", "the echo")
            response = await client.get(lab.http_url("/hello"))
            equal(response.status, 200, "the status")
        for session in sessions:
            session.cancel()


@check(
    "Ktor: testParallelSessions, testHttpDuringWebSocketConnection, "
    "testHttpRequestAfterWebSocketClose"
)
async def http_beside_a_session(lab: Lab) -> None:
    """HTTP requests work while a session is open and after it, on the same client."""
    async with lab.client() as client:
        async with client.web_socket(lab.url("/echo")) as session:
            response = await client.get(lab.http_url("/hello"))
            await session.send(await response.body_as_text())
            equal(await session.receive_text(), "hello from the echo server", "the echo")
        response = await client.get(lab.http_url("/hello"))
        equal(response.status, 200, "the status afterwards")


@check("Ktor: testIncomingOverflow")
async def leaving_with_unread_messages(lab: Lab) -> None:
    """A block that never reads what 1,000 echoes bring ends all the same."""
    async with lab.session("/echo", close_timeout=1.0) as session:
        for i in range(1000):
            await session.send(f"message {i}")


# --- typed messages


class _Brackets(WebSocketContentConverter):
    """Writes "[x]"; reads text only."""

    def serialize(self, value: object) -> Frame:
        return Frame.Text(f"[{value}]")

    def deserialize(self, frame: Frame, type_: Any) -> Any:
        text = frame.data.decode()
        if text == "[bad]":
            raise LookupError("the converter's own")
        return type_(text[1:-1])

    def is_applicable(self, frame: Frame) -> bool:
        return isinstance(frame, Frame.Text)


@dataclass
class _User:
    name: str
    id: int


@check("Ktor: testWebSocketSerialization, testWebSocketSerializationWithExplicitTypeInfo")
async def converter_of_ones_own(lab: Lab) -> None:
    """100 objects go there and back through a converter of one's own."""
    async with lab.session("/echo", content_converter=_Brackets()) as session:
        for i in range(100):
            await session.send_serialized(i)
            equal(await session.receive_deserialized(int), i, "the object")


@check("Ktor: JsonWebsocketsTest")
async def json_objects(lab: Lab) -> None:
    """JSON: a dataclass is an object with its fields, None is null."""
    async with lab.session("/echo", content_converter=JsonConverter()) as session:
        await session.send_serialized(_User("user", 123))
        frame = await session.incoming.receive()
        expect(isinstance(frame, Frame.Text), f"JSON went as {frame!r}")
        await session.send(frame)
        equal(await session.receive_deserialized(_User), _User("user", 123), "the object")
        await session.send_serialized(None)
        equal(await session.receive_deserialized(_User | None), None, "null")


@check("Ktor: testSerializationWithNoConverter")
async def converter_is_missing(lab: Lab) -> None:
    """Without a converter both directions raise ConverterNotFoundError, and nothing is consumed."""
    async with lab.session("/echo") as session:
        with raises(ConverterNotFoundError):
            await session.send_serialized(1)
        await session.send("kept")
        with raises(ConverterNotFoundError):
            await session.receive_deserialized(int)
        equal(await session.receive_text(), "kept", "the message")


@check("Ktor: WebsocketDeserializeException")
async def conversion_fails(lab: Lab) -> None:
    """A frame that the converter cannot take is in the error; its own errors pass unchanged."""
    async with lab.session("/echo", content_converter=_Brackets()) as session:
        await session.send(b"\x00")
        with raises(DeserializationError) as caught:
            await session.receive_deserialized(int)
        equal(caught.error.frame, Frame.Binary(b"\x00"), "the frame of the error")
        await session.send("[bad]")
        with raises(LookupError):
            await session.receive_deserialized(int)
    async with lab.session("/echo", content_converter=JsonConverter()) as session:
        for text in ('"no user"', "null", "{"):
            await session.send(text)
            with raises(DeserializationError) as caught:
                await session.receive_deserialized(_User)
            equal(caught.error.frame, Frame.Text(text), "the frame of the error")


@check("Ktor: WebSocketTest (server), ClosedReceiveChannelException")
async def closed_is_not_a_conversion_error(lab: Lab) -> None:
    """Deserializing from a closed session is a ConnectionClosedError."""
    async with lab.session("/close?code=1000", content_converter=JsonConverter()) as session:
        with raises(ConnectionClosedError):
            await session.receive_deserialized(int)
