"""What users say about messages that wait for a connection, and what they are told of each."""

from __future__ import annotations

import enum
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ktor_client.durations import Duration, optional_seconds
from ktor_client.link.oneshot import OneShot

__all__ = ["Outbox", "Receipt", "Sent"]

WhenFull: TypeAlias = Literal["wait", "drop_oldest", "error"]
Mode: TypeAlias = Literal["at_most_once", "at_least_once"]


@dataclass(frozen=True, init=False, slots=True)
class Outbox:
    """How many messages may wait for a connection, and what happens to them."""

    max_messages: int
    max_bytes: int
    when_full: WhenFull
    mode: Mode
    expires: float | None

    def __init__(
        self,
        max_messages: int = 256,
        max_bytes: int = 1024 * 1024,
        when_full: WhenFull = "wait",
        mode: Mode = "at_most_once",
        expires: Duration | None = None,
    ) -> None:
        """Check and keep the values.

        Args:
            max_messages: that may wait.
            max_bytes: of payload that may wait.
            when_full: "wait" lets `send` wait, "drop_oldest" drops the oldest message,
                "error" raises `OutboxFullError`.
            mode: "at_most_once" never resends a message of which a byte may have left;
                "at_least_once" resends it, in order, before newer messages.
            expires: seconds or a `timedelta` after which a waiting message is no longer sent; None
                means never.

        Raises:
            TypeError: a value of the wrong type.
            ValueError: a value out of its range.
        """
        for name, number in (("max_messages", max_messages), ("max_bytes", max_bytes)):
            if isinstance(number, bool) or not isinstance(number, int):
                raise TypeError(f"{name} takes an int, not {number!r}")
            if number < 1:
                raise ValueError(f"{name} must be at least 1, not {number}")
        if when_full not in ("wait", "drop_oldest", "error"):
            raise ValueError(f'when_full is "wait", "drop_oldest" or "error", not {when_full!r}')
        if mode not in ("at_most_once", "at_least_once"):
            raise ValueError(f'mode is "at_most_once" or "at_least_once", not {mode!r}')
        object.__setattr__(self, "max_messages", max_messages)
        object.__setattr__(self, "max_bytes", max_bytes)
        object.__setattr__(self, "when_full", when_full)
        object.__setattr__(self, "mode", mode)
        object.__setattr__(self, "expires", optional_seconds(expires, "expires"))


class Sent(enum.Enum):
    """What became of a message; never a guess."""

    WRITTEN = "written"
    """The transport took all of it. Whether it arrived, nobody here knows."""
    ACKNOWLEDGED = "acknowledged"
    """The server said that it has it; only with `resume`."""
    UNKNOWN = "unknown"
    """It may have arrived: the connection ended within it, or before it was acknowledged."""
    NOT_SENT = "not sent"
    """Surely no connection has had all of it, and none will."""


class Receipt:
    """Tells what became of one message: `verdict = await receipt`, as often as you want."""

    __slots__ = ("_verdict",)

    def __init__(self) -> None:
        self._verdict: OneShot[Sent] = OneShot()

    @property
    def verdict(self) -> Sent | None:
        """What became of the message; None while that is undecided."""
        return self._verdict.value

    def __await__(self) -> Generator[Any, None, Sent]:
        return self._verdict.wait().__await__()

    def __repr__(self) -> str:
        return f"<Receipt {'open' if self.verdict is None else self.verdict.value}>"
