"""A link that writes down what passes: between a scripted peer's session and its connection."""

from __future__ import annotations

import asyncio
from collections import deque

from ktor_client.engines._mock.conversation import Conversation, Entry, Side
from ktor_client.frames import Frame, PingFrame
from ktor_client.link import Clock, FrameLink, LinkOptions, LinkReceiver
from ktor_client.memory.link import MemoryLink
from ktor_client.memory.pipe import PipedLink
from ktor_client.protocol.violation import Violation

__all__ = ["TapLink"]


class TapLink(FrameLink):
    """Passes everything on, in both directions, and keeps each frame in a `Conversation`."""

    def __init__(self, link: MemoryLink | PipedLink, conversation: Conversation) -> None:
        self.inner = link
        self.pings: asyncio.Queue[PingFrame | None] = asyncio.Queue()
        """Pings of the client's that the script has not asked for yet; None is the end."""
        self._conversation = conversation

    @property
    def writable(self) -> bool:  # type: ignore[override]  # the connection's
        """Whether the connection takes frames."""
        return self.inner.writable

    @property
    def clock(self) -> Clock:
        """The engine's clock."""
        return self.inner.clock

    def record(self, sender: Side, frame: Frame) -> None:
        """Write a frame down, and keep the books."""
        inner = self.inner
        self._conversation.entries.append(Entry(sender, frame, inner.clock.time()))
        if isinstance(frame, PingFrame) and sender == "client":
            self.pings.put_nowait(frame)
        self.frames_sent, self.frames_received = inner.frames_sent, inner.frames_received
        self.bytes_sent, self.bytes_received = inner.bytes_sent, inner.bytes_received

    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        """Begin to deliver; see `FrameLink.start`."""
        self.inner.start(_TapReceiver(self, receiver, options.raw), options)

    def send(self, frame: Frame) -> None:
        """Take a frame for sending; see `FrameLink.send`."""
        self.inner.send(frame)
        self.record("peer", frame)

    def flush(self) -> None:
        """Hand over what is held back."""
        self.inner.flush()

    def pause(self) -> None:
        """Read nothing."""
        self.inner.pause()

    def resume(self) -> None:
        """Read again."""
        self.inner.resume()

    def discard(self) -> None:
        """Throw away what comes."""
        self.inner.discard()

    def set_max_frame_size(self, size: int) -> None:
        """Change the limit."""
        self.inner.set_max_frame_size(size)

    def close(self) -> None:
        """End the connection."""
        self.inner.close()

    def abort(self) -> None:
        """End the connection now."""
        self.inner.abort()


class _TapReceiver:
    """Stands between the connection and the session: implements `LinkReceiver`."""

    def __init__(self, tap: TapLink, receiver: LinkReceiver, raw: bool) -> None:
        self.messages: deque[Frame] = deque()
        self._tap = tap
        self._receiver = receiver
        self._raw = raw

    def _pass_on(self) -> None:
        for frame in self.messages:
            self._tap.record("client", frame)
        self._receiver.messages.extend(self.messages)
        self.messages.clear()

    def arrived(self, size: int) -> None:
        self._pass_on()
        self._receiver.arrived(size)

    def control(self, frame: Frame) -> None:
        self._pass_on()
        if not self._raw:  # there it was among the messages
            self._tap.record("client", frame)
        self._receiver.control(frame)

    def violated(self, violation: Violation) -> None:
        self._receiver.violated(violation)

    def writable(self) -> None:
        self._receiver.writable()

    def lost(self, error: BaseException | None) -> None:
        self._receiver.lost(error)
