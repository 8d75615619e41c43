"""The battery on DarwinEngine and its double: what CioEngine does, it does."""

from __future__ import annotations

import pytest

from ktor_client.engine.capabilities import ProxyCapability, UnixSocketCapability
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engines import DarwinEngine
from ktor_client.testing import EchoServer
from ktor_client.testing.conformance import CHECKS, Check
from tests.support.battery import passes

pytestmark = pytest.mark.usefixtures("bridge")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"{check.room}-{check.name}")
async def test_check(check: Check, server: EchoServer) -> None:
    await passes(check, DarwinEngine, server.url)


def test_the_difference_to_cio_is_declared() -> None:
    missing = BUILT_IN["cio"].capabilities - BUILT_IN["darwin"].capabilities
    assert missing == {ProxyCapability, UnixSocketCapability}
