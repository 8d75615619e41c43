"""A link between a session and its connection, that sees each frame go by and changes none."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from typing import Any

from ktor_client.frames import BinaryFrame, CloseReason, Frame, TextFrame
from ktor_client.link.contract import Clock, FrameLink, LinkOptions, LinkReceiver
from ktor_client.protocol.violation import Violation

__all__ = ["TapLink"]


class TapLink(FrameLink):
    """Passes everything on, in both directions, and tells each frame to `sent` or `received`."""

    def __init__(self, link: FrameLink) -> None:
        self.inner = link
        self.home = link.home

    @abstractmethod
    def sent(self, frame: Frame) -> None:
        """Take note of a frame that our side has sent, as it is before any extension."""

    @abstractmethod
    def received(self, frame: Frame) -> None:
        """Take note of a frame that has come; of a message in fragments when it is whole."""

    def ended(self, error: BaseException | None) -> None:  # nothing by default
        """Take note that the connection is gone; None is an orderly end."""

    # --- what the session asks ---

    @property
    def writable(self) -> bool:  # type: ignore[override]  # the connection's
        """Whether the connection takes frames."""
        return self.inner.writable

    @property
    def frames_received(self) -> int:  # type: ignore[override]  # the connection's
        """See `FrameLink`."""
        return self.inner.frames_received

    @property
    def frames_sent(self) -> int:  # type: ignore[override]  # the connection's
        """See `FrameLink`."""
        return self.inner.frames_sent

    @property
    def bytes_received(self) -> int:  # type: ignore[override]  # the connection's
        """See `FrameLink`."""
        return self.inner.bytes_received

    @property
    def bytes_sent(self) -> int:  # type: ignore[override]  # the connection's
        """See `FrameLink`."""
        return self.inner.bytes_sent

    @property
    def received_at(self) -> float | None:  # type: ignore[override]  # the connection's
        """See `FrameLink`."""
        return self.inner.received_at

    @property
    def is_cut_off(self) -> bool:  # type: ignore[override]  # the connection's
        """See `FrameLink`."""
        return self.inner.is_cut_off

    @property
    def clock(self) -> Clock:
        """The connection's clock."""
        return self.inner.clock

    @property
    def create_future(self) -> Callable[[], asyncio.Future[Any]]:
        """See `FrameLink.create_future`."""
        return self.inner.create_future

    @property
    def peer_address(self) -> str | None:
        """See `FrameLink.peer_address`."""
        return self.inner.peer_address

    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        """Begin to deliver; see `FrameLink.start`."""
        self.inner.start(_TapReceiver(self, receiver, options.raw), options)

    def send(self, frame: Frame) -> None:
        """Take a frame for sending; see `FrameLink.send`."""
        self.inner.send(frame)
        self.sent(frame)

    def send_text(self, text: str) -> None:
        """Send a whole text message."""
        self.inner.send_text(text)
        self.sent(TextFrame(text))

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Send a whole binary message."""
        self.inner.send_binary(data)
        self.sent(BinaryFrame(data))

    def map_close(self, reason: CloseReason) -> CloseReason:
        """See `FrameLink.map_close`."""
        return self.inner.map_close(reason)

    def flush(self) -> None:
        """Hand over what is held back."""
        self.inner.flush()

    @property
    def taken(self) -> int:
        """See `FrameLink.taken`."""
        return self.inner.taken

    @property
    def left(self) -> tuple[int, int]:
        """See `FrameLink.left`."""
        return self.inner.left

    @property
    def progress(self) -> tuple[int, bool]:
        """See `FrameLink.progress`."""
        return self.inner.progress

    def watch_leaving(self, callback: Callable[[], object]) -> None:
        """See `FrameLink.watch_leaving`."""
        self.inner.watch_leaving(callback)

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
            self._tap.received(frame)
        self._receiver.messages.extend(self.messages)
        self.messages.clear()

    def arrived(self, size: int) -> None:
        self._pass_on()
        self._receiver.arrived(size)

    def control(self, frame: Frame) -> None:
        self._pass_on()
        if not self._raw:  # there it was among the messages
            self._tap.received(frame)
        self._receiver.control(frame)

    def violated(self, violation: Violation) -> None:
        self._receiver.violated(violation)

    def writable(self) -> None:
        self._receiver.writable()

    def cut(self, error: BaseException | None) -> None:
        self._receiver.cut(error)

    def lost(self, error: BaseException | None) -> None:
        self._tap.ended(error)
        self._receiver.lost(error)
