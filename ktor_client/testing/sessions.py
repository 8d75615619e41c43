"""What the echo server remembers of its sessions, so that a client can ask how they went.

A client names a session by `?id=...` when it opens it.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ktor_client.frames import Frame
from ktor_client.link.oneshot import OneShot
from ktor_client.session import SessionCore

__all__ = ["SessionRecord", "Sessions"]

MAX_RECORDS = 1000
MAX_FRAMES = 1000


class SessionRecord:
    """One session with an id: live numbers, and how it ended."""

    def __init__(self, core: SessionCore) -> None:
        self._core = core
        self.frames: list[Frame] = []
        """What came, in routes that say so; at most 1000 frames."""
        self.ended: OneShot[None] = OneShot()
        self.released = asyncio.Event()
        core.on_closed(lambda _: self.ended.set(None))

    def keep(self, frame: Frame) -> None:
        """Remember a frame that came."""
        if len(self.frames) < MAX_FRAMES:
            self.frames.append(frame)

    def as_json(self) -> dict[str, Any]:
        """Return what is known now; `code` is None while no Close came from the client."""
        link = self._core.link
        received = self._core.ending.received
        return {
            "open": not self.ended.is_set,
            "code": None if received is None else received.code,
            "reason": None if received is None else received.message,
            "writable": link.writable,
            "frames_received": link.frames_received,
            "frames_sent": link.frames_sent,
            "bytes_received": link.bytes_received,
            "bytes_sent": link.bytes_sent,
            "frames": [
                {"type": frame.frame_type.name, "fin": frame.fin, "data": frame.data.hex()}
                for frame in self.frames
            ],
        }


class Sessions:
    """The open sessions, and the last thousand that have an id."""

    def __init__(self) -> None:
        self._records: dict[str, SessionRecord] = {}
        self._open: set[SessionCore] = set()

    def __len__(self) -> int:
        """How many sessions are open."""
        return len(self._open)

    def add(self, core: SessionCore, session_id: str | None) -> None:
        """Take note of a new session."""
        self._open.add(core)
        core.on_closed(self._open.discard)
        if session_id is not None:
            self._records.pop(session_id, None)
            self._records[session_id] = SessionRecord(core)
            if len(self._records) > MAX_RECORDS:
                del self._records[next(iter(self._records))]

    def get(self, session_id: str) -> SessionRecord | None:
        """Return the record of the newest session with that id."""
        return self._records.get(session_id)
