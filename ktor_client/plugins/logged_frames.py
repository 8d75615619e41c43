"""The frames of a session in the log, both ways: as they are sent, and as they come."""

from __future__ import annotations

from collections.abc import Callable

from ktor_client.frames import CloseReason, Frame
from ktor_client.http.shown_text import Redactor
from ktor_client.link import FrameLink
from ktor_client.link.tap import TapLink

__all__ = ["FrameLog"]


class FrameLog(TapLink):
    """Says of each frame its type, its size, and the beginning of its text."""

    def __init__(
        self, link: FrameLink, mark: str, say: Callable[[str], None], redactor: Redactor
    ) -> None:
        super().__init__(link)
        self._mark = mark
        self._say = say
        self._redactor = redactor

    def sent(self, frame: Frame) -> None:
        """Log a frame that was sent."""
        self._say(f"{self._mark} --> {self._shown(frame)}")

    def received(self, frame: Frame) -> None:
        """Log a frame that has come."""
        self._say(f"{self._mark} <-- {self._shown(frame)}")

    def ended(self, error: BaseException | None) -> None:
        """Log the end of the connection."""
        why = "" if error is None else f": {type(error).__name__}"
        self._say(f"{self._mark} --- the connection ended{why}")

    def _shown(self, frame: Frame) -> str:
        if isinstance(frame, Frame.Close):
            reason = frame.read_reason()
            return f"CLOSE{'' if reason is None else self._reason(reason)}"
        if isinstance(frame, Frame.Text):
            try:
                text = frame.read_text()
            except ValueError:  # a part of a text, which may begin within a secret
                pass
            else:
                return f"TEXT, {len(text)} characters: {self._redactor.text(text)}"
        return f"{frame.frame_type.name}, {len(frame.data)} bytes"

    def _reason(self, reason: CloseReason) -> str:
        message = self._redactor.text(reason.message)
        return f" {reason.code}{f' {message}' if message else ''}"
