"""The sending half of a link on a transport: when frames become bytes, and when they are written.

Framing by the short way, joining of writes, backpressure of the transport, and what has left live
here; reading and the connection's end in `stream.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ktor_client._twin import twin
from ktor_client.frames import BinaryFrame, Frame, TextFrame
from ktor_client.link.contract import FrameLink, LinkReceiver
from ktor_client.link.home_loop import session_loop
from ktor_client.link.kernel import acknowledged
from ktor_client.link.write_room import PIECE, masked_in_room
from ktor_client.protocol.encoder import LONG, SHORT_HEADERS, FrameEncoder, header_16
from ktor_client.protocol.masking import Mask, fresh_key, take_key

__all__ = ["StreamSender"]

BATCH = 64 * 1024
"""Bytes that are joined before they are written, even within one step of the loop."""
STEP = 256 * 1024
"""Bytes that may be written in one step of the loop before `send` has to wait for the next.

Where extensions transform messages, what they are given counts as well, and not only what leaves.
"""
TRANSFORM = 256
"""Bytes that to transform a message, however short, counts at least."""


@twin
class StreamSender(FrameLink, asyncio.BaseProtocol):
    """Writes frames to a transport.

    The first frame of a step of the loop is written at once; those that follow are joined and
    written at the end of the step, or at 64 KiB.
    """

    # What a compiled twin looks at; the rest is in the instance's `__dict__`.
    __slots__ = (
        "_loop",
        "_out",
        "_out_size",
        "_plain",
        "_scheduled",
        "_stepped",
        "_transport",
        "bytes_sent",
        "frames_sent",
        "writable",
    )

    _encoder: FrameEncoder
    """Since the session has started the link; nobody sends before."""

    def __init__(self, transport: asyncio.Transport, mask: Mask) -> None:
        self._transport = transport
        self.frames_sent = self.bytes_sent = 0
        self._is_tls = transport.get_extra_info("sslcontext") is not None
        self._mask = mask
        self._loop = asyncio.get_running_loop()
        self.home = session_loop()
        self._receiver: LinkReceiver | None = None
        self._is_over = False  # for the session
        self._is_lost = False
        # `_plain` allows the short way, `_stepped` says that this step has written.
        self.writable = True
        self._plain = False
        self._stepped = False
        self._scheduled = False
        self._congested = False
        self._out: list[bytes | bytearray] = []
        self._out_size = 0
        self._step_size = 0
        # What becomes of bytes: `_dropped` of those counted as sent, `_unwritten` never counted.
        self._dropped = 0
        self._unwritten = 0
        self._surely_left = 0
        self._on_left: list[Callable[[], object]] = []

    def send(self, frame: Frame) -> None:
        """Take a frame for sending; see `FrameLink.send`."""
        if self._plain and not frame._bits:
            if type(frame) is TextFrame:
                return self.send_text(frame.text)
            if type(frame) is BinaryFrame:
                return self.send_binary(frame.data)
        encoder = self._encoder
        data = encoder.encode(frame)
        if frame._bits or not self._plain:
            self._plain = encoder.masked and not (encoder.in_message or encoder.transforms)
        self._write(data)
        if encoder.transforms:
            self._step_size += max(len(frame.data), TRANSFORM)
            if self._step_size >= STEP:
                self._spend_step()
        return None

    def send_text(self, text: str) -> None:
        """Send a whole text message."""
        if self._plain:
            self._write_message(0x81, text.encode())
        else:
            self.home.check()  # before it is encoded: what extensions keep must not change in vain
            self.send(TextFrame(text))

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Send a whole binary message; `data` may be reused when this returns."""
        if self._plain:
            self._write_message(0x82, data if type(data) is bytes else bytes(data))
        else:
            self.home.check()
            self.send(BinaryFrame(data))

    def flush(self) -> None:
        """Write what was held back for the end of the step."""
        out = self._out
        if out:
            data, count = b"".join(out), len(out)
            out.clear()
            self._out_size = 0
            self._hand_over(data, count)

    @property
    def taken(self) -> int:
        """Bytes on the wire, written or not; see `FrameLink.taken`."""
        return self.bytes_sent + self._out_size + self._unwritten

    @property
    def left(self) -> tuple[int, int]:
        """See `FrameLink.left`: what the transport still has may have left when it is lost."""
        written = self.bytes_sent - self._dropped
        if not self._is_lost:
            self._surely_left = max(self._surely_left, written - self._buffered())
        return self._surely_left, written

    @property
    def progress(self) -> tuple[int, bool]:
        """See `FrameLink.progress`: under TLS a buffer hides, and ours is not the last one."""
        moved, waits = super().progress
        taken, has_more = acknowledged(self._transport)
        return moved + taken, waits or has_more

    def watch_leaving(self, callback: Callable[[], object]) -> None:
        """Let the transport say when its buffer is empty; see `FrameLink.watch_leaving`."""
        self._on_left.append(callback)
        if not self._transport.is_closing():
            try:
                self._transport.set_write_buffer_limits(high=1, low=0)
            except NotImplementedError:
                pass  # it keeps its marks, and tells when below them

    # --- inside ---

    def _write_message(self, first: int, payload: bytes) -> None:
        size = len(payload)
        if size < 126:
            head = SHORT_HEADERS[first & 1][size]
        elif size < LONG:
            head = header_16(first, 0xFE, size)
        else:
            self._write_long(first, payload)
            return
        try:
            key = take_key()
        except IndexError:
            key = fresh_key()
        data = head + key + self._mask(payload, key)
        if self._scheduled:  # as all but the first two of a step
            self._out.append(data)
            size = self._out_size = self._out_size + len(data)
            if size >= BATCH:
                self._flush_batch()
        else:
            self._write(data)

    def _write_long(self, first: int, payload: bytes) -> None:
        self.home.check()
        if len(payload) <= STEP:
            self._write(self._encoder.frame(first, payload))
            return
        self.flush()
        head, key = self._encoder.head(first, len(payload))
        count, rest = 1, memoryview(payload)
        try:
            while rest:  # what was just written may have met the end
                self._hand_over(
                    masked_in_room(self._loop, head, rest[:PIECE], key, self._mask), count
                )
                head, count, rest = b"", 0, rest[PIECE:]
        except BaseException:
            if not head:  # what follows would be taken for the rest of this message
                self._abort_transport()
            raise
        self._stepped = True
        self._spend_step()

    def _write(self, data: bytes) -> None:
        """Write the first frame of a step; from the second on they are joined."""
        if not self._scheduled:
            if asyncio._get_running_loop() is not self._loop:  # twice in a step is cheap enough
                self.home.check()
            if not self._stepped:
                self._stepped = True
                self._hand_over(data, 1)
                if len(data) >= STEP:
                    self._spend_step()
                return
            self._join()
        self._out.append(data)
        self._out_size += len(data)
        if self._out_size >= BATCH:
            self._flush_batch()

    def _join(self) -> None:
        """Join what is sent until the end of this step of the loop."""
        if not self._scheduled:  # what is noted is true: a stack may be too deep for `call_soon`
            self._loop.call_soon(self._end_step)
            self._scheduled = True

    def _hand_over(self, data: bytes | bytearray | memoryview, count: int) -> None:
        """Give the bytes of `count` frames to the transport; once it closes it takes nothing."""
        if self._transport.is_closing():
            self._unwritten += len(data)
        else:
            self.frames_sent += count
            self.bytes_sent += len(data)
            self._transport.write(data)

    def _flush_batch(self) -> None:
        self._step_size += self._out_size
        self.flush()
        if self._step_size >= STEP:
            self._spend_step()

    def _spend_step(self) -> None:
        """Let senders wait for the next step of the loop, so that they cannot starve it."""
        self._join()
        self.writable = False

    def _end_step(self) -> None:
        self._scheduled = False
        self.flush()
        self._step_size = 0
        self._stepped = False
        self._tell_writable()

    def _tell_writable(self) -> None:
        if self.writable or self._congested or self._scheduled or self._is_over:
            return
        self.writable = True
        if self._receiver is not None:
            self._receiver.writable()

    def _buffered(self) -> int:
        try:
            return self._transport.get_write_buffer_size()
        except NotImplementedError:  # of a library's stream: it has taken what it was given
            return 0

    def _drop_out(self) -> None:
        """Forget what was held back for the end of the step."""
        if self._out:
            self._unwritten += self._out_size
            self._out.clear()
            self._out_size = 0

    def _transport_lost(self, error: Exception | None) -> None:
        """Take note of what left before the transport's end."""
        self._is_lost = True
        self._on_left.clear()
        self._drop_out()
        if error is None and not (self._is_tls or self.home.is_closed):
            # An orderly end comes after all that was written.
            self._surely_left = self.bytes_sent - self._dropped

    def _abort_transport(self) -> None:
        self._drop_out()
        if not self._is_lost:  # asyncio's transport has no loop any more then
            surely, possibly = self.left
            self._dropped += possibly - surely  # what it still has is thrown away
            self._transport.abort()

    # --- the transport's calls ---

    def pause_writing(self) -> None:
        """Take note that the transport is above its mark."""
        self._congested = True
        self.writable = False

    def resume_writing(self) -> None:
        """Take note that the transport is below its mark again."""
        self._congested = False
        self._tell_writable()
        for callback in tuple(self._on_left):
            callback()
