"""Frames and frame types (Ktor's `Frame`, `FrameType`): values, and the rules about a single one.

Whoever makes a frame of what came (`protocol/`) fills its slots directly, all of them but those
that the frame does not have: a fragment no `text`, a whole text no `_data`.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from ktor_client._twin import twin
from ktor_client.frames.reason import CloseReason
from ktor_client.mistakes import TaughtEnum, shown_names, teach

__all__ = ["Frame", "FrameType"]

MAX_CONTROL_PAYLOAD = 125
"""Bytes that a control frame may carry (RFC 6455 5.5)."""

NOT_FINAL = 0x01
CONTINUATION = 0x02
NOT_UTF8 = 0x04
"""Set of a text that is whole and has no `text`; only raw sessions meet one."""
RSV1 = 0x40
RSV2 = 0x20
RSV3 = 0x10
RSV_MASK = RSV1 | RSV2 | RSV3


class FrameType(enum.IntEnum, metaclass=TaughtEnum):
    """The opcode of a frame (RFC 6455 5.2).

    There is no member for continuation: as in Ktor, a fragment has the type of its message.
    """

    TEXT = 1
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10

    @property
    def is_control(self) -> bool:
        """Whether this is Close, Ping or Pong."""
        return self >= FrameType.CLOSE


class Frame:
    """One WebSocket frame: `Frame.Text`, `Frame.Binary`, `Frame.Close`, `Frame.Ping`, `Frame.Pong`.

    Frames are immutable values: compare them with `==`, and take them apart with `match`.
    """

    if TYPE_CHECKING:
        Text: TypeAlias = "TextFrame"
        Binary: TypeAlias = "BinaryFrame"
        Close: TypeAlias = "CloseFrame"
        Ping: TypeAlias = "PingFrame"
        Pong: TypeAlias = "PongFrame"
        data: bytes

    __slots__ = ("_bits",)

    _bits: int
    frame_type: ClassVar[FrameType]

    def __init__(self) -> None:
        raise TypeError("Frame is abstract; build a Frame.Text, Frame.Binary or a control frame")

    @property
    def fin(self) -> bool:
        """Whether this frame ends its message."""
        return not self._bits & NOT_FINAL

    @property
    def rsv1(self) -> bool:
        """First reserved bit; permessage-deflate uses it (RFC 7692 6)."""
        return bool(self._bits & RSV1)

    @property
    def rsv2(self) -> bool:
        """Second reserved bit."""
        return bool(self._bits & RSV2)

    @property
    def rsv3(self) -> bool:
        """Third reserved bit."""
        return bool(self._bits & RSV3)

    @property
    def is_continuation(self) -> bool:
        """Whether this is a fragment after the first one; only raw sessions see one."""
        return bool(self._bits & CONTINUATION)

    def read_bytes(self) -> bytes:
        """Return the payload; of a text frame, its UTF-8 form."""
        return self.data

    @staticmethod
    def by_type(
        frame_type: FrameType,
        data: bytes,
        *,
        fin: bool = True,
        rsv1: bool = False,
        rsv2: bool = False,
        rsv3: bool = False,
    ) -> Frame:
        """Build the frame that `frame_type` names (Ktor's `Frame.byType`).

        Raises:
            ValueError: the payload is not legal for that type.
        """
        if frame_type is FrameType.TEXT:
            return TextFrame(data, fin=fin, rsv1=rsv1, rsv2=rsv2, rsv3=rsv3)
        if frame_type is FrameType.BINARY:
            return BinaryFrame(data, fin=fin, rsv1=rsv1, rsv2=rsv2, rsv3=rsv3)
        if not fin:
            raise ValueError("a control frame cannot be a fragment (RFC 6455 5.5)")
        control = {
            FrameType.CLOSE: CloseFrame,
            FrameType.PING: PingFrame,
            FrameType.PONG: PongFrame,
        }[frame_type](data)
        control._bits = _bits(True, rsv1, rsv2, rsv3)
        return control

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Frame):
            return NotImplemented
        return (
            self.frame_type is other.frame_type
            and self._bits == other._bits
            and self.data == other.data
        )

    def __hash__(self) -> int:
        return hash((self.frame_type, self._bits, self.data))

    def __dir__(self) -> list[str]:
        return shown_names(self)

    def __repr__(self) -> str:
        data = self.data
        shown = repr(data) if len(data) <= 32 else f"{data[:32]!r}... {len(data)} bytes"
        return f"Frame.{self.frame_type.name.title()}({shown}{self._repr_bits()})"

    def _repr_bits(self) -> str:
        parts = "" if self.fin else ", fin=False"
        for name in ("rsv1", "rsv2", "rsv3"):
            if getattr(self, name):
                parts += f", {name}=True"
        return parts


def _bits(fin: bool, rsv1: bool, rsv2: bool, rsv3: bool) -> int:
    if fin and not (rsv1 or rsv2 or rsv3):
        return 0
    return (0 if fin else NOT_FINAL) | (RSV1 * rsv1) | (RSV2 * rsv2) | (RSV3 * rsv3)


def _first(data: object) -> str:
    """Say what was given in place of a payload; Ktor's `fin` comes before it."""
    if isinstance(data, bool):
        return ", then fin: the payload comes first"
    return f", not {type(data).__name__}"


@twin
class TextFrame(Frame):
    """A text message, or a fragment of one. `Frame.Text("hi").read_text() == "hi"`.

    `.text` is the whole message; a fragment has only `.data`, since UTF-8 may be cut anywhere, and
    so has what a raw session gets and is not UTF-8, such as an extension's data.
    """

    __match_args__ = ("text",)
    __slots__ = ("_data", "text")
    frame_type: ClassVar[FrameType] = FrameType.TEXT

    text: str
    _data: bytes

    def __init__(
        self,
        data: str | bytes,
        fin: bool = True,
        *,
        rsv1: bool = False,
        rsv2: bool = False,
        rsv3: bool = False,
    ) -> None:
        """Build from text, or from UTF-8 bytes.

        Raises:
            ValueError: `data` is bytes of a whole message and not valid UTF-8.
        """
        if isinstance(data, int):
            raise TypeError(f"Frame.Text takes str or UTF-8 bytes{_first(data)}")
        self._bits = _bits(fin, rsv1, rsv2, rsv3)
        if self._bits:
            self._take(data.encode() if isinstance(data, str) else bytes(data))
        else:
            self.text = data if isinstance(data, str) else bytes(data).decode()

    def _take(self, payload: bytes) -> None:
        """Keep a payload that may be a part of a text, or none at all; `_bits` are set."""
        if not self._bits & (NOT_FINAL | CONTINUATION):
            try:
                self.text = payload.decode()
                return
            except UnicodeDecodeError:
                self._bits |= NOT_UTF8
        self._data = payload

    if not TYPE_CHECKING:

        @property
        def data(self) -> bytes:
            """The payload, as a rule UTF-8."""
            try:
                return self.text.encode()
            except AttributeError:
                return self._data

    def read_text(self) -> str:
        """Return the text of a whole message (Ktor's `readText`).

        Raises:
            ValueError: this is a fragment, or not UTF-8.
        """
        try:
            return self.text
        except AttributeError:
            raise ValueError(
                "this is not UTF-8 text; its bytes are in .data"
                if self._bits & NOT_UTF8
                else "text can only be read from a whole message; this is a fragment"
            ) from None

    def __repr__(self) -> str:
        if self._bits:
            return super().__repr__()
        text = self.text
        shown = repr(text) if len(text) <= 48 else f"{text[:48]!r}... {len(text)} characters"
        return f"Frame.Text({shown})"


@twin
class BinaryFrame(Frame):
    """A binary message, or a fragment of one."""

    __match_args__ = ("data",)
    __slots__ = ("data",)
    frame_type: ClassVar[FrameType] = FrameType.BINARY

    data: bytes

    def __init__(
        self,
        data: bytes | bytearray | memoryview,
        fin: bool = True,
        *,
        rsv1: bool = False,
        rsv2: bool = False,
        rsv3: bool = False,
    ) -> None:
        if isinstance(data, str | int):
            raise TypeError(f"Frame.Binary takes bytes{_first(data)}")
        self._bits = _bits(fin, rsv1, rsv2, rsv3)
        self.data = bytes(data)


class _ControlFrame(Frame):
    __match_args__ = ("data",)
    __slots__ = ("data",)

    data: bytes

    def __init__(self, data: bytes = b"") -> None:
        if type(data) is not bytes:
            if isinstance(data, str | int):
                raise TypeError(f"a control frame takes bytes, not {type(data).__name__}")
            data = bytes(data)
        if len(data) > MAX_CONTROL_PAYLOAD:
            raise ValueError(
                f"a control frame carries at most {MAX_CONTROL_PAYLOAD} bytes, not {len(data)} "
                "(RFC 6455 5.5)"
            )
        self._bits = 0
        self.data = data


class PingFrame(_ControlFrame):
    """A ping, with up to 125 bytes of application data."""

    __slots__ = ()
    frame_type: ClassVar[FrameType] = FrameType.PING


class PongFrame(_ControlFrame):
    """A pong, with up to 125 bytes of application data."""

    __slots__ = ()
    frame_type: ClassVar[FrameType] = FrameType.PONG


class CloseFrame(_ControlFrame):
    """A Close frame: `Frame.Close(CloseReason(1000, "bye"))`; `read_reason()` gives that back."""

    __slots__ = ()
    frame_type: ClassVar[FrameType] = FrameType.CLOSE

    def __init__(self, reason: CloseReason | bytes | None = None) -> None:
        """Build from a reason, from a raw payload, or empty (no status)."""
        if isinstance(reason, CloseReason):
            code = reason.code
            if code is None:
                raise ValueError("the session is still open: there is no close reason to send yet")
            data = b"" if code == 1005 else code.to_bytes(2, "big") + reason.message.encode()
        elif isinstance(reason, int):
            raise TypeError(
                f"Frame.Close takes a CloseReason, not {reason!r}: Frame.Close(CloseReason(1000))"
            )
        else:
            data = b"" if reason is None else reason
        super().__init__(data)

    def read_reason(self) -> CloseReason | None:
        """Return the reason, or None where the frame carries no status (Ktor's `readReason`).

        Raises:
            ValueError: the payload is not a code followed by UTF-8.
        """
        if not self.data:
            return None
        if len(self.data) == 1:
            raise ValueError("a Close payload of one byte carries no code (RFC 6455 5.5.1)")
        return CloseReason(int.from_bytes(self.data[:2], "big"), self.data[2:].decode())


_new = object.__new__


@twin
def new_text(text: str) -> TextFrame:
    """Return the frame of a whole text that was received."""
    frame = _new(TextFrame)
    frame.text = text
    frame._bits = 0
    return frame


def new_opaque(payload: bytes, bits: int) -> TextFrame:
    """Return a frame of a text whose payload may be anything."""
    frame = _new(TextFrame)
    frame._bits = bits
    frame._take(payload)
    return frame


@twin
def new_binary(data: bytes, bits: int = 0) -> BinaryFrame:
    """Return a binary frame that was received."""
    frame = _new(BinaryFrame)
    frame.data = data
    frame._bits = bits
    return frame


if not TYPE_CHECKING:
    Frame.Text = TextFrame
    Frame.Binary = BinaryFrame
    Frame.Close = CloseFrame
    Frame.Ping = PingFrame
    Frame.Pong = PongFrame
    teach(Frame)
