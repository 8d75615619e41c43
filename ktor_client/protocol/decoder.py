"""The receiving half of the codec (RFC 6455 5): bytes in, frames out, whatever the chunking.

Every rule is checked here: about a frame in `rules.py`, about messages in `message.py`. What to do
about a frame (answer a ping, end the session) is not decided here.

Final, unmasked text and binary frames that arrived whole are taken by `plain.py` or `coded.py`, the
hot path. Everything else goes frame by frame through `_next`.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Sequence

from ktor_client._twin import twin
from ktor_client.frames import (
    CONTINUATION,
    NOT_FINAL,
    RSV_MASK,
    CloseFrame,
    Frame,
    PingFrame,
    PongFrame,
    new_binary,
    new_opaque,
)
from ktor_client.protocol.coded import Road, road_of
from ktor_client.protocol.extensions import ExtensionCodec
from ktor_client.protocol.masking import Mask, mask_bytes
from ktor_client.protocol.message import MAX_FRAGMENTS, OpenMessage, Piece
from ktor_client.protocol.payload import OpenPayload
from ktor_client.protocol.plain import ONE_READ, take_copied, take_plain
from ktor_client.protocol.rules import check_close, check_first, check_length
from ktor_client.protocol.violation import Violation

__all__ = ["Fed", "FrameDecoder"]

_TEXT, _CLOSE, _PING = 1, 8, 9
DIRECT = 64 * 1024
"""Missing payload bytes from which on reading straight into the payload saves a copy."""
WORK = 1024
"""Frames beside the hot path that `feed` takes at a time: some milliseconds of work."""
_FRAME = 4096
"""Bytes of messages that are as much work as one of these frames."""


class Fed:
    """What came of feeding a decoder, beside the messages."""

    __slots__ = ("control", "rest", "size", "violation", "work")

    def __init__(self) -> None:
        self.control: list[Frame] = []
        """Pings, Pongs and the Close, in order."""
        self.size = 0
        """Bytes of the messages that were appended."""
        self.rest = b""
        """What was left so that the loop can run: to be fed before anything else."""
        self.violation: Violation | None = None
        """Why the connection must fail; nothing more will be taken."""
        self.work = WORK * _FRAME
        """What may still be done."""


@twin
class FrameDecoder:
    """Turns bytes into frames. Whole messages by default; every frame with `raw`."""

    __slots__ = (
        "_codecs",
        "_mask",
        "_masked",
        "_max_fragments",
        "_message",
        "_payload",
        "_road",
        "_rsv",
        "_short",
        "_tail",
        "finished",
        "is_cut_off",
        "max_size",
        "messages",
        "raw",
    )

    def __init__(
        self,
        messages: deque[Frame],
        *,
        max_size: int,
        max_fragments: int = MAX_FRAGMENTS,
        masked: bool = False,
        raw: bool = False,
        extensions: Sequence[tuple[int, ExtensionCodec]] = (),
        mask: Mask = mask_bytes,
    ) -> None:
        """Start at the first byte after the handshake.

        Args:
            messages: where data frames are appended; with `raw`, control frames too.
            max_size: bytes of a whole message after inflation; with `raw`, of a frame.
            max_fragments: frames of a message.
            masked: whether the peer must mask: True on the server's side, False on the client's.
            raw: whether to append each frame as it came, undecoded.
            extensions: RSV bits and codec of each negotiated extension, in negotiated order.
            mask: a faster XOR than ours.
        """
        self.messages = messages
        self.max_size = max_size  # a change counts for headers that are still to come
        self.finished = False
        """Whether Close came or the connection must fail: further bytes are ignored."""
        self.is_cut_off = False
        """Whether Close came in the midst of a message."""
        self.raw = raw
        self._max_fragments = sys.maxsize if raw else max_fragments
        self._masked = masked
        self._mask = mask
        self._codecs: list[tuple[ExtensionCodec, int]] = []
        self._rsv = 0
        for rsv, codec in extensions:
            self._rsv |= rsv
            if not raw:
                self._codecs.insert(0, (codec, rsv))
        self._road: Road | None = None
        """What takes whole messages, between messages."""
        if not (masked or raw or len(extensions) > 1):
            self._road = road_of(*self._codecs[0]) if extensions else take_plain
        self._short = -1
        """Size of a read up to which it may be left to the hot path; -1 within a frame."""
        self._message: OpenMessage | None = None
        self._payload: OpenPayload | None = None
        self._tail: bytes = b""
        """A header that is not complete, or a control frame."""

    @property
    def is_between_messages(self) -> bool:
        """Whether the next byte would begin a message, or a control frame."""
        return not (self._message or self._tail or self.finished)

    # --- feeding ---

    def direct_buffer(self) -> memoryview | None:
        """Return where the rest of a long payload can be received in place, or None."""
        payload = self._payload
        if payload is None or payload.missing < DIRECT or not payload.is_kept:
            return None
        return payload.lend()

    def feed_direct(self, size: int) -> Fed:
        """Take note that `size` bytes were received into `direct_buffer()`; else as `feed`."""
        fed = Fed()
        payload = self._payload
        assert payload is not None
        try:
            payload.received(size)
            self._advance(payload, b"", fed)
        except Exception as error:
            self._fail(error, fed)
        return fed

    def feed(self, data: bytes | memoryview) -> Fed | None:
        """Take the next bytes; `data` is not kept.

        Returns:
            What else came of it; None if all of it was whole messages, as it is most of the time.
        """
        fed: Fed | None = None
        position = 0
        try:
            if len(data) <= self._short and type(data) is bytes:
                # So most reads are when nobody floods: a short message, or a few.
                position = take_copied(data, self.max_size, self.messages)
                if position == len(data):
                    return None
            fed = Fed()
            fed.size = position
            self._feed(memoryview(data), position, fed)
        except Exception as error:
            fed = Fed() if fed is None else fed
            self._fail(error, fed)
        return fed

    def finish(self) -> None:
        """Drop what is incomplete; nothing more will be taken.

        Called at the end of a connection too.
        """
        if self.finished:
            return
        self.finished = True
        self._short = -1
        self._tail = b""
        self._message = None
        if self._payload is not None:
            self._payload.close()
            self._payload = None

    # --- inside ---

    def _feed(self, data: memoryview, position: int, fed: Fed) -> None:
        if self._tail:
            data, self._tail = memoryview(self._tail + data.tobytes()), b""
        if self._payload is not None:
            piece = self._payload.take(data)
            position = len(piece)
            self._advance(self._payload, piece, fed)
        end = len(data)
        while position < end and not self.finished:
            if fed.work <= 0:
                fed.rest = data[position:].tobytes()
                break
            if self._road is not None and self._message is None:
                before = position
                position, inflated = self._road(
                    data, position, self.max_size, self.messages, fed.work
                )
                fed.size += inflated or position - before
                fed.work -= inflated
                if position == end or fed.work <= 0:
                    continue
            used = self._next(data[position:], fed)
            if not used:
                self._tail = data[position:].tobytes()
                break
            position += used
            fed.work -= _FRAME
        is_short = self._road is take_plain and self.is_between_messages
        self._short = ONE_READ if is_short else -1

    def _next(self, data: memoryview, fed: Fed) -> int:
        """Take a frame, or what is here of it; return how many bytes that were.

        0 if there is too little: of a header, or of a control frame.
        """
        if len(data) < 2:
            return 0
        first = data[0]
        message = self._message
        check_first(first, allowed_rsv=self._rsv, in_message=message is not None)
        start, length = check_length(data, masked=self._masked)
        if not start:
            return 0
        if not first & 0x08:
            message = OpenMessage(first, self._codecs) if message is None else message
            message.expect(length, self.max_size, self._max_fragments)
        key = b""
        if self._masked:
            key = data[start : start + 4].tobytes()
            start += 4
        here = data[start : start + length]
        if len(data) < start or (first & 0x08 and len(here) < length):
            return 0
        if first & 0x08 or message is None:
            self._control(first & 0x0F, self._unmasked(here.tobytes(), key), fed)
            return start + length
        self._message = message
        message.frames += 1
        if len(here) == length:
            self._data(message, first, self._unmasked(here.tobytes(), key), fed)
        else:
            is_kept = self.raw or not message.is_text
            self._payload = OpenPayload(first, length, key, is_kept=is_kept)
            self._advance(self._payload, self._payload.take(here), fed)
        return start + len(here)

    def _advance(self, payload: OpenPayload, news: bytes | memoryview, fed: Fed) -> None:
        """Go on with the open payload; `news` are the bytes that have just come."""
        message = self._message
        assert message is not None
        is_complete = not payload.missing
        if is_complete:
            self._payload = None
        if not payload.is_kept:
            # Fail at the first wrong byte, before the rest of the frame comes (RFC 6455 8.1).
            piece: Piece = news
            if payload.key:
                turn = len(news) % 4
                piece = self._mask(news, payload.key)
                payload.key = payload.key[turn:] + payload.key[:turn]
            self._add(message, piece, is_complete and payload.first >= 0x80, fed)
        elif is_complete:
            whole = self._unmasked(payload.close(), payload.key)
            self._data(message, payload.first, whole, fed)

    def _unmasked(self, payload: bytes, key: bytes) -> bytes:
        return bytes(self._mask(payload, key)) if key else payload

    def _control(self, opcode: int, payload: bytes, fed: Fed) -> None:
        frame: Frame
        if opcode == _CLOSE:
            check_close(payload)
            self.is_cut_off = self._message is not None
            self.finish()
            frame = CloseFrame(payload)
        else:
            frame = PingFrame(payload) if opcode == _PING else PongFrame(payload)
        fed.control.append(frame)
        if self.raw:
            self.messages.append(frame)

    def _data(self, message: OpenMessage, first: int, payload: bytes, fed: Fed) -> None:
        """Take a data frame that is whole."""
        if not self.raw:
            self._add(message, payload, first >= 0x80, fed)
            return
        bits = first & RSV_MASK
        if not first & 0x80:
            bits |= NOT_FINAL
        else:
            self._message = None
        if not first & 0x0F:
            bits |= CONTINUATION
        make = new_opaque if message.kind == _TEXT else new_binary
        self.messages.append(make(payload, bits))
        fed.size += len(payload)

    def _add(self, message: OpenMessage, payload: Piece, fin: bool, fed: Fed) -> None:
        before = message.size
        frame = message.add(payload, self.max_size, fin=fin)
        fed.work -= message.size - before
        if frame is not None:
            self._message = None
            self.messages.append(frame)
            fed.size += message.size

    def _fail(self, error: Exception, fed: Fed) -> None:
        """Tell why the connection must fail."""
        self.finish()
        fed.violation = Violation.of(error)
