"""Any cut of any stream gives the same; what is encoded is decoded."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ktor_client.frames import Frame
from ktor_client.protocol import decoder as room
from ktor_client.protocol.encoder import FrameEncoder
from tests.protocol.streams import cut, cuts, streams
from tests.protocol.wire import (
    KEY,
    Outcome,
    TransportLike,
    decode,
    deflate,
    frames,
    single_bytes,
)

LIMITS = st.sampled_from([1, 10, 125, 300, 600, 1 << 20])
ROLES = pytest.mark.parametrize("masked", [False, True])
RAW = pytest.mark.parametrize("raw", [False, True])
DEFLATED = pytest.mark.parametrize("deflated", [False, True])


def options(masked: bool, raw: bool, deflated: bool) -> dict[str, Any]:
    return {"masked": masked, "raw": raw, "extensions": deflate() if deflated else ()}


@ROLES
@RAW
@DEFLATED
@given(data=st.data())
def test_any_cut_gives_the_same(
    masked: bool, raw: bool, deflated: bool, data: st.DataObject
) -> None:
    stream = data.draw(streams(KEY if masked else None))
    limit = data.draw(LIMITS)

    def whole() -> Outcome:
        return decode(stream, limit, **options(masked, raw, deflated))

    expected = whole()
    pieces = cut(stream, data.draw(cuts))
    assert decode(pieces, limit, **options(masked, raw, deflated)) == expected
    if len(stream) < 2000:
        pieces = single_bytes(stream)
        assert decode(pieces, limit, **options(masked, raw, deflated)) == expected


@ROLES
@RAW
@DEFLATED
@given(data=st.data())
def test_the_same_through_a_transport(
    masked: bool, raw: bool, deflated: bool, data: st.DataObject
) -> None:
    """With a shared buffer, and reading into payloads from a few missing bytes on."""
    stream = data.draw(streams(KEY if masked else None))
    limit = data.draw(LIMITS)
    expected = decode(stream, limit, **options(masked, raw, deflated))
    buffer_size = data.draw(st.sampled_from([1, 2, 7, 64, 1000, 100_000]))
    transport = TransportLike(limit, buffer_size=buffer_size, **options(masked, raw, deflated))
    with patch.object(room, "DIRECT", data.draw(st.sampled_from([1, 5, 100]))):
        for piece in cut(stream, data.draw(cuts)):
            transport.receive(piece)
    assert transport.outcome() == expected


# --- there and back ---


@st.composite
def conversations(draw: st.DrawFn) -> list[Frame]:
    """Frames in a legal order, the last message perhaps unfinished."""
    found: list[Frame] = []
    for _ in range(draw(st.integers(0, 6))):
        kind = draw(st.sampled_from([Frame.Text, Frame.Binary]))
        parts = draw(st.lists(st.binary(max_size=300), min_size=1, max_size=4))
        for at, part in enumerate(parts):
            if draw(st.integers(0, 3)) == 0:
                control = draw(st.sampled_from([Frame.Ping, Frame.Pong]))
                found.append(control(draw(st.binary(max_size=125))))
            fin = at == len(parts) - 1
            if kind is Frame.Text:
                text = part.decode("latin-1")
                found.append(Frame.Text(text if fin else text.encode(), fin=fin))
            else:
                found.append(Frame.Binary(part * draw(st.sampled_from([1, 1, 500])), fin=fin))
    return found


def joined(sent: list[Frame]) -> tuple[list[Frame], list[Frame]]:
    """Return the messages and the control frames that these frames mean."""
    messages: list[Frame] = []
    control: list[Frame] = []
    begun = b""
    for one in sent:
        if one.frame_type.is_control:
            control.append(one)
        else:
            begun += one.data
            if one.fin:
                messages.append(Frame.by_type(one.frame_type, begun))
                begun = b""
    return messages, control


@ROLES
@DEFLATED
@given(sent=conversations(), lengths=cuts)
def test_what_is_encoded_is_decoded(
    masked: bool, deflated: bool, sent: list[Frame], lengths: list[int]
) -> None:
    encoder = FrameEncoder(masked=masked, extensions=deflate() if deflated else ())
    stream = b"".join(map(encoder.encode, sent))
    result = decode(cut(stream, lengths), **options(masked, False, deflated))
    assert result.violation is None
    assert (result.messages, result.control) == joined(sent)


@ROLES
@given(sent=conversations(), lengths=cuts)
def test_raw_frames_come_back_as_they_were(
    masked: bool, sent: list[Frame], lengths: list[int]
) -> None:
    encoder = FrameEncoder(masked=masked, raw=True)
    stream = b"".join(map(encoder.encode, sent))
    found = frames(cut(stream, lengths), masked=masked, raw=True)
    assert [(f.frame_type, f.data, f.fin) for f in found] == [
        (f.frame_type, f.data, f.fin) for f in sent
    ]
    again = FrameEncoder(masked=False, raw=True)
    unmasked = FrameEncoder(masked=False, raw=True)
    assert b"".join(map(again.encode, found)) == b"".join(map(unmasked.encode, sent))


@RAW
@given(stream=st.binary(max_size=60), limit=LIMITS, deflated=st.booleans(), masked=st.booleans())
def test_garbage_raises_nothing_else(
    stream: bytes, limit: int, raw: bool, deflated: bool, masked: bool
) -> None:
    result = decode(stream, limit, **options(masked, raw, deflated))
    assert result.code in (None, 1002, 1007, 1009)
    assert sum(len(message.data) for message in result.messages) <= 1032 * len(stream)
