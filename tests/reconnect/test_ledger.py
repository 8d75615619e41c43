"""The books of an outbox: bounds, order, verdicts."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Hashable
from datetime import timedelta
from typing import Any

import pytest

from ktor_client import Frame, Outbox, Receipt, Sent
from ktor_client.reconnect.ledger import Entry, Ledger


def books(*, awaits_receipts: bool = False, **options: Any) -> Ledger:
    return Ledger(Outbox(**options), awaits_receipts=awaits_receipts)


def put(ledger: Ledger, text: str, key: Hashable | None = None, now: float = 0.0) -> Entry:
    return ledger.put(Frame.Text(text), len(text), key, now)


def give(ledger: Ledger, at: int = 0) -> list[Entry]:
    """Give a link all that waits; each message takes its size and 1."""
    given: list[Entry] = []
    while (entry := ledger.next()) is not None:
        ledger.give(entry, at, at := at + entry.size + 1)
        given.append(entry)
    return given


def verdicts(*entries: Entry) -> list[Sent | None]:
    return [entry.receipt.verdict for entry in entries]


def texts(ledger: Ledger) -> list[str]:
    return [entry.frame.read_text() for entry in ledger._waiting.values()]  # type: ignore[union-attr]


def test_what_an_outbox_may_be() -> None:
    outbox = Outbox(max_messages=2, expires=timedelta(minutes=1))
    assert (outbox.max_bytes, outbox.when_full, outbox.mode) == (1 << 20, "wait", "at_most_once")
    assert outbox == Outbox(2, expires=60)
    for wrong in ({"max_messages": 0}, {"max_bytes": -1}, {"expires": 0}):
        with pytest.raises(ValueError, match=r"max_|expires"):
            Outbox(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_messages takes an int"):
        Outbox(max_messages="2")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="max_bytes takes an int"):
        Outbox(max_bytes=True)
    with pytest.raises(ValueError, match="when_full is"):
        Outbox(when_full="drop")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="mode is"):
        Outbox(mode="exactly_once")  # type: ignore[arg-type]


async def test_a_receipt_may_be_awaited_again_and_by_many() -> None:
    receipt = Receipt()
    assert repr(receipt) == "<Receipt open>"

    async def wait() -> Sent:
        return await receipt

    waiting = [asyncio.create_task(wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    receipt._verdict.set(Sent.NOT_SENT)
    assert [await one for one in waiting[1:]] == [Sent.NOT_SENT] * 2
    assert await receipt is receipt.verdict is Sent.NOT_SENT
    assert repr(receipt) == "<Receipt not sent>"


def test_bounds_in_messages_and_bytes() -> None:
    ledger = books(max_messages=3, max_bytes=10)
    put(ledger, "123456")
    assert ledger.fits(4)
    assert not ledger.fits(5)
    put(ledger, "", None)
    put(ledger, "")
    assert (len(ledger), ledger.waiting_bytes) == (3, 6)
    assert not ledger.fits(0)


def test_the_oldest_are_dropped() -> None:
    ledger = books(max_messages=3, max_bytes=10, when_full="drop_oldest")
    entries = [put(ledger, text) for text in ("123", "45", "6")]
    assert ledger.make_room(6)
    assert verdicts(*entries) == [Sent.NOT_SENT, None, None]
    assert not ledger.make_room(11)  # and nothing is dropped for what never fits
    assert texts(ledger) == ["45", "6"]
    ledger = books(max_messages=1, mode="at_least_once")
    put(ledger, "may have left")
    give(ledger)
    ledger.lost(0, 3)
    assert not ledger.make_room(1)


def test_a_key_replaces_what_still_waits() -> None:
    ledger = books(max_messages=3, max_bytes=10)
    first, _, third = put(ledger, "a1", "a"), put(ledger, "b"), put(ledger, "c")
    assert ledger.fits(8, "a")
    assert not ledger.fits(9, "a")
    newer = put(ledger, "a2", "a")
    assert verdicts(first, newer) == [Sent.NOT_SENT, None]
    assert texts(ledger) == ["a2", "b", "c"]  # in its place
    assert ledger.waiting_bytes == 4
    give(ledger)
    newest = put(ledger, "a3", "a")  # a2 waits no longer
    assert verdicts(newer, newest, third) == [None, None, None]
    ledger.lost(0, 0)
    assert texts(ledger) == ["a2", "b", "c", "a3"]
    put(ledger, "a4", "a")
    assert texts(ledger) == ["a2", "b", "c", "a4"]


def test_withdrawn() -> None:
    ledger = books()
    entry = put(ledger, "a", "key")
    assert ledger.withdraw(entry)
    assert not ledger.withdraw(entry)
    assert verdicts(entry) == [Sent.NOT_SENT]
    entry = put(ledger, "a", "key")
    give(ledger)
    assert not ledger.withdraw(entry)


def test_what_was_replaced_is_not_kept_until_it_would_expire() -> None:
    ledger = books(expires=3600)
    first = put(ledger, "status", "status")
    for price in range(10_000):
        put(ledger, str(price), "price")
    assert len(ledger._expiring) < 100
    ledger.expire(3600)
    assert verdicts(first) == [Sent.NOT_SENT]
    assert not len(ledger)


def test_expiry() -> None:
    ledger = books(expires=10, mode="at_least_once")
    first = put(ledger, "1", "k", now=0)
    second = put(ledger, "2", now=1)
    third = put(ledger, "3", now=2)
    assert ledger.next_expiry == 10
    newer = put(ledger, "4", "k", now=3)  # in the first one's place, but younger
    assert ledger.next_expiry == 11
    ledger.expire(11)
    assert verdicts(first, second, third, newer) == [Sent.NOT_SENT, Sent.NOT_SENT, None, None]
    give(ledger)
    assert ledger.next_expiry is None
    ledger.lost(0, 2)  # "4" may have left, "3" has not
    assert ledger.next_expiry == 12
    ledger.expire(99)
    assert verdicts(third, newer) == [Sent.NOT_SENT, None]
    ledger.finish()
    assert verdicts(newer) == [Sent.UNKNOWN]


@pytest.mark.parametrize(
    ("mode", "middle"), [("at_most_once", Sent.UNKNOWN), ("at_least_once", None)]
)
def test_a_connection_that_ends(mode: str, middle: Sent | None) -> None:
    ledger = books(mode=mode)
    entries = [put(ledger, text) for text in ("aa", "bb", "cc", "dd")]
    give(ledger)
    late = put(ledger, "ee")
    ledger.left(3)
    assert verdicts(*entries) == [Sent.WRITTEN, None, None, None]
    assert ledger.awaits_leaving
    ledger.lost(at_least=5, at_most=9)  # cut within "bb", or within "cc"
    assert verdicts(*entries) == [Sent.WRITTEN, middle, middle, None]
    assert not ledger.awaits_leaving
    again = [] if middle else ["bb", "cc"]
    assert texts(ledger) == [*again, "dd", "ee"]
    give(ledger)
    ledger.left(100)
    assert verdicts(*entries, late)[3:] == [Sent.WRITTEN, Sent.WRITTEN]
    if middle is None:
        assert verdicts(*entries)[1:3] == [Sent.WRITTEN, Sent.WRITTEN]


@pytest.mark.parametrize("mode", ["at_most_once", "at_least_once"])
def test_acknowledged(mode: str) -> None:
    ledger = books(awaits_receipts=True, mode=mode)
    entries = [put(ledger, text) for text in "abcde"]
    assert [entry.number for entry in give(ledger)] == [1, 2, 3, 4, 5]
    ledger.left(100)
    assert verdicts(entries[0]) == [None]  # written is not enough
    ledger.acknowledge(2)
    ledger.acknowledge(1)
    assert verdicts(*entries) == [Sent.ACKNOWLEDGED, Sent.ACKNOWLEDGED, None, None, None]
    with pytest.raises(ValueError, match="message 6 is acknowledged, but no more than 5"):
        ledger.acknowledge(6)
    ledger.lost(at_least=6, at_most=8)  # c has left, d is cut, e has not
    newer = put(ledger, "f")
    assert ledger.number_for(newer) == 5
    if mode == "at_most_once":
        assert verdicts(*entries[2:]) == [Sent.UNKNOWN, Sent.UNKNOWN, None]
        assert [entry.number for entry in give(ledger)] == [5, 6]
    else:
        assert verdicts(*entries[2:]) == [None, None, None]
        ledger.acknowledge(3)  # it says so on the new connection, before anything is sent again
        assert texts(ledger) == ["d", "e", "f"]
        assert [entry.number for entry in give(ledger)] == [4, 5, 6]
        ledger.lost(0, 0)  # again before a byte: but d may have left before
        assert [entry.number for entry in give(ledger)] == [4, 5, 6]
        ledger.acknowledge(6)
        assert verdicts(*entries[2:], newer) == [Sent.ACKNOWLEDGED] * 4


def test_what_is_not_acknowledged_is_bounded_too() -> None:
    ledger = books(awaits_receipts=True, max_messages=2, max_bytes=10)
    put(ledger, "1")
    put(ledger, "2")
    assert len(give(ledger)) == 2
    put(ledger, "3")
    assert ledger.next() is None
    ledger.acknowledge(1)
    assert len(give(ledger)) == 1
    ledger.acknowledge(3)
    put(ledger, "123456789")
    assert len(give(ledger)) == 1
    put(ledger, "4")
    assert len(give(ledger)) == 1
    ledger.acknowledge(4)
    put(ledger, "5")
    assert len(give(ledger)) == 1


def test_the_end() -> None:
    ledger = books(mode="at_least_once", expires=5)
    cut, waiting = put(ledger, "cut", "a"), put(ledger, "waiting", "b")
    ledger.give(cut, 0, 4)
    ledger.lost(0, 2)
    ledger.finish()
    assert verdicts(cut, waiting) == [Sent.UNKNOWN, Sent.NOT_SENT]
    assert (len(ledger), ledger.waiting_bytes, ledger.next_expiry) == (0, 0, None)


@pytest.mark.parametrize("seed", range(300))
def test_by_chance(seed: int) -> None:
    """Whatever happens: one verdict each, true to what the connections had; order; bounds."""
    chance = random.Random(seed)
    awaits = chance.random() < 0.5
    options: dict[str, Any] = {
        "max_messages": chance.randint(1, 6),
        "max_bytes": chance.randint(4, 30),
        "when_full": chance.choice(["wait", "drop_oldest"]),
        "mode": chance.choice(["at_most_once", "at_least_once"]),
        "expires": chance.choice([None, 5]),
    }
    ledger = books(awaits_receipts=awaits, **options)
    entries: list[Entry] = []
    at, now = 0, 0.0
    on_wire: list[list[tuple[int, int, Entry]]] = [[]]  # of each connection: start, end, what
    had: list[int] = []  # how much of it has left
    received = 0

    for _ in range(chance.randint(5, 60)):
        now += chance.random()
        what = chance.random()
        if what < 0.5:
            text, key = "x" * chance.randint(0, 5), chance.choice([None, None, "a", "b"])
            if options["when_full"] == "drop_oldest":
                ledger.make_room(len(text))
            if ledger.fits(len(text), key):
                entries.append(put(ledger, text, key, now))
        elif what < 0.75:
            entry = ledger.next()
            if entry is not None:
                number = ledger.number_for(entry)
                end = at + entry.size + 1
                ledger.give(entry, at, end)
                assert entry.number == number
                on_wire[-1].append((at, end, entry))
                at = end
        elif what < 0.85:
            surely = chance.randint(0, at)
            if awaits:  # the server has had what has left; it acknowledges some of it
                numbers = [e.number for _, end, e in on_wire[-1] if end <= surely]
                received = max([received, *numbers])
                ledger.acknowledge(chance.randint(0, received))
            else:
                ledger.left(surely)
                written = [e.receipt.verdict for _, end, e in on_wire[-1] if end <= surely]
                assert set(written) <= {Sent.WRITTEN}
        elif what < 0.95:
            floor = max(
                (
                    end
                    for _, end, e in on_wire[-1]
                    if e.receipt.verdict in (Sent.WRITTEN, Sent.ACKNOWLEDGED)
                ),
                default=0,
            )
            at_least = chance.randint(min(floor, at), at)
            at_most = chance.randint(at_least, at)
            truth = chance.randint(at_least, at_most)
            had.append(truth)
            received = max(
                [received, *(e.number for _, end, e in on_wire[-1] if end <= truth and awaits)]
            )
            ledger.lost(at_least, at_most)
            on_wire.append([])
            at = 0
        else:
            ledger.expire(now)
        assert ledger.waiting_bytes == sum(e.size for e in ledger._waiting.values())
        given = sum(len(one) for one in on_wire)
        assert len(ledger) <= options["max_messages"] + given
    had.append(0)
    ledger.lost(0, 0)
    ledger.finish()
    for entry in entries:
        copies = sum(
            any(one is entry and start < left for start, _, one in wire)
            for wire, left in zip(on_wire, had, strict=True)
        )  # of which a byte has left
        verdict = entry.receipt.verdict
        assert verdict is not None
        if verdict is Sent.NOT_SENT:
            assert copies == 0
        if options["mode"] == "at_most_once":
            assert copies <= 1
