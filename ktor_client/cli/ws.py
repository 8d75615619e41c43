"""`ktor-client ws`: a chat. What arrives is printed, what is typed or piped in is sent."""

from __future__ import annotations

import argparse
import asyncio
import ssl
from collections.abc import Awaitable, Generator
from contextlib import contextmanager
from typing import Any

from ktor_client import (
    CloseReason,
    DefaultClientWebSocketSession,
    Frame,
    HttpClient,
    HttpClientConfig,
    ReconnectStoppedError,
    TlsError,
)
from ktor_client.cli.engine_choice import FOR_TESTS, find_engine, network_engines
from ktor_client.cli.failure import USAGE, CommandError
from ktor_client.cli.lines import sending_lines
from ktor_client.cli.screen import is_interactive, say, show
from ktor_client.cli.ws_feed import talk
from ktor_client.http.redaction import shown
from ktor_client.plugins import WebSockets

__all__ = ["add_to", "run"]

DEFAULT_WAIT = 1.0


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
    parser.add_argument(
        "--reconnect",
        action="store_true",
        help="connect again when the connection is lost; lines typed meanwhile wait. What happens "
        "is told on stderr; status 1 says that a line may not have arrived",
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
            f"{shown(options.url)} is not a ws:// or wss:// URL; write ws://host/path", USAGE
        )
    if options.engine in FOR_TESTS:
        raise CommandError(
            f"{options.engine!r} is an engine for tests, which reaches no server; there are: "
            f"{', '.join(network_engines())}",
            USAGE,
        )
    factory = None if options.engine is None else find_engine(options.engine)

    def blocks(config: HttpClientConfig) -> None:
        config.install(WebSockets)
        if options.insecure:
            say("warning: the server's certificate is not checked")
            config.engine(ssl_context=_unchecked())

    try:
        made = HttpClient(factory, blocks)
    except TypeError as error:
        if not options.insecure:
            raise
        raise CommandError(f"--insecure is for engines with TLS: {error}", USAGE) from error
    async with made as client:
        try:
            await (_come_back(client, options) if options.reconnect else _once(client, options))
        except (TlsError, ReconnectStoppedError) as error:
            if "the certificate of" in str(error):
                error.add_note("--insecure goes on without that check")
            raise
    return 0


async def _once(client: HttpClient, options: argparse.Namespace) -> None:
    with _usage():
        statement = client.web_socket(
            options.url, headers=options.header, subprotocols=options.subprotocol
        )
    if is_interactive():
        say(f"connecting to {options.url} ...")
    async with statement as session:
        if is_interactive():
            say(f"connected to {_where(client, options, session)}")
        await _talk(session, options.wait)
    reason = await session.close_reason
    if is_interactive():
        say(f"closed by {'you' if reason.initiator == 'local' else 'the server'}: {reason}")


async def _come_back(client: HttpClient, options: argparse.Namespace) -> None:
    with _usage():
        statement = client.web_socket_reconnecting(
            options.url, headers=options.header, subprotocols=options.subprotocol
        )
    async with statement as feed:
        await talk(feed, _where(client, options), options.wait)


@contextmanager
def _usage() -> Generator[None]:
    """Say what is wrong with a URL or an option."""
    try:
        yield
    except ValueError as error:
        raise CommandError(str(error), USAGE) from error


def _where(
    client: HttpClient,
    options: argparse.Namespace,
    session: DefaultClientWebSocketSession | None = None,
) -> str:
    chosen = "" if session is None else session.subprotocol
    return (
        f"{options.url} through {client.engine.name}"
        f"{f', subprotocol {chosen}' if chosen else ''}"
        f"{'; Ctrl-D ends' if is_interactive() else ''}"
    )


async def _talk(session: DefaultClientWebSocketSession, wait: float) -> None:
    def close() -> Awaitable[object]:  # without waiting: what still comes is shown
        return session.send(Frame.Close(CloseReason(CloseReason.Codes.NORMAL)))

    arrived = asyncio.Event()
    async with sending_lines(session.send, session.flush, close, arrived=arrived, wait=wait):
        async for message in session:
            arrived.set()
            show(message)


def _unchecked() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
