"""Every rule of RFC 6455 about frames, broken by a server: what the user and the server see.

The battery has these too; here the bytes come from code that shares nothing with the package, in
one piece and byte by byte, and the reaction is judged on the wire.
"""

from __future__ import annotations

import asyncio
import struct

import pytest

from ktor_client import (
    CloseReason,
    ConnectionClosedError,
    Frame,
    FrameTooBigError,
    HttpClient,
    ProtocolViolationError,
    install,
)
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSocketDeflate, WebSockets
from ktor_client.protocol import decoder
from ktor_client.protocol.payload import OpenPayload
from tests.hostile.conversation import conversation, saying
from tests.support.raw_server import (
    BINARY,
    CLOSE,
    PING,
    PONG,
    TEXT,
    Peer,
    close_frame,
    frame,
    raw_server,
)

CONTINUATION = 0
LIMIT = 100_000

VIOLATIONS: dict[str, tuple[bytes, int]] = {
    # 5.2: reserved bits and opcodes, length forms
    **{f"opcode {o:#x}": (frame(o), 1002) for o in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    **{f"rsv {rsv:#x}": (frame(TEXT, b"x", rsv=rsv), 1002) for rsv in range(0x10, 0x80, 0x10)},
    **{f"rsv {rsv:#x} on a ping": (frame(PING, rsv=rsv), 1002) for rsv in (0x40, 0x20, 0x10)},
    "rsv on a Close": (frame(CLOSE, b"\x03\xe8", rsv=0x40), 1002),
    "rsv on a continuation": (
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", rsv=0x40),
        1002,
    ),
    "16-bit length of 0": (frame(BINARY, b"", length=b"\x7e\x00\x00"), 1002),
    "16-bit length of 125": (frame(BINARY, bytes(125), length=b"\x7e\x00\x7d"), 1002),
    "64-bit length of 125": (
        frame(BINARY, bytes(125), length=b"\x7f" + struct.pack("!Q", 125)),
        1002,
    ),
    "64-bit length of 65535": (
        frame(BINARY, bytes(65535), length=b"\x7f" + struct.pack("!Q", 65535)),
        1002,
    ),
    "64-bit length, top bit": (frame(BINARY, length=b"\x7f" + b"\x80" + bytes(7)), 1002),
    "64-bit length, all bits": (frame(BINARY, length=b"\x7f" + b"\xff" * 8), 1002),
    # 5.1: masks
    "masked text": (frame(TEXT, b"x", mask=b"\1\2\3\4"), 1002),
    "text masked with zeros": (frame(TEXT, b"x", mask=bytes(4)), 1002),
    "masked empty text": (frame(TEXT, mask=b"\1\2\3\4"), 1002),
    "masked ping": (frame(PING, mask=b"\1\2\3\4"), 1002),
    "masked long binary": (frame(BINARY, bytes(70_000), mask=b"\1\2\3\4"), 1002),
    # 5.4: fragments
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "open continuation of nothing": (frame(CONTINUATION, b"x", fin=False), 1002),
    "empty continuation of nothing": (frame(CONTINUATION), 1002),
    "text in a text": (frame(TEXT, b"a", fin=False) + frame(TEXT, b"b"), 1002),
    "binary in a text": (frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"), 1002),
    "text in a binary": (frame(BINARY, b"a", fin=False) + frame(TEXT, b"b", fin=False), 1002),
    # 5.5: control frames
    "fragmented ping": (frame(PING, fin=False), 1002),
    "fragmented pong": (frame(PONG, b"x", fin=False), 1002),
    "fragmented Close": (frame(CLOSE, b"\x03\xe8", fin=False), 1002),
    "ping of 126 bytes": (frame(PING, bytes(126)), 1002),
    "pong of 70,000 bytes": (frame(PONG, bytes(70_000)), 1002),
    "Close of 126 bytes": (frame(CLOSE, b"\x03\xe8" + bytes(124)), 1002),
    "Close of one byte": (frame(CLOSE, b"\x03"), 1002),
    "Close, reason not UTF-8": (frame(CLOSE, b"\x03\xe8\xff"), 1007),
    "Close, reason cut off": (frame(CLOSE, b"\x03\xe8\xe2\x82"), 1007),
    # 7.4: codes
    **{
        f"Close {code}": (close_frame(code), 1002)
        for code in (0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1999, 2000, 2999, 5000, 65535)
    },
    # 8.1: UTF-8
    "stray continuation byte": (frame(TEXT, b"\x80"), 1007),
    "overlong slash": (frame(TEXT, b"\xc0\xaf"), 1007),
    "overlong NUL": (frame(TEXT, b"\xc0\x80"), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "beyond Unicode": (frame(TEXT, b"\xf4\x90\x80\x80"), 1007),
    "byte fe": (frame(TEXT, b"a" * 200 + b"\xfe"), 1007),
    "cut off": (frame(TEXT, b"a\xe2\x82"), 1007),
    "cut off at the end of the last fragment": (
        frame(TEXT, b"\xe2", fin=False) + frame(CONTINUATION, b"\x82"),
        1007,
    ),
    "broken between fragments": (
        frame(TEXT, b"\xe2\x82", fin=False) + frame(CONTINUATION, b"x"),
        1007,
    ),
    # fail fast: what would follow is never sent
    "wrong first byte of a long text": (b"\x81\x7e\xff\xff" + b"\xff", 1007),
    "wrong byte of an open fragment": (frame(TEXT, b"ab\xff", fin=False), 1007),
    "half a surrogate": (b"\x81\x03\xed\xa0", 1007),
    "ping too long, header only": (b"\x89\x7e", 1002),
    "masked, header only": (b"\x82\xff", 1002),
    # the limit, from the header
    "over the limit": (b"\x82\x7f" + struct.pack("!Q", LIMIT + 1), 1009),
    "far over the limit": (b"\x82\x7f" + struct.pack("!Q", (1 << 63) - 1), 1009),
    "fragments over the limit": (
        frame(BINARY, bytes(60_000), fin=False) + b"\x80\x7e" + struct.pack("!H", 40_001),
        1009,
    ),
    "text over the limit": (b"\x81\x7f" + struct.pack("!Q", LIMIT + 1), 1009),
    "fragment over the limit, within a character": (
        b"\x01\x7f" + struct.pack("!Q", LIMIT + 1),
        1009,
    ),
    # more fragments than a message may have, however small
    "endless fragments": (frame(TEXT, fin=False) + frame(CONTINUATION, fin=False) * 131_072, 1008),
    "endless fragments, in a binary with pongs": (
        frame(BINARY, b"x", fin=False)
        + (frame(CONTINUATION, fin=False) * 1024 + frame(PONG)) * 128,
        1008,
    ),
}


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "deflate"])
async def test_fragments_beyond_the_option(engine: EngineFactory, packed: bool) -> None:
    def message(parts: int) -> bytes:
        first = frame(TEXT, b"\x00" if packed else b"", fin=False, rsv=0x40 * packed)
        return first + frame(CONTINUATION, fin=False) * (parts - 2) + frame(CONTINUATION)

    head = ("Sec-WebSocket-Extensions: permessage-deflate",) if packed else ()
    closes: list[int | None] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade(*head, trailing=message(5) + message(6))
        closes.append((await peer.read_close())[0])

    extensions = [WebSocketDeflate()] if packed else []
    plugin = install(WebSockets, max_fragments=5, extensions=extensions)
    async with raw_server(script) as server, HttpClient(engine, plugin) as client:
        async with client.web_socket(server.url) as session:
            assert await session.receive_text() == ""
            with pytest.raises(ProtocolViolationError, match="more than max_fragments=5"):
                await session.receive_text()
        assert closes == [1008]


def error_for(code: int) -> type[ConnectionClosedError]:
    return FrameTooBigError if code == 1009 else ProtocolViolationError


@pytest.mark.parametrize(("data", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
async def test_a_violation_is_told_to_both_sides(
    engine: EngineFactory, data: bytes, code: int
) -> None:
    script, closes = saying(frame(TEXT, b"before"), data)
    async with conversation(engine, script, max_frame_size=LIMIT) as session:
        assert await session.incoming.receive() == Frame.Text("before")
        with pytest.raises(error_for(code)) as caught:
            await session.incoming.receive()
        assert caught.value.reason.code == code
        reason = await session.close_reason
        assert (reason.code, reason.initiator, reason.received) == (code, "local", None)
        assert reason.sent == reason
    assert closes == [(code, session.close_reason.message)]


@pytest.mark.parametrize(("data", "code"), VIOLATIONS.values(), ids=VIOLATIONS)
async def test_a_violation_in_small_pieces(engine: EngineFactory, data: bytes, code: int) -> None:
    closes: list[tuple[int | None, str]] = []
    short = len(data) < 1000
    pieces = [data[i : i + 1] for i in range(len(data))] if short else [data[:-1], data[-1:]]

    async def script(peer: Peer) -> None:
        for piece in pieces:
            await peer.send(piece)
            await asyncio.sleep(0)
        closes.append(await peer.read_close())

    async with conversation(engine, script, max_frame_size=LIMIT) as session:
        with pytest.raises(error_for(code)):
            await session.incoming.receive()
        assert (await session.close_reason).code == code
    assert closes[0][0] == code


async def test_the_limit_itself_is_legal(engine: EngineFactory) -> None:
    script, closes = saying(
        frame(BINARY, bytes(LIMIT)),
        frame(TEXT, b"x" * 60_000, fin=False),
        frame(CONTINUATION, b"x" * 40_000),
    )
    async with conversation(engine, script, max_frame_size=LIMIT) as session:
        assert len(await session.receive_bytes()) == LIMIT
        assert len(await session.receive_text()) == LIMIT
        await session.close()
    assert closes == [(1000, "")]


async def test_nothing_behind_a_violation_is_heard(engine: EngineFactory) -> None:
    script, closes = saying(
        frame(TEXT, b"a"), frame(3), frame(TEXT, b"b"), frame(PING, b"p"), close_frame(4000)
    )
    async with conversation(engine, script) as session:
        assert await session.receive_text() == "a"
        for _ in range(3):
            with pytest.raises(ProtocolViolationError):
                await session.incoming.receive()
        assert (await session.close_reason).code == 1002
        assert session.close_reason.received is None
    assert closes[0][0] == 1002


async def test_messages_of_the_same_read_come_first(engine: EngineFactory) -> None:
    texts = [f"message {i}".encode() for i in range(50)]
    script, _ = saying(*(frame(TEXT, text) for text in texts), frame(3))
    async with conversation(engine, script) as session:
        got: list[bytes] = []
        with pytest.raises(ProtocolViolationError):
            async for message in session:
                assert isinstance(message, str)
                got.append(message.encode())
        assert got == texts


async def test_a_waiting_sender_and_pinger_hear_of_a_violation(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        first, _ = await peer.read_frame()
        assert first == 0x89
        await peer.send(frame(3))
        assert (await peer.read_close())[0] == 1002

    async with conversation(engine, script) as session:
        with pytest.raises(ProtocolViolationError):
            await session.ping()
        with pytest.raises(ProtocolViolationError):
            await session.send("x")


async def test_a_violation_after_our_close_is_an_unclean_end(engine: EngineFactory) -> None:
    async def script(peer: Peer) -> None:
        assert await peer.read_close() == (4000, "enough")
        await peer.send(frame(TEXT, b"last"), frame(3))
        await peer.read_eof()

    async with conversation(engine, script, close_timeout=5) as session:
        await session.close(CloseReason(4000, "enough"))
        assert await session.receive_text() == "last"
        assert session.close_reason == CloseReason(4000, "enough")
        assert not session.close_reason.clean


@pytest.mark.parametrize("by", ["leaving", "close"])
async def test_a_close_in_the_step_of_a_violation(engine: EngineFactory, by: str) -> None:
    """Nothing that the peer says can be understood any more: nobody waits for its Close."""

    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"answer") + frame(3))
        await peer.read_eof()

    plugin = install(WebSockets, close_timeout=3600)
    async with (
        asyncio.timeout(30),
        raw_server(script) as server,
        HttpClient(engine, plugin) as client,
    ):
        session = await client.web_socket_session(server.url)
        async with session:
            assert await session.receive_text() == "answer"
            if by == "close":
                await session.close()
        assert not session.close_reason.clean
        await session.wait_closed()


async def test_violations_in_the_bytes_behind_the_101(engine: EngineFactory) -> None:
    closes: list[tuple[int | None, str]] = []

    async def script(peer: Peer) -> None:
        await peer.upgrade(trailing=frame(TEXT, b"early") + frame(3))
        closes.append(await peer.read_close())

    async with raw_server(script) as server, HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(server.url) as session:
            assert await session.receive_text() == "early"
            with pytest.raises(ProtocolViolationError):
                await session.incoming.receive()
        await server.finished.wait()
    assert closes[0][0] == 1002


class Starved(OpenPayload):
    """A payload that finds no memory."""

    def __init__(self, first: int, size: int, key: bytes, *, is_kept: bool) -> None:
        raise MemoryError(f"no {size} bytes")


async def test_no_memory_is_no_message_too_big(
    engine: EngineFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoder, "OpenPayload", Starved)
    script, closes = saying(frame(TEXT, b"before"), frame(BINARY, bytes(LIMIT))[:20])
    async with conversation(engine, script) as session:
        assert await session.receive_text() == "before"
        with pytest.raises(ConnectionClosedError, match="Out of memory") as caught:
            await session.incoming.receive()
        assert type(caught.value) is ConnectionClosedError
        assert isinstance(caught.value.__cause__, MemoryError)
        assert caught.value.reason.code == 1011
    assert closes[0][0] == 1011
