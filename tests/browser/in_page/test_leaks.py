"""Nothing is left behind after hundreds of sessions.

JavaScript holds each handler of a socket by a proxy, and so the link behind it, until the proxy is
destroyed: links that are gone prove that proxies are. Pyodide keeps the shell of a cancelled timer
until its time would have come; so counts are waited for, and the timeouts here are short.
"""

import asyncio
import gc
from collections.abc import Callable

from ktor_client import ConnectError, HttpClient, install
from ktor_client.plugins import WebSockets

from .conftest import Site

SESSIONS = 300


def links_alive() -> int:
    return sum(1 for one in gc.get_objects() if type(one).__name__ == "BrowserLink")


async def comes_true(condition: Callable[[], bool]) -> None:
    """Return when it does; what never does meets the time limit of the test."""
    gc.collect()
    while not condition():
        await asyncio.sleep(0.05)
        gc.collect()


async def talk(client: HttpClient, url: str) -> None:
    async with client.web_socket(url) as session:
        await session.send("a")
        await session.receive_text()


async def test_three_hundred_sessions(site: Site) -> None:
    plugin = install(WebSockets, open_timeout=2, close_timeout=2)
    async with HttpClient(None, plugin) as client:
        async with client.web_socket(site.ws("/ws/echo")):
            assert links_alive() == 1
        await comes_true(lambda: links_alive() == 0)
        before = len(gc.get_objects())
        for _ in range(SESSIONS):
            await talk(client, site.ws("/ws/echo"))
        await comes_true(lambda: links_alive() == 0)
        await comes_true(lambda: len(gc.get_objects()) - before < SESSIONS)


async def test_failed_and_cancelled_handshakes(client: HttpClient, site: Site) -> None:
    for _ in range(30):
        failing = asyncio.create_task(client.web_socket_session(site.ws("/ws/refuse")))
        cancelled = asyncio.create_task(client.web_socket_session(site.ws("/ws/echo")))
        await asyncio.sleep(0)
        cancelled.cancel()
        results = await asyncio.gather(failing, cancelled, return_exceptions=True)
        assert [type(result) for result in results] == [ConnectError, asyncio.CancelledError]
        del failing, cancelled, results
    await comes_true(lambda: links_alive() == 0)
