"""Arguments, statuses, and errors in one line."""

from __future__ import annotations

import argparse
import asyncio
import sys
from importlib.metadata import entry_points

import pytest

from ktor_client import __version__
from ktor_client.cli import engines, main
from ktor_client.testing import EchoServer
from tests.cli.command import COMMAND, outcome, run


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


def test_the_script_is_declared() -> None:
    (script,) = entry_points(group="console_scripts", name="ktor-client")
    assert script.load() is main


def test_a_bug_is_one_line_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def broken(options: argparse.Namespace) -> int:
        raise LookupError("not\ntoday")

    monkeypatch.setattr(engines, "run", broken)
    if sys.flags.dev_mode:
        with pytest.raises(LookupError, match="today"):
            main(["engines"])
        return
    assert main(["engines"]) == 1
    assert capsys.readouterr().err.startswith("ktor-client: unexpected LookupError: not today (")


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
