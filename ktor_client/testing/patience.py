"""A server's session that lets its route answer the Close, behind what came before it."""

from __future__ import annotations

from ktor_client.frames import CloseFrame
from ktor_client.session import SessionCore

__all__ = ["PatientCore"]


class PatientCore(SessionCore):
    """Answers a Close at once, as others do, until a route sets `is_patient`.

    From then on it can send after the peer's Close, until `start_close`. It has `close_timeout`
    for that: a peer who reads nothing does not hold it for ever.
    """

    is_patient = False

    def _peer_closed(self, frame: CloseFrame) -> None:
        self._raw = self._raw or self.is_patient  # raw sessions leave the answer to their user
        super()._peer_closed(frame)
        if self.is_patient:
            self._end_within(self._close_timeout)
