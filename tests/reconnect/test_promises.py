"""The figures that the documentation gives, each made here: in virtual time, by seed."""

from __future__ import annotations

import random
import statistics

import pytest

from ktor_client import Backoff, CloseReason, HttpClient, RetryPolicy, install
from ktor_client.engines import MockEngine
from ktor_client.plugins import WebSockets
from ktor_client.testing import MockPeerSession
from tests.reconnect.simulation import simulate
from tests.reconnect.stampede import attempts_after_a_restart, outage, per_bin, percentile

# A thousand clients are much work for one process; where more time is needed, something hangs.
pytestmark = pytest.mark.timeout(170)

URL = "ws://test/feed"


async def attempts_in_a_minute(seed: int, form: str) -> int:
    async def closes(session: MockPeerSession) -> None:
        await session.close(CloseReason(CloseReason.Codes.GOING_AWAY))

    random.seed(seed)
    engine = MockEngine()
    engine.on_web_socket("/feed", closes)
    async with engine, HttpClient(engine, install(WebSockets)) as client:
        statement = client.web_socket_reconnecting(URL)
        if form == "feed":
            async with statement:
                await engine.clock.sleep(60)
        else:
            async for session in statement:
                if engine.clock.time() >= 60:
                    return len(engine.handshakes) - 1
                async with session:
                    await session.wait_closed()
    return len(engine.handshakes)


@pytest.mark.parametrize("form", ["feed", "loop"])
async def test_a_server_that_accepts_and_closes_is_not_hammered(form: str) -> None:
    counts = [await attempts_in_a_minute(seed, form) for seed in range(100)]
    assert 9 <= statistics.mean(counts) <= 12
    assert max(counts) <= 16


async def test_a_thousand_clients_do_not_stampede() -> None:
    """The server is away for a second; all come back in their own time."""
    times = await attempts_after_a_restart(clients=1000, away=1.0, seed=1)
    bins = per_bin(times, 0.1, until=1.0)
    assert percentile(bins, 99) <= 2 * statistics.mean(bins)
    assert len(times) < 1000 * 8


async def test_without_jitter_they_would() -> None:
    policy = RetryPolicy(Backoff(jitter="none"))
    times = await attempts_after_a_restart(clients=200, away=1.0, seed=1, policy=policy)
    bins = per_bin(times, 0.1, until=1.0)
    assert percentile(bins, 99) > 2 * statistics.mean(bins)


async def test_a_longer_outage_brings_no_more_than_chance_would() -> None:
    """The rate falls as delays grow, so the front is above the mean; but nothing adds to it."""
    one = await outage(2.0, Backoff())
    assert one.off_course <= 1.5
    assert one.p99 <= 600  # of 1,000 clients, who all try once within the first 250 ms
    assert one.on_return <= 100


async def test_a_longer_first_delay_flattens_it() -> None:
    one = await outage(2.0, Backoff(first=1))
    assert one.p99 <= 2 * one.mean
    assert one.on_return <= 100


async def test_nor_do_they_while_it_is_away_for_long() -> None:
    times = await attempts_after_a_restart(clients=200, away=300.0, seed=1)
    late = [at for at in times if 60 <= at < 300]
    bins = per_bin([at - 60 for at in late], 1.0, until=240)
    assert percentile(bins, 99) <= 2 * statistics.mean(bins)


# --- the simulation


@pytest.mark.parametrize("begin", range(0, 100, 10))
async def test_the_simulation(begin: int) -> None:
    for seed in range(begin, begin + 10):
        await simulate(seed)


FOUND = [28, 34, 66, 190]
"""Seeds that have found something."""


@pytest.mark.parametrize("seed", FOUND)
async def test_what_the_simulation_has_found(seed: int) -> None:
    await simulate(seed)


@pytest.mark.exhaustive
@pytest.mark.hours
@pytest.mark.parametrize("begin", range(0, 5000, 250))
async def test_the_simulation_for_long(begin: int) -> None:
    for seed in range(begin, begin + 250):
        await simulate(seed)
