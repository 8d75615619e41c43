"""The command `ktor-client`. Each subcommand has its file; nothing imports this package."""

from __future__ import annotations

from collections.abc import Sequence

from ktor_client.cli.failure import INTERRUPTED

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; see `command_line.main`. Ctrl-C is heard while it is still imported."""
    try:
        from ktor_client.cli import command_line
    except KeyboardInterrupt:
        return INTERRUPTED
    return command_line.main(arguments)
