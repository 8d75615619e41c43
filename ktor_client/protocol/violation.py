"""How the codec says that the connection must fail. The session turns it into a public error."""

from __future__ import annotations

import traceback

from ktor_client.errors import ConnectionClosedError, FrameTooBigError, ProtocolViolationError
from ktor_client.frames import CloseReason

__all__ = ["Violation"]

_Codes = CloseReason.Codes


class Violation(Exception):
    """The connection must fail with this close code (RFC 6455 7.1.7)."""

    def __init__(
        self,
        code: int,
        message: str,
        error_type: type[ConnectionClosedError] = ProtocolViolationError,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.error_type = error_type
        """What the user gets; its cause is this one's."""

    @classmethod
    def protocol(cls, message: str) -> Violation:
        """Close 1002: a broken rule."""
        return cls(_Codes.PROTOCOL_ERROR, message)

    @classmethod
    def not_utf8(cls, what: str) -> Violation:
        """Close 1007: text or a close reason that is not UTF-8."""
        return cls(_Codes.NOT_CONSISTENT, f"{what} is not valid UTF-8")

    @classmethod
    def too_big(cls, size: int | None, limit: int, option: str = "max_frame_size") -> Violation:
        """Close 1009: over the message limit, known size or not."""
        what = "Message" if size is None else f"Message of {size} bytes"
        message = f"{what} is too big: {option} is {limit}"
        return cls(_Codes.TOO_BIG, message, FrameTooBigError)

    @classmethod
    def too_many_fragments(cls, limit: int) -> Violation:
        """Close 1008: more frames than a message may have, however small they are."""
        return cls(_Codes.VIOLATED_POLICY, f"Message has more than max_fragments={limit}")

    @classmethod
    def of(cls, error: Exception) -> Violation:
        """Return what ends a connection: Close 1011 where the peer has broken no rule.

        So it is if there is no room, though limits allow it, or if an extension's code fails.
        Without tracebacks: they would keep what was read for as long as the error lives.
        """
        if isinstance(error, Violation):
            violation, cause = error, error.__cause__
        else:
            message = "Out of memory while receiving"
            if not isinstance(error, MemoryError):
                message = "What came could not be decoded"
                place = traceback.extract_tb(error.__traceback__)[-1]
                error.add_note(f"raised in {place.filename}, line {place.lineno}, {place.name}")
            violation, cause = cls(_Codes.INTERNAL_ERROR, message, ConnectionClosedError), error
        violation.__cause__ = None if cause is None else cause.with_traceback(None)
        return violation.with_traceback(None)
