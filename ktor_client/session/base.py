"""The public face of a session, as far as raw and default sessions share it.

State and rules are in `core.py`; here are the members that users call, and leaving the body.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, Self

from ktor_client._twin import twin
from ktor_client.channels import ReceiveChannel, SendChannel
from ktor_client.frames import CloseReason, Frame
from ktor_client.mistakes import Taught, answering
from ktor_client.session.call import HttpClientCall
from ktor_client.session.core import SessionCore
from ktor_client.session.ending import checked_reason

__all__ = [
    "SessionStatistics",
    "WebSocketSession",
    "checked_limit",
]

_NORMAL = CloseReason(CloseReason.Codes.NORMAL)


def checked_limit(limit: int, option: str, unit: str) -> int:
    """Return a limit for messages, such as `max_frame_size` in "byte".

    Raises:
        ValueError: below 1.
        TypeError: not a number.
    """
    if isinstance(limit, bool) or not isinstance(limit, int):
        raise TypeError(f"{option} is a number of {unit}s, not {type(limit).__name__}")
    if limit < 1:
        raise ValueError(f"{option} must be at least 1 {unit}, not {limit}")
    return limit


class SessionStatistics(NamedTuple):
    """Counters of one session; bytes are those on the wire, including headers."""

    frames_received: int
    frames_sent: int
    bytes_received: int
    bytes_sent: int
    incoming_queued: int
    outgoing_queued: int


class _PendingReason(CloseReason):
    """The `close_reason` of a session that has not ended, to be awaited for the final one.

    It is false as long as nothing is certain; a Close of the peer's that we are answering is.
    """

    __slots__ = ("_core",)

    def __init__(self, core: SessionCore) -> None:
        ending = core.ending
        is_certain = ending.received is not None and ending.said is not None
        known = ending.reason() if is_certain else None
        self._core = core
        self.code = None if known is None else known.code
        self.message = "" if known is None else known.message
        self.initiator = None if known is None else known.initiator
        self.clean = False
        self.sent = None
        self.received = None if known is None else known.received
        self.unsent = 0

    def __await__(self) -> Generator[object, None, CloseReason]:
        return self._core.reason.wait().__await__()


@twin
class WebSocketSession(metaclass=Taught):
    """A WebSocket session (Ktor's `WebSocketSession`); raw unless it is a default session.

    As an async context manager, it closes on leaving: with 1000 normally, with 1011 after an
    exception, and with 1001, without waiting, if the body was cancelled.

    It belongs to the event loop that it was opened on; on any other loop it raises
    `WrongLoopError`.
    """

    __slots__ = ("__weakref__", "_call", "_core", "_is_impatient", "_link", "_sending")

    def __init__(self, core: SessionCore, call: HttpClientCall | None = None) -> None:
        self._core = core
        self._call = call
        self._link = core.link
        self._sending = core.sending
        self._is_impatient = False
        """Whether a `close` was not waited for to its end: nothing waits for it again."""

    # --- messages ---

    @property
    def incoming(self) -> ReceiveChannel[Frame]:
        """Frames from the peer: whole messages, or in a raw session every frame."""
        return self._core.incoming

    @property
    def outgoing(self) -> SendChannel[Frame]:
        """Frames to the peer, in one order with those of `send`."""
        return self._core.outgoing

    def send(
        self, message: str | bytes | bytearray | memoryview | Frame
    ) -> Coroutine[Any, Any, None]:
        """Send a whole message: text for str, binary for bytes; or a frame as it is.

        Waits while the transport's buffer is full or other senders are waiting. Messages leave in
        the order of the calls. A cancelled `send` has sent the whole message or nothing. Sending a
        `Frame.Close` starts the close handshake.

        Raises:
            ConnectionClosedError: the session has ended or is closing.
            ValueError: a close code that may not be sent, a frame in the wrong place, or, in a
                default session, a frame that leaves its message unfinished.
            UnicodeEncodeError: the text has a lone surrogate.
        """
        return self._sending.send_message(message)

    async def flush(self) -> None:
        """Return once everything sent so far has been handed to the transport.

        After a close it returns at once, as in Ktor.

        Raises:
            ConnectionClosedError: the connection was lost, or the session ended meanwhile.
        """
        await self._sending.flush()

    # --- the end ---

    @answering("close")
    async def close(self, reason: CloseReason = _NORMAL) -> None:
        """Close with a reason and wait for the end: the peer's Close, or `close_timeout`.

        Messages that `send` has accepted or that wait to be sent leave first; `close_reason.unsent`
        counts those that could not. Idempotent, and safe from any task: the first Close counts, and
        every caller waits for the end. You can still receive messages that arrive meanwhile.

        Raises:
            ValueError: the code may not be sent (RFC 6455 7.4.1).
            WrongLoopError: the session was opened on another event loop.
        """
        if not isinstance(reason, CloseReason):
            said = f"{int(reason)}" if isinstance(reason, int) else f"1000, {reason!r}"
            raise TypeError(
                f"close takes a CloseReason, not {reason!r}: close(CloseReason({said}))"
            )
        checked_reason(reason)
        core = self._core
        if core.has_ended:
            return
        core.home.check()
        core.start_close(reason)
        try:
            await core.wait_ended()
        except asyncio.CancelledError:
            self._is_impatient = True
            raise

    def cancel(self) -> None:
        """Drop the connection now, without a Close; `close_reason` becomes 1006 with initiator
        "local".

        Raises:
            WrongLoopError: the session was opened on another event loop, which is still open.
        """
        core = self._core
        if not core.home.is_closed:
            if core.has_ended and core.home.is_elsewhere:
                return
            core.home.check()
        core.cancel()

    @property
    def close_reason(self) -> CloseReason:
        """How the session ended. While it is open, false; await it for the final reason."""
        final = self._core.reason.value
        return _PendingReason(self._core) if final is None else final

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close."""
        return self._core.is_open

    async def wait_closed(self) -> None:
        """Wait until the connection is gone, however it ends; after a Close, the server ends it."""
        if not (self._core.has_ended and self._core.home.is_elsewhere):
            await self._core.closed.wait()

    # --- settings and facts ---

    @property
    def max_frame_size(self) -> int:
        """Bytes that a message, or in a raw session a frame, may have after inflation."""
        return self._core.max_frame_size

    @max_frame_size.setter
    def max_frame_size(self, size: int) -> None:
        size = checked_limit(size, "max_frame_size", "byte")
        self._core.home.check()
        self._core.max_frame_size = size
        self._link.set_max_frame_size(size)

    @property
    def extensions(self) -> tuple[str, ...]:
        """Negotiated extensions with their parameters, as the server sent them."""
        return self._core.negotiated.descriptions

    @property
    def subprotocol(self) -> str | None:
        """Negotiated subprotocol, or None."""
        return self._core.negotiated.subprotocol

    @property
    def peer_address(self) -> str | None:
        """Address of the other end of the connection, if the engine knows it."""
        return self._link.peer_address

    @property
    def statistics(self) -> SessionStatistics:
        """Counters so far. Hands any held-back data to the transport first."""
        link = self._link
        if not self._core.home.is_elsewhere:
            link.flush()
        return SessionStatistics(
            link.frames_received,
            link.frames_sent,
            link.bytes_received,
            link.bytes_sent,
            len(self._core.incoming),
            len(self._sending),
        )

    # --- leaving the body ---

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if exc_type is not None and self._core.home.is_elsewhere:
            return  # nothing can be said from there, and the exception passes
        if self._is_impatient or not (exc_type is None or issubclass(exc_type, Exception)):
            self._core.close_without_waiting(CloseReason(CloseReason.Codes.GOING_AWAY))
            return
        code = CloseReason.Codes.NORMAL if exc_type is None else CloseReason.Codes.INTERNAL_ERROR
        try:
            await self.close(CloseReason(code))
        except asyncio.CancelledError:
            self._core.cancel()
            raise

    if not TYPE_CHECKING:  # for type checkers a session has none of these

        def __enter__(self) -> NoReturn:
            raise TypeError("a session needs `async with`; write `async with session:`")

        __exit__ = __enter__

        def __iter__(self) -> NoReturn:
            each = (
                "message in session" if hasattr(self, "__aiter__") else "frame in session.incoming"
            )
            raise TypeError(f"what arrives is awaited; write `async for {each}:`")

    def __repr__(self) -> str:
        state = "open" if self.is_open else repr(self._core.ending.reason())
        return f"<{type(self).__name__} {state}>"
