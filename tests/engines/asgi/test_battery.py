"""The conformance battery on TestEngine, as far as an ASGI app can take the server's part."""

from __future__ import annotations

import pytest

from ktor_client.engines import TestEngine
from ktor_client.testing import EchoServer
from ktor_client.testing.conformance import CHECKS, Check, run_check
from ktor_client.testing.conformance.runner import IN_MEMORY_URL
from ktor_client.testing.echo_app import echo_app


@pytest.mark.parametrize("way", ["messages", "pipe"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.room}-{check.name}")
async def test_in_process(check: Check, way: str) -> None:
    server = EchoServer()

    def factory() -> TestEngine:
        engine = echo_app(server)
        if way == "pipe":
            engine.faults.split(1000)
        return engine

    result = await run_check(check, factory, IN_MEMORY_URL)
    result.raise_if_failed()
    if result.outcome == "skipped":
        pytest.skip(result.detail)
