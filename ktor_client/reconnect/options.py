"""What a call says about its feed, and what a feed says of itself: values, checked."""

from __future__ import annotations

import enum
from dataclasses import dataclass, fields

from ktor_client.reconnect.opening import OnOpen
from ktor_client.reconnect.outbox import Outbox
from ktor_client.reconnect.resume import Resume

__all__ = ["FeedOptions", "FeedState"]


class FeedState(enum.StrEnum):
    """Where a feed is."""

    CONNECTING = "connecting"
    """An attempt is under way, or about to begin."""
    OPEN = "open"
    """There is a connection."""
    WAITING = "waiting"
    """The next attempt is a while away."""
    STOPPED = "stopped"
    """There will be no more."""


@dataclass(frozen=True)
class FeedOptions:
    """What a call says about its feed, beyond where to and when."""

    on_open: OnOpen | None = None
    outbox: Outbox | None = None
    resume: Resume | None = None
    overlap: bool = False
    max_age: float | None = None

    def __post_init__(self) -> None:
        """Check what was given.

        Raises:
            TypeError: a value of the wrong type.
        """
        if self.on_open is not None and not callable(self.on_open):
            raise TypeError(f"on_open takes a coroutine function, not {self.on_open!r}")
        if not isinstance(self.outbox, Outbox | None):
            raise TypeError(f"outbox takes Outbox(max_messages=256), not {self.outbox!r}")
        if not isinstance(self.resume, Resume | None):
            raise TypeError(f"resume takes an instance of a Resume, not {self.resume!r}")
        if not isinstance(self.overlap, bool):
            raise TypeError(f"overlap is True or False, not {self.overlap!r}")

    @property
    def given(self) -> list[str]:
        """Names of the options that were given, and that only feeds have."""
        return [
            one.name
            for one in fields(self)
            if one.name != "on_open" and getattr(self, one.name) is not one.default
        ]
