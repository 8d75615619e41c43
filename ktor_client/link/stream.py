"""RFC 6455 over an asyncio transport: the link of every engine that has a socket.

An engine hands over the transport after the 101; from then on this protocol owns it. Reading, its
backpressure and the end of the connection live here, sending in `sender.py`; rules about frames are
in `protocol/`, what frames mean in `session/`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from operator import attrgetter
from typing import Any, cast

from ktor_client._twin import new_wakeups, twin
from ktor_client.link.contract import LINGER, LinkOptions, LinkReceiver, Timer
from ktor_client.link.flooded import FLOOD, Flooded
from ktor_client.link.leftover import Leftover, leftover_of
from ktor_client.link.read_buffer import READ_SIZE, read_buffer
from ktor_client.link.sender import StreamSender
from ktor_client.protocol.decoder import Fed, FrameDecoder
from ktor_client.protocol.encoder import FrameEncoder
from ktor_client.protocol.masking import Mask, mask_bytes
from ktor_client.protocol.plain import ONE_READ

__all__ = ["StreamLink"]


@twin
class StreamLink(StreamSender, asyncio.BufferedProtocol, asyncio.Protocol):
    """A WebSocket on a transport.

    It is a protocol of both kinds: asyncio reads into our buffer, uvloop gives bytes, except in a
    flood. Each of them takes the kind that costs it less.
    """

    # Beyond 30 attributes, CPython gives each instance a dictionary of its own, over a KiB.
    __slots__ = (
        "_buffer",
        "_decoder",
        "_direct",
        "_discarding",
        "_error",
        "_is_paused",
        "_is_reading",
        "_is_settling",
        "_leading",
        "_leftover",
        "_linger",
        "_on_lost",
        "_queued",
        "_receiver",
        "_rest",
        "_time",
        "_wakeups",
        "bytes_received",
        "frames_received",
        "received_at",
    )

    def __init__(
        self,
        transport: asyncio.Transport,
        leading: bytes = b"",
        *,
        mask: Mask = mask_bytes,
        on_lost: Callable[[StreamLink], None] | None = None,
    ) -> None:
        """Take a transport over; the caller then calls `transport.set_protocol(link)`.

        Args:
            transport: connected, its handshake done.
            leading: bytes that arrived behind the response's head.
            mask: a faster XOR than ours, if the engine found one.
            on_lost: called once, with this link, when the transport is gone.
        """
        super().__init__(transport, mask)
        self._leading = leading
        self._on_lost = on_lost
        self.frames_received = self.bytes_received = 0
        self.received_at: float | None = None
        self._buffer = read_buffer(self._loop)
        self._decoder: FrameDecoder | None = None  # as `_receiver`, since the session's start
        self._direct: memoryview | None = None
        self._discarding = False
        self._time = self.clock.time
        self._wakeups = new_wakeups(self._loop)
        # Reading: `_is_paused` by the session; soon the transport `_is_reading` as that asks for.
        self._is_paused = False
        self._is_reading = True
        self._is_settling = False
        self._queued = 0
        self._rest: bytes = b""  # what was read and is to be taken in the next step
        self._error: Exception | None = None
        self._linger: Timer | None = None
        self._leftover: Leftover | None = None  # what there still is of a lost connection

    @property
    def create_future(self) -> Callable[[], asyncio.Future[Any]]:
        """See `FrameLink.create_future`: where that was asked for, reads step those who receive."""
        return (self._loop if self._wakeups is None else self._wakeups).create_future

    @property
    def is_cut_off(self) -> bool:  # type: ignore[override]  # the decoder knows
        """Whether the peer has closed in the midst of a message."""
        return self._decoder is not None and self._decoder.is_cut_off

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
        rsv = map(attrgetter("rsv"), negotiated.extensions)
        extensions = list(zip(rsv, negotiated.codecs, strict=True))
        self._receiver = receiver
        self._decoder = FrameDecoder(
            receiver.messages,
            max_size=options.max_frame_size,
            max_fragments=options.max_fragments,
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
            leading, self._leading = self._leading, b""
            self._received(leading, len(leading))
        if self._is_over:
            if not self._rest and self._leftover is None:
                self._finish_reading()
            self._loop.call_soon(receiver.cut, self._error)
            self._loop.call_soon(self._tell_end)
            return
        if not self._is_paused:
            self._is_reading = False  # whoever had the transport may have left it so
        self._settle()

    def pause(self) -> None:
        """Stop reading from the socket: the peer meets a closed TCP window.

        At the end of the step, since a consumer who runs in it may make room again.
        """
        self._is_paused = True
        self._settle_soon()

    def resume(self) -> None:
        """Read again."""
        self._is_paused = False
        if self._receiver is not None:
            self._go_on_reading()

    def discard(self) -> None:
        """Read on, and throw away what comes."""
        self._discarding = True
        self._finish_reading()
        self.resume()

    def set_max_frame_size(self, size: int) -> None:
        """Change the limit for frames whose header is still to come."""
        if self._decoder is not None:
            self._decoder.max_size = size

    def close(self) -> None:
        """Close the socket once everything written has left."""
        self.flush()
        if not self._transport.is_closing():  # asyncio's for TLS is of no use after a second one
            self._transport.close()

    def abort(self) -> None:
        """Drop the socket, what was not written, and what was read and not yet taken."""
        self._finish_reading()
        if self.home.is_closed:
            self.connection_lost(None)  # the loop will not say it any more
        else:
            self._abort_transport()
            self._settle_soon()  # for a connection that was lost before, and had a rest

    # --- the transport's calls ---

    def data_received(self, data: bytes) -> None:
        """Take what uvloop has read."""
        if not self._out:
            self._stepped = False
        size = len(data)
        self._received(data, size)
        if size >= FLOOD and type(self._transport).__module__ == "uvloop.loop":
            self._read_as(Flooded(self, self._buffer))

    def flood_received(self, data: memoryview, size: int) -> None:
        """Take what uvloop has read into the buffer; bytes are better once reads are short."""
        if size > ONE_READ:
            if not self._out:
                self._stepped = False
            self._received(data, size)
        else:
            self._read_as(self)
            self.data_received(data.tobytes())

    def get_buffer(self, sizehint: int) -> memoryview:
        """Give the transport room: the shared buffer, or the rest of a long payload."""
        return self._buffer if self._direct is None else self._direct

    def buffer_updated(self, nbytes: int) -> None:
        """Take what asyncio has read."""
        if not self._out:
            self._stepped = False
        if self._direct is None:
            data = self._buffer[:nbytes]
            has_more = self._received(data.tobytes() if nbytes <= ONE_READ else data, nbytes)
        else:
            self._direct = None
            has_more = self._received(None, nbytes)
        if has_more and self._decoder is not None:
            self._direct = self._decoder.direct_buffer()

    def _read_as(self, protocol: asyncio.BaseProtocol) -> None:
        """Let the transport read for a protocol of another kind; uvloop looks when it begins."""
        if not self._transport.is_closing():
            if self._is_reading:
                self._transport.pause_reading()
            self._transport.set_protocol(protocol)
            if self._is_reading:
                self._transport.resume_reading()

    def _received(self, data: bytes | memoryview | None, size: int) -> bool:
        """Take bytes, or with None those that are in the payload already.

        Returns:
            Whether they were more than whole messages.
        """
        receiver, decoder = self._receiver, self._decoder
        if receiver is None or decoder is None:
            self._leading += data or b""
            self._stop_reading()
            return False
        self.bytes_received += size
        self.received_at = self._time()
        if self._discarding:
            return False
        messages = decoder.messages
        before = len(messages)
        if before and before == self._queued:
            # uvloop reads on and on in one step; one read ahead of the consumer is enough.
            self._stop_reading()
            self._settle_soon()
        if data is None:
            fed: Fed | None = decoder.feed_direct(size)
        else:
            if self._rest:
                data, self._rest = self._rest + data, b""
            fed = decoder.feed(data)
        self.frames_received += len(messages) - before
        if fed is None:
            receiver.arrived(size)
        else:
            self._rest = fed.rest
            self.frames_received += 0 if decoder.raw else len(fed.control)  # raw: counted already
            for frame in fed.control:
                receiver.control(frame)
            if self._rest:
                self._stop_reading()
                self._settle_soon()
            receiver.arrived(fed.size)
        if messages:
            self._queued = len(messages)
        if fed is not None and fed.violation is not None:
            receiver.violated(fed.violation)
        return fed is not None

    def _finish_reading(self) -> None:
        """Take nothing any more, neither what was read nor what is incomplete."""
        self._direct = None
        self._rest = b""
        if self._decoder is not None:
            self._decoder.finish()
        if self._leftover is not None:
            self._leftover.close()
            self._leftover = None

    def _settle_soon(self) -> None:
        if not self._is_settling:
            self._loop.call_soon(self._settle)
            self._is_settling = True

    def _settle(self) -> None:
        """Take what was left for this step; then read or not, as the session wants it now."""
        self._is_settling = False
        if not self._is_paused:
            if self._rest:
                self._received(b"", 0)
            elif self._leftover is not None:
                self._read_leftover(self._leftover)
        if self._is_over:
            self._tell_end()
        elif self._is_paused:
            self._stop_reading()
        else:
            self._go_on_reading()

    def _read_leftover(self, leftover: Leftover) -> None:
        """Read once what there still is of a connection that was lost."""
        try:
            data = leftover.recv(READ_SIZE)
        except OSError:
            data = b""
        if data:
            self._received(data, len(data))
        else:
            leftover.close()
            self._leftover = None

    def _stop_reading(self) -> None:
        if self._is_reading and not self._transport.is_closing():
            self._is_reading = False
            self._transport.pause_reading()

    def _go_on_reading(self) -> None:
        if self._rest or self._is_over:
            self._settle_soon()
        elif not (self._is_reading or self._transport.is_closing()):
            self._is_reading = True
            self._transport.resume_reading()

    # --- the end ---

    def eof_received(self) -> None:
        """Take the peer's end: nothing more will come, and what was written has LINGER to leave."""
        if not self._is_over:
            is_stuck = self._buffered() > 0
            if is_stuck or self._is_tls:  # else the transport is gone in the next step
                self._linger = self.clock.call_later(LINGER, self._transport.abort)
            self._stop(None)
            if is_stuck:
                self._tell_end()  # and not only when the transport is gone

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end on: to the engine, and to the session if there is one."""
        self._transport_lost(exc)
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        if isinstance(exc, OSError) and not (self._is_tls or self._is_over or self._discarding):
            self._leftover = leftover_of(self._transport)
        if self._on_lost is not None:
            on_lost, self._on_lost = self._on_lost, None
            on_lost(self)
        self._stop(exc)
        self._tell_end()

    def _stop(self, error: Exception | None) -> None:
        """Send nothing more."""
        self._error = self._error or error
        if not self._is_over:
            self._is_over = True
            self.writable = False
            self._drop_out()
            if self._receiver is not None:
                self._receiver.cut(error)

    def _tell_end(self) -> None:
        """Tell the session that nothing more will come, once it has taken what can be read."""
        if self._receiver is None:
            return
        if self._rest or self._leftover is not None:
            if not self._is_paused:
                self._settle_soon()
            return
        self._finish_reading()
        receiver, self._receiver = self._receiver, None
        receiver.lost(self._error)
        self._error = None  # its traceback may have frames that refer to this link
