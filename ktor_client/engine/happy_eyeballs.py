"""A TCP connection to the first of several addresses that answers (RFC 8305).

The standard library has it too, but loses a connected socket when it is cancelled in that moment,
and uvloop tries one address after the other.
"""

from __future__ import annotations

import asyncio
import errno
import os
import socket
import sys
from collections.abc import Coroutine
from typing import Any

from ktor_client.engine.resolver import Address
from ktor_client.engine.settle import settle

__all__ = ["connect_first"]

ATTEMPT_DELAY = 0.25
"""Seconds until the next address is tried as well (RFC 8305 5, "Connection Attempt Delay")."""

_AT_ONCE = sys.platform == "linux"
"""Whether a socket may be asked a second time to connect, which only Linux takes well."""


def connect_first(
    addresses: list[Address], *, delay: float = ATTEMPT_DELAY
) -> Coroutine[Any, Any, socket.socket]:
    """Return what, awaited, makes a connected, non-blocking socket.

    Raises:
        OSError: no address could be reached.
    """
    if len(addresses) == 1:
        return _attempt(addresses[0])
    return _race(addresses, delay)


async def _race(addresses: list[Address], delay: float) -> socket.socket:
    """Try each address `delay` seconds after the one before, or at once when all others failed."""
    attempts: list[asyncio.Task[socket.socket]] = []
    winner: asyncio.Task[socket.socket] | None = None
    try:
        for number, address in enumerate(addresses, 1):
            attempts.append(asyncio.ensure_future(_attempt(address)))
            winner = await _first(attempts, delay if number < len(addresses) else None)
            if winner is not None:
                attempts.remove(winner)
                break
        else:
            raise _none_answered([attempt.exception() for attempt in attempts])
    finally:
        try:
            await settle(_drop(attempts))
        except BaseException:
            if winner is not None:
                winner.result().close()
            raise
    assert winner is not None
    return winner.result()


async def _drop(attempts: list[asyncio.Task[socket.socket]]) -> None:
    for attempt in attempts:
        attempt.cancel()
    for result in await asyncio.gather(*attempts, return_exceptions=True):
        if isinstance(result, socket.socket):
            result.close()


async def _first(
    attempts: list[asyncio.Task[socket.socket]], delay: float | None
) -> asyncio.Task[socket.socket] | None:
    """Return an attempt that succeeds within `delay`; None if there is none."""
    pending = {attempt for attempt in attempts if not attempt.done()}
    while pending:
        done, pending = await asyncio.wait(
            pending, timeout=delay, return_when=asyncio.FIRST_COMPLETED
        )
        for attempt in done:
            if attempt.exception() is None:
                return attempt
        if not done:
            return None
    return None


async def _attempt(address: Address) -> socket.socket:
    family, kind, protocol, where = address
    connection = socket.socket(family, kind, protocol)
    try:
        connection.setblocking(False)
        if not (_AT_ONCE and _is_connected_at_once(connection, where)):
            await asyncio.get_running_loop().sock_connect(connection, where)
    except OSError as error:
        connection.close()
        said = error.strerror if error.errno is None else os.strerror(error.errno)
        raise OSError(error.errno, f"{said} ({where[0]}, port {where[1]})") from None
    except BaseException:
        connection.close()
        raise
    return connection


def _is_connected_at_once(connection: socket.socket, where: Any) -> bool:
    """Begin to connect, and say whether that was all: to this machine it takes no time.

    It saves the loop a third of what a connection costs.

    Raises:
        ConnectionRefusedError: nobody listens there, and the socket was given just that port: it
            has connected to itself.
    """
    connection.connect_ex(where)
    try:
        peer = connection.getpeername()
    except OSError:
        return False
    if peer == connection.getsockname():
        raise ConnectionRefusedError(errno.ECONNREFUSED, "it has connected to itself")
    return True


def _none_answered(errors: list[BaseException | None]) -> OSError:
    known = [error for error in errors if isinstance(error, OSError)]
    texts = list(dict.fromkeys(str(error) for error in known))
    return OSError(known[0].errno, "; ".join(texts)) if known else OSError("no address answered")
