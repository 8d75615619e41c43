"""The state machine of a session: who closed, with what, what is still awaited, and the end of all.

One owner for every transition, between a link below and channels above. No bytes, no library.

    OPEN ──our Close──▶ CLOSING ──peer's Close, loss, deadline──▶ CLOSED
      ├────peer's Close (echoed)──▶ CLOSING ──the peer ends the connection──▶ CLOSED
      ├────violation, overflow, ping timeout──▶ CLOSING (nobody listens) ──▶ CLOSED
      └────connection lost, cancel──▶ CLOSED

Each end is a row of the table below `State`, and `_leave` is the one way out.
"""

from __future__ import annotations

import enum
import math
from collections import deque
from collections.abc import Callable
from operator import methodcaller
from typing import NamedTuple

from ktor_client._twin import twin
from ktor_client.channels import OVERFLOW_CODE, Channels
from ktor_client.errors import (
    ChannelOverflowError,
    ConnectionClosedError,
    PingTimeoutError,
)
from ktor_client.frames import CloseFrame, CloseReason, Frame, Initiator, PongFrame
from ktor_client.link.contract import LINGER, Clock, FrameLink, LinkOptions, Timer
from ktor_client.link.oneshot import OneShot
from ktor_client.protocol.extensions import close_codecs
from ktor_client.protocol.handshake import NOTHING, Negotiated
from ktor_client.protocol.message import MAX_FRAGMENTS
from ktor_client.protocol.violation import Violation
from ktor_client.session.ending import Ending, shorten
from ktor_client.session.incoming import Incoming
from ktor_client.session.keepalive import Keepalive
from ktor_client.session.outgoing import Outgoing
from ktor_client.session.pings import Pings
from ktor_client.session.sending import Sending

__all__ = ["DEFAULT_CLOSE_TIMEOUT", "SessionCore", "State"]

DEFAULT_CLOSE_TIMEOUT = 10.0


class State(enum.Enum):
    """Where a session is."""

    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class _Way(NamedTuple):
    """A way out of OPEN, or from CLOSING to a worse end: what becomes of all that is under way."""

    initiator: Initiator | None
    sending: Callable[[Sending], object] | None
    """What becomes of what waits to be sent, before our Close."""
    listens: bool
    """Whether messages may still come; else who receives hears of the end behind them."""
    link: Callable[[FrameLink], object] | None
    limit: float | None
    """Seconds until the connection is dropped, at most `close_timeout`."""
    is_final: bool = False
    """Whether `close_reason` is what is known now."""


_refuse, _drop, _hurry, _end = map(methodcaller, ("refuse", "drop", "hurry", "end"))
_resume, _discard, _close, _abort = map(methodcaller, ("resume", "discard", "close", "abort"))

OUR_CLOSE = _Way("local", None, True, _resume, math.inf)
PEERS_CLOSE = _Way("peer", _refuse, False, _discard, math.inf)
PEERS_CLOSE_UNANSWERED = _Way("peer", None, False, _discard, None)
ABANDONED = _Way("local", _hurry, False, _close, LINGER)
FAILURE = _Way("local", _drop, False, _discard, LINGER, is_final=True)
CANCELLED = _Way("local", _end, False, _abort, None, is_final=True)
CUT = _Way(None, _end, True, None, None)
LOST = _Way("peer", _end, False, None, None, is_final=True)


@twin
class SessionCore:
    """Implements `LinkReceiver`; owns every timer of the session and ends its link."""

    __slots__ = (
        "__weakref__",
        "_client",
        "_close_timeout",
        "_due",
        "_on_closed",
        "_timer",
        "_violation",
        "answers_close",
        "arrived",
        "clock",
        "closed",
        "ending",
        "home",
        "incoming",
        "is_raw",
        "keepalive",
        "link",
        "max_frame_size",
        "messages",
        "negotiated",
        "outgoing",
        "pings",
        "reason",
        "sending",
        "state",
    )

    def __init__(
        self,
        link: FrameLink,
        *,
        channels: Channels,
        max_frame_size: int,
        max_fragments: int = MAX_FRAGMENTS,
        close_timeout: float = DEFAULT_CLOSE_TIMEOUT,
        ping_interval: float | None = None,
        timeout: float | None = None,
        negotiated: Negotiated = NOTHING,
        raw: bool = False,
        client: bool = True,
    ) -> None:
        """Start a session on a link whose handshake was verified."""
        self.link = link
        self.clock: Clock = link.clock
        self.home = link.home
        self.state = State.OPEN
        self.negotiated = negotiated
        self.max_frame_size = max_frame_size
        self.is_raw = raw
        self.answers_close = not raw
        """Whether a Close of the peer's is answered at once; else `start_close` answers it."""
        self.ending = Ending()
        self.incoming = Incoming(channels.incoming, self, self.home, link.create_future)
        self.messages: deque[Frame] = self.incoming.queue
        self.arrived = self.incoming.arrived
        self.sending = Sending(channels.outgoing, self, may_fragment=raw or not client)
        self.outgoing = Outgoing(self.sending)
        self.pings = Pings(self)
        self.keepalive = Keepalive(self, ping_interval, timeout)
        self.reason: OneShot[CloseReason] = OneShot(self.home)
        self.closed: OneShot[None] = OneShot(self.home)
        self._close_timeout = close_timeout
        self._client = client
        self._timer: Timer | None = None
        self._due = math.inf
        self._violation: Violation | None = None
        self._on_closed: list[Callable[[SessionCore], object]] = []
        options = LinkOptions(
            max_frame_size=max_frame_size,
            max_fragments=max_fragments,
            raw=raw,
            client=client,
            negotiated=negotiated,
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

    @property
    def has_ended(self) -> bool:
        """Whether both sides have said Close and ours has left, or the connection is gone."""
        reason = self.reason.value
        return self.closed.is_set or (reason is not None and reason.clean)

    async def wait_ended(self) -> None:
        """Wait until that is so."""
        await self.reason.wait()
        if not self.has_ended:
            await self.closed.wait()

    # --- ending, by us ---

    def start_close(self, reason: CloseReason) -> None:
        """Send Close behind what waits, and wait for the peer's, at most `close_timeout`.

        The first one counts; where none can be said, only the rest is read to its end.
        """
        if self.state is State.CLOSED:
            return
        self.incoming.closing()
        if self.sending.is_closed:
            self.link.resume()
        else:
            self._leave(OUR_CLOSE, reason)

    def close_without_waiting(self, reason: CloseReason) -> None:
        """Send Close and what was accepted before it at once, and close the connection."""
        self.start_close(reason)
        if self.state is not State.CLOSED:
            self.link.discard()
            self._leave(ABANDONED)

    def cancel(self) -> None:
        """Drop the connection now."""
        if self.state is State.CLOSED:
            return
        if self.ending.initiator is None:
            self.ending.why = "The session was cancelled"
        self.ending.unsent_bytes = self.link.unsent
        self._leave(CANCELLED)

    def ping_timed_out(self, why: str) -> None:
        """End the session because the peer does not answer."""
        self._fail(1011, "Ping timeout", PingTimeoutError, why)

    def overflow(self, which: str) -> ConnectionClosedError:
        """End the session because a channel is full; return the error to raise."""
        self._fail(OVERFLOW_CODE, f"Channel {which} overflowed", ChannelOverflowError)
        return self.ending.error()

    def _fail(
        self, code: int, what: str, error_type: type[ConnectionClosedError], why: str = ""
    ) -> None:
        """Fail the connection (RFC 6455 7.1.7): say what, stop listening, let the peer end it."""
        if self.ending.initiator is None:
            self.ending.has_failed = True
            self.ending.error_type = error_type
            self.ending.why = why or what
            self._leave(FAILURE, CloseReason(code, shorten(what)))

    # --- told by the channels, as `IncomingOwner` says, and by `Sending` ---

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

    def close_has_left(self) -> None:
        """Take note that nothing more is to be sent."""
        assert self.ending.said is not None
        self.ending.sent = self.link.map_close(self.ending.said)
        if self.ending.received is not None:
            self._both_closed()

    # --- told by the link, as `LinkReceiver` says ---

    def control(self, frame: Frame) -> None:
        """Take a control frame; see `LinkReceiver`."""
        if isinstance(frame, CloseFrame):
            self._peer_closed(frame)
        elif isinstance(frame, PongFrame):
            self.pings.ponged(frame.data)
        elif not self.is_raw:
            self.sending.send_pong(frame.data)

    def _peer_closed(self, frame: CloseFrame) -> None:
        ending = self.ending
        reason = frame.read_reason()
        ending.received = reason = CloseReason(1005) if reason is None else reason
        ending.is_cut_off = self.link.is_cut_off
        self.incoming.arrived()
        if self.incoming.is_closed:
            return  # messages of the same read were too many
        if ending.initiator is None:
            ending.why = ""  # a connection that was cut has its Close
        if self.sending.is_closed:  # we have said ours, or cannot say it
            self._leave(PEERS_CLOSE)
            if ending.sent is not None:
                self._both_closed()
        elif self.answers_close:
            self._leave(PEERS_CLOSE, reason)
        else:
            self._leave(PEERS_CLOSE_UNANSWERED)
            if not self._client:
                self._end_within(self._close_timeout)

    def _both_closed(self) -> None:
        self._decide()
        if not self._client:
            self.link.close()  # the server ends the connection first (RFC 6455 7.1.1)
        self._end_within(LINGER)

    def violated(self, violation: Violation) -> None:
        """Take a broken rule; see `LinkReceiver`."""
        if self.state is not State.CLOSED:
            # Messages that came before it are delivered first: whoever waits for one runs next.
            self._violation = violation
            self.home.loop.call_soon(self._take_violation)

    def _take_violation(self) -> None:
        violation, self._violation = self._violation, None
        if violation is None:
            return
        if self.ending.initiator is None:
            self.ending.cause = violation.__cause__
            self._fail(violation.code, violation.message, violation.error_type)
        else:  # nothing that we wait for can be understood any more
            self.link.discard()
            self._end_within(LINGER)

    def writable(self) -> None:
        """Take note that the link takes frames again; see `LinkReceiver`."""
        self.sending.writable()

    def cut(self, error: BaseException | None) -> None:
        """Take note that nothing more can be sent; see `LinkReceiver`."""
        if self.ending.initiator is None:
            self.ending.connection_lost(error)
            self._leave(CUT)

    def lost(self, error: BaseException | None) -> None:
        """Take the end of the connection; see `LinkReceiver`."""
        if self.state is State.CLOSED:
            return
        if self._violation is not None:
            self._take_violation()
        self.ending.connection_lost(error)
        if self.reason.is_set:  # by what has ended all but this
            self.sending.end()
        else:
            self._leave(LOST)
        self.state = State.CLOSED
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self.closed.set(None)
        while self._on_closed:
            self._on_closed.pop(0)(self)
        if self.negotiated.codecs:
            close_codecs(self.negotiated.codecs)

    # --- inside ---

    def _leave(self, way: _Way, reason: CloseReason | None = None) -> None:
        """Leave OPEN, or CLOSING for a worse end, saying `reason` in a Close if there is one."""
        ending, sending = self.ending, self.sending
        ending.initiator = ending.initiator or way.initiator
        if ending.said is None:
            ending.said = reason
        self.state = State.CLOSING
        self.keepalive.stop()
        if way.sending is not None:
            way.sending(sending)
        if reason is not None:
            sending.close(CloseFrame(self.link.map_close(reason)))
        if not way.listens:
            self.incoming.end(ending.error, quietly=ending.is_quiet)
        if sending.is_closed:
            self.pings.fail(ending.error)
        if way.is_final:
            self._decide()
        if way.link is not None:
            way.link(self.link)
        if way.limit is not None:
            self._end_within(way.limit)

    def _decide(self) -> None:
        if not self.reason.is_set:
            self.reason.set(self.ending.reason())

    def _end_within(self, delay: float) -> None:
        """Drop the link after `delay` or `close_timeout`, unless that is due earlier already."""
        if self._timer is None or delay < self._close_timeout:
            now = self.clock.time()
            self._due = min(self._due, now + min(delay, self._close_timeout))
            if self._timer is None:
                self._look_in(self._due - now)

    def _look_in(self, left: float) -> None:
        self._timer = self.clock.call_later(min(left, LINGER), self._look)  # no `delay` is shorter

    def _look(self) -> None:
        """Drop the link if that is due."""
        left = self._due - self.clock.time()
        if left > 0:
            self._look_in(left)
        else:
            self.ending.unsent_bytes = self.link.unsent
            self.link.abort()
