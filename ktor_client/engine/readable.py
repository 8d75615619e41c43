"""Looking at a socket that nobody is reading: does anything wait there, a byte or the end?"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Sequence

__all__ = ["poll_of"]


def poll_of(transport: asyncio.BaseTransport) -> Callable[[int], Sequence[object]]:
    """Return what tells, within a timeout, whether a transport's socket can be read."""
    descriptor = transport.get_extra_info("socket").fileno()
    if not hasattr(select, "poll"):  # pragma: no cover  # Windows
        return lambda timeout: select.select([descriptor], [], [], timeout)[0]
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return poll.poll
