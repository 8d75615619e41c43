"""Two other codecs, `websockets` and wsproto: their verdict on a stream, and why it may differ."""

from __future__ import annotations

import re
from typing import NamedTuple

from websockets.client import ClientProtocol
from websockets.exceptions import PayloadTooBig, ProtocolError
from websockets.extensions.permessage_deflate import PerMessageDeflate
from websockets.frames import Frame as TheirFrame
from websockets.frames import Opcode
from websockets.protocol import Protocol, State
from websockets.server import ServerProtocol
from websockets.uri import parse_uri
from wsproto.extensions import Extension
from wsproto.frame_protocol import FrameProtocol, ParseFailed
from wsproto.frame_protocol import Opcode as WsprotoOpcode

from ktor_client.frames import CloseReason, Frame
from tests.protocol.wire import Outcome

__all__ = [
    "HIGH_LIMIT",
    "LIMIT",
    "PADDING",
    "Verdict",
    "agree",
    "ask_websockets",
    "ask_wsproto",
    "websockets_differs",
    "websockets_protocol",
    "wsproto_differs",
]

LIMIT = 600
HIGH_LIMIT = 1 << 18
PADDING = b"\x83" * (HIGH_LIMIT + 64)
"""Lets an oracle that looks later come to its verdict: read as a header it breaks a rule itself."""


class Verdict(NamedTuple):
    """What an oracle says."""

    messages: list[Frame]
    control: list[Frame]
    code: int | None
    why: str = ""


def websockets_protocol(
    *, masked: bool, max_size: int = 1 << 30, deflate: PerMessageDeflate | None = None
) -> Protocol:
    """Return a `websockets` protocol that is open; `masked` says that it reads masked frames."""
    protocol: Protocol
    if masked:
        protocol = ServerProtocol(state=State.OPEN, max_size=max_size)
    else:
        protocol = ClientProtocol(parse_uri("ws://localhost/"), state=State.OPEN, max_size=max_size)
    protocol.extensions = [] if deflate is None else [deflate]
    return protocol


def ask_websockets(protocol: Protocol, stream: bytes) -> Verdict:
    """Let `websockets` read; it leaves joining and decoding to its caller, so that is done here."""
    protocol.receive_data(stream)
    messages: list[Frame] = []
    control: list[Frame] = []
    kind, begun = Opcode.BINARY, b""
    for event in protocol.events_received():
        assert isinstance(event, TheirFrame)
        payload = bytes(event.data)
        if event.opcode in (Opcode.PING, Opcode.PONG, Opcode.CLOSE):
            make = {Opcode.PING: Frame.Ping, Opcode.PONG: Frame.Pong, Opcode.CLOSE: Frame.Close}
            control.append(make[event.opcode](payload))
            continue
        if event.opcode is not Opcode.CONT:
            kind, begun = event.opcode, b""
        begun += payload
        if not event.fin:
            continue
        if kind is Opcode.BINARY:
            messages.append(Frame.Binary(begun))
            continue
        try:
            messages.append(Frame.Text(begun))
        except UnicodeDecodeError:
            return Verdict(messages, control, 1007, "text")
    error = protocol.parser_exc
    if error is None:
        return Verdict(messages, control, None)
    codes: dict[type[Exception], int] = {
        ProtocolError: 1002,
        PayloadTooBig: 1009,
        UnicodeDecodeError: 1007,
    }
    return Verdict(messages, control, codes[type(error)], str(error))


def ask_wsproto(
    stream: bytes, *, masked: bool, extensions: list[Extension] | None = None
) -> Verdict:
    """Let wsproto read; its pieces are joined here."""
    protocol = FrameProtocol(not masked, extensions or [])
    protocol.receive_bytes(stream)
    messages: list[Frame] = []
    control: list[Frame] = []
    text, binary = "", b""
    try:
        for event in protocol.received_frames():
            payload = event.payload
            if event.opcode is WsprotoOpcode.TEXT:
                assert isinstance(payload, str)
                text += payload
                if event.message_finished:
                    messages.append(Frame.Text(text))
                    text = ""
            elif event.opcode is WsprotoOpcode.BINARY:
                assert isinstance(payload, bytes)
                binary += payload
                if event.message_finished:
                    messages.append(Frame.Binary(binary))
                    binary = b""
            elif event.opcode is WsprotoOpcode.CLOSE:
                assert isinstance(payload, tuple)
                code, reason = payload
                control.append(Frame.Close(CloseReason(code, reason or "")))
            else:
                assert isinstance(payload, bytes)
                ping = event.opcode is WsprotoOpcode.PING
                control.append(Frame.Ping(payload) if ping else Frame.Pong(payload))
    except ParseFailed as error:
        return Verdict(messages, control, int(error.code), str(error))
    return Verdict(messages, control, None)


def agree(ours: Outcome, theirs: Verdict) -> bool:
    return (ours.messages, ours.control, ours.code) == theirs[:3]


def is_prefix(ours: Outcome, theirs: Verdict) -> bool:
    """Whether all that we delivered they delivered too, and perhaps more."""
    return (
        theirs.messages[: len(ours.messages)] == ours.messages
        and theirs.control[: len(ours.control)] == ours.control
    )


def websockets_differs(ours: Outcome, theirs: Verdict) -> str:
    """Say why `websockets` may say something else; "" where it may not."""
    why = "" if ours.violation is None else ours.violation[1]
    if ("shortest form" in why or "over 125" in why) and is_prefix(ours, theirs):
        return (
            "it takes lengths in any form (RFC 6455 5.2: the minimal number of bytes MUST be used)"
        )
    small = re.match(r"frame with (\d+) bytes after reading", theirs.why)
    if small is not None and int(small[1]) <= 125:
        return "its limit, less what the message has so far, holds for control frames too"
    if theirs.why == "incomplete fragmented message":
        return "it refuses a Close within a message, which is a control frame like others (5.4)"
    if ours.code is not None and theirs.code is not None and is_prefix(ours, theirs):
        both = (ours.code, theirs.code)
        if both == (1002, 1009):
            return "two rules are broken at once, and it looks at the size first"
        if "Close with code" in why and theirs.code == 1007:
            return "two rules are broken at once, and it looks at the text first"
        if "Text" in why:
            return "it leaves text to its caller and reads on, to the next broken rule"
        if both == (1009, 1002) and "Message" in why:
            return "it looks at RSV bits and the order of fragments after the payload"
    return ""


def wsproto_differs(ours: Outcome, theirs: Verdict) -> str:
    """Say why wsproto may say something else; "" where it may not."""
    if theirs.why == "CLOSE with unknown reserved code":
        return "it does not know 1014, which the IANA registry has"
    if ours.code == 1009 and is_prefix(ours, theirs):
        return "it has no limit"
    return ""
