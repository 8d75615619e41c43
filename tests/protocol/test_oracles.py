"""Our codec beside two others, on legal, odd and damaged streams; each difference is explained."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch
from zlib import decompressobj

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from wsproto.extensions import PerMessageDeflate as WsprotoDeflate
from wsproto.frame_protocol import FrameProtocol

from ktor_client.frames import Frame
from ktor_client.protocol.encoder import FrameEncoder
from tests.protocol.oracles import (
    HIGH_LIMIT,
    LIMIT,
    PADDING,
    agree,
    ask_websockets,
    ask_wsproto,
    websockets_differs,
    websockets_protocol,
    wsproto_differs,
)
from tests.protocol.streams import legal_streams, streams
from tests.protocol.test_properties import conversations, joined
from tests.protocol.wire import BINARY, CLOSE, KEY, TEXT, decode, deflate, frame

ROLES = pytest.mark.parametrize("masked", [False, True])


@ROLES
@given(data=st.data())
def test_beside_websockets(masked: bool, data: st.DataObject) -> None:
    stream = data.draw(streams(KEY if masked else None))
    ours = decode(stream, LIMIT, masked=masked)
    padding = b"" if ours.violation is None else PADDING
    theirs = ask_websockets(websockets_protocol(masked=masked, max_size=LIMIT), stream + padding)
    if not agree(ours, theirs):
        assert websockets_differs(ours, theirs), (ours, theirs)


@ROLES
@given(data=st.data())
def test_websockets_agrees_on_legal_streams(masked: bool, data: st.DataObject) -> None:
    stream = data.draw(legal_streams(KEY if masked else None))
    ours = decode(stream, masked=masked)
    theirs = ask_websockets(websockets_protocol(masked=masked), stream)
    assert ours.violation is None
    assert agree(ours, theirs) or theirs.why == "incomplete fragmented message"


@ROLES
@given(data=st.data())
def test_beside_wsproto(masked: bool, data: st.DataObject) -> None:
    stream = data.draw(streams(KEY if masked else None))
    ours = decode(stream, HIGH_LIMIT, masked=masked)
    padding = b"" if ours.violation is None else PADDING
    theirs = ask_wsproto(stream + padding, masked=masked)
    if not agree(ours, theirs):
        assert wsproto_differs(ours, theirs), (ours, theirs)


@pytest.mark.parametrize(
    "stream",
    [
        frame(CLOSE, b"\x03\xe8\xff"),
        frame(CLOSE, b"\x03"),
        frame(TEXT, b"\xed\xa0\x80"),
        frame(TEXT, b"a", fin=False) + frame(BINARY, b"b"),
        frame(BINARY, b"a", rsv=0x40),
        b"\x83\x00",
        b"\x09\x00",
        frame(BINARY, b"x", mask=KEY),
    ],
)
def test_all_three_agree_on_the_code(stream: bytes) -> None:
    codes = {
        decode(stream).code,
        ask_websockets(websockets_protocol(masked=False), stream).code,
        ask_wsproto(stream, masked=False).code,
    }
    assert len(codes) == 1
    assert codes != {None}


# --- deflate ---

DEFLATED = st.fixed_dictionaries(
    {
        "remote_no_context_takeover": st.booleans(),
        "local_no_context_takeover": st.booleans(),
        "remote_max_window_bits": st.integers(9, 15),
        "local_max_window_bits": st.integers(9, 15),
    }
)


def answer_for(options: dict[str, Any]) -> str:
    """Return what a server answers, so that its options are these, from its side."""
    parts = []
    if options["local_no_context_takeover"]:
        parts.append("server_no_context_takeover")
    if options["remote_no_context_takeover"]:
        parts.append("client_no_context_takeover")
    parts.append(f"server_max_window_bits={options['local_max_window_bits']}")
    parts.append(f"client_max_window_bits={options['remote_max_window_bits']}")
    return "; ".join(parts)


OPCODES = {1: Opcode.TEXT, 2: Opcode.BINARY, 9: Opcode.PING, 10: Opcode.PONG}


def sent_by_websockets(sent: list[Frame], theirs: PerMessageDeflate) -> bytes:
    stream = b""
    in_message = False
    for one in sent:
        opcode = OPCODES[one.frame_type]
        if not one.frame_type.is_control:
            opcode, in_message = (Opcode.CONT if in_message else opcode), not one.fin
        them = TheirFrame(opcode, one.data, one.fin)
        stream += them.serialize(mask=False, extensions=[theirs])
    return stream


@given(sent=conversations(), options=DEFLATED)
def test_websockets_and_we_read_each_others_deflate(
    sent: list[Frame], options: dict[str, Any]
) -> None:
    answer = answer_for(options)
    encoder = FrameEncoder(extensions=deflate(answer))
    ours = b"".join(map(encoder.encode, sent))
    server = websockets_protocol(masked=True, deflate=PerMessageDeflate(**options))
    verdict = ask_websockets(server, ours)
    assert (verdict.messages, verdict.control) == joined(sent), verdict

    theirs = sent_by_websockets(sent, PerMessageDeflate(**options))
    found = decode(theirs, extensions=deflate(answer))
    assert found.violation is None
    assert (found.messages, found.control) == joined(sent)


def holds_nothing_compressed(stream: bytes) -> bool:
    """Whether a message is marked as compressed and has no payload at all."""
    begun, is_compressed = b"", False
    for one in decode(stream, raw=True, extensions=deflate()).messages:
        if not one.frame_type.is_control:
            is_compressed = one.rsv1 or (is_compressed and one.is_continuation)
            begun = one.data if not one.is_continuation else begun + one.data
            if one.fin and is_compressed and not begun:
                return True
    return False


@given(sent=conversations(), options=DEFLATED, data=st.data())
def test_damaged_deflate_beside_websockets(
    sent: list[Frame], options: dict[str, Any], data: st.DataObject
) -> None:
    legal = sent_by_websockets(sent, PerMessageDeflate(**options))
    damaged = bytearray(legal)
    for _ in range(data.draw(st.integers(1, 3)) if legal else 0):
        damaged[data.draw(st.integers(0, len(legal) - 1))] = data.draw(st.integers(0, 255))
    stream = bytes(damaged)
    inflaters: list[Any] = []

    def make_inflater(wbits: int) -> Any:
        inflaters.append(decompressobj(wbits))
        return inflaters[-1]

    with patch("zlib.decompressobj", make_inflater):
        ours = decode(stream, HIGH_LIMIT, extensions=deflate(answer_for(options)))
    mirrored = PerMessageDeflate(
        options["local_no_context_takeover"],
        options["remote_no_context_takeover"],
        options["local_max_window_bits"],
        options["remote_max_window_bits"],
    )
    protocol = websockets_protocol(masked=False, max_size=HIGH_LIMIT, deflate=mirrored)
    theirs = ask_websockets(protocol, stream + (b"" if ours.violation is None else PADDING))
    if any(inflater.eof for inflater in inflaters):
        return  # BFINAL: we begin a new stream behind it (RFC 7692 7.2.3.4), they read nothing more
    if holds_nothing_compressed(stream):
        return  # theirs appends the tail to nothing, so that their inflater reads on out of step
    if not agree(ours, theirs):
        assert websockets_differs(ours, theirs), (ours, theirs)


@given(
    texts=st.lists(st.lists(st.text(max_size=50), min_size=1, max_size=3), max_size=5),
    client=st.booleans(),
    server=st.booleans(),
    bits=st.integers(9, 15),
)
@example(texts=[["", ""], ["a"], [""]], client=True, server=True, bits=9)
def test_wsproto_and_we_read_each_others_deflate(
    texts: list[list[str]], client: bool, server: bool, bits: int
) -> None:
    """Without control frames: wsproto forgets between fragments that the message is compressed."""
    answer = [f"server_max_window_bits={bits}", "client_max_window_bits=12"]
    answer += ["client_no_context_takeover"] * client + ["server_no_context_takeover"] * server
    settled = "; ".join(answer)

    def other_side() -> FrameProtocol:
        extension = WsprotoDeflate()
        extension.finalize(f"permessage-deflate; {settled}")
        return FrameProtocol(False, [extension])

    expected = [Frame.Text("".join(parts)) for parts in texts]
    encoder = FrameEncoder(extensions=deflate(settled))
    ours = b"".join(
        encoder.encode(Frame.Text(part, fin=at == len(parts) - 1))
        for parts in texts
        for at, part in enumerate(parts)
    )
    extension = WsprotoDeflate()
    extension.finalize(f"permessage-deflate; {settled}")
    assert ask_wsproto(ours, masked=True, extensions=[extension]).messages == expected

    them = other_side()
    theirs = b"".join(
        bytes(them.send_data(part, fin=at == len(parts) - 1))
        for parts in texts
        for at, part in enumerate(parts)
    )
    found = decode(theirs, extensions=deflate(settled))
    assert found.violation is None
    assert found.messages == expected
