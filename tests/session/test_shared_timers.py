"""Timers that are due in one second are one: on a loop whose time passes as soon as it is idle."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import selectors
import weakref
from collections import Counter
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import pytest

from ktor_client.memory.virtual_clock import VirtualClock
from ktor_client.session.shared_timers import SLICE, call_later


class HastyLoop(asyncio.SelectorEventLoop):
    """Waits for nothing: the time for which it would have waited has passed at once."""

    def __init__(self) -> None:
        self.now = 1000.25
        super().__init__(_HastySelector(self))
        self.failures: list[BaseException] = []
        self.set_exception_handler(lambda _, told: self.failures.append(told["exception"]))

    def time(self) -> float:
        return self.now

    @property
    def timers(self) -> list[asyncio.TimerHandle]:
        scheduled: list[asyncio.TimerHandle] = self._scheduled  # type: ignore[attr-defined]
        return [timer for timer in scheduled if not timer.cancelled()]


class _HastySelector(selectors.DefaultSelector):
    def __init__(self, loop: HastyLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        self._loop.now += timeout or 0
        return super().select(0)


def run(test: Callable[[HastyLoop], Awaitable[None]]) -> HastyLoop:
    """Run a test on such a loop."""
    loops: list[HastyLoop] = []

    def make() -> HastyLoop:
        loops.append(HastyLoop())
        return loops[0]

    async def main() -> None:
        await test(loops[0])

    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(main())
    return loops[0]


@pytest.mark.parametrize(
    ("delay", "at"),
    [(5, 1006), (5.74, 1006), (5.75, 1006), (5.8, 1007), (4.9, 1005.15), (0, 1000.25)],
)
def test_never_early_and_late_by_less_than_a_second(delay: float, at: float) -> None:
    async def test(loop: HastyLoop) -> None:
        called = loop.create_future()
        call_later(loop, delay, lambda: called.set_result(loop.time()))
        assert await called == pytest.approx(at)

    run(test)


def test_calls_of_one_second_have_one_timer_and_are_made_slice_by_slice() -> None:
    async def test(loop: HastyLoop) -> None:
        made: list[tuple[float, int]] = []
        turn = 0

        def take_turns() -> None:
            nonlocal turn
            turn += 1
            if len(made) < 3 * SLICE:
                loop.call_soon(take_turns)

        loop.call_at(1006, take_turns)
        for index in range(3 * SLICE):
            call_later(loop, 5 + index / 1000, lambda: made.append((loop.time(), turn)))
        assert len(loop.timers) == 2
        await asyncio.sleep(7)
        assert {time for time, _ in made} == {1006}
        assert list(Counter(turn for _, turn in made).values()) == [SLICE] * 3
        assert loop.timers == []

    run(test)


def test_a_call_that_raises_is_told_and_the_others_are_made() -> None:
    async def test(loop: HastyLoop) -> None:
        made: list[str] = []

        def fail() -> None:
            raise LookupError("mine")

        call_later(loop, 5, lambda: made.append("first"))
        call_later(loop, 5, fail)
        call_later(loop, 5, lambda: made.append("last"))
        await asyncio.sleep(7)
        assert sorted(made) == ["first", "last"]

    loop = run(test)
    assert [str(failure) for failure in loop.failures] == ["mine"]


def test_what_is_cancelled_is_not_called_and_leaves_no_timer() -> None:
    async def test(loop: HastyLoop) -> None:
        made: list[int] = []
        calls = [call_later(loop, 5, partial(made.append, index)) for index in range(3)]
        calls[0].cancel()
        calls[0].cancel()
        assert len(loop.timers) == 1
        calls[1].cancel()
        calls[2].cancel()
        assert loop.timers == []
        again = call_later(loop, 5.1, lambda: made.append(3))  # in the same second
        assert len(loop.timers) == 1
        await asyncio.sleep(7)
        assert made == [3]
        again.cancel()
        calls[2].cancel()

    run(test)


def test_a_call_may_cancel_another_of_its_second() -> None:
    async def test(loop: HastyLoop) -> None:
        made: list[str] = []
        calls: list[Any] = []

        def make(name: str, other: int) -> None:
            made.append(name)
            calls[other].cancel()

        calls.append(call_later(loop, 5, lambda: make("a", 1)))
        calls.append(call_later(loop, 5, lambda: make("b", 0)))
        await asyncio.sleep(7)
        assert len(made) == 1

    run(test)


def test_each_call_has_the_context_in_which_it_was_wanted() -> None:
    async def test(loop: HastyLoop) -> None:
        name = contextvars.ContextVar("name", default="nobody")
        seen: list[str] = []

        def want(whose: str) -> None:
            name.set(whose)
            call_later(loop, 5, lambda: seen.append(name.get()))

        for whose in ("one", "two"):
            contextvars.copy_context().run(want, whose)
        await asyncio.sleep(7)
        assert sorted(seen) == ["one", "two"]

    run(test)


def test_a_loop_that_ends_before_is_held_by_nothing() -> None:
    class Wanted:
        def call(self) -> None:
            raise AssertionError

    held: list[weakref.ref[Any]] = []
    calls: list[Any] = []

    async def test(loop: HastyLoop) -> None:
        wanted = Wanted()
        calls.append(call_later(loop, 3600, wanted.call))
        held.extend([weakref.ref(wanted), weakref.ref(loop)])

    run(test)
    calls.pop().cancel()  # when the loop is closed
    gc.collect()
    assert [ref() for ref in held] == [None, None]


async def test_another_clock_has_exact_timers() -> None:
    clock = VirtualClock()
    times: list[float] = []
    for delay in (7.25, 7.5):
        call_later(clock, delay, lambda: times.append(clock.time()))
    await clock.sleep(8)
    assert times == [7.25, 7.5]
