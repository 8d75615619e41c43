"""What the kernel tells of a connection: bytes that it has not got rid of yet."""

from __future__ import annotations

import asyncio
import socket
import sys
from struct import Struct
from typing import Any

__all__ = ["acknowledged"]

_TCP_INFO = Struct("=24xI92xQ16xI")
"""Of Linux's `struct tcp_info`: packets under way, bytes acknowledged, bytes not sent yet."""


def acknowledged(transport: asyncio.Transport) -> tuple[int, bool]:
    """Return how much the peer's kernel has taken in all, and whether ours has more; else 0."""
    own: Any = transport.get_extra_info("socket")
    if own is None or sys.platform != "linux":
        return 0, False
    try:
        info = own.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO.size)
    except OSError:  # no TCP, or gone
        return 0, False
    if len(info) < _TCP_INFO.size:
        return 0, False
    packets, taken, unsent = _TCP_INFO.unpack(info)
    return taken, bool(packets or unsent)
