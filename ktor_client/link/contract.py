"""The contract between a session and what carries its frames. No bytes, no library, no policy."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from ktor_client.frames import BinaryFrame, CloseReason, Frame, TextFrame
from ktor_client.link.home_loop import HomeLoop, session_loop
from ktor_client.protocol.handshake import NOTHING, Negotiated
from ktor_client.protocol.message import MAX_FRAGMENTS
from ktor_client.protocol.violation import Violation

__all__ = ["LINGER", "Clock", "FrameLink", "LinkOptions", "LinkReceiver", "Timer"]

LINGER = 1.0
"""Seconds for the end of a connection once there is nothing left to say."""


class Timer(Protocol):
    """What `call_later` returns."""

    def cancel(self) -> None:
        """Do not call; nothing happens if it was called already."""


class Clock(Protocol):
    """Time for keepalive and deadlines. An asyncio loop is one; tests may have virtual time."""

    def time(self) -> float:
        """Return seconds from an arbitrary start; never goes back."""
        ...

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call `callback(*args)` after `delay` seconds."""
        ...


class LinkOptions(NamedTuple):
    """What a session tells its link when it starts."""

    max_frame_size: int
    """Bytes of a whole message after inflation; of one frame when `raw`."""
    max_fragments: int = MAX_FRAGMENTS
    """Frames that a message may have, where the link puts it together."""
    raw: bool = False
    """Whether every frame is delivered as it came."""
    client: bool = True
    """Whether this end is the client, whose frames are masked."""
    negotiated: Negotiated = NOTHING


class LinkReceiver(Protocol):
    """The session's side. A link calls it on the loop that it was started on, never re-entrantly.

    After one read: append data frames to `messages`, call `control` for each control frame in
    order, then `arrived` once, then `violated` if a rule was broken.
    """

    @property
    def messages(self) -> deque[Frame]:
        """Where data frames are appended (with raw links, every frame)."""
        ...

    def arrived(self, size: int) -> None:
        """Take note that frames of `size` bytes were appended."""

    def control(self, frame: Frame) -> None:
        """Take a Ping, Pong or Close of the peer. Nothing follows a Close."""

    def violated(self, violation: Violation) -> None:
        """Take note that the peer broke a rule; nothing more will be delivered."""

    def writable(self) -> None:
        """Take note that `FrameLink.writable` is true again."""

    def cut(self, error: BaseException | None) -> None:
        """Take note that nothing more can be sent; what was read before may still come."""

    def lost(self, error: BaseException | None) -> None:
        """Take note that nothing more will come; called once, and last. None is an orderly end."""


class FrameLink(ABC):
    """Carries frames. An engine makes it with the 101, a session starts it.

    The session ends it by `close` or `abort`; an engine that is closed aborts what is left.
    """

    writable: bool = True
    """Whether `send` is welcome now; when it is not, wait for `LinkReceiver.writable`."""

    frames_received: int = 0
    frames_sent: int = 0
    bytes_received: int = 0
    bytes_sent: int = 0

    received_at: float | None = None
    """The clock's time at which something came last; None before, or where nobody can tell."""

    is_cut_off: bool = False
    """Whether the peer has closed in the midst of a message."""

    @property
    def clock(self) -> Clock:
        """The clock for this connection's deadlines; the running loop by default."""
        return asyncio.get_running_loop()

    @cached_property
    def home(self) -> HomeLoop:
        """The event loop of the connection, on which the session asks for it first."""
        return session_loop()

    @property
    def create_future(self) -> Callable[[], asyncio.Future[Any]]:
        """What makes the futures of those who wait for messages."""
        return asyncio.get_running_loop().create_future

    @property
    def peer_address(self) -> str | None:
        """Address of the peer, such as "127.0.0.1:8080"; None where the engine cannot tell."""
        return None

    @abstractmethod
    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        """Begin to deliver; called once, on the loop of the connection.

        What arrived with the handshake is delivered first. A connection that is lost already
        is reported through `receiver.lost`, soon but not within this call.
        """

    @abstractmethod
    def send(self, frame: Frame) -> None:
        """Take a frame for sending, in order, without waiting; a Close is the last one.

        Raises:
            ValueError: the frame cannot be sent as it is: wrong continuation, RSV bits.
        """

    def send_text(self, text: str) -> None:
        """Send a whole text message. Unlike `send` it is called on any loop and has to check."""
        self.home.check()
        self.send(TextFrame(text))

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Send a whole binary message, as `send_text`."""
        self.home.check()
        self.send(BinaryFrame(data))

    def map_close(self, reason: CloseReason) -> CloseReason:
        """Return what a Close for `reason` says when it leaves: browsers refuse some codes."""
        return reason

    def flush(self) -> None:  # noqa: B027  # most links hold nothing back
        """Hand everything sent so far to the transport now."""

    @property
    def taken(self) -> int:
        """How much `send` has taken until now; what one frame adds is its place in `left`."""
        return self.bytes_sent

    @property
    def left(self) -> tuple[int, int]:
        """How much of it has left this process: surely at least, possibly at most.

        True for good once the connection is gone. Between the two nobody knows; a link of which
        nothing is known counts what it has handed on.
        """
        return self.bytes_sent, self.bytes_sent

    @property
    def unsent(self) -> int:
        """How much of what was taken is not known to have left."""
        return self.taken - self.left[0]

    @property
    def progress(self) -> tuple[int, bool]:
        """A number that changes while what was sent is taken, and whether more of it waits."""
        return self.left[0], self.unsent > 0 or not self.writable

    def watch_leaving(self, callback: Callable[[], object]) -> None:  # noqa: B027  # nothing to tell
        """Call back when more has left, and hold back little: `writable` follows what leaves."""

    @abstractmethod
    def pause(self) -> None:
        """Deliver no further frames for now, as far as the engine can hold the peer back."""

    @abstractmethod
    def resume(self) -> None:
        """Deliver again."""

    @abstractmethod
    def discard(self) -> None:
        """Deliver nothing any more but `lost`; read on, so that the peer can finish."""

    @abstractmethod
    def set_max_frame_size(self, size: int) -> None:
        """Change the limit for messages that begin from now on."""

    @abstractmethod
    def close(self) -> None:
        """End the connection once what was sent has left; `lost` follows. Idempotent."""

    @abstractmethod
    def abort(self) -> None:
        """End the connection now; `lost` follows. Idempotent."""
