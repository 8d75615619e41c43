"""Which addresses a host has. Remembered for seconds, so that reconnecting costs no lookup.

A lookup is a thread's work, and costs as much as a connection on the same machine.
"""

from __future__ import annotations

import asyncio
import math
import socket
from itertools import chain, zip_longest
from typing import Any, TypeAlias

__all__ = ["Address", "Resolver"]

TTL = 10.0
"""Seconds that an answer is good for; the system does not tell what the name server said."""
MAX_KNOWN = 1000
"""Hosts that are remembered at a time."""

Address: TypeAlias = tuple[int, int, int, Any]
"""Family, type, protocol, and where to connect."""


class Resolver:
    """The system's resolver, with a memory. An engine's."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[list[Address], float]] = {}

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return where a host can be reached, families in turn, the system's first choice first.

        Raises:
            socket.gaierror: the name does not resolve.
            OSError: it resolves to nothing.
        """
        addresses, until = self._known.get((host, port), ([], 0.0))
        loop = asyncio.get_running_loop()
        if loop.time() < until:
            return addresses
        kind = socket.SOCK_STREAM
        until = math.inf
        try:  # an address needs no lookup
            found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            found = await loop.getaddrinfo(host, port, type=kind)
            until = loop.time() + TTL
        addresses = _interleaved([(f, k, p, address) for f, k, p, _, address in found])
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[host, port] = addresses, until
        return addresses

    def forget(self, host: str, port: int) -> None:
        """Look the host up again next time: no address of it could be reached."""
        self._known.pop((host, port), None)


def _interleaved(addresses: list[Address]) -> list[Address]:
    if not addresses:
        raise OSError("the host has no address")
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [a for a in chain.from_iterable(zip_longest(first, others)) if a is not None]
