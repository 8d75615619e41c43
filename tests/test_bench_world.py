"""The benchmarks' clients of other languages: what they are told, what they print, as `ws` does."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from benchmarks.plan import Run
from benchmarks.runner import Client, server
from benchmarks.scenarios import SCENARIOS
from benchmarks.world.__main__ import WORLD
from benchmarks.world.lanes import LANES
from tests.interop.lanes import LaneAbsentError

pytestmark = [pytest.mark.exhaustive, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def client() -> Client:
    try:
        return LANES["ws"].client()
    except LaneAbsentError as absent:
        line = f"the benchmarks' lane ws did not run: {absent}"
        if os.environ.get("KTOR_CLIENT_REQUIRE_LANES") == "1":
            pytest.fail(line, pytrace=False)
        pytest.skip(line)


@pytest.mark.parametrize("scenario", WORLD)
def test_prints_what_it_measured(client: Client, scenario: str) -> None:
    with server(None) as ports:
        command = client.command(Run(scenario, "", "ws", 1), ports.plain, 0.01)
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert (done.returncode, done.stderr) == (0, "")
    values = json.loads(done.stdout)
    costs = {"kib"} if SCENARIOS[scenario].kind == "memory" else {"cpu_us", "wall_us"}
    assert set(values) == costs | {"peak_kib"}
    assert all(value > 0 for value in values.values())


def test_a_message_of_another_length_is_an_error(client: Client) -> None:
    with server(None) as ports:
        command = list(client.command(Run("flood32", "", "ws", 1), ports.plain, 0.01))
        command[command.index("32")] = "33"
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode != 0
    assert "the last message has length 32, expected 33" in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("name", LANES)
def test_sources_are_pinned(name: str) -> None:
    try:
        version = LANES[name].version()
    except LaneAbsentError as absent:
        pytest.skip(f"{name}: {absent}")  # Boost is the system's
    assert version[0].isdigit()
