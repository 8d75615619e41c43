"""An engine to script, and a client on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ktor_client import (
    HttpClient,
    install,
)
from ktor_client.engines import MockEngine
from ktor_client.plugins import WebSockets


@pytest.fixture
async def engine() -> AsyncIterator[MockEngine]:
    """An engine; its tests run on each event loop. Closed and verified at the end."""
    async with MockEngine() as made:
        yield made


@pytest.fixture
async def client(engine: MockEngine) -> AsyncIterator[HttpClient]:
    async with HttpClient(engine, install(WebSockets)) as made:
        yield made
