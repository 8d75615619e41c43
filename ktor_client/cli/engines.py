"""`ktor-client engines`: which engines there are, what is installed, what each can do."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from ktor_client._twin import EAGER, implementation, is_eager, reason
from ktor_client.cli.engine_choice import absence, versions
from ktor_client.engine import Capability, HttpClientEngine
from ktor_client.engine.capabilities import ALL_CAPABILITIES
from ktor_client.engine.registry import BUILT_IN, engine_class
from ktor_client.engine.registry import engines as engine_names

__all__ = ["add_to", "run"]

WIDTH = 80
LEAST_WIDTH = 24


def add_to(commands: Any) -> None:
    """Add the subcommand."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "engines",
        help="list engines, versions and capabilities",
        description="List the engines, the versions of their libraries, and what each can do.",
    )
    parser.set_defaults(run=run)


async def run(options: argparse.Namespace) -> int:
    """Print both tables, and which twin of the core runs."""
    rows: list[tuple[str, ...]] = []
    columns: dict[str, frozenset[Capability]] = {}
    for name in engine_names():
        entry = BUILT_IN.get(name)
        if entry is not None:
            state = absence(entry) or versions(name) or "part of ktor-client"
            rows.append((name, entry.class_name, "; ".join(filter(None, (entry.note, state)))))
            columns[name] = entry.capabilities
            continue
        try:
            engine: HttpClientEngine = engine_class(name)()
            columns[name] = engine.capabilities
            await engine.close()
            rows.append((name, type(engine).__name__, f"from {type(engine).__module__}"))
        except Exception as error:
            text = " ".join(str(error).split())
            rows.append((name, "", f"cannot be made: {type(error).__name__}: {text}"))
    _print_table(("engine", "class", "what it is, and what is installed"), rows, wrapped=2)
    print()
    _print_table(
        ("capability", *columns),
        [
            (one.meaning, *("yes" if one in able else "-" for able in columns.values()))
            for one in ALL_CAPABILITIES
        ],
        wrapped=0,
    )
    core = "pure Python" if implementation == "pure" else implementation
    print(f"\ncore: {core} ({reason}{f', {EAGER}=1' if is_eager else ''})")
    return 0


def _print_table(heads: Sequence[str], rows: Sequence[Sequence[str]], *, wrapped: int) -> None:
    """Print within 80 columns, as far as that can be had by breaking the cells of one column."""
    table = [heads, *rows]
    widths = [max(len(row[i]) for row in table) for i in range(len(heads))]
    room = WIDTH - (sum(widths) - widths[wrapped]) - 2 * (len(heads) - 1)
    widths[wrapped] = max(min(widths[wrapped], room), LEAST_WIDTH)
    for row in table:
        lines = wrap(row[wrapped], widths[wrapped], break_on_hyphens=False) or [""]
        for number, line in enumerate(lines):
            cells = [cell if number == 0 else "" for cell in row]
            cells[wrapped] = line
            padded = (cell.ljust(width) for cell, width in zip(cells, widths, strict=True))
            print("  ".join(padded).rstrip())
