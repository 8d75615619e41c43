"""What a transport tells when it is asked: does a byte or the end wait there; was the end meant?

And, when it was lost in writing: what had the peer sent before?
"""

from __future__ import annotations

import asyncio
import select
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress

from ktor_client.link.leftover import leftover_of
from ktor_client.link.read_buffer import READ_SIZE

__all__ = ["ended_in_full", "poll_of", "rest_of"]


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


def rest_of(transport: asyncio.Transport, error: BaseException | None) -> Iterator[bytes]:
    """Yield what still lies in a connection that was lost by an error, to be asked in
    `connection_lost`.

    A server that refuses an upload closes, and the next piece of it meets a reset: before the
    answer is read, as often as not.
    """
    if not isinstance(error, OSError) or transport.get_extra_info("sslcontext") is not None:
        return
    leftover = leftover_of(transport)
    if leftover is not None:
        with closing(leftover), suppress(OSError):
            while data := leftover.recv(READ_SIZE):
                yield data
