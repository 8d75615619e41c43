"""Runs a plan: one server process, one client process at a time, one line of progress for each."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from benchmarks import imports
from benchmarks.contenders import AnyContender
from benchmarks.plan import Run
from benchmarks.scenarios import Values
from benchmarks.stats import Record, Results
from ktor_client import implementation

RUN_LIMIT = 90.0
"""Seconds after which a client process is killed and its run counts as failed."""

ROOT = Path(__file__).parent.parent


def about_this_machine(contenders: dict[str, type[AnyContender]]) -> dict[str, object]:
    packages = {package for contender in contenders.values() for package in contender.packages}
    versions = {}
    for package in sorted(packages | {"uvloop"}):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "core": implementation,
        "versions": versions,
    }


@contextmanager
def server(cpu: int | None) -> Generator[int]:
    """The neutral server; answers its port."""
    command = [*_pinned(cpu), sys.executable, "-m", "benchmarks.server"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        assert process.stdin is not None
        process.stdin.close()


def _pinned(cpu: int | None) -> list[str]:
    return [] if cpu is None else ["taskset", "-c", str(cpu)]


def _in_worker(run: Run, port: int, budget: float, cpu: int | None) -> Values:
    command = [*_pinned(cpu), sys.executable, "-m", "benchmarks.worker", run.contender]
    command += [run.scenario, "--loop", run.loop, f"--port={port}", f"--budget={budget}"]
    output = subprocess.run(
        command, capture_output=True, text=True, timeout=RUN_LIMIT, check=True, cwd=ROOT
    ).stdout
    values: Values = json.loads(output)
    return values


def _measured(run: Run, port: int, budget: float, cpu: int | None) -> Record:
    try:
        if run.scenario == imports.SCENARIO:
            values = imports.run(run.contender)
        else:
            values = _in_worker(run, port, budget, cpu)
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
    contenders: dict[str, type[AnyContender]],
    *,
    budget: float,
    pin: bool = False,
) -> Results:
    """Run all, printing each as it ends. A run that fails is recorded, the others go on."""
    results = Results(about_this_machine(contenders))
    results.about["pinned"] = pin
    results.about["budget"] = budget
    started = time.monotonic()
    with server(0 if pin else None) as port:
        for done, run in enumerate(runs, 1):
            record = _measured(run, port, budget, 1 if pin else None)
            results.records.append(record)
            elapsed = time.monotonic() - started
            left = elapsed / done * (len(runs) - done)
            print(
                f"[{done:{len(str(len(runs)))}}/{len(runs)}, {left:4.0f} s left] "
                f"round {run.round}  {run.scenario:<16} {run.loop:<8} {run.contender:<14} "
                f"{_line(record)}",
                flush=True,
            )
    results.about["seconds"] = round(time.monotonic() - started)
    return results
