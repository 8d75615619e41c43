"""`ktor-client conform`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run

# The whole battery, as a user runs it.
pytestmark = pytest.mark.timeout(170)

UNABLE = """
from ktor_client import ConnectError, WebSocketCapability
from ktor_client.engines import HttpClientEngine

class UnableEngine(HttpClientEngine):
    name = "unable"
    capabilities = frozenset({WebSocketCapability})

    async def execute(self, request):
        raise ConnectError("this engine connects to nothing")

    async def open_web_socket(self, request, options):
        raise ConnectError("this engine connects to nothing")

    async def close(self):
        pass
"""


async def test_an_engine_that_passes() -> None:
    done = await run("conform", "aiohttp")
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith("values ")
    assert "\nConformance of AiohttpEngine\n" in done.out
    assert " 0 failed" in done.out.splitlines()[-1]


async def test_an_engine_that_fails(tmp_path: Path) -> None:
    (tmp_path / "my_package.py").write_text(UNABLE)
    done = await run("conform", "my_package:UnableEngine", cwd=tmp_path)
    assert done.status == 1
    assert "\nConformance of UnableEngine\n" in done.out
    assert "FAILED" in done.out


@pytest.mark.parametrize(("name", "engine"), [("mock", "MockEngine"), ("test", "TestEngine")])
async def test_engines_in_memory(name: str, engine: str) -> None:
    done = await run("conform", name)
    assert (done.status, done.err) == (0, "")
    assert f"\nConformance of {engine}\n" in done.out
    assert " 0 failed" in done.out.splitlines()[-1]


async def test_some_checks() -> None:
    done = await run("conform", "mock", "-k", "values", "-k", "close_")
    assert (done.status, done.err) == (0, "")
    rooms = [line.split()[0] for line in done.out.split("\n\n")[0].splitlines()]
    assert rooms[0] == "values"
    assert "deflate" not in rooms
    done = await run("conform", "mock", "-k", "nonsense")
    assert done.status == 1
    assert "no check has nonsense in it; the groups are: values, http" in done.err
    done = await run("conform", "mock", "--time-limit", "0")
    assert done.status == 1
    assert "--time-limit is a number of seconds" in done.err


STUBBORN = """
import asyncio
from ktor_client.engines import HttpClientEngine
from ktor_client.testing.conformance import runner

runner.GRACE = 0.05

class StubbornEngine(HttpClientEngine):
    name = "stubborn"
    capabilities = frozenset()

    async def execute(self, request):
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                pass

    open_web_socket = execute

    async def close(self):
        pass
"""


async def test_an_engine_that_hangs_is_given_up_check_by_check(tmp_path: Path) -> None:
    (tmp_path / "my_package.py").write_text(STUBBORN)
    done = await run(
        "conform", "my_package:StubbornEngine", "-k", "http", "--time-limit", "0.05", cwd=tmp_path
    )
    assert done.status == 1
    assert "it did not end within 0.05 s, and does not let itself be cancelled" in done.out


BLOCKING = """
import time
from ktor_client.cli import conform
from ktor_client.engines import HttpClientEngine

conform.BLOCKED = 0.2

class BlockingEngine(HttpClientEngine):
    name = "blocking"
    capabilities = frozenset()

    async def execute(self, request):
        time.sleep(1_000_000)

    open_web_socket = execute

    async def close(self):
        pass
"""


async def test_an_engine_that_blocks_the_event_loop_is_shown_where(tmp_path: Path) -> None:
    (tmp_path / "my_package.py").write_text(BLOCKING)
    done = await run(
        "conform", "my_package:BlockingEngine", "-k", "http", "--time-limit", "0.05", cwd=tmp_path
    )
    assert done.status == 1
    assert 'my_package.py", line 13 in execute' in done.err
