"""Ends of all kinds: cancelled, leaked, closed loops, interpreters that go, processes that fork."""

from __future__ import annotations

import asyncio
import gc
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ktor_client import HttpClient, install
from ktor_client.engines import DarwinEngine
from ktor_client.engines._darwin import bridge as bridge_module
from ktor_client.engines._darwin.bridge import Bridge
from ktor_client.errors import ConnectError
from ktor_client.plugins import WebSockets
from ktor_client.testing import echo_server
from tests.engines.darwin.double import Double
from tests.engines.darwin.traffic import Counting, connected, party
from tests.engines.test_each_step import A_FEW, STEPS, Act, at_each, get, post, streamed, web_socket
from tests.leaks.test_leaks import open_and_end
from tests.support.certificates import authority_pem, server_context
from tests.support.fake_link import steps

ROOT = Path(__file__).parent.parent.parent.parent
SESSIONS = 1000


def darwin(*, limit: int, **others: Any) -> DarwinEngine:
    """Make an engine without what it refuses."""
    return DarwinEngine(limit=limit)


@pytest.mark.usefixtures("bridge")
@pytest.mark.parametrize("act", [get, post, web_socket])
async def test_cancelled_at_the_first_steps(act: Act) -> None:
    await at_each(darwin, "plain", act, range(A_FEW))


@pytest.mark.exhaustive
@pytest.mark.timeout(170)
@pytest.mark.parametrize("act", [get, streamed, post, web_socket])
async def test_cancelled_at_each_step(bridge: Bridge, double: Double, act: Act) -> None:
    with double.doing("late_completions", "late_receives", "states_repeated", chance=2):
        await at_each(darwin, "plain", act, range(STEPS))


async def test_a_few_of_each_end(bridge: Bridge) -> None:
    async def settled() -> None:
        while bridge.lines or len(bridge.blocks):  # noqa: ASYNC110  # nobody tells of it
            await asyncio.sleep(0.001)
        await steps()

    await open_and_end(DarwinEngine, 2, settled)


@pytest.mark.exhaustive
@pytest.mark.timeout(300)
async def test_a_thousand_sessions(bridge: Bridge, double: Double) -> None:
    async with echo_server() as server:
        async with HttpClient(DarwinEngine(), install(WebSockets)) as client:

            async def talk(number: int) -> None:
                async with client.web_socket(f"{server.url}/echo") as session:
                    for turn in range(3):
                        await session.send(f"{number} {turn}")
                        assert await session.receive_text() == f"{number} {turn}"
                    all_open.append(number)
                    if len(all_open) == SESSIONS:
                        assert double.alive()["connection"] == SESSIONS
                        assert double.alive()["thread"] == 2
                        everybody.set()
                    await everybody.wait()

            all_open: list[int] = []
            everybody = asyncio.Event()
            await asyncio.gather(*map(talk, range(SESSIONS)))
        await client.engine.close()
        assert not bridge.lines


# --- loops that are closed


@contextmanager
def listening() -> Generator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener


def leave_open(bridge: Bridge, listener: socket.socket) -> socket.socket:
    """Connect on a loop, and close the loop; return the peer's end of the connection."""
    port = listener.getsockname()[1]

    async def main() -> None:
        await connected(bridge, port)

    asyncio.run(main())
    peer, _ = listener.accept()
    return peer


def until(holds: Callable[[], object]) -> None:
    """Return when something holds; the watchdog ends a vain wait."""
    while not holds():
        threading.Event().wait(0.001)


def test_what_comes_for_a_closed_loop_ends_the_connection(bridge: Bridge) -> None:
    with listening() as listener, leave_open(bridge, listener) as peer:
        assert len(bridge.lines) == 1
        peer.send(b"anybody?")
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
        until(lambda: not bridge.lines)
        gc.collect()


def test_the_next_loop_drops_what_a_closed_one_has_left(bridge: Bridge) -> None:
    async def main() -> None:
        async with party() as other:
            transport, protocol = await connected(bridge, other.port)
            transport.close()
            await protocol.lost

    with listening() as listener, leave_open(bridge, listener) as peer:
        with pytest.warns(ResourceWarning, match="unclosed connection"):
            asyncio.run(main())
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
        gc.collect()


def test_an_error_of_the_loop_is_not_swallowed(bridge: Bridge) -> None:
    class Stubborn:
        """A loop that takes no calls, and is open."""

        def call_soon_threadsafe(self, callback: object, *args: object) -> None:
            raise RuntimeError("not today")

        def is_closed(self) -> bool:
            return False

    async def main() -> None:
        async with party() as peer:
            transport, protocol = await connected(bridge, peer.port)
            line: Any = transport._line
            before, line.loop = line.loop, Stubborn()
            with pytest.raises(RuntimeError, match="not today"):
                line._sent(1, None)
            line.loop = before
            transport.abort()
            await protocol.lost

    asyncio.run(main())


async def test_who_does_not_wait_for_ever_at_the_end(
    bridge: Bridge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A block that Apple keeps costs the end of the interpreter some seconds, and no more."""
    monkeypatch.setattr(bridge_module, "PATIENCE", 0.01)
    with bridge.blocks.literal(bridge._told_at, print):
        bridge.close()
        bridge.close()
    with pytest.raises(ConnectError, match="cannot connect: the interpreter ends"):
        await connected(bridge, 1)


# --- interpreters


def run(double: Double, code: str, url: str) -> subprocess.CompletedProcess[str]:
    """Run a program that has the double; its warnings are errors."""
    setting = (
        "import asyncio, atexit, gc, os, sys, threading\n"
        "from tests.engines.darwin.double import install as install_double\n"
        f"double = install_double({double.library._name!r})\n"
        "kinds = 'block', 'socket', 'session'\n"
        "at_last = lambda: print({one: double.alive().get(one) for one in kinds})\n"
        "atexit.register(at_last)  # so the bridge's own comes first\n"
        "from ktor_client import HttpClient, install\n"
        "from ktor_client.engines import DarwinEngine\n"
        "from ktor_client.errors import ConnectError\n"
        "from ktor_client.plugins import WebSockets\n"
        f"url = {url!r}\n"
        f"engine = lambda: DarwinEngine(trust={authority_pem() if 'wss' in url else None!r})\n"
        "async def sessions(count):\n"
        "    client = HttpClient(engine(), install(WebSockets))\n"
        "    return client, [await client.web_socket_session(url + path)\n"
        "                    for path in ('/echo', '/flood') for _ in range(count)]\n"
    )
    return subprocess.run(
        [sys.executable, "-X", "dev", "-c", setting + code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )


ENDS = {
    "the loop is closed": "asyncio.run(sessions(5))",
    "the loop is left": (
        "loop = asyncio.new_event_loop()\nheld = loop.run_until_complete(sessions(5))\n"
        "loop.close = None"
    ),
    "an error": (
        "loop = asyncio.new_event_loop()\nheld = loop.run_until_complete(sessions(5))\n"
        "loop.close = None\nsys.exit(7)"
    ),
    "a thread runs the loop": (
        "loop = asyncio.new_event_loop()\n"
        "threading.Thread(target=loop.run_forever, daemon=True).start()\n"
        "held = asyncio.run_coroutine_threadsafe(sessions(5), loop).result()"
    ),
}


async def flooding(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a handshake; on /flood send for ever."""
    from tests.support.raw_server import BINARY, Peer, frame

    peer = Peer(reader, writer)
    try:
        await peer.read_request()
        await peer.send(peer.switch())
        while b"/flood" in peer.request:
            await peer.send(frame(BINARY, bytes(100)) * 20)
            await asyncio.sleep(0)
        await reader.read()
    except (ConnectionError, asyncio.IncompleteReadError):
        pass
    finally:
        writer.close()


@pytest.fixture(params=["ws", "wss"])
def flood_url(request: pytest.FixtureRequest) -> Generator[str]:
    """A server on a thread of its own."""
    scheme: str = request.param
    tls = None
    if scheme == "wss":
        request.getfixturevalue("tls")
        tls = server_context()
    loop = asyncio.new_event_loop()
    server = loop.run_until_complete(asyncio.start_server(flooding, "127.0.0.1", 0, ssl=tls))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}"

    async def end() -> None:
        server.close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()  # asyncio's TLS may not tell them that the client has gone
        if others:
            await asyncio.wait(others)

    asyncio.run_coroutine_threadsafe(end(), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@pytest.mark.parametrize("end", ENDS)
def test_the_interpreter_ends_with_live_connections(
    double: Double, flood_url: str, end: str
) -> None:
    done = run(double, ENDS[end], flood_url)
    assert done.returncode == (7 if end == "an error" else 0), done.stderr
    assert done.stdout == "{'block': None, 'socket': None, 'session': None}\n"
    assert "Traceback" not in done.stderr, done.stderr


FORK = """
import warnings
warnings.simplefilter("ignore", DeprecationWarning)  # of a fork with threads
async def main():
    client, held = await sessions(2)
    child = os.fork()
    if child == 0:
        held.clear()
        del client
        gc.collect()
        asyncio._set_running_loop(None)
        async def once_more():
            async with HttpClient(engine()) as another:
                await another.get(url.replace("ws", "http"))
        try:
            asyncio.run(once_more())
        except ConnectError as error:
            print(error, flush=True)
        os._exit(5)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 5, status
    for session in held:
        session.cancel()
    await client.close()
    await client.engine.close()
    while double.alive().get("connection"):  # the last reference goes on Apple's thread
        await asyncio.sleep(0.001)
    print("parent", flush=True)
asyncio.run(main())
"""


def test_a_fork_touches_nothing(double: Double, flood_url: str) -> None:
    done = run(double, FORK, flood_url)
    assert done.returncode == 0, done.stderr
    child, parent, _ = done.stdout.splitlines()
    assert "cannot connect: this process was forked from one that had used it" in child
    assert parent == "parent"


def test_a_fork_of_a_process_that_has_not_used_it(bridge: Bridge) -> None:
    bridge.forked()
    assert not bridge.is_dead


def test_a_line_of_the_parent_is_dead(bridge: Bridge) -> None:
    """What a child does with connections of its parent reaches nobody."""

    async def main() -> None:
        async with party() as peer:
            transport, protocol = await connected(bridge, peer.port, Counting())
            line = transport._line
            lines = set(bridge.lines)
            bridge.forked()
            assert bridge.is_dead
            line.receive(10)
            line.send(b"x")
            line.cancel()
            line.end()
            bridge.close()
            assert line.pointer != 0
            # the parent again
            bridge.is_dead, bridge._refusal = False, ""
            bridge.lines.update(lines)
            line.owner = transport
            transport.abort()
            await protocol.lost

    asyncio.run(main())
