"""A link between a session and its connection, that sees each frame go by and changes none."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from operator import attrgetter
from typing import Any

from ktor_client.frames import BinaryFrame, Frame, TextFrame
from ktor_client.link.contract import FrameLink, LinkOptions, LinkReceiver
from ktor_client.protocol.violation import Violation

__all__ = ["TapLink"]


def _passed_on(name: str) -> Any:
    """Return a member that is that of the link within."""
    return property(attrgetter(f"inner.{name}"))


class TapLink(FrameLink):
    """Passes everything on, in both directions, and tells each frame to `sent` or `received`.

    What these or `ended` raise goes to the loop's exception handler, and stops nothing.
    """

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

    writable = _passed_on("writable")
    frames_received = _passed_on("frames_received")
    frames_sent = _passed_on("frames_sent")
    bytes_received = _passed_on("bytes_received")
    bytes_sent = _passed_on("bytes_sent")
    received_at = _passed_on("received_at")
    is_cut_off = _passed_on("is_cut_off")
    clock = _passed_on("clock")  # pyright: ignore  # it is a property
    create_future = _passed_on("create_future")  # pyright: ignore  # it is a property
    peer_address = _passed_on("peer_address")  # pyright: ignore  # it is a property
    map_close = _passed_on("map_close")
    flush = _passed_on("flush")
    taken = _passed_on("taken")  # pyright: ignore  # it is a property
    left = _passed_on("left")  # pyright: ignore  # it is a property
    progress = _passed_on("progress")  # pyright: ignore  # it is a property
    watch_leaving = _passed_on("watch_leaving")
    pause = _passed_on("pause")
    resume = _passed_on("resume")
    discard = _passed_on("discard")
    set_max_frame_size = _passed_on("set_max_frame_size")
    close = _passed_on("close")
    abort = _passed_on("abort")

    def start(self, receiver: LinkReceiver, options: LinkOptions) -> None:
        """Begin to deliver; see `FrameLink.start`."""
        self.inner.start(_TapReceiver(self, receiver, options.raw), options)

    def send(self, frame: Frame) -> None:
        """Take a frame for sending; see `FrameLink.send`."""
        self.inner.send(frame)
        self._tell(self.sent, frame)

    def send_text(self, text: str) -> None:
        """Send a whole text message."""
        self.inner.send_text(text)
        self._tell(self.sent, TextFrame(text))

    def send_binary(self, data: bytes | bytearray | memoryview) -> None:
        """Send a whole binary message."""
        self.inner.send_binary(data)
        self._tell(self.sent, BinaryFrame(data))

    def _tell(self, note: Callable[[Any], object], what: object) -> None:
        try:
            note(what)
        except Exception as error:
            told = {"message": f"{type(self).__name__} has failed", "exception": error}
            self.home.loop.call_exception_handler(told)


class _TapReceiver:
    """Stands between the connection and the session: implements `LinkReceiver`."""

    def __init__(self, tap: TapLink, receiver: LinkReceiver, raw: bool) -> None:
        self.messages: deque[Frame] = deque()
        self._tap = tap
        self._receiver = receiver
        self._raw = raw

    def _pass_on(self) -> None:
        for frame in self.messages:
            self._tap._tell(self._tap.received, frame)
        self._receiver.messages.extend(self.messages)
        self.messages.clear()

    def arrived(self, size: int) -> None:
        self._pass_on()
        self._receiver.arrived(size)

    def control(self, frame: Frame) -> None:
        self._pass_on()
        if not self._raw:  # there it was among the messages
            self._tap._tell(self._tap.received, frame)
        self._receiver.control(frame)

    def violated(self, violation: Violation) -> None:
        self._receiver.violated(violation)

    def writable(self) -> None:
        self._receiver.writable()

    def cut(self, error: BaseException | None) -> None:
        self._receiver.cut(error)

    def lost(self, error: BaseException | None) -> None:
        self._tap._tell(self._tap.ended, error)
        self._receiver.lost(error)
