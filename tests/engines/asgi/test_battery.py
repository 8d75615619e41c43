"""The conformance battery on TestEngine, as far as an ASGI app can take the server's part."""

from __future__ import annotations

import pytest

from ktor_client.engines import TestEngine
from ktor_client.testing import EchoServer
from ktor_client.testing.conformance import CHECKS, Check
from ktor_client.testing.conformance.runner import IN_MEMORY_URL
from ktor_client.testing.echo_app import echo_app
from tests.support.battery import passes


@pytest.mark.parametrize("way", ["messages", "pipe"])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.room}-{check.name}")
async def test_in_process(check: Check, way: str) -> None:
    server = EchoServer()

    def factory() -> TestEngine:
        engine = echo_app(server)
        if way == "pipe":
            engine.faults.split(1000)
        return engine

    await passes(check, factory, IN_MEMORY_URL)
