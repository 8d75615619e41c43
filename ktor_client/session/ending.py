"""How a session ends: who began, what was said on both sides, and the error that tells it.

Facts only; when a session ends is decided in `core.py`.
"""

from __future__ import annotations

from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import MAX_REASON_BYTES, CloseReason, Initiator, may_be_sent

__all__ = ["Ending", "checked_reason", "shorten"]


class Ending:
    """What is known of the end so far."""

    __slots__ = ("cause", "error_type", "initiator", "received", "said", "sent", "why")

    def __init__(self) -> None:
        self.initiator: Initiator | None = None
        self.said: CloseReason | None = None
        """Why we closed."""
        self.sent: CloseReason | None = None
        """What our Close frame said: the same, but for codes that a browser does not send."""
        self.received: CloseReason | None = None
        """What the peer's Close frame said."""
        self.error_type: type[ConnectionClosedError] = ConnectionClosedError
        self.why = ""
        """What went wrong, for the error's message; empty for an orderly end."""
        self.cause: BaseException | None = None
        """What the transport or a decoder reported."""

    @property
    def is_quiet(self) -> bool:
        """Whether iterating ends without an error: a normal end, or one that we began."""
        return self.error_type is ConnectionClosedError and (
            self.initiator == "local" or (self.received is not None and self.received.is_normal)
        )

    def connection_lost(self, error: BaseException | None) -> None:
        """Take note that the connection is gone, and why if nothing else has ended the session."""
        if self.initiator is None:
            self.initiator = "peer"
            self.why = "The connection was lost without a Close frame"
            if error is not None and str(error):
                self.why += f": {error}"
        if self.cause is None:
            self.cause = error

    def reason(self) -> CloseReason:
        """Return the close reason; 1006 where no Close frame decides."""
        first = self.received if self.initiator == "peer" else self.said
        if first is None:
            first = CloseReason(1006, self.why if self.initiator == "local" else "")
        return CloseReason(
            1006 if first.code is None else first.code,
            first.message,
            initiator=self.initiator,
            clean=self.sent is not None and self.received is not None,
            sent=self.sent,
            received=self.received,
        )

    def error(self) -> ConnectionClosedError:
        """Return a new exception that says how the session ended."""
        reason = self.reason()
        by = "us" if reason.initiator == "local" else "the peer"
        error = self.error_type(
            self.why or f"The session was closed by {by} ({reason})", reason=reason
        )
        error.__cause__ = self.cause
        error._ending = self
        return error


def checked_reason(reason: CloseReason) -> CloseReason:
    """Return a reason that a Close frame may carry.

    Raises:
        ValueError: the code may not be sent (RFC 6455 7.4.1).
    """
    if reason.code is None or not may_be_sent(reason.code):
        raise ValueError(
            f"close code {reason.code} may not be sent (RFC 6455 7.4); "
            "use CloseReason.Codes.NORMAL, another registered code, or 3000..4999"
        )
    return reason


def shorten(message: str) -> str:
    """Cut a message to what a Close frame holds, at a character's end."""
    return message.encode()[:MAX_REASON_BYTES].decode(errors="ignore")
