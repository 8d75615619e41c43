"""What a feed does with a `Resume`: duplicates dropped, gaps told, receipts settled, lies refused.

Pure rules: nothing waits here but for the plug itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ktor_client.errors import ProtocolViolationError
from ktor_client.frames import BinaryFrame, CloseReason, Frame, TextFrame
from ktor_client.reconnect.arriving import content
from ktor_client.reconnect.events import Gap
from ktor_client.reconnect.resume import Message, Resume, Resumed
from ktor_client.reconnect.sending import Sending
from ktor_client.session import DefaultClientWebSocketSession

__all__ = ["Resuming"]


class Resuming:
    """One plug and its stream."""

    def __init__(
        self,
        plug: Resume,
        tell: Callable[[Gap], None],
        sending: Sending,
    ) -> None:
        """Begin before the first message; `tell` is told of gaps, in their place."""
        self.plug = plug
        self.position: Any = plug.begin()
        """Of the last message that came."""
        self.needs_reload = False
        """Whether the server cannot go on from there."""
        self._tell = tell
        self._sending = sending
        self._goes_on = False
        self._complete: bool | None = None
        self._seen_here: Any = None
        self._is_unproven = False
        self._has_gap = False

    # --- opening ---

    async def on_open(self, session: DefaultClientWebSocketSession) -> bool:
        """Ask the server to go on; return whether it says that it does.

        Raises:
            TypeError: the plug answers with something else than it may.
            ProtocolViolationError: the server acknowledges what it was never sent.
        """
        answer: object = await self.plug.on_open(session, self.position)
        if answer is None or isinstance(answer, bool):
            answer = Resumed(answer)
        if not isinstance(answer, Resumed):
            raise TypeError(
                f"{_name(self.plug)}.on_open returns True, False, None or a Resumed, not {answer!r}"
            )
        if answer.acknowledged is not None:
            self._acknowledge(answer.acknowledged)
        self._goes_on = self.position is not None
        self._complete = answer.complete
        return self._goes_on and answer.complete is True

    def attach(self) -> None:
        """Take note that what comes from now on comes over the connection that was opened last."""
        self._seen_here = None
        self.needs_reload = self._goes_on and self._complete is False
        self._is_unproven = self._goes_on and self._complete is None

    def tell_gap(self) -> None:
        """Tell of what is missing before a reload; once, however often that is tried."""
        if not self._has_gap:
            self._has_gap = True
            self._tell(Gap(self.position))

    def reloaded(self, position: Any) -> None:
        """Take note of what was loaded anew."""
        self.needs_reload = False
        self._has_gap = False
        self.position = position

    # --- messages ---

    def passes(self, frame: Frame) -> Frame | None:
        """Look at what has come; return what the user is to see of it, if anything.

        Raises:
            ProtocolViolationError: the server, or the plug, says what cannot be.
            Exception: whatever the plug raises.
        """
        plug = self.plug
        message = content(frame)
        acknowledged: object = plug.acknowledges(message)
        if acknowledged is not None and acknowledged is not False:
            self._acknowledge(acknowledged)
        shown = plug.received(message)
        position = plug.position_of(message)
        if position is not None and not self._is_news(position):
            return None
        if shown is message:
            return frame
        return None if shown is None else as_frame(shown)

    def wrap(self, frame: TextFrame | BinaryFrame, number: int) -> TextFrame | BinaryFrame:
        """Return what is sent for a message."""
        message = content(frame)
        wrapped = self.plug.sent(message, number)
        return frame if wrapped is message else as_frame(wrapped)

    # --- inside ---

    def _is_news(self, position: Any) -> bool:
        """Take a position; say whether its message is a new one."""
        seen, self._seen_here = self._seen_here, position
        if seen is not None and self._missed(seen, position) < 0:
            raise _violation(
                f"position {position!r} came behind {seen!r} on one connection, says "
                f"{_name(self.plug)}; dropping it as a duplicate would lose it"
            )
        before = self.plug._before_all if self.position is None else self.position
        if before is not None:
            missed = self.plug.missed(before, position)
            if missed is not None and missed < 0:
                return False
            if missed or (missed is None and self._is_unproven):
                self._tell(Gap(self.position, position, missed))
        self._is_unproven = False
        self.position = position
        receipt = self.plug.receipt(position)
        if receipt is not None:
            self._sending.tell(as_frame(receipt))
        return True

    def _missed(self, after: Any, before: Any) -> int:
        missed: object = self.plug.missed(after, before)
        if missed is None:
            return 0
        if not isinstance(missed, int):
            raise TypeError(f"{_name(self.plug)}.missed returns an int or None, not {missed!r}")
        return missed

    def _acknowledge(self, number: object) -> None:
        if number is True:
            number = self._sending.ledger.oldest_open
        if not isinstance(number, int):
            raise TypeError(
                f"{_name(self.plug)}.acknowledges returns a number, True or None, not {number!r}"
            )
        try:
            self._sending.ledger.acknowledge(number)
        except ValueError as error:
            raise _violation(f"{error}, says {_name(self.plug)}") from error
        self._sending.go_on()


def as_frame(message: Message) -> TextFrame | BinaryFrame:
    """Return a message as a frame."""
    return TextFrame(message) if isinstance(message, str) else BinaryFrame(message)


def _name(plug: Resume) -> str:
    return type(plug).__name__


def _violation(message: str) -> ProtocolViolationError:
    return ProtocolViolationError(message, reason=CloseReason(CloseReason.Codes.PROTOCOL_ERROR))
