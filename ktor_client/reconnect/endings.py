"""How a feed has ended: what makes the exception for each who asks. Nothing ends here."""

from __future__ import annotations

from collections.abc import Callable

from ktor_client.errors import ReconnectStoppedError
from ktor_client.frames import CloseReason
from ktor_client.reconnect.connector import PeerIsDoneError

__all__ = ["anew", "closed_by_us", "peer_is_done", "same"]


def closed_by_us(reason: CloseReason) -> Callable[[], Exception]:
    """The user ended it."""
    said = CloseReason(reason.code or 1006, reason.message, initiator="local")
    return lambda: ReconnectStoppedError(f"The feed was closed by us ({said})", reason=said)


def peer_is_done(done: PeerIsDoneError) -> Callable[[], Exception]:
    """The peer closed with 1000."""
    cause, reason = done.failure.error, done.failure.reason

    def error() -> Exception:
        stopped = ReconnectStoppedError(
            f"The feed was closed by the peer ({reason})", reason=reason
        )
        stopped.__cause__ = cause
        return stopped

    return error


def anew(error: ReconnectStoppedError) -> Callable[[], Exception]:
    """The policy stopped."""

    def again() -> Exception:
        stopped = ReconnectStoppedError(str(error), reason=error.reason)
        stopped.__cause__ = error.__cause__
        return stopped

    return again


def same(error: Exception) -> Callable[[], Exception]:
    """A function of the user's failed, or the client was closed: that error itself."""
    return lambda: error
