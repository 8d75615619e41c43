"""A TCP connection to the first address of a host that answers (RFC 8305).

The standard library has it too, but loses a connected socket when it is cancelled in that moment,
and uvloop tries one address after the other.
"""

from __future__ import annotations

import asyncio
import socket
from itertools import chain, zip_longest
from typing import Any

from ktor_client.engine.settle import settle

__all__ = ["connect_first"]

ATTEMPT_DELAY = 0.25
"""Seconds until the next address is tried as well (RFC 8305 5, "Connection Attempt Delay")."""

Address = tuple[int, int, int, Any]


async def connect_first(host: str, port: int, *, delay: float = ATTEMPT_DELAY) -> socket.socket:
    """Resolve a host and return a connected, non-blocking socket.

    Raises:
        socket.gaierror: the name does not resolve.
        OSError: no address could be reached.
    """
    kind = socket.SOCK_STREAM
    try:  # an address needs no resolver, which would be a thread's work
        found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=kind)
    addresses = _interleaved([(f, k, p, address) for f, k, p, _, address in found])
    if len(addresses) == 1:
        return await _attempt(addresses[0])
    return await _race(addresses, delay)


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
        await asyncio.get_running_loop().sock_connect(connection, where)
    except BaseException:
        connection.close()
        raise
    return connection


def _interleaved(addresses: list[Address]) -> list[Address]:
    """Return addresses with the families in turn, the resolver's first choice first."""
    if not addresses:
        raise OSError("the host has no address")
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [a for a in chain.from_iterable(zip_longest(first, others)) if a is not None]


def _none_answered(errors: list[BaseException | None]) -> OSError:
    known = [error for error in errors if isinstance(error, OSError)]
    texts = list(dict.fromkeys(str(error) for error in known))
    return OSError(known[0].errno, "; ".join(texts)) if known else OSError("no address answered")
