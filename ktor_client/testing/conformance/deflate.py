"""Checks of permessage-deflate (RFC 7692) and of how it meets fragments, limits and RSV bits."""

from __future__ import annotations

import random
import zlib
from collections.abc import AsyncIterator
from typing import Any

from ktor_client.engine.capabilities import ExtensionsCapability, FragmentationCapability
from ktor_client.errors import FrameTooBigError, ProtocolViolationError
from ktor_client.plugins import WebSocketDeflate
from ktor_client.testing.conformance.check import QUICK, Lab, Query, Room, equal, expect, raises

__all__ = ["ROOM"]

ROOM = Room("deflate", ExtensionsCapability)
check = ROOM.check

NAME = "permessage-deflate"


def _compressed(data: bytes) -> bytes:
    deflater = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = deflater.compress(data) + deflater.flush(zlib.Z_SYNC_FLUSH)
    return data.removesuffix(b"\x00\x00\xff\xff")


def _frame(first: int, payload: bytes) -> str:
    assert len(payload) < 126
    return f"{first:02x}{len(payload):02x}{payload.hex()}"


def _echoes(
    name: str, statement: str, source: str, deflate: WebSocketDeflate, server: str = "15"
) -> None:
    """Add a check that random and repetitive messages survive these settings."""

    async def run(lab: Lab) -> None:
        source = random.Random(7)
        messages: list[bytes | str] = [source.randbytes(source.randrange(1000)) for _ in range(50)]
        messages += [b"", b"a" * 70_000, "", "text " * 5000, "text " * 5000]
        query: Query = {"deflate": server}
        async with lab.session("/echo", query=query, extensions=[deflate]) as session:
            expect(
                any(text.startswith(NAME) for text in session.extensions),
                f"negotiated was {session.extensions}",
            )
            for message in messages:
                await session.send(message)
                frame = await session.incoming.receive()
                got = frame.data if isinstance(message, bytes) else frame.data.decode()
                expect(got == message, f"a message of {len(message)} came back different")

    ROOM.add(name, statement, source, run)


_echoes(
    "messages_survive",
    "Messages of all kinds and sizes come back as they were.",
    "Ktor: testWebSocketDeflateBinary",
    WebSocketDeflate(),
)
_echoes(
    "no_context_takeover",
    "Without context takeover on both sides messages survive.",
    "RFC 7692 7.1.1; Ktor: testWebSocketDeflateNoContextTakeover",
    WebSocketDeflate(client_no_context_takeover=True, server_no_context_takeover=True),
)
_echoes(
    "server_asks_for_no_context",
    "The server may ask for no context takeover.",
    "RFC 7692 7.1.1",
    WebSocketDeflate(),
    "no-context",
)
_echoes(
    "small_windows",
    "Small windows on both sides are kept.",
    "RFC 7692 7.1.2",
    WebSocketDeflate(client_max_window_bits=9, server_max_window_bits=9),
    "9",
)
_echoes(
    "smallest_windows",
    "Windows of 256 bytes on both sides are kept.",
    "RFC 7692 7.1.2",
    WebSocketDeflate(client_max_window_bits=8, server_max_window_bits=8),
    "8",
)
_echoes(
    "server_has_the_smallest_windows",
    "The server may answer any offer with windows of 256 bytes.",
    "RFC 7692 7.1.2",
    WebSocketDeflate(),
    "8",
)
_echoes(
    "threshold",
    "Messages below the threshold go uncompressed among the others.",
    "Ktor: WebSocketDeflateExtension",
    WebSocketDeflate(threshold=500),
)
_echoes(
    "chosen_messages",
    "Messages that `compress_if` declines go uncompressed.",
    "Ktor: WebSocketDeflateExtension",
    WebSocketDeflate(compress_if=lambda frame: len(frame.data) % 2 == 0),
)


@check("ktor-client: handshake; Ktor: clientNegotiation")
async def server_may_decline(lab: Lab) -> None:
    """A server that does not take the offer gets plain messages."""
    query: Query = {"deflate": "off"}
    async with lab.session("/echo", query=query, extensions=[WebSocketDeflate()]) as session:
        equal(session.extensions, (), "extensions")
        await session.send("plain")
        equal(await session.receive_text(), "plain", "the echo")


@check("Ktor: KTOR-2388")
async def nothing_is_offered_unasked(lab: Lab) -> None:
    """Without extensions installed none is offered."""
    async with lab.session("/headers") as session:
        text = await session.receive_text()
        expect("sec-websocket-extensions" not in text.lower(), f"the headers were {text}")


@check("RFC 7692 7.2.3.3")
async def compression_is_used(lab: Lab) -> None:
    """A message that repeats itself takes few bytes on the wire, both ways."""
    async with lab.session("/echo", extensions=[WebSocketDeflate()]) as session:
        await session.send("all work and no play " * 1000)
        await session.incoming.receive()
        counts = session.statistics
        expect(counts.bytes_sent < 2000, f"{counts.bytes_sent} bytes were sent")
        expect(counts.bytes_received < 2000, f"{counts.bytes_received} bytes were received")


@check("RFC 7692 6.1; Ktor: WebSocketDeflateTest", FragmentationCapability)
async def fragments_of_a_compressed_message(lab: Lab) -> None:
    """Compressed messages in fragments, with pings between them, both ways."""

    async def chunks() -> AsyncIterator[str]:
        for i in range(5):
            yield f"chunk {i} " * 50

    async with lab.session("/echo", extensions=[WebSocketDeflate()]) as session:
        await session.send_stream(chunks())
        expected = "".join(f"chunk {i} " * 50 for i in range(5))
        equal(await session.receive_text(), expected, "the echo")
    path = "/fragments?n=20&size=1000&ping=yes"
    async with lab.session(path, extensions=[WebSocketDeflate()]) as session:
        expected = "".join(chr(ord("a") + i) * 1000 for i in range(20))
        equal(await session.receive_text(), expected, "the server's message")


def _wire(name: str, statement: str, source: str, data: str, expected: list[str]) -> None:
    """Add a check that these bytes are these messages."""

    async def run(lab: Lab) -> None:
        async with lab.wire(data + "880203e8", extensions=[WebSocketDeflate()]) as session:
            equal([m async for m in session], expected, "the messages")

    ROOM.add(name, statement, source, run)


_HELLO = _compressed(b"Hello, World!")
_wire(
    "rsv1_on_the_first_fragment_only",
    "RSV1 stands on the first fragment alone.",
    "RFC 7692 6.2; Ktor: WebSocketDeflateTest",
    _frame(0x41, _HELLO[:5]) + _frame(0x80, _HELLO[5:]),
    ["Hello, World!"],
)
_wire(
    "uncompressed_among_compressed",
    "Messages without RSV1 are taken as they are.",
    "RFC 7692 6",
    _frame(0xC1, _HELLO) + _frame(0x81, b"plain"),
    ["Hello, World!", "plain"],
)
_wire(
    "ping_inside_a_compressed_message",
    "A ping between compressed fragments is not inflated.",
    "RFC 7692 6.1",
    _frame(0x41, _HELLO[:3]) + _frame(0x89, b"ping") + _frame(0x80, _HELLO[3:]),
    ["Hello, World!"],
)
_wire(
    "empty_compressed_message",
    "An empty message compressed to 00 is empty.",
    "RFC 7692 7.2.3.6",
    _frame(0xC1, b"\x00"),
    [""],
)
_FINAL = zlib.compressobj(9, zlib.DEFLATED, -15)
_FINAL_BLOCK = _FINAL.compress(b"Hello") + _FINAL.flush(zlib.Z_FINISH)
_wire(
    "final_block",
    "A deflate block with BFINAL set is legal, and messages follow it.",
    "RFC 7692 7.2.3.4",
    _frame(0xC1, _FINAL_BLOCK + b"\x00") + _frame(0xC1, _HELLO),
    ["Hello", "Hello, World!"],
)


def _broken(name: str, what: str, source: str, data: str, code: int, limit: int = 1 << 20) -> None:
    """Add a check that these bytes fail the session with this code."""

    async def run(lab: Lab) -> None:
        kind = FrameTooBigError if code == 1009 else ProtocolViolationError
        options: dict[str, Any] = {"extensions": [WebSocketDeflate()], "max_frame_size": limit}
        async with lab.wire(data, **options) as session:
            with raises(kind):
                await session.incoming.receive()
            equal((await session.close_reason).code, code, "close_reason.code")
        equal((await lab.recorded()).code, code, "the code that the server saw")

    ROOM.add(name, f"{what}: Close {code}.", source, run)


_broken(
    "damaged_data",
    "Compressed data that is damaged",
    "RFC 7692 7.2.2",
    _frame(0xC1, b"\xff\xff\xff\xff"),
    1002,
)
_broken(
    "rsv2_beside_deflate",
    "RSV2, which deflate does not explain",
    "RFC 6455 5.2",
    _frame(0xE1, _HELLO),
    1002,
)
_broken(
    "rsv1_on_a_continuation",
    "RSV1 on a continuation",
    "RFC 7692 6.1",
    _frame(0x41, _HELLO[:5]) + _frame(0xC0, _HELLO[5:]),
    1002,
)
_broken("rsv1_on_a_ping", "RSV1 on a control frame", "RFC 7692 6.1", _frame(0xC9, b""), 1002)
_broken(
    "inflated_text_not_utf8",
    "Text that is not UTF-8 when inflated",
    "RFC 6455 8.1",
    _frame(0xC1, _compressed(b"ab\xff")),
    1007,
)
_broken(
    "bomb",
    "A compression bomb",
    "ktor-client: receiving; Ktor: WebSocketDeflateTest, bomb",
    f"c27e{len(_compressed(bytes(10_000_000))):04x}{_compressed(bytes(10_000_000)).hex()}",
    1009,
    100_000,
)


@check("ktor-client: receiving")
async def limit_is_of_the_inflated_size(lab: Lab) -> None:
    """`max_frame_size` counts inflated bytes, and is inclusive."""
    options: dict[str, Any] = {"extensions": [WebSocketDeflate()], "max_frame_size": 100_000}
    async with lab.session("/text", query={"size": 100_000}, **options) as session:
        equal(len(await session.receive_text()), 100_000, "the length")
    async with lab.session("/text", query={"size": 100_001}, **options) as session:
        with raises(FrameTooBigError):
            await session.incoming.receive()


@check("Ktor: WebSocketDeflateExtension")
async def inflate_cap_of_its_own(lab: Lab) -> None:
    """`max_inflated_size` limits compressed messages below `max_frame_size`."""
    deflate = WebSocketDeflate(max_inflated_size=1000)
    options: dict[str, Any] = {"extensions": [deflate], "close_timeout": QUICK}
    async with lab.session("/send?size=1000&n=1", **options) as session:
        equal(len(await session.receive_text()), 1000, "the length")
    async with lab.session("/send?size=1001&n=1", **options) as session:
        with raises(FrameTooBigError):
            await session.incoming.receive()
