"""The battery on DarwinEngine and its double: what CioEngine does, it does."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ktor_client.engine.capabilities import ProxyCapability, UnixSocketCapability
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engines import DarwinEngine
from ktor_client.testing import EchoServer, echo_server
from ktor_client.testing.conformance import CHECKS, Check, run_check

pytestmark = pytest.mark.usefixtures("bridge")


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as server:
        yield server


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.room}-{check.name}")
async def test_check(check: Check, server: EchoServer) -> None:
    result = await run_check(check, DarwinEngine, server.url)
    result.raise_if_failed()
    if result.outcome == "skipped":
        pytest.skip(result.detail)


def test_the_difference_to_cio_is_declared() -> None:
    missing = BUILT_IN["cio"].capabilities - BUILT_IN["darwin"].capabilities
    assert missing == {ProxyCapability, UnixSocketCapability}
