"""The aiohttp server in the loop of the test itself, as pytest-aiohttp serves it to users."""

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from ktor_client import HttpClient, install
from ktor_client.engine.registry import EngineFactory
from ktor_client.plugins import WebSockets

from .servers.serve_aiohttp import build_app

pytestmark = pytest.mark.interop


async def test_echo_in_one_loop(aiohttp_server: AiohttpServer, engine: EngineFactory) -> None:
    server = await aiohttp_server(build_app())
    async with HttpClient(engine, install(WebSockets)) as client:
        async with client.web_socket(str(server.make_url("/echo"))) as session:
            for message in ("hello", b"\x00" * 100_000):
                await session.send(message)
                frame = await session.incoming.receive()
                assert frame.data == (message.encode() if isinstance(message, str) else message)
        assert (await session.close_reason).clean
