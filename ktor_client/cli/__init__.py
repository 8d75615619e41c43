"""The command `ktor-client`. Each subcommand has its file; nothing imports this package."""

from ktor_client.cli.command_line import main

__all__ = ["main"]
