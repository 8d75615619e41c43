"""All checks, room by room."""

from __future__ import annotations

from ktor_client.testing.conformance import (
    calls,
    closing,
    connections,
    deflate,
    handshake,
    http,
    keepalive,
    messages,
    receiving,
    refusals,
    sending,
    values,
    violations,
)
from ktor_client.testing.conformance.check import Check

__all__ = ["CHECKS"]

CHECKS: tuple[Check, ...] = tuple(
    check
    for room in (
        values,
        http,
        connections,
        calls,
        handshake,
        refusals,
        messages,
        receiving,
        violations,
        deflate,
        sending,
        keepalive,
        closing,
    )
    for check in room.ROOM.checks
)
"""Every check; names are unique."""
