"""What the Python servers share: the port they listen on, how they end, what they remember."""

import asyncio
import os
import socket
import sys
import threading

SUBPROTOCOLS = ("v2.interop", "v1.interop")
"""What ``/subprotocol`` speaks, the favourite first."""


def bind() -> socket.socket:
    """A socket on a free loopback port."""
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", 0))
    listener.listen(128)
    listener.setblocking(False)
    return listener


def announce(listener: socket.socket) -> None:
    """Tell the port, and end this process when the standard input ends.

    The socket listens from `bind` on, so a client that comes before the server's loop does waits
    in the backlog.
    """

    def wait_for_the_end() -> None:
        while sys.stdin.buffer.read(1024):
            pass
        os._exit(0)

    threading.Thread(target=wait_for_the_end, daemon=True).start()
    print(f"PORT {listener.getsockname()[1]}", flush=True)


def choose_subprotocol(offered: list[str]) -> str | None:
    """Our favourite among those offered."""
    return next((name for name in SUBPROTOCOLS if name in offered), None)


class Closures:
    """How the sessions of ``/record`` ended, by id."""

    def __init__(self) -> None:
        self._ends: dict[str, asyncio.Future[str]] = {}

    def _end(self, session_id: str) -> asyncio.Future[str]:
        if session_id not in self._ends:
            self._ends[session_id] = asyncio.get_running_loop().create_future()
        return self._ends[session_id]

    def record(self, session_id: str, code: int | None, reason: str | None) -> None:
        self._end(session_id).set_result(f"{code} {reason or ''}".strip())

    async def recorded(self, session_id: str) -> str:
        return await self._end(session_id)
