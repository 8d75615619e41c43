"""The receiving half of the codec (RFC 6455 5): bytes in, frames out, whatever the chunking.

Every rule about a frame or about the order of frames is checked here or in `rules.py`. What to do
about a frame (answer a ping, end the session) is not decided here.

Final, unmasked text and binary frames that arrived whole are taken by `plain.py` and `coded.py`,
the hot path. Everything else goes frame by frame through `_begin`, `_take` and `_complete`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from ktor_client.frames import (
    RSV_MASK,
    BinaryFrame,
    CloseFrame,
    Frame,
    PingFrame,
    PongFrame,
    TextFrame,
)
from ktor_client.protocol.coded import take_coded
from ktor_client.protocol.extensions import ExtensionCodec
from ktor_client.protocol.masking import Mask, mask_bytes
from ktor_client.protocol.payload import OpenPayload
from ktor_client.protocol.plain import ONE_READ, take_copied, take_plain
from ktor_client.protocol.raw import raw_frame
from ktor_client.protocol.rules import check_close, check_first, check_length, decode_text
from ktor_client.protocol.text import NO_TEXT, OpenText
from ktor_client.protocol.violation import Violation

__all__ = ["FrameDecoder"]

_TEXT, _BINARY, _CLOSE, _PING = 1, 2, 8, 9
_LONG_HEADER = 14
DIRECT = 64 * 1024
"""Missing payload bytes from which on reading straight into the payload saves a copy."""
WORK = 1024
"""Frames beside the hot path that `feed` takes at a time: some milliseconds of work."""
_INFLATED = 4096
"""Bytes that count as a frame when an extension makes them."""

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
        mask: Mask = mask_bytes,
    ) -> None:
        """Start at the first byte after the handshake.

        Args:
            messages: where data frames are appended.
            max_size: bytes of a whole message after inflation; with `raw`, of a frame.
            masked: whether the peer must mask: True on the server's side, False on the client's.
            raw: whether to append each frame as it came, undecoded.
            extensions: RSV bits and codec of each negotiated extension, in negotiated order.
            mask: a faster XOR than ours.
        """
        self.messages = messages
        self.control: list[Frame] = []
        self.max_size = max_size  # a change counts for headers that are still to come
        self.finished = False
        """Whether Close came or a rule was broken: further bytes are ignored."""
        self.inflated = 0
        """Bytes that extensions have made of what came; whoever asks sets it back to 0."""
        self.taken = 0
        """Bytes that the last call has taken, unless all of them were whole messages."""
        self.rest: bytes = b""
        """What the last `feed` has left, so that the loop can run: feed b"" to go on with it."""
        self._masked = masked
        self.raw = raw
        self._codecs = tuple((codec, rsv) for rsv, codec in reversed(extensions))
        self._rsv = 0
        for rsv, _ in extensions:
            self._rsv |= rsv
        self._mask = mask
        self._plain = not (masked or raw or extensions)
        self._short = -1
        """Size of a read up to which it may be left to the hot path; -1 inside a frame."""
        self._coded = len(extensions) == 1 and not (masked or raw)
        # The message whose fragments are being collected: bytes, or a text.
        self._type = 0
        self._message = bytearray()
        self._text = NO_TEXT
        self._before = 0  # bytes of its frames before the last one
        self._message_rsv = 0
        self._is_transformed = False
        self._checks_early = False
        # The frame whose header came last, and its payload while that is incomplete.
        self._first = 0
        self._size = 0
        self._key = b""
        self._payload: OpenPayload | None = None
        self._missing = 0  # bytes of it, where it is decoded as it comes
        # Bytes of an incomplete header.
        self._tail = b""

    # --- feeding ---

    def direct_buffer(self) -> memoryview | None:
        """Return where the rest of a long payload can be received in place, or None."""
        payload = self._payload
        return None if payload is None or payload.missing < DIRECT else payload.lend()

    def feed_direct(self, size: int) -> bool:
        """Take note that `size` bytes were received into `direct_buffer()`; else as `feed`."""
        self.taken = size
        try:
            self._advance(size)
        except Violation:
            self.finish()
            raise
        return True

    def feed(self, data: bytes | memoryview) -> bool:
        """Take the next bytes; `data` is not kept.

        Returns:
            Whether there may be more than messages: something in `control`, `inflated` or `rest`,
            or an open payload.

        Raises:
            Violation: a rule is broken. What came before is in `messages` and `control`.
        """
        size = len(data)
        position = 0
        try:
            if size <= self._short and type(data) is bytes:
                # So most reads are when nobody floods: a short message, or a few.
                position = take_copied(data, self.max_size, self.messages.append)
                if position == size:
                    return False
            self._feed(memoryview(data), position)
        except Violation:
            self.finish()
            raise
        return True

    def _feed(self, data: memoryview, position: int) -> None:
        if self.finished:
            return
        if self.rest:
            whole, self.rest = self.rest + data.tobytes(), b""
            data = memoryview(whole)
        self.taken = len(data)
        if self._payload is not None:
            position = self._fill(data)
        elif self._missing:
            position = self._fill_text(data)
        elif self._tail:
            position = self._go_on(data)
        end = len(data)
        work, inflated = WORK, self.inflated
        while not self.finished:
            room = work * _INFLATED - (self.inflated - inflated)
            if room <= 0:
                self.rest = data[position:].tobytes()
                self.taken -= len(self.rest)
                break
            work -= 1
            if self._plain and not self._type:
                position = take_plain(data, position, self.max_size, self.messages.append)
                if position == end:
                    break
            elif self._coded and not self._type:
                position, size = take_coded(
                    data, position, self.max_size, self._codecs[0], self.messages.append, room
                )
                self.inflated += size
                if size >= room:
                    continue
            start = self._begin(data[position:]) if end - position >= 2 else 0
            if not start:
                if position < end:
                    self._tail = data[position:].tobytes()
                break
            position += start
            position += self._take(data[position:])
        is_idle = self._plain and not (self._type or self._tail or self.finished or self.rest)
        self._short = ONE_READ if is_idle and self._payload is None else -1

    def finish(self) -> None:
        """Drop what is incomplete; nothing more will be taken.

        Called at the end of a connection too.
        """
        self.finished = True
        self.rest = b""
        self._short = -1
        if self._payload is not None:
            self._payload.close()
            self._payload = None
        self._message = bytearray()
        self._text = NO_TEXT

    def _go_on(self, data: memoryview) -> int:
        """Complete the header that began in an earlier read; return how many bytes were used."""
        kept = len(self._tail)
        head = self._tail + data[:_LONG_HEADER].tobytes()
        start = self._begin(memoryview(head))
        if not start:
            self._tail = head
            return len(data)
        self._tail = b""
        used = start - kept
        return used + self._take(data[used:])

    # --- one frame, any kind ---

    def _begin(self, data: memoryview) -> int:
        """Check a header, keep what it says, return its length; 0 if it is incomplete."""
        if len(data) < 2:
            return 0
        first = data[0]
        check_first(first, allowed_rsv=self._rsv, in_message=self._type != 0)
        start, length = check_length(data, masked=self._masked)
        if not start:
            return 0
        if not first & 0x08:
            self._check_size(length, first)
        if self._masked:
            if len(data) < start + 4:
                return 0
            self._key = data[start : start + 4].tobytes()
            start += 4
        if first & 0x0F in (_TEXT, _BINARY):
            self._open_message(first)
        self._first = first
        self._size = length
        return start

    def _check_size(self, length: int, first: int) -> None:
        limit = self.max_size
        if self.raw:
            if length > limit:
                raise Violation.too_big(length, limit)
            return
        total = length if first & 0x0F else length + self._before
        if first & RSV_MASK if first & 0x0F else self._message_rsv:
            # Compressed data may be longer than what it inflates to, if hardly ever an eighth.
            limit += (limit >> 3) + 1024
        if total > limit:
            raise Violation.too_big(total, self.max_size)

    def _open_message(self, first: int) -> None:
        self._type = first & 0x0F
        self._message_rsv = first & RSV_MASK
        self._message = bytearray()
        self._text = OpenText() if self._type == _TEXT else NO_TEXT
        self._before = 0
        # What an extension transforms is no text yet.
        self._is_transformed = self._message_rsv != 0 or (
            not self.raw and any(not rsv for _, rsv in self._codecs)
        )
        self._checks_early = self._type == _TEXT and not self._is_transformed

    def _take(self, data: memoryview) -> int:
        """Take the payload, or what is here of it; return how many bytes that were."""
        size = self._size
        if len(data) >= size:
            payload = data[:size].tobytes()
            if self._masked:
                payload = bytes(self._mask(payload, self._key))
            self._complete(payload, is_checked=False)
            return size
        if self._checks_early and not (self.raw or self._first & 0x08):
            self._missing = size
            return self._fill_text(data)
        try:
            self._payload = OpenPayload(size)
        except (MemoryError, OverflowError):
            raise Violation.too_big(size, self.max_size) from None
        return self._fill(data)

    def _fill(self, data: memoryview) -> int:
        """Copy what belongs to the open payload; return how many bytes that were."""
        assert self._payload is not None
        size = self._payload.copy(data)
        self._advance(size)
        return size

    def _advance(self, size: int) -> None:
        payload = self._payload
        assert payload is not None
        start = payload.filled
        is_checked = self._checks_early and not self._first & 0x08
        with payload.received(size) as news:
            is_complete = not payload.missing
            if self._masked:
                news[:] = self._unmasked(news, start)
            if is_checked:
                # Fail at the first wrong byte, before the rest of the frame comes (RFC 6455 8.1).
                self._text.check(news, is_complete and self._first >= 0x80)
        if is_complete:
            self._payload = None
            self._complete(payload.close(), is_checked=is_checked)

    def _unmasked(self, data: memoryview, start: int) -> memoryview:
        turned = self._key[start % 4 :] + self._key[: start % 4]
        return memoryview(self._mask(data.tobytes(), turned))

    def _fill_text(self, data: memoryview) -> int:
        """Decode what belongs to the open frame of a text; return how many bytes that were."""
        piece = data[: self._missing]
        size = len(piece)
        if self._masked:
            piece = self._unmasked(piece, self._size - self._missing)
        self._missing -= size
        self._take_text(piece, not self._missing and self._first >= 0x80)
        if not self._missing:
            self._before += self._size
        return size

    def _take_text(self, data: bytes | memoryview, is_last: bool) -> None:
        self._text.take(data, is_last)
        if is_last:
            frame = _new(TextFrame)
            frame.text = self._text.whole()
            self.messages.append(frame)
            self._type = 0

    def _complete(self, payload: bytes, *, is_checked: bool) -> None:
        """Take a frame that is whole."""
        first = self._first
        if first & 0x08:
            self._control(first & 0x0F, payload)
            return
        if self.raw:
            self._raw_data(first, payload, is_checked)
        else:
            self._data(first, payload)
        if first & 0x80:
            self._type = 0

    def _control(self, opcode: int, payload: bytes) -> None:
        frame: Frame
        if opcode == _CLOSE:
            check_close(payload)
            self.finished = True
            frame = CloseFrame(payload)
        else:
            frame = PingFrame(payload) if opcode == _PING else PongFrame(payload)
        self.control.append(frame)
        if self.raw:
            self.messages.append(frame)

    def _raw_data(self, first: int, payload: bytes, is_checked: bool) -> None:
        is_whole = first == 0x80 | _TEXT  # then it is checked as it is decoded
        if self._type == _TEXT and not (is_whole or is_checked or self._is_transformed):
            self._text.check(payload, first >= 0x80)
        self.messages.append(raw_frame(self._type, first, payload))

    def _data(self, first: int, payload: bytes) -> None:
        if self._codecs:
            payload = self._transform(first, payload)
        is_last = first >= 0x80
        is_whole = is_last and first & 0x0F != 0
        if self._type == _TEXT:
            if is_whole:
                text = _new(TextFrame)
                text.text = decode_text(payload)
                self.messages.append(text)
            else:
                self._take_text(payload, is_last)
        else:
            if not is_whole:
                self._message += payload
            if is_last:
                binary = _new(BinaryFrame)
                binary.data = payload if is_whole else bytes(self._message)
                self.messages.append(binary)
        self._before += len(payload)

    def _transform(self, first: int, payload: bytes) -> bytes:
        limit = self.max_size
        for codec, rsv in self._codecs:
            if not rsv or self._message_rsv & rsv:
                payload = codec.decode(
                    payload, first=bool(first & 0x0F), fin=first >= 0x80, limit=limit
                )
        self.inflated += len(payload)
        if len(payload) + self._before > limit:
            raise Violation.too_big(None, limit)
        return payload
