"""Which addresses a host has. Remembered for seconds, so that reconnecting costs no lookup.

A lookup is a thread's work, and costs as much as a connection on the same machine; who wants to
know what is being looked up already waits for that.
"""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Sequence
from itertools import chain, zip_longest
from typing import Any, TypeAlias

from ktor_client.link.home_loop import wake

__all__ = ["Address", "Resolver"]

TTL = 10.0
"""Seconds that an answer is good for; the system does not tell what the name server said."""
MAX_KNOWN = 1000
"""Hosts that are remembered at a time."""

Address: TypeAlias = tuple[int, int, int, Any]
"""Family, type, protocol, and where to connect."""


_Outcome: TypeAlias = list[Address] | OSError | UnicodeError | None
"""What came of a lookup; None where it was given up."""


class Resolver:
    """The system's resolver, with a memory. An engine's."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[list[Address], float]] = {}
        self._asked: dict[tuple[str, int], asyncio.Future[_Outcome]] = {}

    def known(self, host: str, port: int) -> list[Address] | None:
        """Return what `addresses` would, if that is remembered."""
        addresses, until = self._known.get((host, port), (None, 0.0))
        if until == math.inf or asyncio.get_running_loop().time() < until:
            return addresses
        return None

    async def addresses(self, host: str, port: int) -> list[Address]:
        """Return where a host can be reached, families in turn, the system's first choice first.

        Raises:
            socket.gaierror: the name does not resolve.
            OSError: it resolves to nothing.
        """
        while True:
            addresses = self.known(host, port)
            if addresses is not None:
                return addresses
            asked = self._asked.get((host, port))
            if asked is None:
                return await self._look_up(host, port)
            # Who asks is cancelled alone: one of those who wait asks again.
            outcome = await asyncio.shield(asked)
            if isinstance(outcome, list):
                return outcome
            if outcome is not None:
                raise type(outcome)(*outcome.args)  # each its own: a traceback is not shared

    async def _look_up(self, host: str, port: int) -> list[Address]:
        loop = asyncio.get_running_loop()
        kind, until = socket.SOCK_STREAM, math.inf
        try:  # an address needs no lookup
            found = socket.getaddrinfo(host, port, type=kind, flags=socket.AI_NUMERICHOST)
        except socket.gaierror:
            asked = self._asked[host, port] = loop.create_future()
            outcome: _Outcome = None
            try:
                found = await loop.getaddrinfo(host, port, type=kind)
                until = loop.time() + TTL
                outcome = addresses = _addresses(found)
            except (OSError, UnicodeError) as error:
                outcome = error
                raise
            finally:
                del self._asked[host, port]
                wake(asked, outcome)
        else:
            addresses = _addresses(found)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[host, port] = addresses, until
        return addresses

    def forget(self, host: str, port: int) -> None:
        """Look the host up again next time: no address of it could be reached."""
        self._known.pop((host, port), None)


def _addresses(found: Sequence[tuple[int, int, int, str, Any]]) -> list[Address]:
    addresses = [(family, kind, protocol, where) for family, kind, protocol, _, where in found]
    if not addresses:
        raise OSError("the host has no address")
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [a for a in chain.from_iterable(zip_longest(first, others)) if a is not None]
