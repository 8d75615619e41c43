"""Run many sessions at once, and show a live table of them.

python examples/many_sessions.py [--sessions N] [--messages N]
"""

import argparse
import asyncio
import sys
from contextlib import suppress

from ktor_client import DefaultClientWebSocketSession, HttpClient, install
from ktor_client.plugins import WebSockets
from ktor_client.testing import echo_server

SHOWN = 12
"""Rows of the table."""
CLEAR = "\x1b[H\x1b[J"


async def talk(session: DefaultClientWebSocketSession, messages: int) -> None:
    for number in range(messages):
        await session.send(f"message {number}")
        await session.receive_text()
    await session.ping()


def table(sessions: list[DefaultClientWebSocketSession]) -> str:
    lines = ["session   frames out   frames in   bytes out   bytes in   round trip"]
    for number, session in enumerate(sessions[:SHOWN], 1):
        seen = session.statistics
        latency = "" if session.latency is None else f"{session.latency * 1000:.1f} ms"
        lines.append(
            f"{number:>7}{seen.frames_sent:>13}{seen.frames_received:>12}"
            f"{seen.bytes_sent:>12}{seen.bytes_received:>11}{latency:>13}"
        )
    total = sum(session.statistics.frames_received for session in sessions)
    lines.append(f"{len(sessions)} sessions, {total} frames in")
    return "\n".join(lines)


async def draw(sessions: list[DefaultClientWebSocketSession]) -> None:
    while sys.stdout.isatty():
        print(CLEAR + table(sessions), flush=True)
        await asyncio.sleep(0.25)


async def main(count: int, messages: int) -> None:
    async with echo_server() as server, HttpClient(None, install(WebSockets)) as client:
        url = f"{server.url}/echo"
        opening = [client.web_socket_session(url) for _ in range(count)]
        sessions = await asyncio.gather(*opening)
        async with asyncio.TaskGroup() as tasks:
            drawing = tasks.create_task(draw(sessions))
            await asyncio.gather(*(talk(session, messages) for session in sessions))
            drawing.cancel()
        print(table(sessions))
        # leaving closes the client, and so all sessions


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sessions", type=int, default=100)
    parser.add_argument("--messages", type=int, default=100)
    options = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(main(options.sessions, options.messages))
