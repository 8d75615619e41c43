"""How a session ends: who began, what was said on both sides, and the error that tells it.

Facts only; when a session ends is decided in `core.py`.
"""

from __future__ import annotations

from ktor_client.errors import ConnectionClosedError
from ktor_client.frames import MAX_REASON_BYTES, CloseReason, Initiator, may_be_sent

__all__ = ["Ending", "checked_reason", "shorten"]


class Ending:
    """What is known of the end so far."""

    __slots__ = (
        "cause",
        "error_type",
        "has_failed",
        "initiator",
        "is_cut_off",
        "received",
        "said",
        "sent",
        "unsent",
        "unsent_bytes",
        "why",
    )

    def __init__(self) -> None:
        self.initiator: Initiator | None = None
        self.said: CloseReason | None = None
        """Why we closed."""
        self.sent: CloseReason | None = None
        """What our Close frame said once it has left: the same, but for codes of browsers."""
        self.received: CloseReason | None = None
        """What the peer's Close frame said."""
        self.error_type: type[ConnectionClosedError] = ConnectionClosedError
        self.has_failed = False
        """Whether we ended it because something went wrong."""
        self.why = ""
        """What went wrong, for the error's message; empty for an orderly end."""
        self.cause: BaseException | None = None
        """What the transport or a decoder reported."""
        self.is_cut_off = False
        """Whether the peer's Close has cut a message off that had begun."""
        self.unsent = 0
        """Messages that `send` had accepted and that were dropped."""
        self.unsent_bytes = 0
        """Bytes that were handed to the connection and dropped with it."""

    @property
    def is_quiet(self) -> bool:
        """Whether iterating ends without an error: a normal end, or one that we began."""
        if self.has_failed:
            return False
        is_normal = self.received is not None and self.received.is_normal
        return self.initiator == "local" or (is_normal and not self.is_cut_off)

    def connection_lost(self, error: BaseException | None) -> None:
        """Take note that the connection is gone, and why if nothing else has ended the session."""
        if self.initiator is None:
            self.why = "The connection was lost without a Close frame"
            if error is not None and str(error):
                self.why += f": {error}"
        if isinstance(error, OSError):
            # Its frames may be those of a `send`: only the collector would free them and us.
            error.__traceback__ = None
        self.cause = self.cause or error

    def reason(self) -> CloseReason:
        """Return the close reason; 1006 where no Close frame decides."""
        first = self.received if self.initiator == "peer" else self.said
        if first is None:
            first = CloseReason(1006, self.why if self.initiator == "local" else "")
        return CloseReason(
            1006 if first.code is None else first.code,
            first.message,
            initiator=self.initiator or "peer",  # it is cut, and the rest is still to be read
            clean=self.sent is not None and self.received is not None and not self.unsent,
            sent=self.sent,
            received=self.received,
            unsent=self.unsent,
        )

    def error(self) -> ConnectionClosedError:
        """Return a new exception that says how the session ended."""
        reason = self.reason()
        by = "us" if reason.initiator == "local" else "the peer"
        amid = " in the midst of a message" if self.is_cut_off else ""
        error = self.error_type(
            self.why or f"The session was closed by {by}{amid} ({reason})", reason=reason
        )
        error.__cause__ = self.cause
        error._ending = self
        if self.unsent:
            error.add_note(f"{self.unsent} messages that send had accepted were not sent")
        if self.unsent_bytes:
            error.add_note(f"{self.unsent_bytes} bytes did not leave before the end")
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
