"""One `js.WebSocket` as a link: whole messages in and out, no frames, no pings, no way to pause.

A browser answers pings and echoes Close by itself. It leaves to us: events in the right order,
proxies that are given back, the codes that it refuses, senders that wait for `bufferedAmount`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ktor_client.engine.capabilities import FragmentationCapability, PingCapability
from ktor_client.engines._browser.bursts import IN_A_ROW, SLICE, Bursts, MessageArray
from ktor_client.engines._browser.leaving import POLL, Leaving
from ktor_client.engines._browser.wakeups import Wakeups
from ktor_client.errors import ClientClosedError, ConnectError, UnsupportedCapabilityError
from ktor_client.frames import BinaryFrame, CloseFrame, CloseReason, Frame, TextFrame
from ktor_client.link import Clock, FrameLink, LinkOptions, LinkReceiver
from ktor_client.protocol.violation import Violation

__all__ = ["BrowserLink"]

HIGH_WATER = 1024 * 1024
"""Bytes in `bufferedAmount` above which senders wait."""
LOW_WATER = 256 * 1024
"""Bytes to which it must have fallen before they go on."""
BURST = 256 * 1024
"""Weight that may be sent before senders give way to the page for a moment."""
MESSAGE_WEIGHT = 512
"""What a message weighs beyond its bytes: the time that the call into the browser takes."""
LARGE = 32 * 1024
"""Bytes from which binary data is sent in place instead of being converted."""

_new = object.__new__  # without checks: a browser gives whole messages of the right type
CLOSED, NO_STATUS, ABNORMAL = 3, 1005, 1006


class BrowserLink(FrameLink):
    """A WebSocket of the browser's. Made connecting; `opened()` waits for the handshake.

    `bytes_sent` and `bytes_received` count payloads: a browser does not show what is on the wire.
    """

    def __init__(
        self,
        ffi: Any,
        clock: Clock,
        wakeups: Wakeups,
        bursts: Bursts,
        socket: Any,
        on_ended: Callable[[BrowserLink], None],
    ) -> None:
        """Take a socket in state CONNECTING; `on_ended` is told once when it is gone."""
        self._socket = socket
        self._clock = clock
        self._wakeups = wakeups
        self._bursts = bursts
        self._in_a_row = 0
        self._aside: MessageArray | None = None
        """What the browser has collected, once it had to."""
        self._js_send = socket.send
        self._to_js = ffi.to_js
        self._create_proxy = ffi.create_proxy
        self._on_ended = on_ended
        self._loop = asyncio.get_running_loop()
        self._opening: asyncio.Future[None] = self._loop.create_future()
        self._receiver: LinkReceiver | None = None
        self._early: list[tuple[Frame, int]] = []
        self._early_close: CloseFrame | None = None
        self._max_size = 0
        self._discarding = False
        self._is_lost = False
        self._error: Exception | None = None
        self._has_asked = False
        self._burst = 0
        self._drain: asyncio.Handle | None = None
        self._leaving = Leaving(socket)
        socket.binaryType = "arraybuffer"
        self._proxies = {
            "onopen": ffi.create_proxy(self._on_open),
            "onmessage": ffi.create_proxy(self._on_message),
            "onerror": ffi.create_proxy(self._on_error),
            "onclose": ffi.create_proxy(self._on_close),
        }
        for name, proxy in self._proxies.items():
            setattr(socket, name, proxy)

    @property
    def clock(self) -> Clock:
        """The engine's."""
        return self._clock

    @property
    def create_future(self) -> Callable[[], asyncio.Future[Any]]:
        """What makes the futures of those who wait for messages."""
        return self._create_future

    def _create_future(self) -> asyncio.Future[Any]:
        """Wake who awaits an answer at once, and through the loop who listens: many at a time."""
        self._in_a_row = 0
        if self._has_asked:
            self._has_asked = False
            return self._wakeups.create_future()
        return self._loop.create_future()

    async def opened(self) -> None:
        """Wait until the handshake is done.

        Raises:
            ConnectError: it failed; browsers do not say why.
            ClientClosedError: the engine was closed meanwhile.
        """
        await self._opening

    # --- the session's calls ---

    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        """Begin to deliver; see `FrameLink.start`."""
        self._receiver = receiver
        self._max_size = options.max_frame_size
        early, self._early = self._early, []
        for frame, size in early:
            self._deliver(receiver, frame, size)
        if self._early_close is not None:
            receiver.control(self._early_close)
        if self._is_lost:
            self._loop.call_soon(receiver.lost, self._error)

    def send(self, frame: Frame) -> None:
        """Take a whole message or a Close.

        Raises:
            UnsupportedCapabilityError: a ping, a pong, a fragment, or reserved bits.
        """
        if isinstance(frame, CloseFrame):
            self._send_close(frame)
        elif not isinstance(frame, TextFrame | BinaryFrame):
            raise UnsupportedCapabilityError(
                f"Engine BrowserEngine doesn't support {PingCapability}: "
                "browsers send pings and pongs by themselves only"
            )
        elif frame._bits:
            raise UnsupportedCapabilityError(
                f"Engine BrowserEngine doesn't support {FragmentationCapability}: "
                "browsers send whole messages only, with no reserved bits"
            )
        elif isinstance(frame, TextFrame):
            self.send_text(frame.text)
        else:
            self.send_binary(frame.data)

    def send_text(self, text: str) -> None:
        """Send a text message. A browser would turn a lone surrogate into U+FFFD; we raise."""
        size = len(text) if text.isascii() else len(text.encode())
        if self._is_lost:
            self._leaving.dropped += 1
        else:
            self._js_send(text)
            self._sent(size)

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Send a binary message; `data` may be reused when this returns."""
        if self._is_lost:
            self._leaving.dropped += 1
            return
        payload = data if type(data) is bytes else bytes(data)
        size = len(payload)
        if size < LARGE:
            self._js_send(self._to_js(payload))
        else:
            self._send_in_place(payload)
        self._sent(size)

    def _send_in_place(self, payload: bytes) -> None:
        """Let the browser copy from Python's memory itself, which it has done when send returns."""
        proxy = self._create_proxy(payload)
        view = proxy.getBuffer("u8")
        try:
            self._js_send(view.data)
        finally:
            view.release()
            proxy.destroy()

    def map_close(self, reason: CloseReason) -> CloseReason:
        """Return what a browser is allowed to send: 1000, 3000 to 4999, or no code.

        1001 leaves as 1000, other codes below 3000 as 4000 + (code - 1000): 1011 is 4011.
        """
        code = reason.code
        if code is None or code in (1000, NO_STATUS) or code >= 3000:
            return reason
        return CloseReason(1000 if code == 1001 else 3000 + code, reason.message)

    def pause(self) -> None:
        """Do nothing: a browser reads on, and what it has read is delivered."""

    def resume(self) -> None:
        """Do nothing."""

    def discard(self) -> None:
        """Deliver nothing any more but the end."""
        self._discarding = True

    def set_max_frame_size(self, size: int) -> None:
        """Change the limit for messages that arrive from now on."""
        self._max_size = size

    def close(self) -> None:
        """Begin the closing handshake if nobody has; the browser ends the connection after it."""
        if not self._is_lost:
            self._socket.close()

    def abort(self) -> None:
        """Let go of the socket. A browser cannot drop the connection: it closes it by itself."""
        if not self._is_lost:
            self._socket.close()
            self._end(None, ClientClosedError("BrowserEngine was closed during the handshake"))

    @property
    def taken(self) -> int:
        """Bytes of payloads, and one for each message that came too late."""
        return self.bytes_sent + self._leaving.dropped

    @property
    def left(self) -> tuple[int, int]:
        """See `FrameLink.left`."""
        return self._leaving.of(self.bytes_sent)

    def watch_leaving(self, callback: Callable[[], object]) -> None:
        """See `FrameLink.watch_leaving`."""
        self._leaving.watch(callback)

    # --- sending ---

    def _send_close(self, frame: CloseFrame) -> None:
        if self._is_lost:
            return
        reason = frame.read_reason()
        if reason is None:
            self._socket.close()
        else:
            mapped = self.map_close(reason)
            self._socket.close(mapped.code, mapped.message)

    def _sent(self, size: int) -> None:
        self._has_asked = True
        self.frames_sent += 1
        self.bytes_sent += size
        self._burst += size + MESSAGE_WEIGHT
        self._leaving.sent()
        if self._burst >= BURST and self._drain is None:
            self.writable = False
            self._drain = self._loop.call_soon(self._look_at_buffer, HIGH_WATER)

    def _look_at_buffer(self, mark: int) -> None:
        if self._socket.bufferedAmount > mark:
            self._drain = self._loop.call_later(POLL, self._look_at_buffer, LOW_WATER)
            return
        self._drain = None
        self._burst = 0
        self.writable = True
        if self._receiver is not None:
            self._receiver.writable()

    # --- the browser's calls; an exception here would only reach the page's console ---

    def _on_open(self, event: object) -> None:
        if not self._opening.done():
            self._opening.set_result(None)

    def _on_message(self, event: Any) -> None:
        try:
            self._take(event.data)
            self._in_a_row += 1
            if self._in_a_row == IN_A_ROW:
                self._collect()
        except Exception as error:
            self._broke(error)

    def _collect(self) -> None:
        """Let the browser collect what comes now; slices of it are delivered from the loop."""
        if self._aside is None:
            self._aside = self._bursts.create_array()
        self._socket.onmessage = self._aside.push
        self._loop.call_soon(self._take_slice, self._aside)

    def _take_slice(self, aside: MessageArray) -> None:
        if self._is_lost:
            return
        try:
            data = aside.take(SLICE)
            for one in data:
                self._take(one)
        except Exception as error:
            self._broke(error)
            return
        if data:
            self._loop.call_soon(self._take_slice, aside)
        else:  # the burst is over
            self._in_a_row = 0
            self._socket.onmessage = self._proxies["onmessage"]

    def _take_rest(self) -> None:
        """Deliver everything that came before the end."""
        if self._aside is not None:
            for data in self._aside.take():
                self._take(data)

    def _take(self, data: Any) -> None:
        frame: Frame
        if type(data) is str:
            frame = text = _new(TextFrame)
            text.text = data
            size = len(data) if data.isascii() else len(data.encode())
        else:
            frame = _new(BinaryFrame)
            frame.data = data.to_bytes()
            size = len(frame.data)
        frame._bits = 0
        receiver = self._receiver
        if receiver is None:
            self._early.append((frame, size))
        elif not self._discarding:
            self._deliver(receiver, frame, size)

    def _deliver(self, receiver: LinkReceiver, frame: Frame, size: int) -> None:
        self.frames_received += 1
        self.bytes_received += size
        if size > self._max_size:
            receiver.violated(Violation.too_big(size, self._max_size))
        else:
            receiver.messages.append(frame)
            receiver.arrived(size)

    def _on_error(self, event: object) -> None:
        # A socket that a Content-Security-Policy blocks has an error event and no close event.
        if self._socket.readyState == CLOSED:
            self._drop_drain()
            self._drain = self._loop.call_soon(self._failed)

    def _on_close(self, event: Any) -> None:
        try:
            self._take_rest()
            code = int(event.code)
            if code == ABNORMAL:
                self._failed()
                return
            reason = None if code == NO_STATUS else CloseReason(code, str(event.reason))
            frame = CloseFrame(reason)
            self._end(None)
            if self._receiver is None:
                self._early_close = frame
            elif not self._discarding:
                self._receiver.control(frame)
        except Exception as error:
            self._broke(error)

    # --- the end ---

    def _failed(self) -> None:
        error = ConnectionError("the browser reports close code 1006: no Close frame came")
        asked, query, _ = str(self._socket.url).partition("?")  # pages have their tokens there
        why = (
            f"the browser could not open {asked + '?...' * bool(query)!r}. Browsers hide the "
            "reason from programs (server not reached, handshake refused, certificate, no common "
            "subprotocol, Content-Security-Policy); the browser's console shows it"
        )
        self._end(error, ConnectError(why))

    def _broke(self, error: Exception) -> None:
        """End the connection because delivering has failed, and say so as an event loop does."""
        self._loop.call_exception_handler(
            {"message": "a WebSocket's event could not be delivered", "exception": error}
        )
        if not self._is_lost:
            self._socket.close()
            self._end(error)

    def _end(self, error: Exception | None, why_not_open: Exception | None = None) -> None:
        """Give everything back: handlers first, for nobody may call a destroyed proxy."""
        self._is_lost = True
        self._error = error
        self.writable = False
        self._drop_drain()
        for name, proxy in self._proxies.items():
            setattr(self._socket, name, None)
            proxy.destroy()
        self._proxies.clear()
        if not self._opening.done():
            self._opening.set_exception(why_not_open or ConnectError(str(error)))
        if self._receiver is not None:
            self._loop.call_soon(self._receiver.lost, error)
        self._on_ended(self)

    def _drop_drain(self) -> None:
        self._leaving.stop()
        if self._drain is not None:
            self._drain.cancel()
            self._drain = None
