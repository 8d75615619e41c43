"""What a test lets go wrong on the byte pipes of the engines in memory: `engine.faults`.

Only the settings live here; `pipe.py` obeys them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

from ktor_client.durations import Duration, seconds

__all__ = ["Direction", "Faults", "WayFaults"]

Direction: TypeAlias = Literal["client", "server", "both"]
"""Towards whom: "client" is what the client receives, "server" what it sends."""


class WayFaults:
    """The settings of one direction."""

    __slots__ = ("corrupt", "delay", "drop_after", "split")

    def __init__(self) -> None:
        self.split: int | None = None
        self.delay: float = 0.0
        self.drop_after: int | None = None
        self.corrupt: dict[int, int] = {}

    @property
    def is_set(self) -> bool:
        """Whether anything is to go wrong."""
        return bool(self.split or self.delay or self.corrupt or self.drop_after is not None)


class Faults:
    """Faults for connections that an engine opens from now on: `engine.faults.split(1)`.

    Later changes also affect open connections. Bytes are counted from 0 after the handshake, for
    each direction and connection separately.
    """

    def __init__(self) -> None:
        self.to_client = WayFaults()
        self.to_server = WayFaults()

    def split(self, size: int = 1, *, towards: Direction = "both") -> None:
        """Let bytes arrive in pieces of `size`, each in its own step of the event loop."""
        if size < 1:
            raise ValueError("split takes a size of at least 1 byte")
        for way in self._ways(towards):
            way.split = size

    def delay(self, duration: Duration, *, towards: Direction = "both") -> None:
        """Let every piece arrive later, by seconds or a `timedelta`, on the engine's clock."""
        for way in self._ways(towards):
            way.delay = seconds(duration, "delay")

    def drop(self, after: int = 0, *, towards: Direction = "both") -> None:
        """Lose the connection, as by a reset, when `after` bytes have arrived."""
        if after < 0:
            raise ValueError("drop takes a number of bytes, 0 or more")
        for way in self._ways(towards):
            way.drop_after = after

    def corrupt(self, at: int, *, flip: int = 0xFF, towards: Direction = "both") -> None:
        """Let the byte at offset `at` arrive with the bits of `flip` inverted."""
        if at < 0 or not 1 <= flip <= 0xFF:
            raise ValueError("corrupt takes an offset of 0 or more, and flip within 0x01..0xff")
        for way in self._ways(towards):
            way.corrupt[at] = flip

    def clear(self) -> None:
        """Remove all faults."""
        for way in (self.to_client, self.to_server):
            way.split = way.drop_after = None
            way.delay = 0.0
            way.corrupt.clear()

    def _ways(self, towards: Direction) -> list[WayFaults]:
        if towards not in ("client", "server", "both"):
            raise ValueError(f'towards is "client", "server" or "both", not {towards!r}')
        ways = {"client": self.to_client, "server": self.to_server}
        return list(ways.values()) if towards == "both" else [ways[towards]]

    def __repr__(self) -> str:
        shown = [
            f"{name}={value!r} towards {whom}"
            for whom, way in (("client", self.to_client), ("server", self.to_server))
            for name in WayFaults.__slots__
            if (value := getattr(way, name)) or (name == "drop_after" and value is not None)
        ]
        return f"Faults({', '.join(shown)})"
