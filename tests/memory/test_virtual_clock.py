"""Virtual time: passes only while somebody waits, from timer to timer, in order."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from ktor_client.memory.virtual_clock import MAX_ROUNDS, VirtualClock


async def test_time_stands_still_while_nobody_waits() -> None:
    clock = VirtualClock()
    called: list[float] = []
    clock.call_later(5, lambda: called.append(clock.time()))
    for _ in range(300):
        await asyncio.sleep(0)
    assert (called, clock.time()) == ([], 0.0)
    assert repr(clock) == "<VirtualClock at 0 s, 1 timers>"
    await clock.sleep(timedelta(seconds=7))
    assert (called, clock.time()) == ([5.0], 7.0)


async def test_timers_fire_in_order_and_may_set_others() -> None:
    clock = VirtualClock()
    log: list[tuple[str, float]] = []

    def note(name: str) -> None:
        log.append((name, clock.time()))
        if name == "first":
            clock.call_later(1, note, "from first")

    clock.call_later(2, note, "second")
    clock.call_later(1, note, "first")
    cancelled = clock.call_later(1.5, note, "cancelled")
    cancelled.cancel()
    await clock.sleep(10)
    assert log == [("first", 1.0), ("second", 2.0), ("from first", 2.0)]


async def test_the_loop_runs_dry_before_time_passes() -> None:
    clock = VirtualClock()
    log: list[str] = []

    async def work() -> None:
        for step in range(20):
            await asyncio.sleep(0)
            log.append(f"step {step}")

    async def wait() -> None:
        await clock.sleep(1)
        log.append("a second later")

    await asyncio.gather(wait(), work())
    assert log[-1] == "a second later"
    assert len(log) == 21


async def test_a_task_that_polls_does_not_stop_time() -> None:
    clock = VirtualClock()
    over = False

    async def poll() -> None:
        while not over:  # noqa: ASYNC110  # the very thing that is tested
            await asyncio.sleep(0)

    polling = asyncio.create_task(poll())
    await clock.sleep(60)
    over = True
    await polling


async def test_a_sleep_that_is_cancelled_leaves_nothing() -> None:
    clock = VirtualClock()
    sleeping = asyncio.create_task(clock.sleep(60))
    await asyncio.sleep(0)
    sleeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeping
    for _ in range(300):
        await asyncio.sleep(0)
    assert clock.time() == 0.0
    assert repr(clock) == "<VirtualClock at 0 s, 0 timers>"


async def test_a_sleep_that_is_cancelled_in_the_step_in_which_it_ends() -> None:
    """Whichever step of a busy loop the cancellation comes in; errors would be logged."""
    for steps in range(MAX_ROUNDS + 4):
        clock = VirtualClock()
        sleeping = asyncio.create_task(clock.sleep(1))
        for _ in range(steps):
            await asyncio.sleep(0)
        sleeping.cancel()
        ended = await asyncio.gather(sleeping, return_exceptions=True)
        assert isinstance(ended[0], asyncio.CancelledError | None)
        assert clock.time() in (0.0, 1.0)


async def test_a_timer_that_raises_does_not_stop_time(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    errors: list[str] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: errors.append(repr(context["exception"])))
    clock.call_later(1, lambda: 1 / 0)
    await clock.sleep(2)
    loop.set_exception_handler(None)
    assert errors == ["ZeroDivisionError('division by zero')"]


@pytest.mark.parametrize("duration", [0, -1, float("inf")])
async def test_impossible_sleeps(duration: float) -> None:
    with pytest.raises(ValueError, match="virtual sleep"):
        await VirtualClock().sleep(duration)
