"""In memory: what a test on MockEngine costs; TestEngine beside httpx-ws' ASGI transport.

    python -m benchmarks.mock_suite

CPU time, since the machine may be shared. Exit status 1 when a goal is missed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx
import httpx_ws
from httpx_ws.transport import ASGIWebSocketTransport
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket

from ktor_client import HttpClient, install
from ktor_client.engines import TestEngine
from ktor_client.plugins import WebSockets

TESTS = 200
TEST_GOAL_MS = 10.0
"""CPU time of one WebSocket test, its share of pytest and of every import included."""
ROUND_TRIP_GOAL = 10.0
"""How many times cheaper a round trip is than through httpx-ws' transport."""
ROUNDS = 5
OURS, THEIRS = 10_000, 1_500
"""Round trips in each round."""

SUITE = f"""
import pytest

from ktor_client import install
from ktor_client.plugins import WebSockets


@pytest.mark.parametrize("number", range({TESTS}))
async def test_chat(number, mock_engine, ktor_client_factory):
    async def peer(session):
        await session.expect("hello %d" % number)
        await session.send("welcome")
        await session.delay(60)
        await session.send("still there?")
        await session.expect("yes")
        await session.expect_close(1000)

    mock_engine.on_web_socket("/chat", peer)
    client = ktor_client_factory(mock_engine, install(WebSockets))
    async with client.web_socket("/chat") as session:
        await session.send("hello %d" % number)
        assert await session.receive_text() == "welcome"
        assert await session.receive_text() == "still there?"
        await session.send("yes")
"""

CONFIG = """
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
addopts = -q -p no:cacheprovider -p pytest_asyncio.plugin -p ktor_client.testing.pytest_plugin
"""
"""No other plugin, whatever else is installed here: `PYTEST_DISABLE_PLUGIN_AUTOLOAD`."""


def cpu_ms_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (usage.ru_utime + usage.ru_stime) * 1000


def cost_of_a_test() -> float:
    """Run the suite once; return CPU milliseconds for each of its tests."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "test_suite.py").write_text(SUITE)
        Path(folder, "pytest.ini").write_text(CONFIG)
        before = cpu_ms_of_children()
        done = subprocess.run(
            [sys.executable, "-m", "pytest"],
            cwd=folder,
            env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        spent = cpu_ms_of_children() - before
    if f"{TESTS} passed" not in done.stdout:
        raise SystemExit(done.stdout + done.stderr)
    return spent / TESTS


async def echo_in_starlette(socket: WebSocket) -> None:
    await socket.accept()
    async for text in socket.iter_text():
        await socket.send_text(text)


async def bare_echo(scope: Any, receive: Any, send: Any) -> None:
    assert scope["type"] == "websocket"
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] == "websocket.receive":
        await send({"type": "websocket.send", "text": event["text"]})


APPS = {
    "bare ASGI app": bare_echo,
    "Starlette": Starlette(routes=[WebSocketRoute("/echo", echo_in_starlette)]),
}


async def ours(app: Any) -> float:
    """CPU microseconds of a round trip through TestEngine."""
    async with HttpClient(TestEngine(app), install(WebSockets)) as client:
        async with client.web_socket("/echo") as session:
            start = time.process_time()
            for _ in range(OURS):
                await session.send("hello")
                await session.receive_text()
            return (time.process_time() - start) / OURS * 1e6


async def theirs(app: Any) -> float:
    """CPU microseconds of a round trip through httpx-ws' transport, without its keepalive."""
    async with httpx.AsyncClient(transport=ASGIWebSocketTransport(app=app)) as client:
        session: httpx_ws.AsyncWebSocketSession
        async with httpx_ws.aconnect_ws(
            "http://testserver/echo", client, keepalive_ping_interval_seconds=None
        ) as session:
            start = time.process_time()
            for _ in range(THEIRS):
                await session.send_text("hello")
                await session.receive_text()
            return (time.process_time() - start) / THEIRS * 1e6


def median(measure: Callable[[], float]) -> float:
    return statistics.median(measure() for _ in range(ROUNDS))


def run(measure: Callable[[Any], Awaitable[float]], app: Any) -> float:
    async def main() -> float:
        return await measure(app)

    return asyncio.run(main())


def verdict(reached: bool) -> str:
    return "reached" if reached else "MISSED"


def main() -> int:
    per_test = median(cost_of_a_test)
    results = [per_test <= TEST_GOAL_MS]
    print(
        f"{TESTS} WebSocket tests on MockEngine: {per_test:.1f} ms CPU a test, pytest included "
        f"(goal: {TEST_GOAL_MS:g} ms, {verdict(results[0])})"
    )
    for name, app in APPS.items():
        pairs = [(run(theirs, app), run(ours, app)) for _ in range(ROUNDS)]
        ratio = statistics.median(base / mine for base, mine in pairs)
        results.append(ratio >= ROUND_TRIP_GOAL)
        base, mine = (statistics.median(column) for column in zip(*pairs, strict=True))
        print(
            f"{name}: a round trip costs {mine:.1f} us through TestEngine, {base:.1f} us through "
            f"httpx-ws; {ratio:.1f} times (goal: {ROUND_TRIP_GOAL:g}, {verdict(results[-1])})"
        )
    return 0 if all(results) else 1


if __name__ == "__main__":
    sys.exit(main())
