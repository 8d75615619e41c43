"""`ktor-client conform`: the battery that each engine must pass."""

from __future__ import annotations

import argparse
from typing import Any

from ktor_client.cli.engine_choice import find_engine

__all__ = ["add_to", "run"]


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
    parser.set_defaults(run=run)


async def run(options: argparse.Namespace) -> int:
    """Run the battery and print its report; 1 if a check failed."""
    from ktor_client.testing.conformance import check_engine

    report = await check_engine(find_engine(options.engine))
    print(report)
    return 0 if report.passed else 1
