"""What a feed sends: through the outbox to the connection that there is, and then the verdicts.

The books are kept in `ledger.py`; here is who waits: for room, for the link, for what leaves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from typing import NoReturn, cast

from ktor_client.errors import ConnectionClosedError, OutboxFullError
from ktor_client.frames import BinaryFrame, CloseReason, Frame, TextFrame
from ktor_client.link.contract import Clock, Timer
from ktor_client.link.home_loop import cancel, wake
from ktor_client.link.oneshot import OneShot
from ktor_client.reconnect.ledger import Entry, Ledger
from ktor_client.reconnect.outbox import Outbox, Receipt
from ktor_client.reconnect.session import ReconnectingSession

__all__ = ["Sending"]

LOOK_AGAIN = 0.05
"""Seconds until a link is asked again what has left, where it does not say so by itself."""

_INTERNAL_ERROR = CloseReason(CloseReason.Codes.INTERNAL_ERROR)

Wrap = Callable[[TextFrame | BinaryFrame, int], TextFrame | BinaryFrame]


class Sending:
    """The sending half of a feed."""

    def __init__(self, options: Outbox, clock: Clock, *, awaits_receipts: bool) -> None:
        """Begin without a connection; with `awaits_receipts`, `acknowledge` gives the verdicts."""
        self.ledger = Ledger(options, awaits_receipts=awaits_receipts)
        self._clock = clock
        self.wrap: Wrap | None = None
        """Makes what a link is given of message and number."""
        self.failure: Exception | None = None
        """What `wrap` has raised; it ended the connection."""
        self._session: ReconnectingSession | None = None
        self._end: Callable[[], Exception] | None = None
        self._room: deque[OneShot[None]] = deque()
        """Who waits for room, in order; only the first is woken, and stays so until it has some."""
        self._handing: dict[Entry, asyncio.Future[None]] = {}
        self._sender: asyncio.Task[None] | None = None
        self._expiry: Timer | None = None
        self._expiry_at: float | None = None
        self._look: Timer | asyncio.Handle | None = None
        self._drained: OneShot[None] | None = None
        self._note: TextFrame | BinaryFrame | None = None
        self._stopping: set[asyncio.Task[None]] = set()

    # --- for users ---

    async def send(self, message: object, key: Hashable | None) -> Receipt:
        """Hand a message to the connection, or let it wait; see `WebSocketFeed.send`."""
        frame = _frame_of(message)
        size = len(frame.data)
        self._raise_if_ended()
        if not self._is_free() and (self._room or not self.ledger.fits(size, key)):
            await self._make_room(size, key)
        entry = self.ledger.put(frame, size, key, self._clock.time())
        self._wake_settled()
        self._arm_expiry()
        self._drain()
        self._wake_room()
        if self._is_open and self.ledger.is_waiting(entry):
            await self._handed(entry)
        return entry.receipt

    # --- for the feed ---

    def attach(self, session: ReconnectingSession) -> None:
        """Send on this session from now on."""
        self._session = session
        session._link.watch_leaving(self._more_has_left)
        session._core.on_closed(lambda _: self._nothing_leaves())
        self._drain()
        self._wake_room()

    def detach(self) -> None:
        """Take note that the session is gone, with all that its link tells of what it sent."""
        session, self._session = self._session, None
        if session is None:
            return
        self._stop_looking()
        self._stop_sender()
        self._note = None
        self.ledger.lost(*session._link.left)
        self._arm_expiry()
        self._wake_room()
        self._nothing_leaves()

    def go_on(self) -> None:
        """Send more, if it was receipts that were waited for."""
        self._wake_room()
        self._drain()

    def refuse(self, end: Callable[[], Exception]) -> None:
        """Take nothing more; `end` makes what `send` raises. What waits may still go."""
        self._end = self._end or end
        for place in self._room:
            place.set(None)

    def tell(self, note: TextFrame | BinaryFrame) -> None:
        """Send the server a note of the feed's own, soon; a newer one takes its place."""
        self._note = note
        self._drain()

    async def drained(self) -> None:
        """Wait until nothing waits any more, or the session ends."""
        if self._is_open and len(self.ledger):
            self._drained = self._drained or OneShot()
            await self._drained.wait()

    def finish(self) -> None:
        """Take note, without a connection, that there will be none: what waits is not sent."""
        self.ledger.finish()
        self._arm_expiry()
        self._wake_settled()

    async def stopped(self) -> None:
        """Wait until nothing of this runs any more."""
        if self._stopping:
            await asyncio.wait(self._stopping)

    # --- room ---

    def _is_free(self) -> bool:
        """Whether a message may go at once, past no other."""
        return (
            not (len(self.ledger) or self._room or self._note)
            and self._may_send()
            and self.ledger.has_window
        )

    @property
    def _is_open(self) -> bool:
        """Whether there is a connection to send on."""
        return self._session is not None and self._session.is_open

    def _may_send(self) -> bool:
        """Whether its link takes something now."""
        return self._is_open and self._session is not None and self._session._sending.is_free

    async def _make_room(self, size: int, key: Hashable | None) -> None:
        """Do what `when_full` says, until a message of that size may wait, or go at once."""
        ledger, options = self.ledger, self.ledger.options
        if options.when_full == "drop_oldest" and ledger.make_room(size):
            self._wake_settled()
            return
        if options.when_full != "wait":
            raise OutboxFullError(
                f"the outbox is full: {len(ledger)} messages with {ledger.waiting_bytes} bytes "
                f"wait, this one has {size} more, and {options.max_messages} messages with "
                f"{options.max_bytes} bytes are all that may wait"
            )
        place: OneShot[None] = OneShot()
        self._room.append(place)
        try:
            while self._room[0] is not place or not self._has_room(size, key):
                if place.is_set:
                    self._room[0] = place = OneShot()
                await place.wait()
                self._raise_if_ended()
        finally:
            self._room.remove(place)
            self._wake_room()

    def _has_room(self, size: int, key: Hashable | None) -> bool:
        """Whether a message may wait; one that never fits waits for a connection, alone."""
        return self.ledger.fits(size, key) or (not len(self.ledger) and self._is_open)

    def _wake_room(self) -> None:
        if self._room:
            self._room[0].set(None)

    # --- the link ---

    async def _handed(self, entry: Entry) -> None:
        """Wait until a link has taken a message, or there is none any more."""
        handed = self._handing[entry] = asyncio.get_running_loop().create_future()
        try:
            await handed
        except BaseException:
            if self.ledger.withdraw(entry):
                self._wake_room()
            raise
        finally:
            del self._handing[entry]

    def _drain(self) -> None:
        """Give the link what waits, as long as it takes it; then see to it that this goes on."""
        session = self._session
        if session is None or self._sender is not None or not self._has_work:
            return
        if self._may_send():
            self._give_all(session)
        if self._has_work and session.is_open:
            self._sender = asyncio.get_running_loop().create_task(
                self._send_on(session),
                name=f"sending what waits for {session.call.request.url!r}",
            )
            self._stopping.add(self._sender)
            self._sender.add_done_callback(self._stopping.discard)

    @property
    def _has_work(self) -> bool:
        """Whether there is something that a link would be given."""
        return self._note is not None or self.ledger.next() is not None

    def _give_all(self, session: ReconnectingSession) -> None:
        if self._note is not None:
            note, self._note = self._note, None
            _put(session, note)
        while session._link.writable and (entry := self.ledger.next()) is not None:
            try:
                self._give(entry)
            except Exception as error:
                self.failure = error
                session._core.close_without_waiting(_INTERNAL_ERROR)
                break
        self._look_soon()
        self._wake_room()
        if not len(self.ledger):
            self._wake_drained()

    def _give(self, entry: Entry) -> None:
        assert self._session is not None
        frame, link = entry.frame, self._session._link
        if self.wrap is not None:
            frame = self.wrap(frame, self.ledger.number_for(entry))
        start = link.taken
        _put(self._session, frame)
        self.ledger.give(entry, start, link.taken)
        handed = self._handing.get(entry)
        if handed is not None:
            wake(handed)

    async def _send_on(self, session: ReconnectingSession) -> None:
        """Send what waits, each time that the link takes something again."""
        sending = session._sending
        try:
            while self._has_work:
                turn = await sending.begin_stream()  # others who send on this session wait
                try:
                    self._give_all(session)
                finally:
                    sending.end_stream(turn)
        except ConnectionClosedError:
            pass  # whoever waits for the end of the session says so
        finally:
            if self._session is session:  # else there may be another one by now
                self._sender = None

    def _stop_sender(self) -> None:
        if self._sender is not None:
            cancel(self._sender)
            self._sender = None

    def _wake_settled(self) -> None:
        """Let those go on whose message will not be handed to a link any more."""
        for entry, handed in self._handing.items():
            if entry.receipt.verdict is not None:
                wake(handed)

    def _nothing_leaves(self) -> None:
        """Let those go on who wait until the link has taken something."""
        for handed in self._handing.values():
            wake(handed)
        self._wake_drained()

    def _wake_drained(self) -> None:
        if self._drained is not None:
            drained, self._drained = self._drained, None
            drained.set(None)

    # --- what leaves ---

    def _look_soon(self) -> None:
        if self._look is None:
            self._look = asyncio.get_running_loop().call_soon(self._more_has_left)

    def _more_has_left(self) -> None:
        """Ask the link what has left, and again later if not all is known."""
        self._stop_looking()
        session = self._session
        if session is None:
            return
        session._link.flush()
        self.ledger.left(session._link.left[0])
        if self.ledger.awaits_leaving:
            self._look = self._clock.call_later(LOOK_AGAIN, self._more_has_left)

    def _stop_looking(self) -> None:
        if self._look is not None:
            self._look.cancel()
            self._look = None

    # --- expiry ---

    def _arm_expiry(self) -> None:
        at = self.ledger.next_expiry
        if at == self._expiry_at:
            return
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None
        self._expiry_at = at
        if at is not None:
            self._expiry = self._clock.call_later(at - self._clock.time(), self._expire)

    def _expire(self) -> None:
        self._expiry = self._expiry_at = None
        before = len(self.ledger)
        self.ledger.expire(self._clock.time())
        self._arm_expiry()
        if len(self.ledger) < before:
            self._wake_settled()
            self._wake_room()

    def _raise_if_ended(self) -> None:
        if self._end is not None:
            raise self._end()


def _put(session: ReconnectingSession, frame: TextFrame | BinaryFrame) -> None:
    if isinstance(frame, TextFrame):
        session._link.send_text(frame.text)
    else:
        session._link.send_binary(frame.data)


def _frame_of(message: object) -> TextFrame | BinaryFrame:
    """Return a message as a frame. A lone surrogate raises before anything waits."""
    if isinstance(message, str):
        frame = TextFrame(message)
        frame.text.encode()
        return frame
    if isinstance(message, bytes | bytearray | memoryview):
        return BinaryFrame(cast("bytes | bytearray | memoryview", message))
    if isinstance(message, TextFrame | BinaryFrame) and not message._bits:
        return message
    _refuse(message)


def _refuse(message: object) -> NoReturn:
    if isinstance(message, Frame):
        raise ValueError(
            f"a feed sends whole messages: Frame.Text and Frame.Binary, not {message!r}; "
            "feed.close(...) closes, and feed.session has the connection that there is"
        )
    raise TypeError(
        f"send takes str, bytes or a Frame, not {type(message).__name__}; "
        "send_serialized(obj) sends objects"
    )
