"""Two other codecs, asked what they make of a stream: `websockets` and wsproto, both sans-IO."""

from __future__ import annotations

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

__all__ = ["Verdict", "ask_websockets", "ask_wsproto", "websockets_protocol"]


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
    codes = {ProtocolError: 1002, PayloadTooBig: 1009, UnicodeDecodeError: 1007}
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
