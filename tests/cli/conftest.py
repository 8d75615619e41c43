"""An echo server on the test's loop for the processes that a test runs."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from ktor_client.testing import EchoServer, Exchange, Response, echo_server


@pytest.fixture
async def server() -> AsyncIterator[EchoServer]:
    async with echo_server() as server:
        server.routes["/echo-until-end"] = echo_until_end
        yield server


async def echo_until_end(exchange: Exchange) -> Response | None:
    """Echo; close after the message "end", so that nobody has to wait for silence."""
    async with exchange.accept() as session:
        async for message in session:
            await session.send(message)
            if message == "end":
                break
    return None
