"""The goals, in one table: how many times cheaper than its raw library each engine has to be.

A ratio is `base / ours`, in CPU time of the client (memory: in KiB), so more is better; base and
ours run on the same event loop in the same round. Goals are floors. Medians wander by about a
tenth between runs on a shared machine; a goal is missed under `TOLERANCE` of it.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from benchmarks.imports import SCENARIO as IMPORT
from benchmarks.scenarios import SCENARIOS
from benchmarks.stats import Results, Summary

TOLERANCE = 0.85

BASES = {
    "ours-aiohttp": "aiohttp",
    "ours-httpx": "httpx-ws",
    "ours-cio": "aiohttp",
    "ours-cio-compiled": "aiohttp",
    "ours-cio-eager": "aiohttp",
}
"""The raw library under each engine; our own wire is held against the fastest of them."""

DEFAULT_BASE = "aiohttp"

IMPORT_GOALS_MS = {"ktor_client": 10.0, "ktor_client, a client": 40.0}
"""CPU time beyond asyncio, by statement of `imports.py`. Names are imported on first use."""

CALLBACKS = "picows"
_BESIDE_CALLBACKS = {"flood32": (1.0, 1.0), "flood1k": (1.0, 1.0), "send32": (1.0, 1.0)}
"""The goals of our compiled core beside compiled callbacks, which hand out nothing to await."""

_GOALS: dict[str, dict[str, tuple[float, float]]] = {
    # engine: scenario: (default loop, uvloop)
    "ours-aiohttp": {
        "pingpong": (1.3, 1.0),
        "flood32": (1.25, 1.1),
        "flood1k": (0.95, 1.3),
        "flood64k": (0.9, 1.4),
        "send32": (3.5, 3.0),
        "send1k": (2.7, 2.5),
        "echo1m": (1.4, 1.0),
        "conn100": (1.0, 1.0),
        "connect": (0.95, 0.95),
        "flood_deflate1k": (1.0, 1.0),
        "memory": (1.25, 1.25),
        "get": (0.9, 0.9),
    },
    "ours-cio": {
        "pingpong": (1.3, 1.0),
        "flood32": (1.25, 1.1),
        "flood1k": (0.95, 1.3),
        "flood64k": (0.9, 1.4),
        "send32": (3.5, 3.0),
        "send1k": (2.7, 2.5),
        "echo1m": (1.4, 1.0),
        "conn100": (1.0, 1.0),
        "connect": (1.3, 1.05),
        "flood_deflate1k": (1.0, 1.0),
        "memory": (1.25, 1.25),
        "get": (2.2, 2.0),
        "post1m": (1.0, 1.0),
        "download100m": (1.0, 1.0),
    },
    "ours-cio-compiled": {
        "pingpong": (1.8, 1.15),
        "flood32": (4.0, 3.5) if sys.version_info >= (3, 12) else (5.5, 5.0),
        "flood1k": (2.2, 2.3),
        "flood64k": (0.9, 1.4),
        "send32": (18.0, 18.0),
        "send1k": (2.7, 2.5),
        "echo1m": (3.0, 1.6),
        "conn100": (1.8, 1.15),
        "connect": (1.3, 1.05),
        "flood_deflate1k": (1.0, 1.0),
        "memory": (1.25, 1.25),
        "get": (2.2, 2.0),
        "post1m": (1.0, 1.0),
        "download100m": (1.0, 1.0),
    },
    "ours-cio-eager": {"pingpong": (2.0, 1.3), "conn100": (2.2, 1.5)},
    "ours-httpx": {
        "pingpong": (4.0, 3.5),
        "flood32": (40.0, 40.0),
        "flood1k": (25.0, 25.0),
        "flood64k": (8.0, 5.0),
        "send32": (35.0, 35.0),
        "send1k": (25.0, 25.0),
        "echo1m": (5.0, 5.0),
        "conn100": (8.0, 8.0),
        "connect": (1.15, 1.15),
        "memory": (2.0, 2.0),
    },
}


@dataclass(frozen=True)
class Verdict:
    """One goal and what was measured for it; `measured` is None where it was not run or failed."""

    contender: str
    base: str
    scenario: str
    loop: str
    goal: float
    measured: Summary | None

    @property
    def passed(self) -> bool:
        return self.measured is not None and self.measured.median >= TOLERANCE * self.goal

    @property
    def reached(self) -> bool:
        return self.measured is not None and self.measured.median >= self.goal


def _goals(contender: str, base: str) -> dict[str, tuple[float, float]]:
    if base == BASES.get(contender):
        return _GOALS[contender]
    return _BESIDE_CALLBACKS if (contender, base) == ("ours-cio-compiled", CALLBACKS) else {}


def goal(contender: str, base: str, scenario: str, loop: str) -> float | None:
    pair = _goals(contender, base).get(scenario)
    return None if pair is None else pair[loop == "uvloop"]


def verdicts(results: Results) -> list[Verdict]:
    """One for each goal whose contender, base, scenario and loop took part in the run."""
    found = []
    for contender in results.named("contender", _GOALS):
        for base in results.named("contender", (BASES[contender], CALLBACKS)):
            for scenario in results.named("scenario", _goals(contender, base)):
                for loop in results.named("loop", ("default", "uvloop")):
                    floor = goal(contender, base, scenario, loop)
                    assert floor is not None
                    metric = SCENARIOS[scenario].metric
                    measured = results.ratio(scenario, loop, contender, base, metric)
                    found.append(Verdict(contender, base, scenario, loop, floor, measured))
    return found


def import_times(results: Results) -> list[tuple[str, Summary, bool]]:
    """What imports have cost that have a limit, and whether each is within it (with tolerance)."""
    found = []
    for name, limit in IMPORT_GOALS_MS.items():
        measured = results.summary(IMPORT, "default", name, "cpu_ms")
        if measured is not None:
            found.append((name, measured, measured.median <= limit / TOLERANCE))
    return found
