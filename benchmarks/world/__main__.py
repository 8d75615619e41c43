"""`python -m benchmarks.world`: clients of Python, ours too, beside those of other languages."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from benchmarks.__main__ import OUT, installed, present
from benchmarks.plan import Run
from benchmarks.report import world
from benchmarks.runner import Client, about_this_machine, execute
from benchmarks.stats import Results
from benchmarks.worker import LOOPS
from benchmarks.world.lanes import LANES, made

IN_PYTHON = ("ours-cio-compiled", "ours-cio", "aiohttp", "websockets", "picows")
WORLD = (
    *("flood32", "flood1k", "flood64k", "send32", "send1k", "send64k"),
    *("pingpong", "connect", "memory"),
)
HERE_ALONE = ("flood_tls32", "flood_tls1k", "flood_deflate1k")
"""What the programs of other languages are not written for."""
MEMORY_ROUNDS = 3


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.world", description=__doc__)
    add = parser.add_argument
    add(
        "--scenarios",
        nargs="+",
        choices=[*WORLD, *HERE_ALONE],
        default=[*WORLD, *HERE_ALONE],
        metavar="SCENARIO",
    )
    add("--clients", nargs="+", choices=[*IN_PYTHON, *LANES], default=[*IN_PYTHON, *LANES])
    add("--loops", nargs="+", choices=LOOPS, default=LOOPS, metavar="LOOP", help="of Python")
    add("--rounds", type=int, default=5)
    add("--budget", type=float, default=0.4, help="seconds of CPU time measured in a run")
    add("--pin", action="store_true", help="server on CPU 0, clients on CPU 1 (needs taskset)")
    add("--out", type=Path, default=OUT, help=f"folder for the results (default: {OUT})")
    add("--report", type=Path, metavar="JSON", help="report on saved results, run nothing")
    return parser.parse_args()


def measured(options: argparse.Namespace) -> Results:
    contenders = installed([name for name in options.clients if name in IN_PYTHON])
    foreign = made([name for name in options.clients if name in LANES])
    clients = {name: Client.in_python(contender) for name, contender in contenders.items()}
    sides = [(loop, name) for name in clients for loop in present(options.loops)]
    sides += [("", name) for name in foreign]
    skips = {name: contender.skips for name, contender in contenders.items()}
    source = random.Random()
    runs = [
        Run(scenario, loop, name, number)
        for number in range(1, options.rounds + 1)
        for scenario in source.sample(options.scenarios, len(options.scenarios))
        for loop, name in source.sample(sides, len(sides))
        if scenario not in skips.get(name, HERE_ALONE)
        if scenario != "memory" or number <= MEMORY_ROUNDS
    ]
    about = about_this_machine(contenders)
    for name in foreign:
        about["versions"] |= LANES[name].versions()
    about["languages"] = {name: LANES[name].language for name in foreign}
    return execute(runs, clients | foreign, about, budget=options.budget, pin=options.pin)


def main() -> int:
    options = arguments()
    results = Results.load(options.report) if options.report else measured(options)
    print()
    print(world(results))
    options.out.mkdir(parents=True, exist_ok=True)
    paths = [options.out / "world.json"]
    results.save(paths[0])
    try:
        from benchmarks import plot
    except ImportError as error:
        print(f"plot: left out, {error}")
    else:
        paths.append(plot.world_bars(results, options.out / "world.svg"))
    print("written:", *paths)
    return 1 if any(record.error for record in results.records) else 0


if __name__ == "__main__":
    sys.exit(main())
