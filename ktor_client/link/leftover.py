"""What the kernel still has of a connection that was lost in writing: it can be read all the same.

An event loop drops a socket at its first error, with all that lies unread in it: the reset that
answers a message of ours would destroy what the peer had sent before.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

__all__ = ["leftover_of"]

_DIRECT = ("asyncio.selector_events", "uvloop.loop")
"""Where transports are from that hand bytes on as they read them, and keep none."""


def leftover_of(transport: asyncio.Transport) -> socket.socket | None:
    """Return a socket of our own on a lost connection; None where its bytes may be elsewhere."""
    own: Any = transport.get_extra_info("socket")
    if own is None or type(transport).__module__ not in _DIRECT:
        return None
    try:
        return socket.fromfd(own.fileno(), own.family, own.type)
    except OSError:
        return None
