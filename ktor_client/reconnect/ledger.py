"""The books of an outbox: what waits, what a link was given, and the verdict on each message.

Pure rules: no clock, no task, no socket. The feed says what happened, and does what is due.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Hashable

from ktor_client.frames import BinaryFrame, TextFrame
from ktor_client.reconnect.outbox import Outbox, Receipt, Sent

__all__ = ["Entry", "Ledger"]

MANY = 64
"""Messages that no longer wait and may be among those that expire: beyond, they are forgotten."""


class Entry:
    """One message on its way."""

    __slots__ = (
        "end",
        "expires",
        "frame",
        "key",
        "may_have_left",
        "number",
        "receipt",
        "serial",
        "size",
        "start",
    )

    def __init__(
        self, frame: TextFrame | BinaryFrame, size: int, key: Hashable | None, expires: float | None
    ) -> None:
        self.frame = frame
        self.size = size
        self.key = key
        self.expires = expires
        self.receipt = Receipt()
        self.serial = 0
        """Its place among those that wait."""
        self.number = 0
        """Which it is of the messages that links were given, from 1; 0 before that."""
        self.may_have_left = False
        """Whether a connection has ended that may have had some of it."""
        self.start = self.end = 0
        """Its place among all that its link took."""


class Ledger:
    """What an outbox has, in order.

    A message of which no byte can have left is as good as new: it may expire, be dropped, and be
    replaced by its key. One that may have left is either sent again or unknown for good.
    """

    def __init__(self, options: Outbox, *, awaits_receipts: bool) -> None:
        """Begin empty; `awaits_receipts` says that the server will tell what it has."""
        self.options = options
        self._awaits_receipts = awaits_receipts
        self._sends_again = options.mode == "at_least_once"
        self._waiting: OrderedDict[int, Entry] = OrderedDict()
        self.waiting_bytes = 0
        self._given: deque[Entry] = deque()
        self._given_bytes = 0
        self._keys: dict[Hashable, Entry] = {}
        self._expiring: deque[Entry] = deque()
        self._serial = 0
        self._last_number = 0

    # --- asked ---

    def __len__(self) -> int:
        """How many messages wait."""
        return len(self._waiting)

    @property
    def awaits_leaving(self) -> bool:
        """Whether a link was given something whose verdict comes as soon as it has left."""
        return bool(self._given) and not self._awaits_receipts

    @property
    def has_window(self) -> bool:
        """Whether a link may be given more: what has to be kept to be sent again is bounded too."""
        options = self.options
        return not self._awaits_receipts or (
            len(self._given) < options.max_messages
            and (not self._given or self._given_bytes < options.max_bytes)
        )

    @property
    def oldest_open(self) -> int:
        """The number of the oldest message that is not acknowledged yet."""
        if self._given:
            return self._given[0].number
        first = next(iter(self._waiting.values()), None)
        return first.number if first is not None and first.number else self._last_number + 1

    def is_waiting(self, entry: Entry) -> bool:
        """Whether a message waits, for the first time or again."""
        return self._waiting.get(entry.serial) is entry

    @property
    def next_expiry(self) -> float | None:
        """When the next message expires, if one does."""
        expiring = self._expiring
        while expiring and not self._is_new(expiring[0]):
            expiring.popleft()
        return expiring[0].expires if expiring else None

    def fits(self, size: int, key: Hashable | None = None) -> bool:
        """Whether a message of that size may wait, in the place of another one or behind all."""
        options = self.options
        older = None if key is None else self._keys.get(key)
        if older is not None:
            return self.waiting_bytes - older.size + size <= options.max_bytes
        return (
            len(self._waiting) < options.max_messages
            and self.waiting_bytes + size <= options.max_bytes
        )

    def next(self) -> Entry | None:
        """Return the message that a link is to be given next, if one waits and may be given."""
        return next(iter(self._waiting.values())) if self._waiting and self.has_window else None

    def number_for(self, entry: Entry) -> int:
        """Return the number that a message has, or will have when it is given."""
        return entry.number or self._last_number + 1

    # --- told by those who send ---

    def put(
        self, frame: TextFrame | BinaryFrame, size: int, key: Hashable | None, now: float
    ) -> Entry:
        """Let a message wait, in the place of one with the same key if that still waits."""
        expires = None if self.options.expires is None else now + self.options.expires
        entry = Entry(frame, size, key, expires)
        older = None if key is None else self._keys.get(key)
        if older is None:
            self._serial += 1
            entry.serial = self._serial
        else:
            entry.serial = older.serial
            self.waiting_bytes -= older.size
            older.receipt._verdict.set(Sent.NOT_SENT)
        self._waiting[entry.serial] = entry
        self.waiting_bytes += size
        if key is not None:
            self._keys[key] = entry
        if expires is not None:
            self._expiring.append(entry)
            if len(self._expiring) > 2 * len(self._waiting) + MANY:
                self._expiring = deque(filter(self._is_new, self._expiring))
        return entry

    def make_room(self, size: int) -> bool:
        """Drop the oldest messages until one of that size fits; say whether it does."""
        while size <= self.options.max_bytes and not self.fits(size):
            oldest = next((one for one in self._waiting.values() if not one.may_have_left), None)
            if oldest is None:
                break
            self._drop(oldest)
        return self.fits(size)

    def withdraw(self, entry: Entry) -> bool:
        """Take back a message of which nothing can have left; say whether it is one."""
        is_new = self._is_new(entry)
        if is_new:
            self._drop(entry)
        return is_new

    def expire(self, now: float) -> None:
        """Drop what has waited too long."""
        while (expiry := self.next_expiry) is not None and expiry <= now:
            self._drop(self._expiring.popleft())

    # --- told of the connection ---

    def give(self, entry: Entry, start: int, end: int) -> None:
        """Take note that a link took a message, and its place there."""
        self._remove(entry)
        if not entry.number:
            self._last_number += 1
            entry.number = self._last_number
        entry.start, entry.end = start, end
        self._given.append(entry)
        self._given_bytes += entry.size

    def left(self, at_least: int) -> None:
        """Take note how much of what the link took has surely left."""
        while self._given and not self._awaits_receipts and self._given[0].end <= at_least:
            self._settle_first(Sent.WRITTEN)

    def acknowledge(self, number: int) -> None:
        """Take note that the server has every message up to this number.

        Raises:
            ValueError: so many were never sent.
        """
        if number > self._last_number:
            raise ValueError(
                f"message {number} is acknowledged, but no more than {self._last_number} were sent"
            )
        while self._given and self._given[0].number <= number:
            self._settle_first(Sent.ACKNOWLEDGED)
        while self._waiting:  # those that were to be sent again are in front
            entry = next(iter(self._waiting.values()))
            if not 0 < entry.number <= number:
                break
            self._remove(entry)
            entry.receipt._verdict.set(Sent.ACKNOWLEDGED)

    def lost(self, at_least: int, at_most: int) -> None:
        """Take note that the connection is gone, and how much of what it took has left."""
        self.left(at_least)
        given, self._given = self._given, deque()
        self._given_bytes = 0
        again: list[Entry] = []
        for entry in given:
            if entry.start >= at_most:
                again.append(entry)
                if not entry.may_have_left:  # the server has not seen its number either
                    self._last_number = min(self._last_number, entry.number - 1)
                    entry.number = 0
            elif self._sends_again:
                again.append(entry)
                entry.may_have_left = True
            else:
                entry.receipt._verdict.set(Sent.UNKNOWN)
        for entry in reversed(again):
            self._waiting[entry.serial] = entry
            self._waiting.move_to_end(entry.serial, last=False)
            self.waiting_bytes += entry.size
            if entry.key is not None and not entry.may_have_left:
                self._keys.setdefault(entry.key, entry)
        if again and self.options.expires is not None:
            new = (entry for entry in self._waiting.values() if not entry.may_have_left)
            self._expiring = deque(sorted(new, key=lambda entry: entry.expires or 0.0))

    def finish(self) -> None:
        """Take note that there will be no more connections."""
        for entry in self._waiting.values():
            entry.receipt._verdict.set(Sent.UNKNOWN if entry.may_have_left else Sent.NOT_SENT)
        self._waiting.clear()
        self.waiting_bytes = 0
        self._keys.clear()
        self._expiring.clear()

    # --- inside ---

    def _is_new(self, entry: Entry) -> bool:
        """Whether it waits, and nothing of it can have left."""
        return not entry.may_have_left and self.is_waiting(entry)

    def _drop(self, entry: Entry) -> None:
        self._remove(entry)
        entry.receipt._verdict.set(Sent.NOT_SENT)

    def _remove(self, entry: Entry) -> None:
        """Let it wait no longer."""
        del self._waiting[entry.serial]
        self.waiting_bytes -= entry.size
        if entry.key is not None and self._keys.get(entry.key) is entry:
            del self._keys[entry.key]

    def _settle_first(self, verdict: Sent) -> None:
        """Give the verdict on the oldest message that a link has."""
        entry = self._given.popleft()
        self._given_bytes -= entry.size
        entry.receipt._verdict.set(verdict)
