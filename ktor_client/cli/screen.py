"""What `ktor-client ws` shows: messages on stdout, the rest on stderr, and nothing harmful."""

from __future__ import annotations

import os
import sys
from typing import TextIO

__all__ = ["is_interactive", "say", "show"]

SHOWN_BYTES = 32


def is_interactive() -> bool:
    """Whether a person types."""
    return os.isatty(0)


def say(text: str) -> None:
    """Tell what happens."""
    _print(text, sys.stderr)


def show(message: str | bytes) -> None:
    """Show a message that has come."""
    if isinstance(message, str):
        text = _harmless(message) if sys.stdout.isatty() else message
    else:
        more = " ..." if len(message) > SHOWN_BYTES else ""
        text = f"[{len(message)} bytes: {message[:SHOWN_BYTES].hex(' ')}{more}]"
    _print(text, sys.stdout)


def _print(text: str, stream: TextIO) -> None:
    """Write a line at once, so that what is typed meanwhile does not come between."""
    print(f"{text}\n", end="", file=stream, flush=True)


def _harmless(text: str) -> str:
    """Show control characters instead of letting a server steer the terminal."""
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
        for one in text
    )
