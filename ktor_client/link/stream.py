"""RFC 6455 over an asyncio transport: the link of every engine that has a socket.

An engine hands over the transport after the 101; from then on this protocol owns it. Framing,
reading, coalescing of writes and backpressure of the transport live here; rules about frames are
in `protocol/`, what frames mean in `session/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from ktor_client.frames import BinaryFrame, Frame, TextFrame
from ktor_client.link.contract import FrameLink, LinkOptions, LinkReceiver
from ktor_client.link.home_loop import session_loop
from ktor_client.link.read_buffer import read_buffer
from ktor_client.protocol.decoder import FrameDecoder
from ktor_client.protocol.encoder import LONG, SHORT_HEADERS, FrameEncoder, header_16
from ktor_client.protocol.masking import Mask, mask_bytes
from ktor_client.protocol.violation import Violation

__all__ = ["StreamLink"]

BATCH = 64 * 1024
"""Bytes that are joined before they are written, even within one step of the loop."""
STEP = 256 * 1024
"""Bytes that may be written in one step of the loop before `send` has to wait for the next."""
PIECE = 256 * 1024
"""Bytes that are masked and written at a time; a multiple of the key's length."""


class StreamLink(FrameLink, asyncio.BufferedProtocol):
    """A web socket on a transport.

    The first frame of a step of the loop is written at once; those that follow are joined and
    written at the end of the step, or at 64 KiB.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        leading: bytes = b"",
        *,
        mask: Mask = mask_bytes,
        on_lost: Callable[[Exception | None], None] | None = None,
    ) -> None:
        """Take a transport over; the caller then calls `transport.set_protocol(link)`.

        Args:
            transport: connected, its handshake done.
            leading: bytes that arrived behind the response's head.
            mask: a faster XOR than ours, if the engine found one.
            on_lost: told once when the transport is gone: for the engine's books, and for the
                protocol that had the transport before.
        """
        self._transport = transport
        self._leading = leading
        self._mask = mask
        self._on_lost = on_lost
        self._loop = asyncio.get_running_loop()
        self._home = session_loop()
        self._buffer = read_buffer(self._loop)
        self._receiver: LinkReceiver | None = None
        self._decoder: FrameDecoder | None = None
        self._encoder: FrameEncoder | None = None
        self._direct: memoryview | None = None
        self._discarding = False
        # Reading: `_held` back by the session, `_paused` at the transport, `_settling` that.
        self._held = False
        self._paused = not isinstance(self._loop, asyncio.BaseEventLoop)
        self._settling = False
        self._queued = 0
        self._is_lost = False
        self._error: Exception | None = None
        # Sending: `_plain` allows the short cut, `_stepped` says that this step has written.
        self._plain = False
        self._stepped = False
        self._scheduled = False
        self._congested = False
        self._out: list[bytes | bytearray] = []
        self._out_size = 0
        self._step_size = 0
        if self._paused:  # uvloop notices a new protocol when reading begins again
            transport.pause_reading()

    @property
    def peer_address(self) -> str | None:
        """Address of the socket's other end, which may be a proxy; None for a Unix socket."""
        name: Any = self._transport.get_extra_info("peername")
        if isinstance(name, tuple):
            host, port = cast("tuple[str, int]", name)[:2]
            return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        return None

    # --- the session's calls ---

    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        """Begin to deliver; see `FrameLink.start`."""
        negotiated = options.negotiated
        extensions = [
            (extension.rsv, codec)
            for extension, codec in zip(negotiated.extensions, negotiated.codecs, strict=True)
        ]
        self._receiver = receiver
        self._decoder = FrameDecoder(
            receiver.messages,
            max_size=options.max_frame_size,
            masked=not options.client,
            raw=options.raw,
            extensions=extensions,
            mask=self._mask,
        )
        self._encoder = FrameEncoder(
            masked=options.client, extensions=extensions, raw=options.raw, mask=self._mask
        )
        self._plain = options.client and not extensions
        if self._leading:
            leading, self._leading = memoryview(self._leading), b""
            self._received(leading, len(leading))
        if self._is_lost:
            self._loop.call_soon(receiver.lost, self._error)
        if not self._held:
            self._paused = True  # whoever had the transport may have left it so
        self._settle()

    def send(self, frame: Frame) -> None:
        """Take a frame for sending; see `FrameLink.send`."""
        if self._plain and not frame._bits:
            if type(frame) is TextFrame:
                return self.send_text(frame.text)
            if type(frame) is BinaryFrame:
                return self.send_binary(frame.data)
        encoder = self._encoder
        assert encoder is not None
        data = encoder.encode(frame)
        self._plain = encoder.masked and not (encoder.in_message or encoder.transforms)
        self._write(data)
        return None

    def send_text(self, text: str) -> None:
        """Send a whole text message."""
        if not self._plain:
            self.send(TextFrame(text))
            return
        payload = text.encode()
        size = len(payload)
        if size < LONG:
            self._write(self._plain_frame(0x81, payload, size))
        else:
            self._write_long(0x81, payload)

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Send a whole binary message; `data` may be reused when this returns."""
        if not self._plain:
            self.send(BinaryFrame(data))
            return
        payload = data if type(data) is bytes else bytes(data)
        size = len(payload)
        if size < LONG:
            self._write(self._plain_frame(0x82, payload, size))
        else:
            self._write_long(0x82, payload)

    def flush(self) -> None:
        """Write what was held back for the end of the step."""
        out = self._out
        if out:
            data = b"".join(out)
            self.frames_sent += len(out)
            self.bytes_sent += len(data)
            out.clear()
            self._out_size = 0
            if not self._transport.is_closing():
                self._transport.write(data)

    def pause(self) -> None:
        """Stop reading from the socket: the peer meets a closed TCP window.

        At the end of the step, since a consumer who runs in it may make room again.
        """
        self._held = True
        self._settle_soon()

    def resume(self) -> None:
        """Read again."""
        self._held = False
        if self._receiver is not None:
            self._go_on_reading()

    def discard(self) -> None:
        """Read on, and throw away what comes."""
        self._discarding = True
        self._direct = None
        self.resume()

    def set_max_frame_size(self, size: int) -> None:
        """Change the limit for frames whose header is still to come."""
        if self._decoder is not None:
            self._decoder.max_size = size

    def close(self) -> None:
        """Close the socket once everything written has left."""
        self.flush()
        self._transport.close()

    def abort(self) -> None:
        """Drop the socket and what was not written."""
        self._out.clear()
        self._out_size = 0
        if not self._home.is_closed:
            self._transport.abort()
        elif not self._is_lost:
            self.connection_lost(None)  # the loop will not say it any more

    # --- writing ---

    def _plain_frame(self, first: int, payload: bytes, size: int) -> bytes:
        assert self._encoder is not None
        key = self._encoder.new_key()
        head = SHORT_HEADERS[first & 1][size] if size < 126 else header_16(first, 0xFE, size)
        return head + key + self._mask(payload, key)

    def _write_long(self, first: int, payload: bytes) -> None:
        assert self._encoder is not None
        if len(payload) <= PIECE:
            self._write(self._encoder.frame(first, payload))
            return
        # Piece by piece: allocations of the message's size cost more than the masking.
        self._home.check()
        self.flush()
        head, key = self._encoder.head(first, len(payload))
        self.frames_sent += 1
        self.bytes_sent += len(head) + len(payload)
        transport, mask, rest = self._transport, self._mask, memoryview(payload)
        if not transport.is_closing():
            transport.write(head)
        for at in range(0, len(payload), PIECE):
            if transport.is_closing():  # what was just written may have met a lost connection
                break
            transport.write(mask(rest[at : at + PIECE], key))
        self._stepped = True
        self._spend_step()

    def _write(self, data: bytes) -> None:
        size = len(data)
        if not self._stepped:
            if asyncio._get_running_loop() is not self._loop:  # once in a step is cheap enough
                self._home.check()
            self._stepped = True
            self.frames_sent += 1
            self.bytes_sent += size
            if not self._transport.is_closing():
                self._transport.write(data)
            if size >= STEP:
                self._spend_step()
            return
        if not self._scheduled:
            self._home.check()
            self._scheduled = True
            self._loop.call_soon(self._end_step)
        self._out.append(data)
        self._out_size += size
        if self._out_size >= BATCH:
            self._step_size += self._out_size
            self.flush()
            if self._step_size >= STEP:
                self._spend_step()

    def _spend_step(self) -> None:
        """Let senders wait for the next step of the loop, so that they cannot starve it."""
        self.writable = False
        if not self._scheduled:
            self._scheduled = True
            self._loop.call_soon(self._end_step)

    def _end_step(self) -> None:
        self._scheduled = False
        self.flush()
        self._step_size = 0
        self._stepped = False
        self._tell_writable()

    def _tell_writable(self) -> None:
        if self.writable or self._congested or self._scheduled or self._is_lost:
            return
        self.writable = True
        if self._receiver is not None:
            self._receiver.writable()

    # --- the transport's calls ---

    def data_received(self, data: bytes) -> None:
        """Never called; without this name uvloop keeps the former protocol alive."""

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the transport room: the shared buffer, or the rest of a long payload."""
        return self._buffer if self._direct is None else self._direct

    def buffer_updated(self, nbytes: int) -> None:
        """Take what the transport has read."""
        if not self._out:
            self._stepped = False
        if self._direct is None:
            self._received(self._buffer[:nbytes], nbytes)
        else:
            self._direct = None
            self._received(None, nbytes)

    def _received(self, data: memoryview | None, size: int) -> None:
        """Take bytes from a buffer, or with None those that are in the payload already."""
        receiver, decoder = self._receiver, self._decoder
        if receiver is None or decoder is None:
            self._leading += bytes(data or b"")
            self._stop_reading()
            return
        self.bytes_received += size
        if self._discarding:
            return
        violation: Violation | None = None
        messages = decoder.messages
        before = len(messages)
        if before and before == self._queued:
            # uvloop reads on and on in one step; one read ahead of the consumer is enough.
            self._stop_reading()
            self._settle_soon()
        try:
            if data is None:
                decoder.feed_direct(size)
            else:
                decoder.feed(data)
        except Violation as error:
            violation = error
        now = len(messages)
        self.frames_received += now - before
        if decoder.open_payload:
            self._direct = decoder.direct_buffer()
        if decoder.control:
            control, decoder.control = decoder.control, []
            self.frames_received += 0 if decoder.raw else len(control)  # raw: counted already
            for frame in control:
                receiver.control(frame)
        if decoder.inflated:
            size, decoder.inflated = decoder.inflated, 0
        receiver.arrived(size)
        self._queued = len(messages)
        if violation is not None:
            receiver.violated(violation)

    def _settle_soon(self) -> None:
        if not self._settling:
            self._settling = True
            self._loop.call_soon(self._settle)

    def _settle(self) -> None:
        """Stop reading or go on, as the session wants it at the end of the step."""
        self._settling = False
        if self._held:
            self._stop_reading()
        else:
            self._go_on_reading()

    def _stop_reading(self) -> None:
        if not self._paused and not self._transport.is_closing():
            self._paused = True
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def eof_received(self) -> None:
        """Let the transport close: the peer will send nothing more."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on: to the engine, and to the session if there is one."""
        self._is_lost = True
        self._error = exc
        self.writable = False
        self._out.clear()
        self._out_size = 0
        self._direct = None
        if self._decoder is not None:
            self._decoder.finish()
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            on_lost(exc)
        if self._receiver is not None:
            self._receiver.lost(exc)

    def pause_writing(self) -> None:
        """Take note that the transport is above its mark."""
        self._congested = True
        self.writable = False

    def resume_writing(self) -> None:
        """Take note that the transport is below its mark again."""
        self._congested = False
        self._tell_writable()
