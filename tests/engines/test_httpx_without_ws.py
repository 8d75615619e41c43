"""HttpxEngine where httpx-ws is not installed: plain HTTP works, WebSockets are refused."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import asyncio, sys
sys.modules["httpx_ws"] = None  # as if it were not installed
from ktor_client.engine import WebSocketOptions
from ktor_client.engine.capabilities import ProxyCapability, WebSocketCapability
from ktor_client.engines import HttpxEngine
from ktor_client.errors import UnsupportedCapabilityError
from ktor_client.http import HttpMethod, HttpRequest, Url

async def answer(reader, writer):
    await reader.readuntil(b"\\r\\n\\r\\n")
    writer.write(b"HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    ended.set()

async def main():
    global ended
    ended = asyncio.Event()
    asyncio.get_running_loop().slow_callback_duration = 60  # not the matter here
    asyncio.get_running_loop().slow_callback_duration = 60  # debug mode would tell
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    engine = HttpxEngine()
    assert WebSocketCapability not in engine.capabilities
    assert ProxyCapability in engine.capabilities
    url = Url.parse(f"http://127.0.0.1:{port}/")
    response = await engine.execute(HttpRequest(HttpMethod.Get, url))
    assert await response.body_as_bytes() == b"ok"
    try:
        await engine.open_web_socket(HttpRequest(HttpMethod.Get, url), WebSocketOptions())
    except UnsupportedCapabilityError as error:
        print(error)
    await engine.close()
    await ended.wait()
    server.close()
    await server.wait_closed()

asyncio.run(main())
"""


def test_plain_http_works_and_web_sockets_are_refused() -> None:
    done = subprocess.run(
        [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM],
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.stderr == ""
    assert done.stdout == (
        "Engine HttpxEngine doesn't support WebSocketCapability without httpx-ws; "
        "try: pip install httpx-ws\n"
    )
