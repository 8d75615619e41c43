"""How the codec says that the peer broke a rule. The session turns it into a public error."""

from __future__ import annotations

from ktor_client.frames import CloseReason

__all__ = ["Violation"]


class Violation(Exception):
    """The connection must fail with this close code (RFC 6455 7.1.7)."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    @classmethod
    def protocol(cls, message: str) -> Violation:
        """Close 1002: a broken rule."""
        return cls(CloseReason.Codes.PROTOCOL_ERROR, message)

    @classmethod
    def inconsistent(cls, message: str) -> Violation:
        """Close 1007: text or a close reason that is not UTF-8."""
        return cls(CloseReason.Codes.NOT_CONSISTENT, message)

    @classmethod
    def too_big(cls, size: int | None, limit: int, option: str = "max_frame_size") -> Violation:
        """Close 1009: over the message limit, known size or not."""
        what = "Message" if size is None else f"Message of {size} bytes"
        return cls(CloseReason.Codes.TOO_BIG, f"{what} is too big: {option} is {limit}")
