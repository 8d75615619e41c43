"""The words of the wire: frames, frame types and close reasons.

Here live value objects and the rules about a single frame or a single close code. Bytes on the
wire, masking, reassembly and sessions do not: see `protocol/` and `session/`.
"""

from ktor_client.frames.frame import (
    CONTINUATION,
    MAX_CONTROL_PAYLOAD,
    NOT_FINAL,
    NOT_UTF8,
    RSV1,
    RSV2,
    RSV3,
    RSV_MASK,
    BinaryFrame,
    CloseFrame,
    Frame,
    FrameType,
    PingFrame,
    PongFrame,
    TextFrame,
    new_binary,
    new_opaque,
    new_text,
)
from ktor_client.frames.reason import MAX_REASON_BYTES, CloseReason, Initiator, may_be_sent

__all__ = [
    "CONTINUATION",
    "MAX_CONTROL_PAYLOAD",
    "MAX_REASON_BYTES",
    "NOT_FINAL",
    "NOT_UTF8",
    "RSV1",
    "RSV2",
    "RSV3",
    "RSV_MASK",
    "BinaryFrame",
    "CloseFrame",
    "CloseReason",
    "Frame",
    "FrameType",
    "Initiator",
    "PingFrame",
    "PongFrame",
    "TextFrame",
    "may_be_sent",
    "new_binary",
    "new_opaque",
    "new_text",
]
