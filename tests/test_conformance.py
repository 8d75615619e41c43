"""The battery on each engine and loop, and how the battery itself tells what it found."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ktor_client.engine.registry import EngineFactory
from ktor_client.testing import EchoServer, echo_server
from ktor_client.testing.conformance import CHECKS, Check
from tests.support.battery import passes


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as server:
        yield server


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.room}-{check.name}")
async def test_engine(engine: EngineFactory, check: Check, server: EchoServer) -> None:
    await passes(check, engine, server.url)
