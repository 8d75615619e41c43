"""A protocol that reads in another one's place, in another way, and tells that one all else."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

__all__ = ["StandIn"]

P = TypeVar("P", bound=asyncio.Protocol)


class StandIn(asyncio.BaseProtocol, Generic[P]):
    """What a transport sees of a protocol meanwhile; how it reads is the subclass's."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: P) -> None:
        self._protocol = protocol

    def eof_received(self) -> bool | None:
        return self._protocol.eof_received()

    def pause_writing(self) -> None:
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._protocol.connection_lost(exc)
