"""What there still is of a connection that was lost in writing: it can be read all the same.

An event loop drops a socket at its first error, with all that lies unread in it: the reset that
answers a message of ours would destroy what the peer had sent before.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Protocol

__all__ = ["Leftover", "leftover_of"]

_DIRECT = ("asyncio.selector_events", "uvloop.loop")
"""Where transports are from that hand bytes on as they read them, and keep none."""


class Leftover(Protocol):
    """What can be read without waiting."""

    def recv(self, size: int, /) -> bytes:
        """Return at most `size` bytes; b"" is the end, as is an `OSError`."""
        ...

    def close(self) -> None:
        """Throw the rest away."""
        ...


def leftover_of(transport: asyncio.Transport) -> Leftover | None:
    """Return what can be read of a lost connection; None where its bytes may be elsewhere.

    That is a socket of our own on it, or what a transport without sockets has kept.
    """
    kept: Leftover | None = transport.get_extra_info("leftover")
    if kept is not None:
        return kept
    own: Any = transport.get_extra_info("socket")
    if own is None or type(transport).__module__ not in _DIRECT:
        return None
    try:
        return socket.fromfd(own.fileno(), own.family, own.type)
    except OSError:
        return None
