"""How a command fails: one line on stderr, and an exit status."""

from __future__ import annotations

import errno

__all__ = ["FAILED", "INTERRUPTED", "USAGE", "CommandError", "cannot_listen"]

FAILED = 1
USAGE = 2
INTERRUPTED = 130
"""What shells report of a program that Ctrl-C ended."""


class CommandError(Exception):
    """Ends the command with a line on stderr and a status."""

    def __init__(self, message: str, status: int = FAILED) -> None:
        super().__init__(message)
        self.status = status


def cannot_listen(host: str, port: int, error: OSError) -> CommandError:
    """Return the failure of a server; where another port helps, it says so."""
    hint = ""
    if error.errno in (errno.EADDRINUSE, errno.EACCES):
        hint = "; --port 0 takes a free one"
    return CommandError(f"cannot listen on {host} port {port}: {error.strerror or error}{hint}")
