"""Records of runs, and what is read from them: medians with their spread, ratios per round."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.scenarios import Values


@dataclass(frozen=True)
class Record:
    """One run: what it measured, or why it failed."""

    scenario: str
    loop: str
    contender: str
    round: int
    values: Values = field(default_factory=dict)
    error: str = ""


@dataclass(frozen=True)
class Summary:
    median: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> Summary | None:
        if not values:
            return None
        return cls(median(values), min(values), max(values), len(values))


@dataclass
class Results:
    """All records of a benchmark, and the machine and versions that they are true of."""

    about: dict[str, Any]
    records: list[Record] = field(default_factory=list)

    def by_round(self, scenario: str, loop: str, contender: str, metric: str) -> dict[int, float]:
        return {
            record.round: record.values[metric]
            for record in self.records
            if (record.scenario, record.loop, record.contender) == (scenario, loop, contender)
            and metric in record.values
        }

    def summary(self, scenario: str, loop: str, contender: str, metric: str) -> Summary | None:
        return Summary.of(list(self.by_round(scenario, loop, contender, metric).values()))

    def ratio(
        self, scenario: str, loop: str, contender: str, base: str, metric: str
    ) -> Summary | None:
        """How many times cheaper than `base` the contender was, taken round by round."""
        own = self.by_round(scenario, loop, contender, metric)
        others = self.by_round(scenario, loop, base, metric)
        return Summary.of([others[number] / own[number] for number in own if number in others])

    def failed(self, scenario: str, loop: str, contender: str) -> bool:
        return any(
            record.error
            for record in self.records
            if (record.scenario, record.loop, record.contender) == (scenario, loop, contender)
        )

    def named(self, attribute: str, order: Iterable[str]) -> list[str]:
        """The scenarios, loops or contenders that were run, in the given order."""
        present = {getattr(record, attribute) for record in self.records}
        return [name for name in order if name in present]

    def save(self, path: Path) -> None:
        data = {"about": self.about, "records": [asdict(record) for record in self.records]}
        path.write_text(json.dumps(data, indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        data = json.loads(path.read_text())
        return cls(data["about"], [Record(**record) for record in data["records"]])
