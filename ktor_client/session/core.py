"""The state machine of a session: who closed, with what, what is still awaited, and the end of all.

One owner for every transition, between a link below and channels above. No bytes, no library.

    OPEN ──our Close──▶ CLOSING ──peer's Close, EOF, deadline──▶ CLOSED
      ├────peer's Close (echoed)──▶ CLOSING ──EOF──▶ CLOSED
      ├────violation, overflow, ping timeout──▶ CLOSING (incoming discarded) ──EOF──▶ CLOSED
      └────connection lost, cancel──▶ CLOSED
"""

from __future__ import annotations

import asyncio
import enum
from collections import deque
from collections.abc import Callable

from ktor_client.channels import OVERFLOW_CODE, Channels
from ktor_client.errors import (
    ChannelOverflowError,
    ConnectionClosedError,
    PingTimeoutError,
)
from ktor_client.frames import CloseFrame, CloseReason, Frame, PongFrame
from ktor_client.link.contract import Clock, FrameLink, LinkOptions, Timer
from ktor_client.protocol.handshake import Negotiated
from ktor_client.protocol.violation import Violation
from ktor_client.session.ending import Ending, checked_reason, shorten
from ktor_client.session.incoming import Incoming
from ktor_client.session.keepalive import Keepalive
from ktor_client.session.oneshot import OneShot
from ktor_client.session.outgoing import Outgoing
from ktor_client.session.pings import Pings

__all__ = ["SessionCore", "State"]

LINGER = 1.0
"""Seconds that the peer has to end the connection once there is nothing left to say."""


class State(enum.Enum):
    """Where a session is."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class SessionCore:
    """Implements `LinkReceiver`; owns every timer of the session and ends its link."""

    __slots__ = (
        "__weakref__",
        "_client",
        "_close_timeout",
        "_due",
        "_on_closed",
        "_owed_pong",
        "_raw",
        "_timer",
        "_violation",
        "_writable_again",
        "arrived",
        "clock",
        "closed",
        "ending",
        "home",
        "incoming",
        "keepalive",
        "link",
        "max_frame_size",
        "messages",
        "negotiated",
        "outgoing",
        "pings",
        "reason",
        "state",
    )

    def __init__(
        self,
        link: FrameLink,
        *,
        channels: Channels,
        max_frame_size: int,
        close_timeout: float,
        ping_interval: float | None = None,
        timeout: float | None = None,
        negotiated: Negotiated | None = None,
        raw: bool = False,
        client: bool = True,
    ) -> None:
        """Start a session on a link whose handshake was verified."""
        self.link = link
        self.clock: Clock = link.clock
        self.home = link.home
        self.state = State.OPEN
        self.negotiated = Negotiated() if negotiated is None else negotiated
        self.max_frame_size = max_frame_size
        self.incoming = Incoming(channels.incoming, self, self.home, link.create_future)
        self.messages: deque[Frame] = self.incoming.queue
        self.arrived = self.incoming.arrived
        self.ending = Ending()
        self.outgoing = Outgoing(self, channels.outgoing)
        self.pings = Pings(self)
        self.keepalive = Keepalive(self, ping_interval, timeout)
        self.reason: OneShot[CloseReason] = OneShot(self.home)
        self.closed: OneShot[None] = OneShot(self.home)
        self._close_timeout = close_timeout
        self._raw = raw
        self._client = client
        self._timer: Timer | None = None
        self._due = 0.0
        self._violation: Violation | None = None
        self._owed_pong: PongFrame | None = None
        self._on_closed: list[Callable[[SessionCore], object]] = []
        self._writable_again: OneShot[None] | None = None
        options = LinkOptions(
            max_frame_size=max_frame_size, raw=raw, client=client, negotiated=negotiated
        )
        link.start(self, options)
        self.keepalive.start()

    # --- asked by the session ---

    @property
    def is_open(self) -> bool:
        """Whether no side has said Close and the connection stands."""
        return self.state is State.OPEN

    def on_closed(self, callback: Callable[[SessionCore], object]) -> None:
        """Call back with this session when its connection is gone; at once if it is."""
        if self.closed.is_set:
            callback(self)
        else:
            self._on_closed.append(callback)

    # --- ending, by us ---

    def start_close(self, reason: CloseReason) -> None:
        """Send Close and wait for the peer's, at most `close_timeout`; nothing if it was sent."""
        answers = self._raw and self.state is State.CLOSING
        if self.ending.sent is not None or not (self.is_open or answers):
            return
        self.ending.initiator = self.ending.initiator or "local"
        self._say_close(reason)
        self.state = State.CLOSING
        self._stop_sending()
        self.incoming.closing()
        if self.ending.received is not None:  # a raw session answers by itself
            self._both_closed()
            return
        self.link.resume()
        self._end_within(self._close_timeout)

    def close_without_waiting(self, reason: CloseReason) -> None:
        """Send Close if that is possible at once, and close the connection."""
        if self.state is State.OPEN:
            self.start_close(reason)
        if self.state is not State.CLOSED:
            self._end_incoming()
            self.link.discard()
            self.link.close()
            self._end_within(LINGER)

    def cancel(self) -> None:
        """Drop the connection now."""
        if self.state is State.CLOSED:
            return
        if self.state is State.OPEN:
            self.ending.initiator = "local"
            self.ending.why = "The session was cancelled"
        self.state = State.CLOSING
        self.link.abort()
        self._stop_sending()
        self._end_incoming()
        self._decide()

    def ping_timed_out(self) -> None:
        """End the session because the peer does not answer."""
        self._fail(1011, "Ping timeout", PingTimeoutError)

    def overflow(self, which: str) -> ConnectionClosedError:
        """End the session because a channel is full; return the error to raise."""
        self._fail(OVERFLOW_CODE, f"Channel {which} overflowed", ChannelOverflowError)
        return self.ending.error()

    def _fail(self, code: int, message: str, error_type: type[ConnectionClosedError]) -> None:
        """Fail the connection (RFC 6455 7.1.7): say why, stop listening, let the peer end it."""
        if self.state is not State.OPEN:
            return
        self.ending.initiator = "local"
        self.ending.error_type = error_type
        self.ending.why = message
        self._say_close(CloseReason(code, shorten(message)))
        self.state = State.CLOSING
        self._stop_sending()
        self._end_incoming()
        self._decide()
        self.link.discard()
        self._end_within(LINGER)

    def _say_close(self, reason: CloseReason) -> None:
        self.ending.said = reason
        self.ending.sent = self.link.map_close(reason)
        self._owed_pong = None
        self.link.send(CloseFrame(self.ending.sent))
        self.link.flush()

    def _stop_sending(self) -> None:
        if not self.outgoing.is_closed:
            self.keepalive.stop()
            self.outgoing._finish(self.ending.error)
            self.pings.fail(self.ending.error)
        self._wake_writer()

    # --- told by the channel of what arrives, as `IncomingOwner` says ---

    def incoming_full(self) -> None:
        """Stop reading: a mark is reached."""
        self.link.pause()

    def incoming_relieved(self) -> None:
        """Read again."""
        self.link.resume()
        self.keepalive.relieved()

    def incoming_overflowed(self) -> None:
        """End the session: a strict limit was exceeded."""
        self.overflow("incoming")

    # --- told by the link, as `LinkReceiver` says ---

    def control(self, frame: Frame) -> None:
        """Take a control frame; see `LinkReceiver`."""
        if isinstance(frame, CloseFrame):
            self._peer_closed(frame)
        elif isinstance(frame, PongFrame):
            self.pings.ponged(frame.data)
        elif not self._raw and self.state is State.OPEN:
            if self.link.writable:
                self.link.send(PongFrame(frame.data))
            else:  # busy: the newest is enough (RFC 6455 5.5.3)
                self._owed_pong = PongFrame(frame.data)

    def _peer_closed(self, frame: CloseFrame) -> None:
        self.ending.received = frame.read_reason() or CloseReason(1005)
        was_open = self.is_open
        self.incoming.arrived()
        if was_open and not self.is_open:  # messages of the same read were too many
            return
        if self.ending.initiator is None:
            self.ending.initiator = "peer"
        if self.ending.sent is None and not self._raw:
            self.ending.sent = self.ending.received
            self._owed_pong = None
            self.link.send(CloseFrame(frame.data))
            self.link.flush()
        self.state = State.CLOSING
        if self.ending.sent is not None:
            self._stop_sending()
            self._end_incoming()
            self._both_closed()
        else:
            self.keepalive.stop()
            self._end_incoming()
            self.link.discard()

    def _both_closed(self) -> None:
        self._decide()
        self.link.discard()
        if not self._client:
            self.link.close()  # the server ends the connection first (RFC 6455 7.1.1)
        self._end_within(LINGER)

    def violated(self, violation: Violation) -> None:
        """Take a broken rule; see `LinkReceiver`."""
        if self.state is State.OPEN:
            # Messages that came before it are delivered first: whoever waits for one runs next.
            self._violation = violation
            asyncio.get_running_loop().call_soon(self._fail_by_violation)
        elif self.state is State.CLOSING:
            self.link.discard()
            self._end_within(LINGER)

    def _fail_by_violation(self) -> None:
        violation, self._violation = self._violation, None
        if violation is not None:
            self.ending.cause = violation.__cause__
            self._fail(violation.code, violation.message, violation.error_type)

    def writable(self) -> None:
        """Take note that the link takes frames again; see `LinkReceiver`."""
        if self._owed_pong is not None:
            pong, self._owed_pong = self._owed_pong, None
            self.link.send(pong)
        self._wake_writer()
        self.outgoing._drain()

    def lost(self, error: BaseException | None) -> None:
        """Take the end of the connection; see `LinkReceiver`."""
        if self.state is State.CLOSED:
            return
        self._fail_by_violation()
        self.ending.connection_lost(error)
        self.state = State.CLOSED
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._stop_sending()
        self._end_incoming()
        self._decide()
        for codec in self.negotiated.codecs:
            codec.close()
        self.closed.set(None)
        while self._on_closed:
            self._on_closed.pop(0)(self)

    # --- sending ---

    def sent_as_control(self, frame: Frame) -> bool:
        """Send a control frame past the queue; say whether it was one.

        Raises:
            ValueError: a Close with a code that may not be sent.
        """
        if not frame.frame_type.is_control:
            return False
        if isinstance(frame, CloseFrame):
            reason = frame.read_reason()  # a Close without a code is legal
            self.start_close(CloseReason(1005) if reason is None else checked_reason(reason))
        else:
            self.link.send(frame)
            if not self.link.writable:
                self.outgoing._not_writable()
        return True

    async def wait_writable(self) -> None:
        """Wait until the link takes frames or the session ends."""
        if self._writable_again is None:
            self._writable_again = OneShot()
        await self._writable_again.wait()

    def _wake_writer(self) -> None:
        if self._writable_again is not None:
            waiting, self._writable_again = self._writable_again, None
            waiting.set(None)

    # --- inside ---

    def _end_incoming(self) -> None:
        self.incoming.end(self.ending.error, quietly=self.ending.is_quiet)

    def _decide(self) -> None:
        if not self.reason.is_set:
            self.reason.set(self.ending.reason())

    def _end_within(self, delay: float) -> None:
        """Abort the link after `delay` or `close_timeout`, unless that is due earlier already."""
        delay = min(delay, self._close_timeout)
        due = self.clock.time() + delay
        if self._timer is not None:
            if self._due <= due:
                return
            self._timer.cancel()
        self._due = due
        self._timer = self.clock.call_later(delay, self.link.abort)
