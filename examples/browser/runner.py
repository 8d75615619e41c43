"""Runs the program in the editor, its `main()`, one at a time; a new one cancels the one before."""

import asyncio
import traceback
from typing import Any

import ui

_running: asyncio.Task[None] | None = None


async def run(code: str, name: str) -> str:
    """Run a program to its end; say how it ended: "finished", "failed" or "replaced"."""
    global _running
    before = _running
    stop()
    task = _running = asyncio.ensure_future(_main(code, name))
    if before is not None:
        await asyncio.wait([before])
    try:
        await task
    except asyncio.CancelledError:
        pass
    except Exception as error:
        ui.print_error("".join(traceback.format_exception(error)).rstrip())
        ui.failed(f"{type(error).__name__}: {error}")
        return "failed"
    return "finished" if _running is task else "replaced"


async def _main(code: str, name: str) -> None:
    program: dict[str, Any] = {"__name__": name.removesuffix(".py")}
    exec(compile(code, name, "exec"), program)
    await program["main"]()


def stop() -> None:
    """Cancel the program; its session closes on the way out."""
    if _running is not None:
        _running.cancel()
