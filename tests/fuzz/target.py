"""What is done with one input, and what must hold whatever it is.

Two bytes of the input choose role, mode, extensions, limit and chunking; the rest is the stream.
"""

from __future__ import annotations

import re
from typing import Any, TypeAlias
from unittest.mock import patch

from ktor_client.frames import Frame
from ktor_client.protocol import decoder as decoder_room
from ktor_client.protocol.encoder import FrameEncoder
from ktor_client.protocol.extensions import format_extension, parse_extensions
from tests.protocol.oracles import (
    HIGH_LIMIT,
    PADDING,
    agree,
    ask_websockets,
    websockets_differs,
    websockets_protocol,
)
from tests.protocol.wire import Outcome, TransportLike, decode, deflate

__all__ = ["Trace", "run"]

Trace: TypeAlias = tuple[object, ...]
"""The shape of what happened; an input with a new one is worth keeping."""

LIMITS = (1, 20, 125, 600, 70_000, HIGH_LIMIT)
CHUNKS = (1, 2, 3, 7, 16, 50, 1000)


def run(data: bytes) -> Trace:
    """Put one input through the codec. Raises whatever it should not have raised."""
    if len(data) < 2:
        return ()
    mode, pick, stream = data[0], data[1], data[2:]
    masked, raw, deflated, no_context = (bool(mode & bit) for bit in (1, 2, 4, 8))
    limit = LIMITS[pick % len(LIMITS)]

    def options() -> dict[str, Any]:
        takeover = "server_no_context_takeover" if no_context else ""
        return {"masked": masked, "raw": raw, "extensions": deflate(takeover) if deflated else ()}

    whole = decode(stream, limit, **options())
    buffer_size = CHUNKS[pick // 16 % len(CHUNKS)]
    transport = TransportLike(limit, buffer_size=buffer_size, **options())
    with patch.object(decoder_room, "DIRECT", 1 + pick // 8):
        transport.receive(stream)
    cut = transport.outcome()
    assert cut == whole, (cut, whole)
    check(whole, limit, raw)
    if not raw:
        go_back(whole)
    if not (raw or deflated):
        compare(whole, stream, masked, limit)
    if mode & 16:
        header(stream)
    why = re.sub(r"[0-9]+", "#", whole.violation[1]) if whole.violation else ""
    kinds = tuple(dict.fromkeys((f.frame_type, f.fin, f.rsv1) for f in whole.messages))
    return (
        mode & 15,
        why,
        kinds,
        len(whole.control) > 0,
        whole.finished,
        transport.codec._payload is None,
    )


def check(outcome: Outcome, limit: int, raw: bool) -> None:
    """Hold the outcome against the rules that any outcome follows."""
    assert outcome.code in (None, 1002, 1007, 1009)
    closes = [frame for frame in outcome.control if isinstance(frame, Frame.Close)]
    assert outcome.finished == bool(outcome.violation or closes)
    assert len(closes) <= 1
    for close in closes:
        assert close is outcome.control[-1]
        close.read_reason()
    for message in outcome.messages:
        assert type(message.data) is bytes
        assert len(message.data) <= (max(limit, 125) if raw else limit)
        if not raw:
            assert message.fin
            assert not message.is_continuation
            if isinstance(message, Frame.Text):
                assert message.text.encode() == message.data


def go_back(outcome: Outcome) -> None:
    """Encode what was decoded: it must come back."""
    encoder = FrameEncoder(extensions=deflate())
    stream = b"".join(map(encoder.encode, outcome.messages))
    again = decode(stream, HIGH_LIMIT, masked=True, extensions=deflate())
    assert again.messages == outcome.messages
    assert again.violation is None


def compare(outcome: Outcome, stream: bytes, masked: bool, limit: int) -> None:
    """Ask another codec. Its limit holds for control frames too, so a small one says nothing."""
    if limit < 125:
        return
    padding = b"" if outcome.violation is None else PADDING[: limit + 64]
    theirs = ask_websockets(websockets_protocol(masked=masked, max_size=limit), stream + padding)
    assert agree(outcome, theirs) or websockets_differs(outcome, theirs), (outcome, theirs)


def header(text: bytes) -> None:
    """Read the bytes as the value of Sec-WebSocket-Extensions."""
    try:
        found = parse_extensions(text.decode("latin-1"))
    except ValueError:
        return
    written = ", ".join(format_extension(name, parameters) for name, parameters in found)
    assert parse_extensions(written) == found
