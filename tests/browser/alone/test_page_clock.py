"""Timers that leave nothing behind: order, cancelling, failures, and how many the loop has."""

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest

from ktor_client.engines._browser.page_clock import FEW, PageClock


@pytest.fixture
def rung(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Delays of the timers that the loop was asked for."""
    delays: list[float] = []

    def call_later(
        loop: asyncio.BaseEventLoop, delay: float, callback: Callable[..., Any], *args: Any
    ) -> asyncio.TimerHandle:
        delays.append(delay)
        return loop.call_at(loop.time() + delay, callback, *args)

    monkeypatch.setattr(asyncio.BaseEventLoop, "call_later", call_later)
    return delays


async def test_they_are_called_in_order_once_each() -> None:
    clock, called, over = PageClock(), list[str](), asyncio.Event()
    begin = clock.time()
    clock.call_later(0.02, called.append, "second")
    clock.call_later(0.02, called.append, "third")
    clock.call_later(0.01, called.append, "first")
    clock.call_later(0, called.append, "at once")
    clock.call_later(0.03, over.set)
    await over.wait()
    assert called == ["at once", "first", "second", "third"]
    assert clock.time() >= begin + 0.03


async def test_what_is_cancelled_is_not_called() -> None:
    clock, called, over = PageClock(), list[str](), asyncio.Event()
    early = clock.call_later(0.001, called.append, "early")
    late = clock.call_later(0.01, called.append, "late")
    clock.call_later(0.01, over.set)
    early.cancel()
    late.cancel()
    late.cancel()
    await over.wait()
    assert called == []


async def test_a_callback_may_cancel_its_neighbour() -> None:
    clock, called, over = PageClock(), list[str](), asyncio.Event()

    def call_first() -> None:
        called.append("first")
        second.cancel()

    first = clock.call_later(0.001, call_first)
    second = clock.call_later(0.001, called.append, "second")
    clock.call_later(0.002, over.set)
    await over.wait()
    first.cancel()  # too late, and no harm
    assert called == ["first"]


async def test_one_that_fails_stops_no_other() -> None:
    clock, told, over = PageClock(), list[Any](), asyncio.Event()

    def fail() -> None:
        raise LookupError("mine")

    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    clock.call_later(0.001, fail)
    clock.call_later(0.001, over.set)
    await over.wait()
    assert [repr(one["exception"]) for one in told] == ["LookupError('mine')"]


async def test_cancelled_timers_hold_nothing(rung: list[float]) -> None:
    class Held:
        def call(self) -> None:
            """Never."""

    clock = PageClock()
    clock.call_later(60, list)
    for _ in range(10 * FEW):
        clock.call_later(61, Held().call).cancel()
    assert len(clock._timers) <= 2 * FEW + 1
    assert not [one for one in gc.get_objects() if isinstance(one, Held)]
    assert rung == [pytest.approx(60, abs=1)], "the loop has one timer for all"


async def test_an_earlier_one_does_not_wait_for_a_later(rung: list[float]) -> None:
    clock, over = PageClock(), asyncio.Event()
    clock.call_later(60, list)
    clock.call_later(0.001, over.set)
    await over.wait()
    assert rung[:2] == [pytest.approx(60, abs=1), pytest.approx(0, abs=0.001)]
    assert rung[2:] == [pytest.approx(60, abs=1)]
