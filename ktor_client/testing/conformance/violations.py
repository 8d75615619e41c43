"""Checks of what a peer must not do. Each row of a table is bytes behind the 101, and a close code.

Only engines that leave the frames to this package can promise the code: the others are browsers.
"""

from __future__ import annotations

from ktor_client.engine.capabilities import RawFramesCapability
from ktor_client.errors import ConnectionClosedError, FrameTooBigError, ProtocolViolationError
from ktor_client.testing.conformance.check import Lab, Room, equal, expect, raises

__all__ = ["ROOM"]

ROOM = Room("violations", RawFramesCapability)

BEFORE = "8106" + b"before".hex()
"""A message ahead of each violation, which must be delivered."""


def _violation(
    name: str, what: str, data: str, code: int, source: str = "RFC 6455 5.2", limit: int = 1 << 20
) -> None:
    """Add a check that these bytes fail the session with this code."""

    async def run(lab: Lab) -> None:
        kind = FrameTooBigError if code == 1009 else ProtocolViolationError
        async with lab.wire(BEFORE + data, max_frame_size=limit) as session:
            equal(await session.receive_text(), "before", "the message before the violation")
            with raises(ConnectionClosedError) as caught:
                while True:
                    await session.incoming.receive()
            expect(type(caught.error) is kind, f"it raised {caught.error!r}, not {kind.__name__}")
            equal(caught.error.reason.code, code, "the code of the error")
            with raises(kind):
                await session.send("x")
            reason = await session.close_reason
            equal((reason.code, reason.initiator), (code, "local"), "close_reason")
        equal((await lab.recorded()).code, code, "the code that the server saw")

    ROOM.add(name, f"{what}: Close {code}.", source, run)


def _hex(text: bytes) -> str:
    return text.hex()


# --- headers

for _opcode in (3, 4, 5, 6, 7, 0xB, 0xC, 0xD, 0xE, 0xF):
    _violation(
        f"opcode_{_opcode:x}", f"Reserved opcode {_opcode:#x}", f"{0x80 | _opcode:02x}00", 1002
    )
for _bit, _name in ((0x40, "rsv1"), (0x20, "rsv2"), (0x10, "rsv3")):
    _violation(
        f"{_name}_on_text",
        f"{_name.upper()} that no extension explains, on a text",
        f"{0x81 | _bit:02x}0161",
        1002,
    )
    _violation(f"{_name}_on_ping", f"{_name.upper()} on a ping", f"{0x89 | _bit:02x}00", 1002)
_violation("rsv_on_continuation", "An RSV bit on a continuation", "010161 c00162", 1002)
_violation(
    "masked_text", "A masked frame from the server", "8181 01020304 60", 1002, "RFC 6455 5.1"
)
_violation("masked_close", "A masked Close from the server", "8880 01020304", 1002, "RFC 6455 5.1")
_violation("long_ping", "A ping of 126 bytes", "897e007e" + "00" * 126, 1002, "RFC 6455 5.5")
_violation("long_close", "A Close of 126 bytes", "887e007e03e8" + "61" * 124, 1002, "RFC 6455 5.5")
_violation(
    "long_ping_header",
    "The header of a long ping, without its payload",
    "897e",
    1002,
    "RFC 6455 5.5; Ktor: testFailFragmentedControl",
)
_violation("fragmented_ping", "A fragmented ping", "0900", 1002, "RFC 6455 5.5")
_violation("fragmented_close", "A fragmented Close", "0802 03e8", 1002, "RFC 6455 5.5")
_violation("length_16_not_minimal", "A 16-bit length below 126", "827e007d" + "00" * 125, 1002)
_violation("length_64_not_minimal", "A 64-bit length below 65536", "827f000000000000ffff", 1002)
_violation(
    "length_with_the_top_bit", "A 64-bit length with the top bit set", "827f8000000000000000", 1002
)

# --- fragments

_violation("continuation_of_nothing", "A continuation of nothing", "800161", 1002, "RFC 6455 5.4")
_violation(
    "open_continuation_of_nothing",
    "A continuation of nothing that is not final",
    "000161",
    1002,
    "RFC 6455 5.4",
)
_violation(
    "continuation_after_the_end",
    "A continuation after the final fragment",
    "010161 800162 800163",
    1002,
    "RFC 6455 5.4",
)
_violation(
    "text_inside_a_message", "A new text inside a message", "010161 810162", 1002, "RFC 6455 5.4"
)
_violation(
    "binary_inside_a_message", "A new binary inside a text", "010161 820162", 1002, "RFC 6455 5.4"
)
_violation(
    "fragment_inside_a_message",
    "A first fragment inside a message, after a ping",
    "010161 8900 010162",
    1002,
    "RFC 6455 5.4; Ktor: testInterruptedContinuation",
)

# --- UTF-8

for _name, _what, _bytes in (
    ("lone_continuation_byte", "a continuation byte alone", b"\x80"),
    ("overlong", "an overlong form", b"\xc0\xaf"),
    ("surrogate", "a surrogate", b"\xed\xa0\x80"),
    ("beyond_unicode", "a code point beyond U+10FFFF", b"\xf4\x90\x80\x80"),
    ("impossible_byte", "a byte that UTF-8 never has", b"ab\xffcd"),
    ("cut_off", "a character that is cut off", b"ab\xe2\x82"),
    ("five_bytes", "a form of five bytes", b"\xf8\x88\x80\x80\x80"),
):
    _violation(
        f"text_with_{_name}",
        f"Text with {_what}",
        f"81{len(_bytes):02x}{_hex(_bytes)}",
        1007,
        "RFC 6455 8.1",
    )
_violation(
    "long_text_not_utf8",
    "A text of 16-bit length that is not UTF-8",
    "817e00c8" + "61" * 199 + "ff",
    1007,
    "RFC 6455 8.1",
)
_violation(
    "fragments_not_utf8",
    "Text that is not UTF-8 over fragments",
    "0101e2 8001ff",
    1007,
    "RFC 6455 8.1",
)
_violation(
    "text_fails_fast",
    "Text whose first byte is wrong, the rest not yet here",
    "817effff ff",
    1007,
    "RFC 6455 8.1; ktor-client: receiving",
)
_violation(
    "fragment_fails_fast",
    "A fragment that is wrong, the final one not yet here",
    "0103 6162ff",
    1007,
    "RFC 6455 8.1; ktor-client: receiving",
)
_violation(
    "surrogate_fails_fast",
    "Half a surrogate, the rest not yet here",
    "8103 eda0",
    1007,
    "RFC 6455 8.1",
)

# --- Close

_violation("close_of_one_byte", "A Close of one byte", "880103", 1002, "RFC 6455 5.5.1")
for _code in (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535):
    _violation(
        f"close_code_{_code}",
        f"A Close with code {_code}",
        f"8802{_code:04x}",
        1002,
        "RFC 6455 7.4",
    )
_violation(
    "close_reason_not_utf8",
    "A Close reason that is not UTF-8",
    "8803 03e8 ff",
    1007,
    "RFC 6455 5.5.1",
)
_violation(
    "close_reason_cut_off",
    "A Close reason that ends within a character",
    "8804 03e8 e282",
    1007,
    "RFC 6455 5.5.1",
)

# --- limits

_violation(
    "limit_by_the_header",
    "A length over the limit, before any payload is here",
    "827e03e9",
    1009,
    "ktor-client: receiving; Ktor: FrameTooBigException",
    limit=1000,
)
_violation(
    "huge_length", "A length of 2^62", "827f4000000000000000", 1009, "ktor-client: receiving"
)
_violation(
    "fragments_over_the_limit",
    "Fragments that add up to more than the limit",
    "0203" + "61" * 3 + "0003" + "62" * 3 + "8005",
    1009,
    "ktor-client: receiving; Ktor: WebSocketTest (server), limits",
    limit=10,
)


async def _after(lab: Lab) -> None:
    async with lab.wire(BEFORE + "8300" + "8105" + b"after".hex()) as session:
        equal(await session.receive_text(), "before", "the message")
        with raises(ProtocolViolationError):
            await session.incoming.receive()
        with raises(ProtocolViolationError):
            await session.incoming.receive()


ROOM.add(
    "nothing_follows_a_violation",
    "What follows a violation is not delivered; every later receive raises.",
    "RFC 6455 7.1.7",
    _after,
)


async def _iteration(lab: Lab) -> None:
    async with lab.wire(BEFORE + "8300") as session:
        got: list[str | bytes] = []
        with raises(ProtocolViolationError) as caught:
            async for message in session:
                got.append(message)
        equal(got, ["before"], "the messages")
        expect("illegal frame" in str(caught.error), f"it says: {caught.error}")


ROOM.add(
    "iteration_raises_a_violation",
    "Iterating ends with the violation, which says what was wrong.",
    "ktor-client: receiving",
    _iteration,
)
