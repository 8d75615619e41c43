"""`ktor-client conform`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.command import run

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
    assert done.out.startswith("Conformance of AiohttpEngine\n")
    assert " 0 failed" in done.out.splitlines()[-1]


async def test_an_engine_that_fails(tmp_path: Path) -> None:
    (tmp_path / "my_package.py").write_text(UNABLE)
    done = await run("conform", "my_package:UnableEngine", cwd=tmp_path)
    assert done.status == 1
    assert done.out.startswith("Conformance of UnableEngine\n")
    assert "FAILED" in done.out


@pytest.mark.parametrize(("name", "engine"), [("mock", "MockEngine"), ("test", "TestEngine")])
async def test_engines_in_memory(name: str, engine: str) -> None:
    done = await run("conform", name)
    assert (done.status, done.err) == (0, "")
    assert done.out.startswith(f"Conformance of {engine}\n")
    assert " 0 failed" in done.out.splitlines()[-1]
