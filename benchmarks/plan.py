"""Which runs a benchmark consists of, in which order.

Each round runs every scenario once, in random order; the contenders of a scenario run one after
another, in random order, so that what the machine does meanwhile meets all of them alike.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from benchmarks import imports, latency, scale
from benchmarks.contenders import NAMES, AnyContender
from benchmarks.goals import BASES
from benchmarks.scenarios import SCENARIOS

SUITES = ("cost", "memory", "import", "latency", "scale")

QUICK_SCENARIOS = ("pingpong", "flood32", "send32", "echo1m")
PEER_ROUNDS = 3
"""Rounds of the contenders that no goal names."""

MEMORY_ROUNDS = 1
IMPORT_ROUNDS = 5
LATENCY_ROUNDS = 2
LATENCY_CONTENDERS = ("aiohttp", "websockets", "ours-aiohttp", "ours-httpx", "ours-cio")
SCALE_CONTENDERS = ("aiohttp", "websockets", "httpx-ws", "ours-aiohttp", "ours-httpx", "ours-cio")

MEASURED = frozenset(BASES) | frozenset(BASES.values())


@dataclass(frozen=True)
class Run:
    scenario: str
    loop: str
    contender: str
    round: int


@dataclass(frozen=True)
class Choice:
    """What the user wants to be run; `contenders` are those that are installed."""

    suites: Sequence[str]
    scenarios: Sequence[str]
    contenders: dict[str, type[AnyContender]]
    loops: Sequence[str]
    rounds: int


def _mixed(
    scenarios: Iterable[str],
    loops: Iterable[str],
    contenders: Sequence[str],
    number: int,
    source: random.Random,
) -> list[Run]:
    groups = [(scenario, loop) for scenario in scenarios for loop in loops]
    source.shuffle(groups)
    return [
        Run(scenario, loop, contender, number)
        for scenario, loop in groups
        for contender in source.sample(contenders, len(contenders))
    ]


def plan(choice: Choice, source: random.Random) -> list[Run]:
    """All runs, in the order in which they have to be run."""
    runs: list[Run] = []

    def add(scenarios: Iterable[str], contenders: Iterable[str], rounds: int) -> None:
        chosen = [name for name in contenders if name in choice.contenders]
        scenarios = list(scenarios)
        for number in range(1, rounds + 1):
            present = [name for name in chosen if name in MEASURED or number <= PEER_ROUNDS]
            runs.extend(
                run
                for run in _mixed(scenarios, choice.loops, present, number, source)
                if run.scenario not in choice.contenders[run.contender].skips
            )

    wanted = [SCENARIOS[name] for name in choice.scenarios]
    if "cost" in choice.suites:
        add((s.name for s in wanted if s.kind != "memory"), NAMES, choice.rounds)
    if "memory" in choice.suites:
        add((s.name for s in wanted if s.kind == "memory"), NAMES, MEMORY_ROUNDS)
    if "import" in choice.suites:
        for number in range(1, IMPORT_ROUNDS + 1):
            runs.extend(
                _mixed([imports.SCENARIO], ["default"], [*imports.STATEMENTS], number, source)
            )
    if "latency" in choice.suites:
        add(latency.NEIGHBOURS, LATENCY_CONTENDERS, min(LATENCY_ROUNDS, choice.rounds))
    if "scale" in choice.suites:
        limit = scale.open_file_limit()
        sizes = [size for size in scale.SIZES if size <= limit]
        if len(sizes) < len(scale.SIZES):
            print(f"scale: up to {sizes[-1]} sessions only; this user may open {limit} more files")
        add((f"scale_{size}" for size in sizes), SCALE_CONTENDERS, 1)
    return runs
