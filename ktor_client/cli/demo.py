"""`ktor-client demo`: the same short chat through every engine, over an echo server of its own."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Any

from ktor_client import Frame, HttpClient, PingCapability, install
from ktor_client.cli.engine_choice import absence, network_engines, versions
from ktor_client.cli.failure import CommandError
from ktor_client.engine.registry import BUILT_IN
from ktor_client.plugins import WebSockets
from ktor_client.testing import EchoServer, echo_server

__all__ = ["add_to", "run"]

TIME_LIMIT = 30.0
"""Seconds for one engine's chat."""


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "demo",
        help="chat through every installed engine",
        description="Start an echo server on a free port of this machine and hold a short chat "
        "with it through every installed engine.",
    )
    parser.set_defaults(run=run)


async def run(options: argparse.Namespace) -> int:
    """Chat through every engine; 1 if one that is there failed."""
    async with echo_server() as server:
        print(f"An echo server listens on {server.url}/echo", flush=True)
        tried = {name: await _try(name, server) for name in network_engines()}
    good = sum(chatted is True for chatted in tried.values())
    failed = [name for name, chatted in tried.items() if chatted is False]
    if failed:
        print(f"\n{good} of {good + len(failed)} engines chatted; failed: {', '.join(failed)}")
        return 1
    count = "one engine" if good == 1 else f"{good} engines, the same code on each"
    command = sys.argv[0] if Path(sys.argv[0]).stem == "ktor-client" else "ktor-client"
    print(f"\nDone: {count}. Next: {command} engines; {command} echo; {command} ws URL")
    return 0


async def _try(name: str, server: EchoServer) -> bool | None:
    """Chat through an engine and say whether that went well; None where it is not there."""
    entry = BUILT_IN.get(name)
    absent = None if entry is None else absence(entry)
    if absent is not None:
        print(f"\n{name}: {absent}", flush=True)
        return None
    ours = "third-party engine" if entry is None else "part of ktor-client"
    print(f"\n{name}: {versions(name) or ours}", flush=True)
    try:
        async with asyncio.timeout(TIME_LIMIT):
            await _chat(name, server)
    except Exception as error:
        text = " ".join(str(error).split())
        print(f"  {name} failed: {text or type(error).__name__}", flush=True)
        return False
    return True


async def _chat(name: str, server: EchoServer) -> None:
    async with HttpClient(name, install(WebSockets)) as client:
        response = await client.get(f"{server.http_url}/hello")
        _tell("GET /hello", f"{response.status} {await response.body_as_text()}")
        if response.status != 200:
            raise CommandError(f"GET /hello gave {response.status}, not 200")
        async with client.web_socket(f"{server.url}/echo") as session:
            for message in (f"hello from {name}", "жук 🪲", b"\x00\x01\xfe\xff"):
                await session.send(message)
                _tell("sent", repr(message))
                frame = await session.incoming.receive()
                received = frame.text if isinstance(frame, Frame.Text) else frame.data
                _tell("received", repr(received))
                if received != message:
                    raise CommandError("that is not what was sent")
            if client.is_supported(PingCapability):
                _tell("ping", f"{await session.ping() * 1000:.1f} ms")
        reason = await session.close_reason
        _tell("closed", f"{reason}{', both sides agreed' if reason.clean else ''}")


def _tell(what: str, text: str) -> None:
    print(f"  {what:<12}{text}", flush=True)
