"""Real time with the members of virtual time: nobody has to hold it, and it never jumps."""

from __future__ import annotations

import asyncio

import pytest

from ktor_client.engines import MockEngine
from ktor_client.link.sleeping import sleep
from ktor_client.memory.real_clock import RealClock
from ktor_client.memory.virtual_clock import VirtualClock


def test_it_is_no_virtual_clock() -> None:
    assert not issubclass(RealClock, VirtualClock)
    members = {name for name in vars(RealClock) if not name.startswith("_")}
    assert members == {"time", "call_later", "sleep", "passing"}
    assert members <= set(vars(VirtualClock))


async def test_time_passes_by_itself() -> None:
    clock = RealClock()
    assert 0 <= clock.time() <= clock.time()
    fired = asyncio.Event()
    with clock.passing():
        clock.call_later(0, fired.set)
        await fired.wait()
    called: list[str] = []
    clock.call_later(30, called.append, "late").cancel()
    await sleep(clock, 0.01)
    await clock.sleep(0.001)
    assert called == []
    with pytest.raises(ValueError, match="a sleep"):
        await clock.sleep(-1)


def test_engines_have_one_or_the_other() -> None:
    assert type(MockEngine(real_time=True).clock) is RealClock
    assert type(MockEngine().clock) is VirtualClock
