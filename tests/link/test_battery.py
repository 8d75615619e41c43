"""The conformance battery on links in memory: messages, byte pipes, and every byte on its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest

from ktor_client.link.faults import Faults
from ktor_client.testing import EchoServer
from ktor_client.testing.conformance import CHECKS, Check, run_check
from tests.support.echo_in_memory import BASE_URL, OTHER_URL, EchoInMemory


def messages() -> Faults | None:
    return None


def pipe() -> Faults | None:
    return Faults()


def split() -> Faults | None:
    faults = Faults()
    faults.split(7)
    return faults


NO_NAMES = {"unknown_host_is_a_connect_error": "no names are resolved in memory"}
SLOW = "too much for seven bytes in a step of the loop"
NOT_SPLIT = {
    **NO_NAMES,
    "twenty_megabytes": SLOW,
    "unlimited_outgoing_never_waits": SLOW,
    "slow_consumer_is_not_a_dead_peer": SLOW,
    "flood_is_held_back": SLOW,
    "ping_is_answered_once": "the ping is still under way when the client speaks",
}


@pytest.mark.parametrize("way", [messages, pipe, split])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.room}-{check.name}")
async def test_in_memory(check: Check, way: Callable[[], Faults | None]) -> None:
    left_out = NOT_SPLIT if way is split else NO_NAMES
    if check.name in left_out:
        pytest.skip(left_out[check.name])
    factory = partial(EchoInMemory, EchoServer(), way())
    result = await run_check(check, factory, BASE_URL, other_url=OTHER_URL)
    result.raise_if_failed()
    if result.outcome == "skipped":
        pytest.skip(result.detail)
