"""Lines that a person types, with the editing and the history of the standard library's readline.

What is shown meanwhile is the business of `screen.py`, which is told what stands on the prompt.
"""

from __future__ import annotations

import asyncio
import threading
from types import ModuleType

from ktor_client.cli import screen

__all__ = ["TypedLines", "editor"]


def editor() -> ModuleType | None:
    """Return readline, where there is one and the terminal can show a line that changes."""
    if not screen.can_redraw():
        return None
    try:
        import readline
    except ImportError:  # Windows
        return None
    return readline


class TypedLines:
    """`async for line in TypedLines(readline)`: ends with Ctrl-D.

    A daemon thread waits for the keys, one line whenever one is awaited, so that the process can
    end meanwhile; `close` then gives the terminal back as it was.
    """

    def __init__(self, readline: ModuleType) -> None:
        import termios

        self._loop = asyncio.get_running_loop()
        self._wanted = threading.Semaphore(0)
        self._line: asyncio.Future[str | None] | None = None
        self._terminal = termios.tcgetattr(0)
        readline.parse_and_bind("set enable-bracketed-paste off")  # each line of it is a message
        self._is_shown = False
        readline.set_pre_input_hook(self._shown)  # called once the whole prompt stands there
        screen.begin_prompt(lambda: readline.get_line_buffer() if self._is_shown else None)
        threading.Thread(target=self._read_lines, name="stdin", daemon=True).start()

    def close(self) -> None:
        """End the prompt."""
        import termios

        screen.end_prompt()
        termios.tcsetattr(0, termios.TCSADRAIN, self._terminal)

    def __aiter__(self) -> TypedLines:
        return self

    async def __anext__(self) -> str:
        if self._line is None:
            self._line = self._loop.create_future()
            self._wanted.release()
        line = await asyncio.shield(self._line)
        self._line = None
        if line is None:
            raise StopAsyncIteration
        return line

    def _shown(self) -> None:
        self._is_shown = True
        screen.drawing.release()

    def _read_lines(self) -> None:
        line: str | None = ""
        while line is not None:
            self._wanted.acquire()
            screen.drawing.acquire()  # readline writes the prompt letter by letter
            try:
                line = input(screen.prompt())
            except (EOFError, OSError, UnicodeDecodeError):  # Ctrl-D, or a terminal that is gone
                line = None
            if not self._is_shown:
                screen.drawing.release()
            self._is_shown = False
            try:
                self._loop.call_soon_threadsafe(self._deliver, line)
            except RuntimeError:  # the loop is closed: nobody wants it
                return

    def _deliver(self, line: str | None) -> None:
        assert self._line is not None
        self._line.set_result(line)
