"""One event of a stream, as a value."""

from __future__ import annotations

from typing import Generic, NamedTuple, TypeVar

__all__ = ["ServerSentEvent"]

D = TypeVar("D")


class ServerSentEvent(NamedTuple, Generic[D]):
    """An event (Ktor's `ServerSentEvent`); `data` is text, or what `typed(...)` made of it."""

    data: D
    event: str = "message"
    """Its type; "message" where the server named none."""
    id: str | None = None
    """The last id that the stream has told by then, as browsers have it; None before the first."""
    retry: float | None = None
    """Seconds that the server wants to pass before the stream is opened again, if it told them."""
    comments: str | None = None
    """The comments before it, joined by line ends."""
