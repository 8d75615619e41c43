"""A place in the queue of what waits to be sent, and who waits there."""

from __future__ import annotations

import asyncio
from collections import deque

from ktor_client.frames import Frame

__all__ = ["NOBODY", "OVER", "Turn"]


class Turn:
    """A place in the queue: to write a frame, or without one for a `flush` or a stream."""

    __slots__ = ("done", "error", "frame", "has_begun", "has_turn", "size", "stays")

    def __init__(self, frame: Frame | None = None, *, stays: bool = False) -> None:
        self.frame = frame
        self.size = 0 if frame is None or stays else len(frame.data)
        self.stays = stays
        """Whether it is still in the queue when its turn has come: a stream, our Close."""
        self.has_turn = False
        self.has_begun = False
        """Whether it is the stream, first in the queue, that has sent a fragment of its message."""
        self.done: asyncio.Future[None] | None = None
        """What its `send` awaits; None where `send` has returned: the message was accepted."""
        self.error: BaseException | None = None

    @property
    def is_accepted(self) -> bool:
        """Whether nobody waits to hear what becomes of this message."""
        return self.done is None and not self.stays


NOBODY: deque[Turn] = deque(maxlen=0)
"""The queue of sessions in which nobody has waited yet: one of its own would take 760 bytes."""

_NOBODY_PASSES = Turn(stays=True)
_NOBODY_PASSES.has_turn = True
OVER = deque((_NOBODY_PASSES,), maxlen=1)
"""The queue of sessions that have ended: nobody's turn comes any more."""
