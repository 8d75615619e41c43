"""`ktor-client echo`."""

from __future__ import annotations

import re
import signal

import pytest

from ktor_client import HttpClient, install
from ktor_client.plugins import WebSockets
from ktor_client.testing import EchoServer
from tests.cli.command import run, start


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM], ids=lambda s: s.name)
async def test_it_serves_until_a_signal(ending: signal.Signals) -> None:
    process = await start("echo", "--port", "0")
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    urls = re.findall(r"\w+://[^ ;]+", line)
    assert urls[0] == urls[1].replace("http:", "ws:") + "echo"
    async with HttpClient("aiohttp", install(WebSockets)) as client:
        assert "/echo" in await (await client.get(urls[1])).body_as_text()
        async with client.web_socket(urls[0]) as session:
            await session.send("hello")
            assert await session.receive_text() == "hello"
            process.send_signal(ending)
            assert (await session.close_reason).code == 1001
    assert await process.communicate() == (b"", b"")
    assert process.returncode == 0


async def test_a_taken_port(server: EchoServer) -> None:
    done = await run("echo", "--port", str(server.port))
    done.fails(1, f"127.0.0.1 port {server.port}", "in use", "--port 0")


async def test_a_host_that_is_not_ours() -> None:
    done = await run("echo", "--host", "192.0.2.1", "--port", "0")
    done.fails(1, "192.0.2.1")
    assert "takes a free one" not in done.err  # the port was not the reason
