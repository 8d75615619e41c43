"""The conformance battery on MockEngine, and with every seven bytes in a step of their own."""

from __future__ import annotations

import pytest

from ktor_client.engines import MockEngine
from ktor_client.testing import EchoServer
from ktor_client.testing.conformance import CHECKS, Check, check_engine, run_check
from ktor_client.testing.conformance.runner import IN_MEMORY_URL
from ktor_client.testing.echo_mock import echo_mock
from tests.support.battery import passes

SLOW = "too much for seven bytes in a step of the loop"
NOT_SPLIT = {
    "twenty_megabytes": SLOW,
    "unlimited_outgoing_never_waits": SLOW,
    "slow_consumer_is_not_a_dead_peer": SLOW,
    "flood_is_held_back": SLOW,
    "ping_is_answered_once": "the ping is still under way when the client speaks",
}


@pytest.mark.parametrize("way", ["whole", "split"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.room}-{check.name}")
async def test_in_memory(check: Check, way: str) -> None:
    if way == "split" and check.name in NOT_SPLIT:
        pytest.skip(NOT_SPLIT[check.name])
    server = EchoServer()

    def factory() -> MockEngine:
        engine = echo_mock(server)
        if way == "split":
            engine.faults.split(7)
        return engine

    await passes(check, factory, IN_MEMORY_URL)


async def test_faults_are_noticed() -> None:
    """A bit that flips on the way is no longer the same message, so checks fail."""
    server = EchoServer()

    def factory() -> MockEngine:
        engine = echo_mock(server)
        engine.faults.corrupt(2, flip=1, towards="client")
        return engine

    (check,) = (check for check in CHECKS if check.name == "text_goes_there_and_back")
    result = await run_check(check, factory, IN_MEMORY_URL)
    assert result.outcome == "failed"


async def test_check_engine_brings_the_routes_itself() -> None:
    checks = [check for check in CHECKS if check.room in ("handshake", "refusals")]
    report = await check_engine(MockEngine, checks=checks)
    assert report.engine == "MockEngine"
    assert report.passed, str(report)
    assert not report.with_outcome("skipped")
