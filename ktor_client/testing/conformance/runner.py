"""Running checks: one after the other, each with a watchdog and clients of its own."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Sequence
from functools import partial

from ktor_client.client import HttpClient
from ktor_client.engine.registry import EngineFactory, engine_class
from ktor_client.testing.conformance.battery import CHECKS
from ktor_client.testing.conformance.check import Check, CheckFailure, Lab, SkippedCheck
from ktor_client.testing.conformance.report import Report, Result, describe

__all__ = ["check_engine", "run_check"]

WATCHDOG = 30.0
"""Seconds after which a check has failed."""
GRACE = 5.0
"""Seconds that a check has to end once it is given up."""
IN_MEMORY_URL = "ws://127.0.0.1:81"
"""Any port: nobody listens there."""


async def check_engine(
    factory: EngineFactory | str,
    base_url: str | None = None,
    *,
    other_url: str | None = None,
    checks: Sequence[Check] = CHECKS,
    watchdog: float = WATCHDOG,
    on_result: Callable[[Result], object] = bool,
) -> Report:
    """Run the battery against an engine; what it cannot do is skipped, and named in the report.

    Args:
        factory: an engine class, a function that makes an engine, or a registered name. Called
            often: each check makes clients of its own.
        base_url: where an echo server of this package listens, such as "ws://127.0.0.1:8080". None
            starts one on this loop; `MockEngine` and `TestEngine` get its routes as peers and as
            an app. For another engine without a network it is whatever URL that engine takes to
            handlers that do what these routes do.
        other_url: the same server as another origin; found out for 127.0.0.1 and localhost.
        checks: those to run; all unless given.
        watchdog: seconds after which a check has failed; the next one begins, whether or not the
            engine lets go of it.
        on_result: called with each result as it comes.
    """
    if isinstance(factory, str):
        factory = engine_class(factory)
    if base_url is None:
        in_memory = _with_routes(factory)
        if in_memory is not None:
            return await check_engine(
                in_memory, IN_MEMORY_URL, checks=checks, watchdog=watchdog, on_result=on_result
            )
        from ktor_client.testing.server import echo_server

        async with echo_server() as server:
            return await check_engine(
                factory,
                server.url,
                other_url=other_url,
                checks=checks,
                watchdog=watchdog,
                on_result=on_result,
            )
    results: list[Result] = []
    for check in checks:
        result = await run_check(check, factory, base_url, other_url=other_url, watchdog=watchdog)
        on_result(result)
        results.append(result)
    async with HttpClient(factory) as client:
        return Report(type(client.engine).__name__, results)


async def run_check(
    check: Check,
    factory: EngineFactory,
    base_url: str,
    *,
    other_url: str | None = None,
    watchdog: float = WATCHDOG,
) -> Result:
    """Run one check and return what came of it; see `check_engine` for the arguments."""
    lab = Lab(factory, base_url, other_url)
    try:
        missing = check.missing(lab.capabilities)
        if missing:
            return Result(check, "skipped", f"without {', '.join(c.name for c in missing)}")
        running = asyncio.ensure_future(check.run(lab))
        try:
            if not await _ended(running, watchdog):
                failure = CheckFailure(f"it did not end within {watchdog:g} s{_place(running)}")
                return Result(check, "failed", str(failure), failure)
        except SkippedCheck as reason:
            return Result(check, "skipped", str(reason))
        except Exception as error:
            return Result(check, "failed", describe(error), error)
        return Result(check, "passed")
    finally:
        closing = asyncio.create_task(lab.close())
        if not await _ended(closing, watchdog):
            closing.cancel()  # its engine hangs; the next check begins all the same


async def _ended(task: asyncio.Future[None], limit: float) -> bool:
    """Wait for a task, cancel it when the time is over, and say whether it ended by itself.

    Raises what the task raises.
    """
    try:
        done, _ = await asyncio.wait({task}, timeout=limit)
        if not done:
            task.cancel()
            await asyncio.wait({task}, timeout=GRACE)
            return False
    except asyncio.CancelledError:
        task.cancel()
        raise
    task.result()
    return True


def _with_routes(factory: EngineFactory) -> EngineFactory | None:
    """Return an engine in memory with the echo server's routes; None for other engines."""
    from ktor_client.engines import MockEngine, TestEngine

    if factory not in (MockEngine, TestEngine):
        return None
    from ktor_client.testing.echo_app import echo_app
    from ktor_client.testing.echo_mock import echo_mock
    from ktor_client.testing.server import EchoServer

    return partial(echo_mock if factory is MockEngine else echo_app, EchoServer())


def _place(task: asyncio.Future[None]) -> str:
    """Return the line of the check at which a task was waiting when it was cancelled."""
    if not task.done():
        return ", and does not let itself be cancelled"
    lines: list[inspect.FrameInfo] = []
    try:
        task.result()
    except (Exception, asyncio.CancelledError) as error:
        if error.__traceback__ is not None:
            lines = inspect.getinnerframes(error.__traceback__)
    here = [
        f"{line.function}, line {line.lineno}" for line in lines if "conformance" in line.filename
    ]
    return f", waiting in {here[-1]}" if here else ""
