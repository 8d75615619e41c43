"""`ktor-client echo`: the echo server, until Ctrl-C."""

from __future__ import annotations

import argparse
import asyncio
import signal
from contextlib import suppress
from typing import Any

from ktor_client.cli.failure import cannot_listen
from ktor_client.testing import EchoServer

__all__ = ["add_to", "run"]

DEFAULT_PORT = 8080


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "echo",
        help="run an echo server",
        description="Run an echo server until Ctrl-C. GET / lists its routes.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (%(default)s)")
    parser.add_argument(
        "--port", type=port, default=DEFAULT_PORT, help="0 takes a free one (%(default)s)"
    )
    parser.set_defaults(run=run)


def port(text: str) -> int:
    """Return a port number, for argparse."""
    if not (text.isascii() and text.isdigit() and int(text) < 1 << 16):
        raise argparse.ArgumentTypeError(f"a port is within 0..65535, not {text!r}")
    return int(text)


async def run(options: argparse.Namespace) -> int:
    """Serve until Ctrl-C or SIGTERM."""
    server = EchoServer()
    try:
        await server.start(options.host, options.port)
    except OSError as error:
        raise cannot_listen(options.host, options.port, error) from error
    try:
        print(f"{server.url}/echo echoes; {server.http_url}/ lists more. Ctrl-C ends.", flush=True)
        ended = asyncio.Event()
        with suppress(NotImplementedError):  # Windows
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        await ended.wait()
    finally:
        await server.close()
    return 0
