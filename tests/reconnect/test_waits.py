"""Waits that others end, turns of a budget, and which URL is next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from ktor_client.link import Timer
from ktor_client.memory.virtual_clock import VirtualClock
from ktor_client.plugins import WebSocketReconnect
from ktor_client.reconnect import waits
from ktor_client.reconnect.budget import Budget
from ktor_client.reconnect.target import Rotation
from ktor_client.reconnect.waits import Waits
from ktor_client.retry import RetryPolicy


class Computer:
    """A loop's clock that stands still while the computer sleeps, and the clock on its wall."""

    def __init__(self) -> None:
        self.timers = VirtualClock()
        self.slept = 0.0

    def time(self) -> float:
        return self.timers.time()

    def wall(self) -> float:
        return 1e9 + self.timers.time() + self.slept

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        return self.timers.call_later(delay, callback, *args)


async def test_a_pause_ends_by_itself() -> None:
    clock = VirtualClock()
    await Waits(clock).pause(30)
    assert clock.time() == 30
    await Waits(clock).pause(0)


async def test_a_pause_is_ended_by_others() -> None:
    clock = asyncio.get_running_loop()
    ended = Waits(clock)
    ended.wake()  # nobody waits
    ended.fail(KeyError())
    pause = asyncio.create_task(ended.pause(3600))
    await asyncio.sleep(0)
    ended.wake()
    ended.wake()
    ended.fail(KeyError())  # it is over already
    await pause
    pause = asyncio.create_task(ended.pause(3600))
    await asyncio.sleep(0)
    ended.fail(KeyError("the end"))
    with pytest.raises(KeyError, match="the end"):
        await pause


async def test_a_computer_that_slept() -> None:
    computer = Computer()
    pausing = Waits(computer, computer.wall)
    pause = asyncio.create_task(pausing.pause(3600))
    await computer.timers.sleep(10)
    computer.slept += waits.JUMP / 2  # somebody has set the clock right
    await computer.timers.sleep(10)
    assert not pause.done()
    computer.slept += 8 * 3600
    await computer.timers.sleep(1.5 * waits.LOOK_EVERY)
    assert pause.done()
    assert repr(computer.timers).endswith(" 0 timers>")


async def test_turns() -> None:
    clock = VirtualClock()
    budget = Budget(2)
    times: list[tuple[int, float]] = []

    async def one(number: int) -> None:
        await Waits(clock).turn(budget)
        times.append((number, round(clock.time(), 6)))

    tasks = [asyncio.create_task(one(number)) for number in range(6)]
    await asyncio.sleep(0)
    assert len(budget) == 5
    tasks[2].cancel()  # gives its turn to the next one
    await clock.sleep(10)
    assert times == [(0, 0), (1, 0.5), (3, 1), (4, 1.5), (5, 2)]
    await one(6)  # at once: nobody was there for a while
    assert times[-1] == (6, 10)
    assert repr(clock).endswith(" 0 timers>")


async def test_a_turn_is_not_to_be_hurried_but_may_fail() -> None:
    clock = asyncio.get_running_loop()
    budget = Budget(0.001)
    impatient = Waits(clock)
    await impatient.turn(budget)
    turn = asyncio.create_task(impatient.turn(budget))
    await asyncio.sleep(0)
    impatient.wake()
    await asyncio.sleep(0)
    assert not turn.done()
    impatient.fail(KeyError("the end"))
    with pytest.raises(KeyError, match="the end"):
        await turn
    assert len(budget) == 0
    assert budget._timer is None


async def test_a_wait_that_is_cancelled_as_its_turn_comes() -> None:
    clock = VirtualClock()
    budget = Budget(1)
    await Waits(clock).turn(budget)
    waiting = asyncio.create_task(Waits(clock).turn(budget))
    await asyncio.sleep(0)
    budget._next(clock)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await Waits(clock).turn(budget)


async def test_a_turn_that_was_cancelled_in_the_step_of_its_timer() -> None:
    clock = VirtualClock()
    budget = Budget(1)
    turns = [asyncio.get_running_loop().create_future() for _ in range(3)]
    for turn in turns:
        budget.ask(turn, clock)
    turns[1].cancel()
    await clock.sleep(1.5)
    assert turns[2].done()


def test_the_first_url_that_has_rested() -> None:
    urls = Rotation(3, rest=30)
    assert urls.next(0) == 0
    urls.failed(0)
    assert urls.next(1) == 1
    urls.failed(1)
    assert urls.next(2) == 2
    urls.failed(2)
    assert [urls.next(3), urls.next(4), urls.next(5)] == [0, 1, 2]  # none has rested: in turn
    assert urls.next(29.9) == 0
    urls.failed(29.9)
    assert urls.next(31.5) == 1  # the first of those that have
    assert urls.next(60) == 0


def test_the_options_of_the_plugin() -> None:
    with pytest.raises(TypeError, match="policy takes"):
        WebSocketReconnect(policy=3)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="takes a number or None"):
        WebSocketReconnect(max_attempts_per_second="50")  # type: ignore[arg-type]
    for wrong in (0, -1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="above 0"):
            WebSocketReconnect(max_attempts_per_second=wrong)
    assert WebSocketReconnect(max_attempts_per_second=None)._budget is None
    assert WebSocketReconnect()._policy == RetryPolicy()
