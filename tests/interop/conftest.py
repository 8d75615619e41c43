"""Fixtures of the interop lane: the foreign servers, each started once for the whole run."""

import os
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from .lanes import LANES, Lane, LaneAbsentError, Server, running


@pytest.fixture(scope="session", params=LANES, ids=str)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Each lane's running server; a lane that cannot run is skipped, or fails where required."""
    lane: Lane = request.param
    with ExitStack() as stack:
        try:
            started = stack.enter_context(running(lane))
        except LaneAbsentError as absent:
            line = f"interop lane {lane} did not run: {absent}"
            if os.environ.get("KTOR_CLIENT_REQUIRE_LANES") == "1":
                pytest.fail(line)
            pytest.skip(line)
        yield started
