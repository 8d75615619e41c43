"""Rules about headers and about Close payloads: what `decoder.py` asks of each frame.

RFC 6455 5.2, 5.5, 7.4. No state; rules about messages are in `message.py`.
"""

from __future__ import annotations

from ktor_client.frames import MAX_CONTROL_PAYLOAD, RSV_MASK, may_be_sent
from ktor_client.protocol.violation import Violation

__all__ = ["check_close", "check_first", "check_length"]

_OPCODES = frozenset((0, 1, 2, 8, 9, 10))


def check_first(first: int, *, allowed_rsv: int, in_message: bool) -> None:
    """Check FIN, RSV bits, opcode and the order of fragments (RFC 6455 5.2, 5.4, 5.5).

    Raises:
        Violation: 1002.
    """
    opcode = first & 0x0F
    if opcode not in _OPCODES:
        raise Violation.protocol(f"Received illegal frame: unknown opcode {opcode:#x}")
    rsv = first & RSV_MASK
    if rsv and (rsv & ~allowed_rsv or opcode & 0x08 or opcode == 0):
        raise Violation.protocol(
            f"Received illegal frame: RSV bits {rsv >> 4:03b} that no extension explains"
        )
    if opcode & 0x08:
        if not first & 0x80:
            raise Violation.protocol("Received illegal frame: a fragmented control frame")
    elif opcode == 0:
        if not in_message:
            raise Violation.protocol("Received illegal frame: a continuation of nothing")
    elif in_message:
        raise Violation.protocol(
            "Received illegal frame: a new message before the last one was finished"
        )


def check_length(data: memoryview, *, masked: bool) -> tuple[int, int]:
    """Return how long a frame's header is without the key, and its payload's length.

    0 is a header that is not complete; `data` has two bytes of it at least.

    Raises:
        Violation: a length that the frame may not have, or masked where it must not be.
    """
    length = data[1] & 0x7F
    if data[0] & 0x08 and length > MAX_CONTROL_PAYLOAD:
        raise Violation.protocol("Received illegal frame: a control frame of over 125 bytes")
    if (data[1] >= 0x80) is not masked:
        wrong = "unmasked frame from a client" if masked else "masked frame from a server"
        raise Violation.protocol(f"Received illegal frame: {wrong}")
    if length < 126:
        return 2, length
    start = 4 if length == 126 else 10
    if len(data) < start:
        return 0, 0
    size = int.from_bytes(data[2:start], "big")
    if size >> 63:
        raise Violation.protocol("Received illegal frame: length with the top bit set")
    if size < (126 if length == 126 else 65536):
        raise Violation.protocol("Received illegal frame: length not in its shortest form")
    return start, size


def check_close(payload: bytes) -> None:
    """Check code and reason of a Close frame (RFC 6455 5.5.1, 7.4).

    Raises:
        Violation: 1002, or 1007 where the reason is not UTF-8.
    """
    if not payload:
        return
    if len(payload) == 1:
        raise Violation.protocol("Received illegal frame: a Close payload of one byte")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        raise Violation.protocol(f"Received illegal frame: Close with code {code}")
    try:
        payload[2:].decode()
    except UnicodeDecodeError as error:
        raise Violation.not_utf8("Close reason") from error
