"""Checks of frames and close reasons: values, which are alike on every engine and platform."""

from __future__ import annotations

from ktor_client.frames import CloseReason, Frame, FrameType
from ktor_client.plugins import WebSocketDeflate, WebSockets
from ktor_client.testing.conformance.check import Lab, Room, equal, expect, raises

__all__ = ["ROOM"]

ROOM = Room("values")
check = ROOM.check_for_all


@check("RFC 6455 5.5; Ktor: ControlFrameSizeTest")
async def control_payloads_are_limited(lab: Lab) -> None:
    """Control frames carry up to 125 bytes; data frames more."""
    for kind in (Frame.Ping, Frame.Pong, Frame.Close):
        equal(len(kind(b"\x03\xe8" + b"x" * 123).data), 125, "the length")
        with raises(ValueError):
            kind(b"\x03\xe8" + b"x" * 124)
    equal(len(Frame.Binary(bytes(1125)).data), 1125, "the length")
    equal(len(Frame.Text("x" * 1125).data), 1125, "the length")


@check("RFC 6455 5.5.1; Ktor: ControlFrameSizeTest")
async def close_messages_are_limited(lab: Lab) -> None:
    """A close message has at most 123 UTF-8 bytes, a code is within 0 to 65535."""
    frame = Frame.Close(CloseReason(1000, "x" * 123))
    equal(len(frame.data), 125, "the payload's length")
    for text in ("x" * 124, "ä" * 62):
        with raises(ValueError):
            CloseReason(1000, text)
    for code in (-1, 65536):
        with raises(ValueError):
            CloseReason(code)


@check("Ktor: FrameCloseTest")
async def close_frames_give_their_reason_back(lab: Lab) -> None:
    """`read_reason` returns what a Close frame was made of; None for an empty one."""
    for message in ("", "bye", "до свидания", "再见 👋"):
        reason = CloseReason(4000, message)
        equal(Frame.Close(reason).read_reason(), reason, "the reason")
    equal(Frame.Close().read_reason(), None, "the reason of an empty frame")


@check("ktor-client: frames")
async def frames_are_values(lab: Lab) -> None:
    """Frames are equal by kind and content, and `match` takes them apart."""
    equal(Frame.Text("a"), Frame.Text("a"), "the frame")
    expect(Frame.Text("a") != Frame.Binary(b"a"), "a text equals a binary")
    expect(Frame.Text("a") != Frame.Text("a", fin=False), "a fragment equals a message")
    taken: list[object] = []
    frames: list[Frame] = [Frame.Text("t"), Frame.Binary(b"b"), Frame.Ping(b"p")]
    for frame in frames:
        match frame:
            case Frame.Text(text):
                taken.append(text)
            case Frame.Binary(data):
                taken.append(data)
            case _:
                taken.append(frame.frame_type)
    equal(taken, ["t", b"b", FrameType.PING], "what match took")


@check("ktor-client: frames")
async def fragments_are_no_text(lab: Lab) -> None:
    """`read_text` of a message is its text, of a fragment a ValueError."""
    equal(Frame.Text("grüße").read_text(), "grüße", "the text")
    with raises(ValueError):
        Frame.Text("a", fin=False).read_text()


@check("ktor-client: close codes, RFC 6455 7.4")
async def codes_have_names(lab: Lab) -> None:
    """The registered close codes have names, those that are never sent too."""
    names = {code.value: code.name for code in CloseReason.Codes}
    missing = {*range(1000, 1016), 3000, 3003, 3008} - set(names)
    expect(not missing, f"codes without a name: {missing}")
    equal(CloseReason(1006).known_reason, CloseReason.Codes.CLOSED_ABNORMALLY, "known_reason")
    equal(CloseReason(4321).known_reason, None, "known_reason")


@check("RFC 6455 9.1; Ktor: WebSocketExtension")
async def extensions_may_not_conflict(lab: Lab) -> None:
    """Two extensions that claim the same RSV bit are refused when the plugin is made."""
    with raises(ValueError):
        WebSockets(extensions=[WebSocketDeflate(), WebSocketDeflate()])
