"""An echo server for each test, and a client that is known to work."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ktor_client import HttpClient, install
from ktor_client.engine.registry import engine_class
from ktor_client.plugins import WebSockets
from ktor_client.testing import EchoServer, echo_server


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as server:
        yield server
    assert server.connections == 0
    assert len(server.sessions) == 0


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    async with HttpClient(engine_class("aiohttp"), install(WebSockets)) as client:
        yield client
