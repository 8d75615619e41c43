"""Arguments, statuses, and errors in one line."""

from __future__ import annotations

import asyncio
import io
from contextlib import redirect_stderr, redirect_stdout
from importlib.metadata import entry_points

import pytest

from ktor_client import __version__
from ktor_client.cli import main
from ktor_client.testing import EchoServer, Exchange
from tests.cli.command import COMMAND, outcome, python, run


async def test_version() -> None:
    assert await run("--version") == (0, f"ktor-client {__version__}\n", "")


def test_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out
    for command in ("demo", "echo", "ws", "engines", "conform"):
        assert f"\n    {command} " in shown
        assert main([command, "--help"]) == 0
        assert capsys.readouterr().out.startswith(f"usage: ktor-client {command} ")


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        ((), ("COMMAND", "try ktor-client --help")),
        (("demoo",), ("demoo",)),
        (("ws",), ("URL", "try ktor-client ws --help")),
        (("ws", "ws://x", "--nonsense"), ("--nonsense",)),
        (("ws", "ws://x", "-H", "no colon"), ("no colon", "Name: value")),
        (("ws", "ws://x", "--wait", "-1"), ("'-1'",)),
        (("ws", "ws://x", "--wait", "soon"), ("'soon'",)),
        (("echo", "--port", "65536"), ("0..65535", "'65536'")),
        (("conform",), ("ENGINE",)),
    ],
    ids=str,
)
def test_wrong_usage_is_status_2(
    arguments: tuple[str, ...], parts: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    outcome(*arguments, capsys=capsys).fails(2, *parts)


async def test_ctrl_c_while_the_command_is_imported() -> None:
    done = await python(
        "import builtins, sys\n"
        "found = builtins.__import__\n"
        "def interrupted(name, *rest):\n"
        "    if name == 'argparse':\n"
        "        raise KeyboardInterrupt\n"
        "    return found(name, *rest)\n"
        "builtins.__import__ = interrupted\n"
        "from ktor_client.cli import main\n"
        "sys.exit(main(['--version']))"
    )
    assert done == (130, "", "")


def test_the_script_is_declared() -> None:
    (script,) = entry_points(group="console_scripts", name="ktor-client")
    assert script.load() is main


BUG = """
import sys
import ktor_client.cli as cli
import ktor_client.cli.engines

async def broken(options):
    raise LookupError("not\\ntoday")

cli.engines.run = broken
sys.exit(cli.main(["engines"]))
"""


async def test_a_bug_is_one_line_too_but_not_for_developers() -> None:
    (await python(BUG)).fails(1, "ktor-client: unexpected LookupError: not today (", "-X dev")
    done = await python(BUG, "-X", "dev")
    assert done.status == 1
    assert "Traceback" in done.err
    assert done.err.endswith("LookupError: not\ntoday\n")


def test_output_may_go_into_a_string() -> None:
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        assert main(["--version"]) == 0
        assert main(["engines", "--nonsense"]) == 2
    assert out.getvalue() == f"ktor-client {__version__}\n"
    assert "--nonsense" in err.getvalue()


async def test_a_reader_that_leaves_is_no_error(server: EchoServer) -> None:
    process = await asyncio.create_subprocess_shell(
        f"{' '.join(COMMAND)} ws '{server.url}/send?n=50000' </dev/null | head -n 1; "
        'echo "${PIPESTATUS[0]}"',
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        executable="/bin/bash",
    )
    out, err = await process.communicate()
    assert (out.decode().split(), err) == (["x" * 100, "141"], b"")


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize("options", ["", " --reconnect"])
async def test_a_stream_may_be_closed(closed: str, options: str, server: EchoServer) -> None:
    heard: list[str | bytes] = []

    async def say(exchange: Exchange) -> None:
        async with exchange.accept() as session:
            await session.send("hello")
            heard.extend([message async for message in session])

    server.routes["/say"] = say
    process = await asyncio.create_subprocess_shell(
        f"printf 'one\\n' | {' '.join(COMMAND)} ws --wait 0.1 '{server.url}/say'{options} {closed}",
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    assert process.returncode == 0, err
    assert out == (b"" if ">&-" in closed.replace("2>&-", "") else b"hello\n")
    assert heard == ([] if "<&-" in closed else ["one"])
    assert (err != b"") == (bool(options) and "2>&-" not in closed)
