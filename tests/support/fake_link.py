"""A link without a wire: it notes what a session asks of it, and a test plays the other side."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ktor_client import Channels, CloseReason, FrameTooBigError, ProtocolViolationError
from ktor_client.frames import Frame
from ktor_client.link import FrameLink, LinkOptions, LinkReceiver
from ktor_client.memory.virtual_clock import VirtualClock
from ktor_client.protocol.violation import Violation
from ktor_client.session import DefaultClientWebSocketSession, SessionCore


class FakeLink(FrameLink):
    """Ends, when it is told to, in the next step of the loop."""

    def __init__(self) -> None:
        self.time = VirtualClock()
        self.receiver: LinkReceiver
        self.options: LinkOptions
        self.sent: list[Frame] = []
        self.calls: list[str] = []
        self.refuses: set[Frame] = set()
        """Frames that cannot be sent as they are."""
        self.fails: dict[Frame, BaseException] = {}
        """Frames whose sending goes wrong."""
        self.choke_after: int | None = None
        """Frames after which the link wants no more."""
        self.stuck = 0
        """Bytes that were sent and have not left."""
        self._watchers: list[Callable[[], object]] = []

    @property
    def clock(self) -> VirtualClock:
        return self.time

    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        self.receiver = receiver
        self.options = options

    def send(self, frame: Frame) -> None:
        if frame in self.refuses:
            raise ValueError("the frame is in the wrong place")
        if frame in self.fails:
            raise self.fails[frame]
        self.sent.append(frame)
        if self.choke_after is not None and not frame.frame_type.is_control:
            self.choke_after -= 1
            if self.choke_after <= 0:
                self.choke()

    def flush(self) -> None:
        self.calls.append("flush")

    @property
    def taken(self) -> int:
        return self.bytes_sent + self.stuck

    @property
    def left(self) -> tuple[int, int]:
        return self.bytes_sent, self.taken

    def watch_leaving(self, callback: Callable[[], object]) -> None:
        self._watchers.append(callback)

    def pause(self) -> None:
        self.calls.append("pause")

    def resume(self) -> None:
        self.calls.append("resume")

    def discard(self) -> None:
        self.calls.append("discard")

    def set_max_frame_size(self, size: int) -> None:
        self.calls.append(f"limit {size}")

    def close(self) -> None:
        self.calls.append("close")
        asyncio.get_running_loop().call_soon(self.lose)

    def abort(self) -> None:
        self.calls.append("abort")
        asyncio.get_running_loop().call_soon(self.lose)

    # --- the other side ---

    def deliver(self, *frames: Frame) -> None:
        """Let frames come in one read."""
        self.received_at = self.time.time()
        size = 0
        control: list[Frame] = []
        for frame in frames:
            is_control = frame.frame_type.is_control
            if is_control:
                control.append(frame)
            if not is_control or self.options.raw:
                self.receiver.messages.append(frame)
                size += len(frame.data)
        for frame in control:
            self.receiver.control(frame)
        self.receiver.arrived(size)

    def violate(self, code: int = 1002, cause: Exception | None = None) -> None:
        """Let the peer break a rule."""
        kind = FrameTooBigError if code == 1009 else ProtocolViolationError
        violation = Violation(code, "A rule was broken", kind)
        violation.__cause__ = cause
        self.receiver.violated(violation)

    def cut(self, error: Exception | None = None) -> None:
        """Let nothing more be sent, while something read before is still to come."""
        self.writable = False
        self.receiver.cut(error)

    def lose(self, error: Exception | None = None) -> None:
        """Let the connection be gone."""
        self.receiver.lost(error)

    def choke(self) -> None:
        """Let the transport be above its mark."""
        self.writable = False

    def leave(self, size: int | None = None) -> None:
        """Let bytes that were sent leave, all that are stuck unless told how many."""
        size = self.stuck if size is None else size
        self.stuck -= size
        self.bytes_sent += size
        for callback in self._watchers:
            callback()

    def relieve(self) -> None:
        """Let the transport be below its mark again."""
        self.writable = True
        self.receiver.writable()

    def peer_closes(self, code: int = 1000, message: str = "") -> None:
        """Let a Close come."""
        self.deliver(Frame.Close(CloseReason(code, message)))

    @property
    def closes(self) -> list[CloseReason | None]:
        """What the Close frames said that were sent."""
        return [frame.read_reason() for frame in self.sent if isinstance(frame, Frame.Close)]


def core_on(link: FakeLink, **options: Any) -> SessionCore:
    """Return the core of a session on a link, with generous options."""
    defaults: dict[str, Any] = {
        "channels": Channels(),
        "max_frame_size": 1 << 20,
        "close_timeout": 10.0,
    }
    return SessionCore(link, **(defaults | options))


def on_fake_link(**options: Any) -> tuple[DefaultClientWebSocketSession, FakeLink]:
    """Return a default session and the link below it."""
    link = FakeLink()
    return DefaultClientWebSocketSession(core_on(link, **options)), link


async def steps(count: int = 5) -> None:
    """Let the loop run some steps, so that everything that can go on has gone on."""
    for _ in range(count):
        await asyncio.sleep(0)
