"""A time limit on a clock, virtual or the loop's: over, in time, paused, begun anew."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client.link.time_limit import TimeLimit
from ktor_client.memory.virtual_clock import VirtualClock


async def test_a_block_in_time_and_one_that_is_not() -> None:
    clock = VirtualClock()
    limit = TimeLimit(clock, 5)
    async with limit:
        await clock.sleep(4)
    await clock.sleep(60)
    assert not limit.is_over
    limit = TimeLimit(clock, 5)
    with pytest.raises(TimeoutError):
        async with limit:
            await clock.sleep(60)
    assert limit.is_over
    assert clock.time() == 4 + 60 + 5


async def test_a_pause_does_not_count() -> None:
    clock = VirtualClock()
    limit = TimeLimit(clock, 5)
    with pytest.raises(TimeoutError):
        async with limit:
            await clock.sleep(4)
            limit.pause()
            await clock.sleep(60)
            limit.begin()
            assert limit.deadline == 69
            await clock.sleep(60)
    assert clock.time() == 69


async def test_an_error_of_the_block_is_its_own() -> None:
    limit = TimeLimit(VirtualClock(), 5)
    mine = TimeoutError("of the block's")
    with pytest.raises(TimeoutError) as caught:
        async with limit:
            raise mine
    assert caught.value is mine
    assert not limit.is_over


async def test_real_time() -> None:
    with pytest.raises(TimeoutError):
        async with TimeLimit(asyncio.get_running_loop(), 0.01):
            await asyncio.Event().wait()


async def test_one_that_guards_nothing_does_nothing() -> None:
    clock = VirtualClock()
    TimeLimit(clock, 1)
    await clock.sleep(2)
