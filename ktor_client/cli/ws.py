"""`ktor-client ws`: a chat. What arrives is printed, what is typed or piped in is sent."""

from __future__ import annotations

import argparse
import asyncio
import os
import ssl
import sys
from contextlib import suppress
from typing import Any, TextIO

from ktor_client import (
    CloseReason,
    ConnectionClosedError,
    DefaultClientWebSocketSession,
    Frame,
    HttpClient,
    HttpClientConfig,
    TlsError,
)
from ktor_client.cli.engine_choice import find_engine
from ktor_client.cli.failure import USAGE, CommandError
from ktor_client.cli.lines import Lines
from ktor_client.http.redaction import shown
from ktor_client.plugins import WebSockets

__all__ = ["add_to", "run"]

DEFAULT_WAIT = 1.0
SHOWN_BYTES = 32


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "ws",
        help="talk to a WebSocket server",
        description="Print each message that arrives, and send each line that is typed or piped "
        "in. Ctrl-D ends, and so does the end of a pipe once the answers have come.",
    )
    parser.add_argument("url", metavar="URL", help="such as ws://127.0.0.1:8080/echo")
    parser.add_argument("--engine", help="a name, or package.module:MyEngine")
    parser.add_argument(
        "--header",
        "-H",
        action="append",
        default=[],
        type=header,
        metavar="'NAME: VALUE'",
        help="header of the handshake; may be repeated",
    )
    parser.add_argument(
        "--subprotocol", action="append", default=[], metavar="NAME", help="may be repeated"
    )
    parser.add_argument(
        "--wait",
        type=seconds,
        default=DEFAULT_WAIT,
        metavar="SECONDS",
        help="after the end of a pipe, how long nothing must arrive before closing (%(default)s)",
    )
    parser.add_argument(
        "--insecure", action="store_true", help="do not check the server's certificate"
    )
    parser.set_defaults(run=run)


def header(text: str) -> tuple[str, str]:
    """Return name and value, for argparse."""
    name, colon, value = text.partition(":")
    if not colon or not name.strip():
        raise argparse.ArgumentTypeError(f"a header is written 'Name: value', not {text!r}")
    return name.strip(), value.strip()


def seconds(text: str) -> float:
    """Return a duration, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1e6:
        raise argparse.ArgumentTypeError(f"seconds, not {text!r}")
    return value


async def run(options: argparse.Namespace) -> int:
    """Chat until either side ends it."""
    if "://" not in options.url:
        raise CommandError(
            f"{shown(options.url)} is no ws:// or wss:// URL; write ws://host/path", USAGE
        )
    factory = None if options.engine is None else find_engine(options.engine)

    def blocks(config: HttpClientConfig) -> None:
        config.install(WebSockets)
        if options.insecure:
            _say("warning: the server's certificate is not checked")
            config.engine(ssl_context=_unchecked())

    try:
        made = HttpClient(factory, blocks)
    except TypeError as error:
        if not options.insecure:
            raise
        raise CommandError(f"--insecure is for engines with TLS: {error}", USAGE) from error
    async with made as client:
        try:
            statement = client.web_socket(
                options.url, headers=options.header, subprotocols=options.subprotocol
            )
        except ValueError as error:
            raise CommandError(str(error), USAGE) from error
        try:
            async with statement as session:
                await _talk(session, client.engine.name, options)
        except TlsError as error:
            if "the certificate of" in str(error):
                error.add_note("--insecure goes on without that check")
            raise
        reason = await session.close_reason
        if _is_interactive():
            _say(f"closed by {'you' if reason.initiator == 'local' else 'the server'}: {reason}")
    return 0


async def _talk(
    session: DefaultClientWebSocketSession, engine: str, options: argparse.Namespace
) -> None:
    if _is_interactive():
        chosen = f", subprotocol {session.subprotocol}" if session.subprotocol else ""
        _say(f"connected to {options.url} through {engine}{chosen}; Ctrl-D ends")
    arrived = asyncio.Event()
    typist = asyncio.create_task(_type(session, arrived, options.wait))
    try:
        async for frame in session.incoming:
            arrived.set()
            _say(_shown(frame), sys.stdout)
    finally:
        typist.cancel()
        await asyncio.wait([typist])
    with suppress(asyncio.CancelledError, ConnectionClosedError):
        typist.result()


async def _type(
    session: DefaultClientWebSocketSession, arrived: asyncio.Event, wait: float
) -> None:
    """Send each line; then, unless somebody typed, wait for answers; then begin to close."""
    failure: CommandError | None = None
    try:
        async for line in Lines(0):
            await session.send(line)
        await session.flush()
        while not _is_interactive():
            arrived.clear()
            try:
                async with asyncio.timeout(wait):
                    await arrived.wait()
            except TimeoutError:
                break
    except CommandError as error:
        failure = error
    with suppress(ConnectionClosedError):  # the server may have been first
        await session.send(Frame.Close(CloseReason(CloseReason.Codes.NORMAL)))
    if failure is not None:
        raise failure


def _is_interactive() -> bool:
    return os.isatty(0)


def _say(text: str, stream: TextIO | None = None) -> None:
    """Write a line at once, so that what is typed meanwhile does not come between."""
    print(f"{text}\n", end="", file=stream or sys.stderr, flush=True)


def _shown(frame: Frame) -> str:
    match frame:
        case Frame.Text(text):
            return _harmless(text) if sys.stdout.isatty() else text
        case _:
            more = " ..." if len(frame.data) > SHOWN_BYTES else ""
            return f"[{len(frame.data)} bytes: {frame.data[:SHOWN_BYTES].hex(' ')}{more}]"


def _harmless(text: str) -> str:
    """Show control characters instead of letting a server steer the terminal."""
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
        for one in text
    )


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
