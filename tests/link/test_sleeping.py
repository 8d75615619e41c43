"""Waiting on a clock, virtual or the loop's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ktor_client.link import Clock, Timer
from ktor_client.link.sleeping import passing, sleep
from ktor_client.memory.virtual_clock import VirtualClock


class CountedLoop:
    """The running loop as a clock that keeps its timers."""

    def __init__(self) -> None:
        self.timers: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return asyncio.get_running_loop().time()

    def call_later(self, delay: float, callback: Any, *args: Any) -> Timer:
        self.timers.append(asyncio.get_running_loop().call_later(delay, callback, *args))
        return self.timers[-1]


async def test_virtual_time_passes_while_it_waits() -> None:
    clock = VirtualClock()
    await sleep(clock, 30)
    assert clock.time() == 30
    called: list[int] = []
    clock.call_later(1, called.append, 1)
    with passing(clock):
        await asyncio.sleep(0.01)
    assert called == [1]


async def test_the_loops_own_time() -> None:
    await sleep(asyncio.get_running_loop(), 0.001)
    with passing(asyncio.get_running_loop()):
        pass


@pytest.mark.parametrize("delay", [0, -1])
async def test_no_delay_only_gives_way(delay: float) -> None:
    clock = VirtualClock()
    order: list[str] = []
    asyncio.get_running_loop().call_soon(order.append, "other")
    await sleep(clock, delay)
    assert (order, clock.time()) == (["other"], 0)


async def test_a_cancelled_wait_leaves_no_timer() -> None:
    clock = CountedLoop()
    checked: Clock = clock
    task = asyncio.create_task(sleep(checked, 60))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert clock.timers[0].cancelled()
