"""The battery on DarwinEngine and its double, in clear and over TLS: it does as CioEngine does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from functools import partial

import pytest

from ktor_client.engine.capabilities import (
    ProxyCapability,
    UnixSocketCapability,
)
from ktor_client.engine.registry import BUILT_IN, EngineFactory
from ktor_client.engines import CioEngine, DarwinEngine
from ktor_client.testing import EchoServer, echo_server
from ktor_client.testing.conformance import CHECKS, Check, run_check
from tests.support.certificates import authority_pem, client_context, server_context

pytestmark = pytest.mark.usefixtures("bridge")

DECLARED = frozenset({ProxyCapability, UnixSocketCapability})
each_check = pytest.mark.parametrize(
    "check", CHECKS, ids=lambda check: f"{check.room}-{check.name}"
)


@pytest.fixture
async def tls_server() -> AsyncIterator[EchoServer]:
    async with echo_server(ssl_context=server_context()) as server:
        yield server


async def does_as_cio(check: Check, ours: EngineFactory, cio: EngineFactory, url: str) -> None:
    """Run a check on both engines; nothing may differ but what is declared."""
    result = await run_check(check, ours, url)
    result.raise_if_failed()
    if not DECLARED.intersection(check.needs):
        of_cio = await run_check(check, cio, url)
        assert (result.outcome, result.detail) == (of_cio.outcome, of_cio.detail)
    if result.outcome == "skipped":
        pytest.skip(result.detail)


@each_check
async def test_check(check: Check, server: EchoServer) -> None:
    await does_as_cio(check, DarwinEngine, CioEngine, server.url)


@each_check
@pytest.mark.usefixtures("tls")
async def test_check_over_tls(check: Check, tls_server: EchoServer) -> None:
    ours = partial(DarwinEngine, trust=authority_pem(), trust_system=False)
    cio = partial(CioEngine, ssl_context=client_context())
    await does_as_cio(check, ours, cio, tls_server.url)


def test_the_difference_to_cio_is_declared() -> None:
    missing = BUILT_IN["cio"].capabilities - BUILT_IN["darwin"].capabilities
    assert missing == DECLARED
