"""Arguments in, exit status out: the parser, and what becomes of errors. No command lives here."""

from __future__ import annotations

import argparse
import asyncio
import io
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from ktor_client import __version__
from ktor_client.cli import browser_demo, conform, demo, echo, engines, ws
from ktor_client.cli.failure import FAILED, INTERRUPTED, USAGE, CommandError
from ktor_client.errors import KtorClientError

__all__ = ["main"]

_COMMANDS = (demo, browser_demo, echo, ws, engines, conform)
_SERVE_UNTIL_CTRL_C = (browser_demo.run, echo.run)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(USAGE, f"{self.prog}: {message} (try {self.prog} --help)\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="ktor-client", description="HTTP and WebSocket client on exchangeable engines."
    )
    parser.add_argument("--version", action="version", version=f"ktor-client {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in _COMMANDS:
        command.add_to(commands)
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command that the arguments name, by default those of the process.

    Returns:
        0, or 1 for a failure, 2 for wrong usage, 130 after Ctrl-C, 141 when nobody reads on.
    """
    _open_what_is_closed()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        options = _parser().parse_args(arguments)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else FAILED
    try:
        status: int = asyncio.run(options.run(options))
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        return 0 if options.run in _SERVE_UNTIL_CTRL_C else INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; Python must not try to flush it when it exits.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except CommandError as error:
        return _fail(str(error), error.status)
    except (KtorClientError, OSError) as error:
        notes: list[str] = getattr(error, "__notes__", [])
        return _fail("; ".join([str(error) or type(error).__name__, *notes]))
    except Exception as error:
        if sys.flags.dev_mode:
            raise
        return _fail(
            f"unexpected {type(error).__name__}: {error} "
            "(python -X dev -m ktor_client ... shows where)"
        )


def _open_what_is_closed() -> None:
    """Let a stream lead nowhere that is closed: its number would be that of a socket else."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            setattr(sys, name, open(nowhere, mode, encoding="utf-8", closefd=False))


def _fail(message: str, status: int = FAILED) -> int:
    print(f"ktor-client: {' '.join(message.split())}", file=sys.stderr)
    return status
