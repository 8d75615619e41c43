"""`python -m benchmarks`: choose, run, report. `--quick` is the short form that can fail."""

from __future__ import annotations

import argparse
import random
import sys
from pathlib import Path

from benchmarks.contenders import NAMES, AnyContender, load
from benchmarks.goals import import_times, verdicts
from benchmarks.plan import MEASURED, QUICK_SCENARIOS, SUITES, Choice, plan
from benchmarks.report import goal_table, markdown
from benchmarks.runner import ROOT, Client, about_this_machine, execute
from benchmarks.scenarios import SCENARIOS
from benchmarks.stats import Results
from benchmarks.worker import LOOPS

OUT = ROOT / "benchmarks" / "results"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="four scenarios; fails when a goal is missed")
    add("--suites", nargs="+", choices=SUITES, default=SUITES, metavar="SUITE")
    add("--scenarios", nargs="+", choices=[*SCENARIOS], default=[*SCENARIOS], metavar="SCENARIO")
    add("--contenders", nargs="+", choices=NAMES, default=NAMES, metavar="CONTENDER")
    add("--loops", nargs="+", choices=LOOPS, default=LOOPS, metavar="LOOP")
    add("--rounds", type=int, default=5)
    add("--budget", type=float, default=0.2, help="seconds of CPU time measured in a run")
    add("--pin", action="store_true", help="server on CPU 0, clients on CPU 1 (needs taskset)")
    add("--out", type=Path, help=f"folder for the results (default: {OUT}; --quick: none)")
    add("--report", type=Path, metavar="JSON", help="report on saved results, run nothing")
    options = parser.parse_args()
    if options.quick:
        options.suites = ["cost"]
        options.budget = min(options.budget, 0.12)
        options.scenarios = list(QUICK_SCENARIOS)
        options.contenders = [name for name in options.contenders if name in MEASURED]
    elif options.out is None:
        options.out = OUT
    return options


def installed(names: list[str]) -> dict[str, type[AnyContender]]:
    found = {}
    for name in names:
        try:
            found[name] = load(name)
        except ImportError as error:
            print(f"{name}: left out, {error}")
    return found


def present(loops: list[str]) -> list[str]:
    if "uvloop" in loops:
        try:
            import uvloop  # noqa: F401  # pyright: ignore[reportUnusedImport]
        except ImportError as error:
            print(f"uvloop: left out, {error}")
            return [loop for loop in loops if loop != "uvloop"]
    return loops


def measured(options: argparse.Namespace) -> Results:
    contenders = installed(options.contenders)
    loops = present(options.loops)
    choice = Choice(options.suites, options.scenarios, contenders, loops, options.rounds)
    runs = plan(choice, random.Random())
    clients = {name: Client.in_python(contender) for name, contender in contenders.items()}
    about = about_this_machine(contenders)
    return execute(runs, clients, about, budget=options.budget, pin=options.pin)


def save(results: Results, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / "results.json", folder / "results.md"]
    results.save(paths[0])
    paths[1].write_text(markdown(results))
    try:
        from benchmarks import plot
    except ImportError as error:
        print(f"plots: left out, {error}")
    else:
        paths += plot.save_all(results, folder)
    print("written:", *paths)


def main() -> int:
    options = arguments()
    results = Results.load(options.report) if options.report else measured(options)
    print()
    print("\n".join(goal_table(results)) if options.quick else markdown(results))
    if options.out is not None:
        save(results, options.out)
    missed = [verdict for verdict in verdicts(results) if not verdict.passed]
    for name, _, passed in import_times(results):
        if not passed:
            print(f"missed: import time of {name}")
    for verdict in missed:
        print(f"missed: {verdict.contender} {verdict.scenario} {verdict.loop} ({verdict.base})")
    return 1 if options.quick and (missed or not verdicts(results)) else 0


if __name__ == "__main__":
    sys.exit(main())
