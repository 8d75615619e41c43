"""What happens to sessions that come back, told in order. Values only: others tell them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, TypeAlias

from ktor_client.retry import Failure

__all__ = ["Connecting", "FeedEvent", "Gap", "Lost", "Opened", "Stopped", "Waiting"]


@dataclass(frozen=True, slots=True)
class Connecting:
    """An attempt begins."""

    attempt: int
    """1 for the first; from 1 again after a success."""
    url: str = field(repr=False)
    """Where to, as it was given: tokens and all, so it is not shown."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A connection is open, and `on_open` has run."""

    generation: int
    """1 for the first connection."""
    resumed: bool = False
    """Whether the server goes on where the connection before was cut, by what `resume` knows."""


@dataclass(frozen=True, slots=True)
class Lost:
    """A connection has ended, or an attempt has failed; `failure.was_open` says which."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Waiting:
    """The next attempt is a while away."""

    delay: float
    """Seconds."""
    until: float
    """When it begins, by the engine's clock."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Messages may be missing here: nothing proves that the stream continues where it was cut."""

    after: Any
    """The position of the last message before it."""
    before: Any = None
    """The position of the first message behind it, where one tells that."""
    missed: int | None = None
    """How many messages are missing, where the positions tell that."""


@dataclass(frozen=True, slots=True)
class Stopped:
    """No more attempts will follow; this is the last event."""

    failure: Failure | None = None
    """Why; None when we ended it ourselves."""


FeedEvent: TypeAlias = Connecting | Opened | Lost | Waiting | Gap | Stopped
