"""How a command fails: one line on stderr, and an exit status."""

from __future__ import annotations

__all__ = ["FAILED", "INTERRUPTED", "USAGE", "CommandError"]

FAILED = 1
USAGE = 2
INTERRUPTED = 130
"""What shells report of a program that Ctrl-C ended."""


class CommandError(Exception):
    """Ends the command with a line on stderr and a status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status
