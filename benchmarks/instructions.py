"""`python -m benchmarks.instructions`: user instructions for each unit, counted by valgrind.

Time depends on what else a machine does, instructions hardly do: this compares two commits, or both
twins, on a busy one. The kernel's are not counted. Each figure is the difference of two runs, so
that imports and opening are left out.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import subprocess
import sys

from benchmarks import scenarios
from benchmarks.contenders import ALL_NAMES, load
from benchmarks.runner import server
from benchmarks.scenarios import SCENARIOS
from benchmarks.worker import LOOPS

TWINS = {"pure": "1", "compiled": "0"}
DEFAULT = ("flood32", "flood1k", "send32", "pingpong")
FEW, MANY = 2, 6
"""Chunks of the two runs."""


async def _work(contender_name: str, name: str, port: int, chunks: int) -> None:
    """Run so many chunks of a scenario, as `scenarios.run` does."""
    scenario = SCENARIOS[name]
    contender = load(contender_name)(
        deflate=scenario.deflate, tls=scenarios.unverified() if scenario.tls else None
    )

    async def measured(chunk: scenarios.Chunk, units: int, budget: float) -> scenarios.Values:
        for _ in range(chunks):
            await chunk()
        return {}

    scenarios.measure_chunks = measured
    await contender.start()
    await scenarios.run(scenario, contender, port, 0)
    await contender.stop()


def _count(contender: str, scenario: str, loop: str, port: int, chunks: int, twin: str) -> int:
    done = subprocess.run(
        [
            *("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null"),
            *(sys.executable, "-m", "benchmarks.instructions", "--loop", loop),
            *("--contender", contender, scenario, "--port", str(port), "--chunks", str(chunks)),
        ],
        env=os.environ | {"KTOR_CLIENT_PURE": TWINS[twin], "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
        check=False,
    )
    found = re.search(r"I\s+refs:\s+([\d,]+)", done.stderr)
    if done.returncode or found is None:
        raise SystemExit(done.stderr)
    return int(found[1].replace(",", ""))


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("scenario", nargs="*", default=DEFAULT, help=f"default: {DEFAULT}")
    parser.add_argument("--contender", choices=ALL_NAMES, default="ours-cio")
    parser.add_argument("--loop", choices=LOOPS, default="default")
    parser.add_argument("--twin", choices=TWINS, action="append", help="default: both")
    parser.add_argument("--port", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--chunks", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.chunks is not None:
        factory = None
        if options.loop == "uvloop":
            import uvloop

            factory = uvloop.new_event_loop
        with asyncio.Runner(loop_factory=factory) as runner:
            name = options.scenario[0]
            runner.run(_work(options.contender, name, options.port, options.chunks))
        return
    if shutil.which("valgrind") is None:
        raise SystemExit("this needs valgrind (Debian, Ubuntu: apt install valgrind)")
    with server(None) as ports:
        for scenario in options.scenario:
            units = SCENARIOS[scenario].count * SCENARIOS[scenario].sessions
            for twin in options.twin or TWINS:
                few, many = (
                    _count(
                        options.contender,
                        scenario,
                        options.loop,
                        ports.of(scenario),
                        chunks,
                        twin,
                    )
                    for chunks in (FEW, MANY)
                )
                each = (many - few) / ((MANY - FEW) * units)
                print(f"{options.contender:14} {scenario:16} {twin:9} {each:12,.0f}", flush=True)


if __name__ == "__main__":
    main()
