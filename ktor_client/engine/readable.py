"""What a transport tells when it is asked: does a byte or the end wait there; was the end meant?"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable, Sequence

__all__ = ["ended_in_full", "poll_of"]


def poll_of(transport: asyncio.BaseTransport) -> Callable[[int], Sequence[object]]:
    """Return what tells, within a timeout, whether a transport's socket can be read.

    A transport without a socket has an answer of its own.
    """
    own: Callable[[int], Sequence[object]] | None = transport.get_extra_info("poll")
    if own is not None:
        return own
    socket = transport.get_extra_info("socket")
    descriptor = -1 if socket is None else socket.fileno()
    if descriptor < 0:  # it is closed; uvloop has none then
        return lambda timeout: (transport,)
    if not hasattr(select, "poll"):  # pragma: no cover  # Windows
        return lambda timeout: select.select([descriptor], [], [], timeout)[0]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return poll.poll


def ended_in_full(transport: asyncio.BaseTransport) -> bool:
    """Whether the end of what was read is the peer's word, to be asked in `eof_received`.

    Over TLS that is its closing alert: anybody on the way can end the connection below it (RFC 9112
    9.8, RFC 8446 6.1).
    """
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:  # it waits for more
        return False
