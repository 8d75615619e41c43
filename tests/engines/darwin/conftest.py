"""DarwinEngine on the double, for every test of this folder: nothing of Apple's may be left."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import AsyncIterator, Iterator
from typing import NoReturn

import pytest

from ktor_client.engines._darwin import bridge as bridge_module
from ktor_client.engines._darwin import engine as engine_module
from ktor_client.testing import EchoServer, echo_server
from tests.engines.darwin.double import Double, the_double


def leave_out(why: str) -> NoReturn:
    if os.environ.get("KTOR_CLIENT_REQUIRE_LANES") == "1":
        pytest.fail(why)
    pytest.skip(why)


@pytest.fixture(scope="session")
def double() -> Double:
    """The double of Apple's frameworks."""
    try:
        return the_double()
    except FileNotFoundError as absent:
        leave_out(f"DarwinEngine's double: {absent}")


@pytest.fixture
def bridge(double: Double, monkeypatch: pytest.MonkeyPatch) -> Iterator[bridge_module.Bridge]:
    """A bridge of the test's own; at its end no object, block or thread may be left."""
    own = double.bridge()
    monkeypatch.setattr(engine_module, "bridge", lambda: own)
    yield own
    own.close()
    begun, is_collected = time.monotonic(), False
    while left := double.alive():
        waited = time.monotonic() - begun
        if waited > 10:
            pytest.fail(f"left on Apple's side: {left}")
        if waited > 0.05 and not is_collected:
            gc.collect()  # an error and its frames may hold an engine, and that whom it trusts
            is_collected = True
        time.sleep(0.001)
    assert len(own.blocks) == 0
    assert not own.lines


@pytest.fixture
def tls(double: Double) -> None:
    """What a test needs that speaks TLS."""
    if not double.has_tls:
        leave_out("DarwinEngine's double speaks no TLS: there is no libssl.so.3 here")


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as server:
        yield server
