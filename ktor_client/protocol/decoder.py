"""The receiving half of the codec (RFC 6455 5): bytes in, frames out, whatever the chunking.

Every rule about a frame or about the order of frames is checked here and nowhere else. What to do
about a frame (answer a ping, end the session) is not decided here.

The loop in `feed` is the hot path: final, unmasked text and binary frames that arrived whole.
Everything else leaves it for `_frame`, `_begin` and `_fill`.
"""

from __future__ import annotations

import codecs
from collections import deque
from collections.abc import Sequence

from ktor_client.frames import (
    CONTINUATION,
    MAX_CONTROL_PAYLOAD,
    NOT_FINAL,
    RSV_MASK,
    BinaryFrame,
    CloseFrame,
    Frame,
    PingFrame,
    PongFrame,
    TextFrame,
    may_be_sent,
)
from ktor_client.protocol.extensions import ExtensionCodec
from ktor_client.protocol.masking import MaskInPlace, mask_bytes
from ktor_client.protocol.violation import Violation

__all__ = ["FrameDecoder"]

_TEXT, _BINARY, _CLOSE, _PING, _PONG = 1, 2, 8, 9, 10
_OPCODES = frozenset((0, _TEXT, _BINARY, _CLOSE, _PING, _PONG))
_WINDOW = 16 * 1024
_LONG_HEADER = 14
DIRECT = 64 * 1024
"""Missing payload bytes from which on reading straight into the payload saves a copy."""

_new_utf8 = codecs.getincrementaldecoder("utf-8")
_new = object.__new__


class FrameDecoder:
    """Turns bytes into frames. Whole messages by default; every frame with `raw`.

    Data goes to `messages`; Ping, Pong and Close go to `control`, in order (with `raw`, to both).
    Whoever feeds empties `control`.
    """

    def __init__(
        self,
        messages: deque[Frame],
        *,
        max_size: int,
        masked: bool = False,
        raw: bool = False,
        extensions: Sequence[tuple[int, ExtensionCodec]] = (),
        mask: MaskInPlace | None = None,
    ) -> None:
        """Start at the first byte after the handshake.

        Args:
            messages: where data frames are appended.
            max_size: bytes of a whole message after inflation; with `raw`, of a frame.
            masked: whether the peer must mask: True on the server's side, False on the client's.
            raw: whether to append each frame as it came, undecoded.
            extensions: RSV bits and codec of each negotiated extension, in negotiated order.
            mask: a compiled XOR, if there is one.
        """
        self.messages = messages
        self.control: list[Frame] = []
        self.max_size = max_size
        self.finished = False
        """Whether Close came or a rule was broken: further bytes are ignored."""
        self.inflated = 0
        """Bytes that extensions have made of what came; whoever asks sets it back to 0."""
        self._masked = masked
        self._raw = raw
        self._codecs = [codec for _, codec in reversed(extensions)]
        self._codec_rsv = [rsv for rsv, _ in reversed(extensions)]
        self._rsv = 0
        for rsv, _ in extensions:
            self._rsv |= rsv
        self._mask = mask
        self._plain = not (masked or raw or extensions)
        # The message whose fragments are being collected.
        self._type = 0
        self._message = bytearray()
        self._message_rsv = 0
        self._utf8 = _new_utf8()
        # The frame whose payload is not here yet.
        self._tail = b""
        self._first = 0
        self._key = b""
        self._payload: bytearray | None = None
        self._view = memoryview(b"")
        self._filled = 0

    # --- feeding ---

    @property
    def open_payload(self) -> bool:
        """Whether a payload is waiting for bytes."""
        return self._payload is not None

    def direct_buffer(self) -> memoryview | None:
        """Return where the rest of a long payload can be received in place, or None."""
        if self._payload is not None and len(self._view) - self._filled >= DIRECT:
            return self._view[self._filled :]
        return None

    def feed_direct(self, size: int) -> None:
        """Take note that `size` bytes were received into `direct_buffer()`. Raises `Violation`."""
        try:
            self._advance(size)
        except Violation:
            self.finished = True
            raise

    def feed(self, data: memoryview) -> None:
        """Take the next bytes; `data` is not kept.

        Raises:
            Violation: a rule is broken. What came before is in `messages` and `control`.
        """
        if self.finished:
            return
        try:
            self._feed(data)
        except Violation:
            self.finished = True
            raise

    def _feed(self, data: memoryview) -> None:
        if self._payload is not None:
            used = self._fill(data)
            if used == len(data):
                return
            data = data[used:]
        elif self._tail:
            kept = len(self._tail)
            head = memoryview(self._tail + bytes(data[:_LONG_HEADER]))
            self._tail = b""
            start = self._begin(head)
            if not start:
                self._tail = bytes(head)
                return
            used = start - kept
            used += self._fill(data[used:])
            data = data[used:]
        end = len(data)
        position = 0
        append = self.messages.append
        while end - position >= 2 and not self.finished:
            if self._plain and not self._type:
                # The hot path.
                first = data[position]
                length = data[position + 1]
                if length < 126:
                    if self.max_size >= 125:
                        position += self._feed_short(bytes(data[position : position + _WINDOW]))
                        if end - position < 2:
                            break
                        first = data[position]
                        length = data[position + 1]
                elif length == 126 and end - position >= 4:
                    length = data[position + 2] << 8 | data[position + 3]
                    start = position + 4
                    stop = start + length
                    if 126 <= length <= self.max_size and stop <= end:
                        if first == 0x82:
                            binary = _new(BinaryFrame)
                            binary.data = bytes(data[start:stop])
                            append(binary)
                            position = stop
                            continue
                        if first == 0x81:
                            try:
                                text = str(data[start:stop], "utf-8")
                            except UnicodeDecodeError as error:
                                raise _not_utf8("Text") from error
                            frame = _new(TextFrame)
                            frame.text = text
                            append(frame)
                            position = stop
                            continue
            start = self._begin(data[position:])
            if not start:
                break
            position += start
            position += self._fill(data[position:])
        if position < end and self._payload is None and not self.finished:
            self._tail = bytes(data[position:])

    def _feed_short(self, data: bytes) -> int:
        """Take whole final data frames of at most 125 bytes; return how many bytes they were."""
        append = self.messages.append
        end = len(data) - 1
        position = 0
        while position < end:
            start = position + 2
            length = data[position + 1]
            stop = start + length
            if length > 125 or stop > end + 1:
                break
            first = data[position]
            if first == 0x81:
                try:
                    text = data[start:stop].decode()
                except UnicodeDecodeError as error:
                    raise _not_utf8("Text") from error
                frame = _new(TextFrame)
                frame.text = text
                append(frame)
            elif first == 0x82:
                binary = _new(BinaryFrame)
                binary.data = data[start:stop]
                append(binary)
            else:
                break
            position = stop
        return position

    # --- one frame, any kind ---

    def _begin(self, data: memoryview) -> int:
        """Check a header, open its payload, return the header's length; 0 if it is incomplete."""
        if len(data) < 2:
            return 0
        first, second = data[0], data[1]
        self._check_first(first)
        length = second & 0x7F
        if first & 0x08 and length > MAX_CONTROL_PAYLOAD:
            raise Violation.protocol("Received illegal frame: a control frame of over 125 bytes")
        if bool(second & 0x80) is not self._masked:
            wrong = "unmasked frame from a client" if self._masked else "masked frame from a server"
            raise Violation.protocol(f"Received illegal frame: {wrong}")
        start = 2
        if length == 126:
            start = 4
        elif length == 127:
            start = 10
        if len(data) < start + (4 if self._masked else 0):
            return 0
        if start > 2:
            size = int.from_bytes(data[2:start], "big")
            if size >> 63:
                raise Violation.protocol("Received illegal frame: length with the top bit set")
            if size < (126 if length == 126 else 65536):
                raise Violation.protocol("Received illegal frame: length not in its shortest form")
            length = size
        if not first & 0x08:
            self._check_size(length, first)
        if self._masked:
            self._key = bytes(data[start : start + 4])
            start += 4
        if not first & 0x08:
            self._open_message(first)
        self._first = first
        self._payload = bytearray(length)
        self._view = memoryview(self._payload)
        self._filled = 0
        return start

    def _check_first(self, first: int) -> None:
        """Check opcode, RSV bits and the order of fragments."""
        opcode = first & 0x0F
        if opcode not in _OPCODES:
            raise Violation.protocol(f"Received illegal frame: unknown opcode {opcode:#x}")
        rsv = first & RSV_MASK
        if rsv and (rsv & ~self._rsv or opcode & 0x08 or opcode == 0):
            raise Violation.protocol(
                f"Received illegal frame: RSV bits {rsv >> 4:03b} that no extension explains"
            )
        if opcode & 0x08:
            if not first & 0x80:
                raise Violation.protocol("Received illegal frame: a fragmented control frame")
        elif opcode == 0:
            if not self._type:
                raise Violation.protocol("Received illegal frame: a continuation of nothing")
        elif self._type:
            raise Violation.protocol(
                "Received illegal frame: a new message before the last one was finished"
            )

    def _check_size(self, length: int, first: int) -> None:
        limit = self.max_size
        if self._raw:
            if length > limit:
                raise Violation.too_big(length, limit)
            return
        total = length if first & 0x0F else length + len(self._message)
        rsv = first & RSV_MASK if first & 0x0F else self._message_rsv
        if rsv:
            # Deflate may make an incompressible message a little longer, never much.
            limit += (limit >> 8) + 64
        if total > limit:
            raise Violation.too_big(total, self.max_size)

    def _open_message(self, first: int) -> None:
        opcode = first & 0x0F
        if opcode:
            self._type = opcode
            self._message_rsv = first & RSV_MASK
            self._message = bytearray()
            self._utf8.reset()

    def _fill(self, data: memoryview) -> int:
        """Copy what belongs to the open payload; return how many bytes that were."""
        room = len(self._view) - self._filled
        size = min(room, len(data))
        self._view[self._filled : self._filled + size] = data[:size]
        self._advance(size)
        return size

    def _advance(self, size: int) -> None:
        payload = self._payload
        assert payload is not None
        start = self._filled
        self._filled += size
        complete = self._filled == len(payload)
        if self._validates(self._first):
            # Fail at the first wrong byte, before the rest of the frame comes (RFC 6455 8.1).
            self._check_utf8(self._view[start : self._filled], complete and self._first & 0x80)
        if complete:
            self._payload = None
            self._view = memoryview(b"")
            data = bytes(payload)
            if self._masked and data:
                data = self._unmask(payload)
            self._frame(self._first, data)

    def _validates(self, first: int) -> bool:
        return (
            not first & 0x08
            and self._type == _TEXT
            and not self._masked
            and (not self._codecs or (self._raw and not self._message_rsv))
        )

    def _unmask(self, payload: bytearray) -> bytes:
        if self._mask is None:
            return mask_bytes(bytes(payload), self._key)
        self._mask(self._key, payload)
        return bytes(payload)

    def _check_utf8(self, data: bytes | memoryview, final: int) -> None:
        try:
            self._utf8.decode(data, bool(final))  # type: ignore[arg-type]  # any buffer will do
        except UnicodeDecodeError as error:
            raise _not_utf8("Text") from error
        pending = self._utf8.getstate()[0]
        if len(pending) == 2 and pending[0] == 0xED and pending[1] >= 0xA0:
            raise _not_utf8("Text")  # half a surrogate: CPython waits for the third byte

    # --- whole frames ---

    def _frame(self, first: int, payload: bytes) -> None:
        opcode = first & 0x0F
        if opcode & 0x08:
            self._control(opcode, payload)
        elif self._raw:
            self._raw_data(first, payload)
        else:
            self._data(first, payload)

    def _control(self, opcode: int, payload: bytes) -> None:
        frame: Frame
        if opcode == _CLOSE:
            _check_close(payload)
            self.finished = True
            frame = CloseFrame(payload)
        else:
            frame = PingFrame(payload) if opcode == _PING else PongFrame(payload)
        self.control.append(frame)
        if self._raw:
            self.messages.append(frame)

    def _raw_data(self, first: int, payload: bytes) -> None:
        text, fin = self._type == _TEXT, bool(first & 0x80)
        if text and self._masked and not self._message_rsv:
            self._check_utf8(payload, fin)
        frame: Frame = _new(TextFrame) if text else _new(BinaryFrame)
        bits = first & RSV_MASK
        if not fin:
            bits |= NOT_FINAL
        if not first & 0x0F:
            bits |= CONTINUATION
        if bits:
            frame._bits = bits
        if not isinstance(frame, TextFrame):
            frame.data = payload
        elif bits & (NOT_FINAL | CONTINUATION | RSV_MASK):
            frame._data = payload
        else:
            frame.text = payload.decode()
        if fin:
            self._type = 0
        self.messages.append(frame)

    def _data(self, first: int, payload: bytes) -> None:
        fin = bool(first & 0x80)
        if self._codecs:
            payload = self._decode(payload, first=bool(first & 0x0F), fin=fin)
            self.inflated += len(payload)
            if len(payload) + len(self._message) > self.max_size:
                raise Violation.too_big(None, self.max_size)
        if self._type == _TEXT and (self._codecs or self._masked):
            self._check_utf8(payload, fin)
        if not fin:
            self._message += payload
            return
        if self._message:
            payload = bytes(self._message + payload)
            self._message = bytearray()
        if self._type == _TEXT:
            frame = _new(TextFrame)
            frame.text = payload.decode()
            self.messages.append(frame)
        else:
            binary = _new(BinaryFrame)
            binary.data = payload
            self.messages.append(binary)
        self._type = 0

    def _decode(self, payload: bytes, *, first: bool, fin: bool) -> bytes:
        for codec, rsv in zip(self._codecs, self._codec_rsv, strict=True):
            if not rsv or self._message_rsv & rsv:
                payload = codec.decode(payload, first=first, fin=fin, limit=self.max_size)
        return payload


def _not_utf8(what: str) -> Violation:
    return Violation.inconsistent(f"{what} is not valid UTF-8")


def _check_close(payload: bytes) -> None:
    """Check code and reason of a Close frame (RFC 6455 5.5.1, 7.4)."""
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
        raise _not_utf8("Close reason") from error
