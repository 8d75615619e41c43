"""Each program of examples/ runs with the one command that its docstring names."""

from __future__ import annotations

import asyncio
import re
import signal
import sys
from pathlib import Path

import pytest

from ktor_client.testing import BackgroundEchoServer

ROOT = Path(__file__).parents[1]
PYTHON = [sys.executable, "-W", "error"]
TYPED_BY_TESTS = {"chat.py"}
SMALL = {
    "many_sessions.py": ["--sessions", "5", "--messages", "3"],
    "market_data.py": ["--demo", "--ticks", "150"],
}
SHOWN = {
    "login_and_listen.py": r"\nwelcome, ada; 10 sessions were told \{'good morning'\}\n"
    r"10 handshakes were refused, 1 token was fetched\n$",
    "file_upload.py": r"\.bin: 33554432 bytes in 129 fragments, 83ee47245398adee",
    "tornado_engine.py": r"^Conformance of TornadoEngine\n(.*\n)+"
    r"[23]\d\d passed, 0 failed, \d+ skipped\n$",
    "many_sessions.py": r"\n5 sessions, 20 frames in\n$",
    "market_data.py": r"(?s)fetched a new one\n.*connected\n.*the server is killed\n"
    r".*connection lost.*goes on behind tick.*the server is killed\n"
    r".*\n150 ticks over [23] connections, 0 missing\n$",
    "typed_messages.py": r"^received Customer\(id=1, .*\nnot a customer: \$\.id: expected int",
}
INTERRUPTED = """
import asyncio, runpy, signal, sys

def turn(loop, left):
    loop.call_soon(turn, loop, left - 1) if left else signal.raise_signal(signal.SIGINT)

async def interrupted(main):
    turn(asyncio.get_running_loop(), 20)
    await main

run = asyncio.run
asyncio.run = lambda main: run(interrupted(main))
del sys.argv[0]
runpy.run_path(sys.argv[0], run_name="__main__")
"""
"""Runs a program that is interrupted, as by Ctrl-C, when its loop has turned twenty times."""
PROGRAMS = sorted(path.name for path in (ROOT / "examples").glob("[!_]*.py"))


async def start(*arguments: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(*PYTHON, *arguments),
        cwd=ROOT,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


def test_each_is_tested() -> None:
    assert set(PROGRAMS) == SHOWN.keys() | TYPED_BY_TESTS


@pytest.mark.parametrize("name", PROGRAMS)
def test_its_docstring_has_the_command(name: str) -> None:
    assert f"python examples/{name}" in (ROOT / "examples" / name).read_text().split('"""')[1]


@pytest.mark.parametrize("name", SHOWN)
async def test_it_runs(name: str) -> None:
    process = await start(f"examples/{name}", *SMALL.get(name, []))
    out, err = await process.communicate(b"")
    assert (process.returncode, err.decode()) == (0, "")
    assert re.search(SHOWN[name], out.decode()), out.decode()


@pytest.mark.parametrize("name", PROGRAMS)
async def test_ctrl_c_leaves_no_traceback(name: str) -> None:
    process = await start("-c", INTERRUPTED, f"examples/{name}", *SMALL.get(name, []))
    _, err = await process.communicate(b"")
    assert (process.returncode, err.decode()) == (0, "")


async def test_chat() -> None:
    process = await start("examples/chat.py")
    assert process.stdin is not None
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"connected to ws://127.0.0.1:")
    for line in (b"hello\n", "grüße\n".encode()):
        process.stdin.write(line)
        assert await process.stdout.readline() == line
    out, err = await process.communicate(b"")
    assert (process.returncode, out, err) == (0, b"closed: 1000 NORMAL\n", b"")


async def test_chat_with_a_server_that_ends(echo_server: BackgroundEchoServer) -> None:
    """The keyboard is still open then, and must not keep the program."""
    process = await start("examples/chat.py", f"{echo_server.url}/count?n=1")
    assert process.stdout is not None
    assert process.stderr is not None
    assert await process.stdout.readline() != b""
    assert await process.stdout.readline() == b"0\n"
    assert await process.stdout.readline() == b"closed: 1000 NORMAL: done\n"
    assert await process.wait() == 0
    assert await process.stderr.read() == b""
    await process.communicate(b"")


async def test_chat_and_ctrl_c() -> None:
    process = await start("examples/chat.py")
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"connected")
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    assert await process.communicate(b"") == (b"", b"")


async def test_chat_with_nobody() -> None:
    process = await start("examples/chat.py", "ws://127.0.0.1:9/")
    out, err = await process.communicate(b"")
    assert (process.returncode, out) == (1, b"")
    assert re.fullmatch(r"\w+Engine could not connect to 127\.0\.0\.1:9: .*\n", err.decode())


async def test_a_bot_and_ctrl_c() -> None:
    """Server and bot in processes of their own, until Ctrl-C ends each without a traceback."""
    server = await start("examples/market_data.py", "--serve", "0", "--every", "0.001")
    assert server.stdout is not None
    url = (await server.stdout.readline()).decode().strip()
    bot = await start("examples/market_data.py", url)
    assert bot.stdout is not None
    while b"connected" not in (line := await bot.stdout.readline()):
        assert line, "it did not connect"
    bot.send_signal(signal.SIGINT)
    out, err = await bot.communicate(b"")
    assert (bot.returncode, err) == (0, b"")
    assert re.search(rb"(over 1 connections, 0 missing|no ticks)\n$", out), out
    server.send_signal(signal.SIGINT)
    assert await server.communicate(b"") == (b"", b"")
    assert server.returncode == 0


def test_the_fastapi_service(pytester: pytest.Pytester) -> None:
    options = (
        "-W",
        "error",
        "-p",
        "no:cacheprovider",
        "-p",
        "no:Faker",
        "-c",
        str(ROOT / "pyproject.toml"),
    )
    result = pytester.runpytest_subprocess(*options, str(ROOT / "examples/fastapi_service"))
    result.assert_outcomes(passed=2)


pytest_plugins = ["pytester"]
