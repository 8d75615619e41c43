"""What `ktor-client ws` shows: messages on stdout, the rest on stderr, and nothing harmful.

On a terminal `<` marks what has come and `>` what is typed, in colour unless `NO_COLOR` is set;
pipes get messages alone.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Callable
from typing import TextIO

__all__ = [
    "begin_prompt",
    "can_redraw",
    "drawing",
    "end_prompt",
    "is_interactive",
    "prompt",
    "say",
    "show",
]

SHOWN_BYTES = 32

_GREEN, _CYAN, _DIM = 32, 36, 2
_MARK = "> "

_typed: Callable[[], str | None] | None = None
"""What stands on the prompt, if there is one: what is shown goes above it."""

drawing = threading.Lock()
"""Held while something is written: the prompt, whose thread is another, or a line."""


def is_interactive() -> bool:
    """Whether a person types."""
    return os.isatty(0)


def can_redraw() -> bool:
    """Whether a person looks at a terminal that can change a line."""
    is_terminal = is_interactive() and sys.stdout.isatty() and sys.stderr.isatty()
    return is_terminal and os.environ.get("TERM", "dumb") != "dumb"


def say(text: str) -> None:
    """Tell what happens."""
    _print(_coloured(text, _DIM, sys.stderr), sys.stderr)


def show(message: str | bytes) -> None:
    """Show a message that has come."""
    if isinstance(message, str):
        text = _harmless(message) if sys.stdout.isatty() else message
    else:
        more = " ..." if len(message) > SHOWN_BYTES else ""
        text = f"[{len(message)} bytes: {message[:SHOWN_BYTES].hex(' ')}{more}]"
    if is_interactive() and sys.stdout.isatty():
        text = f"{_coloured('<', _CYAN, sys.stdout)} {text}"
    _print(text, sys.stdout)


def prompt() -> str:
    """Return the prompt for readline, which has to know what of it takes no room."""
    mark = _coloured(_MARK[0], _GREEN, sys.stdout)
    return mark.replace("\x1b[", "\x01\x1b[").replace("m", "m\x02") + _MARK[1:]


def begin_prompt(typed: Callable[[], str | None]) -> None:
    """Show what comes above the line that is typed."""
    global _typed
    _typed = typed


def end_prompt() -> None:
    """Show what comes where the cursor is."""
    global _typed
    _typed = None


def _print(text: str, stream: TextIO) -> None:
    """Write a line at once, so that what is typed meanwhile does not come between."""
    with drawing:
        typed = None if _typed is None else _typed()
        if typed is None:
            print(f"{text}\n", end="", file=stream, flush=True)
            return
        rows = len(_MARK + typed) // shutil.get_terminal_size().columns
        up = f"\x1b[{rows}A" if rows else ""
        mark = _coloured(_MARK[0], _GREEN, sys.stdout) + _MARK[1:]
        print(f"{up}\r\x1b[J{text}\n{mark}{typed}", end="", file=stream, flush=True)


def _coloured(text: str, colour: int, stream: TextIO) -> str:
    """Colour a text where that is wanted (https://no-color.org)."""
    if os.environ.get("NO_COLOR") or not stream.isatty() or not can_redraw():
        return text
    return f"\x1b[{colour}m{text}\x1b[0m"


def _harmless(text: str) -> str:
    """Show control characters instead of letting a server steer the terminal."""
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode()
        for one in text
    )
