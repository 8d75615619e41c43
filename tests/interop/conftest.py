"""Fixtures of the interop lane: the foreign servers, each started once for the whole run."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache

import pytest

from .lanes import LANES, Lane, LaneAbsentError, Server, running


@cache
def absence(lane: Lane) -> str | None:
    """Make the lane ready, building what it needs; the line that says why that cannot be."""
    try:
        lane.command()
    except LaneAbsentError as absent:
        return f"interop lane {lane} did not run: {absent}"
    return None


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Skip a lane that cannot run, or fail where lanes are required.

    In this hook and not in the fixture, because pytest then reports all skipped tests of a lane
    in one line.
    """
    callspec = getattr(item, "callspec", None)
    if callspec is None or "server" not in callspec.params:
        return
    line = absence(callspec.params["server"])
    if line is None:
        return
    if os.environ.get("KTOR_CLIENT_REQUIRE_LANES") == "1":
        pytest.fail(line, pytrace=False)
    pytest.skip(line)


@pytest.fixture(scope="session")
def fleet() -> Iterator[Callable[[Lane], Server]]:
    """Starts a lane's server when it is first asked for; all end with the run."""
    with ExitStack() as stack:
        yield cache(lambda lane: stack.enter_context(running(lane)))


@pytest.fixture(params=LANES, ids=str)
def server(request: pytest.FixtureRequest, fleet: Callable[[Lane], Server]) -> Server:
    """Each lane's server, running."""
    return fleet(request.param)
