"""`ktor-client conform`: the battery that each engine must pass."""

from __future__ import annotations

import argparse
import asyncio
import faulthandler
import os
import sys
from typing import Any

from ktor_client.cli.engine_choice import find_engine
from ktor_client.cli.failure import CommandError

__all__ = ["add_to", "run"]

WATCHDOG = 30.0
BLOCKED = 10.0
"""Seconds beyond the time limit after which the engine has blocked the event loop."""

_MARKS = {"passed": ".", "failed": "F", "skipped": "s"}


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "conform",
        help="check an engine against the conformance battery",
        description="Check an engine against the conformance battery, on an echo server of its "
        "own; mock and test get that server's routes in memory. Status 1 means that a check "
        "failed.",
    )
    parser.add_argument("engine", metavar="ENGINE", help="a name, or package.module:MyEngine")
    parser.add_argument(
        "-k",
        metavar="WORD",
        action="append",
        default=[],
        help="only checks whose group or name contains this; may be given again for more",
    )
    parser.add_argument(
        "--time-limit",
        metavar="SECONDS",
        type=float,
        default=WATCHDOG,
        help="seconds after which a check is given up (default: %(default)g); an engine that "
        f"blocks the event loop for {BLOCKED:g} more ends the command, which shows where",
    )
    parser.set_defaults(run=run)


async def run(options: argparse.Namespace) -> int:
    """Run the battery, print how it goes and its report; 1 if a check failed."""
    from ktor_client.testing.conformance import CHECKS, Result, check_engine

    words: list[str] = options.k
    checks = [
        check
        for check in CHECKS
        if not words or any(word in f"{check.room} {check.name}" for word in words)
    ]
    if not checks:
        rooms = ", ".join(dict.fromkeys(check.room for check in CHECKS))
        raise CommandError(f"no check has {' or '.join(words)} in it; the groups are: {rooms}")
    if not 0 < options.time_limit < float("inf"):
        raise CommandError(f"--time-limit is a number of seconds, not {options.time_limit:g}")
    room = ""

    def watch() -> None:
        if sys.__stderr__ is not None:  # the process's own: what stands in for it may be no file
            limit = options.time_limit + BLOCKED
            faulthandler.dump_traceback_later(limit, file=sys.__stderr__, exit=True)

    def show(result: Result) -> None:
        nonlocal room
        watch()
        if result.check.room != room:
            print(f"{chr(10) if room else ''}{result.check.room:<14} ", end="")
            room = result.check.room
        print(_MARKS[result.outcome], end="", flush=True)

    engine = find_engine(options.engine)
    watch()
    try:
        report = await check_engine(
            engine, checks=checks, watchdog=options.time_limit, on_result=show
        )
    finally:
        faulthandler.cancel_dump_traceback_later()
    print("\n")
    print(report, flush=True)
    status = 0 if report.passed else 1
    left = asyncio.all_tasks() - {asyncio.current_task()}
    if left and not (await asyncio.wait(left, timeout=0))[0]:
        os._exit(status)  # what does not let itself be cancelled would keep the loop from ending
    return status
