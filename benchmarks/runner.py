"""Runs a plan: one server process, one client process at a time, one line of progress for each."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import imports
from benchmarks.contenders import AnyContender
from benchmarks.plan import Run
from benchmarks.scenarios import SCENARIOS, Values
from benchmarks.stats import Record, Results

RUN_LIMIT = 90.0
"""Seconds after which a client process is killed and its run counts as failed."""

ROOT = Path(__file__).parent.parent


class Ports(NamedTuple):
    plain: int
    tls: int

    def of(self, scenario: str) -> int:
        """The port on which the server plays its part in a scenario."""
        return self.tls if scenario in SCENARIOS and SCENARIOS[scenario].tls else self.plain


@dataclass(frozen=True)
class Client:
    """How the process of a contender is started; it prints its `Values` as JSON, and ends."""

    command: Callable[[Run, int, float], Sequence[str | Path]]
    """For a run, the server's port and the budget in seconds of CPU time."""
    environment: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def in_python(cls, contender: type[AnyContender]) -> Client:
        return cls(_worker, contender.environment)


def _worker(run: Run, port: int, budget: float) -> list[str]:
    command = [sys.executable, "-m", "benchmarks.worker", run.contender, run.scenario]
    return [*command, f"--loop={run.loop}", f"--port={port}", f"--budget={budget}"]


def about_this_machine(contenders: dict[str, type[AnyContender]]) -> dict[str, Any]:
    packages = {package for contender in contenders.values() for package in contender.packages}
    versions = {}
    for package in sorted(packages | {"uvloop"}):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "versions": versions,
    }


@contextmanager
def server(cpu: int | None) -> Generator[Ports]:
    """The neutral server; answers its ports."""
    command = [*_pinned(cpu), sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        yield Ports(*map(int, process.stdout.readline().split()))
        assert process.stdin is not None
        process.stdin.close()


def _pinned(cpu: int | None) -> list[str]:
    return [] if cpu is None else ["taskset", "-c", str(cpu)]


def _measured(run: Run, client: Client | None, port: int, budget: float, cpu: int | None) -> Record:
    try:
        if client is None:
            values: Values = imports.run(run.contender)
        else:
            output = subprocess.run(
                [*_pinned(cpu), *client.command(run, port, budget)],
                capture_output=True,
                text=True,
                timeout=RUN_LIMIT,
                check=True,
                cwd=ROOT,
                env=os.environ | client.environment,
            ).stdout
            values = json.loads(output)
    except subprocess.TimeoutExpired:
        error = f"not finished after {RUN_LIMIT:.0f} s"
    except subprocess.CalledProcessError as failure:
        error = next(iter(reversed(failure.stderr.strip().splitlines())), f"{failure.returncode=}")
    else:
        return Record(run.scenario, run.loop, run.contender, run.round, values)
    return Record(run.scenario, run.loop, run.contender, run.round, error=error)


def _line(record: Record) -> str:
    if record.error:
        return f"FAILED: {record.error}"
    return "  ".join(f"{value:,.2f} {metric}" for metric, value in record.values.items())


def execute(
    runs: Sequence[Run],
    clients: Mapping[str, Client],
    about: dict[str, Any],
    *,
    budget: float,
    pin: bool = False,
) -> Results:
    """Run all, printing each as it ends. A run that fails is recorded, the others go on."""
    results = Results(about | {"pinned": pin, "budget": budget})
    started = time.monotonic()
    with server(0 if pin else None) as ports:
        for done, run in enumerate(runs, 1):
            client = clients[run.contender] if run.scenario != imports.SCENARIO else None
            port = ports.of(run.scenario)
            record = _measured(run, client, port, budget, 1 if pin else None)
            results.records.append(record)
            elapsed = time.monotonic() - started
            left = elapsed / done * (len(runs) - done)
            print(
                f"[{done:{len(str(len(runs)))}}/{len(runs)}, {left:4.0f} s left] "
                f"round {run.round}  {run.scenario:<16} {run.loop:<8} {run.contender:<17} "
                f"{_line(record)}",
                flush=True,
            )
    results.about["seconds"] = round(time.monotonic() - started)
    return results
