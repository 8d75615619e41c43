"""The report: results as Markdown tables. Reads records only; runs nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from benchmarks import imports, latency, scale
from benchmarks.contenders import NAMES
from benchmarks.goals import (
    BASES,
    DEFAULT_BASE,
    IMPORT_GOALS_MS,
    TOLERANCE,
    import_times,
    verdicts,
)
from benchmarks.scenarios import SCENARIOS
from benchmarks.stats import Results, Summary

LOOPS = {"default": "asyncio's own loop", "uvloop": "uvloop"}


def number(value: float) -> str:
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def cell(summary: Summary | None, failed: bool = False) -> str:
    if summary is None:
        return "failed" if failed else ""
    if summary.count == 1:
        return f"**{number(summary.median)}**"
    return f"**{number(summary.median)}** [{number(summary.low)}–{number(summary.high)}]"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    yield "| " + " | ".join(head) + " |"
    yield "|" + "---|" * len(head)
    for row in rows:
        yield "| " + " | ".join(row) + " |"
    yield ""


def goal_table(results: Results) -> Iterator[str]:
    found = verdicts(results)
    if not found:
        return
    yield "## Goals"
    yield ""
    yield (
        f"Ratio to another client, the raw library under the engine where it has one, same loop, "
        f"per round; reached: at or above the goal; missed: under {TOLERANCE:.0%} of it."
    )
    yield ""
    rows = [
        (
            verdict.contender,
            verdict.base,
            verdict.scenario,
            verdict.loop,
            number(verdict.goal),
            cell(verdict.measured, failed=True),
            "reached" if verdict.reached else "within noise" if verdict.passed else "MISSED",
        )
        for verdict in found
    ]
    yield from table(("engine", "beside", "scenario", "loop", "goal", "measured", ""), rows)
    for name, measured, passed in import_times(results):
        yield (
            f"`{imports.STATEMENTS[name]}`: {cell(measured)} ms beyond asyncio, goal ≤ "
            f"{IMPORT_GOALS_MS[name]:g} ms: {'reached' if passed else 'MISSED'}."
        )
        yield ""


def _grid(
    results: Results,
    loop: str,
    scenarios: Sequence[str],
    read: Callable[[str, str], Summary | None],
) -> Iterator[str]:
    rows = []
    for contender in results.named("contender", NAMES):
        cells = [
            cell(read(scenario, contender), results.failed(scenario, loop, contender))
            for scenario in scenarios
        ]
        if any(cells):
            rows.append((contender, *cells))
    yield from table(("contender", *scenarios), rows)


def ratio_tables(results: Results) -> Iterator[str]:
    scenarios = results.named("scenario", SCENARIOS)
    if not scenarios:
        return
    for base in dict.fromkeys((DEFAULT_BASE, *BASES.values())):
        for loop in results.named("loop", LOOPS):

            def read(
                scenario: str, contender: str, *, of: str = base, on: str = loop
            ) -> Summary | None:
                return results.ratio(scenario, on, contender, of, SCENARIOS[scenario].metric)

            yield f"## Times cheaper than {base}, {LOOPS[loop]}"
            yield ""
            yield from _grid(results, loop, scenarios, read)


def cost_tables(results: Results) -> Iterator[str]:
    scenarios = results.named("scenario", SCENARIOS)
    if not scenarios:
        return
    for metric, title in (("", "CPU time, µs a unit (memory: KiB a session)"), ("wall_us", "Wall")):
        for loop in results.named("loop", LOOPS):

            def read(
                scenario: str, contender: str, *, of: str = metric, on: str = loop
            ) -> Summary | None:
                return results.summary(scenario, on, contender, of or SCENARIOS[scenario].metric)

            shown = [name for name in scenarios if not metric or SCENARIOS[name].kind != "memory"]
            unit = title if not metric else "Wall time, µs a unit"
            yield f"## {unit}, {LOOPS[loop]}"
            yield ""
            yield from _grid(results, loop, shown, read)


def import_table(results: Results) -> Iterator[str]:
    rows = []
    for name in results.named("contender", imports.STATEMENTS):
        measured = results.summary(imports.SCENARIO, "default", name, "cpu_ms")
        modules = results.summary(imports.SCENARIO, "default", name, "modules")
        if measured is not None and modules is not None:
            rows.append((f"`{imports.STATEMENTS[name]}`", cell(measured), number(modules.median)))
    if rows:
        yield "## Import, CPU ms beyond asyncio"
        yield ""
        yield from table(("statement", "ms", "modules"), rows)


def latency_tables(results: Results) -> Iterator[str]:
    for name in results.named("scenario", latency.NEIGHBOURS):
        neighbour = latency.NEIGHBOURS[name]
        yield f"## Latency at {latency.RATE:g} round trips a second, {neighbour.description}"
        yield ""
        rows = []
        for loop in results.named("loop", LOOPS):
            for contender in results.named("contender", NAMES):
                cells = [
                    cell(results.summary(name, loop, contender, metric))
                    for metric in ("p50_us", "p99_us", "neighbour_per_s")
                ]
                if any(cells):
                    rows.append((loop, contender, *cells))
        head = ("loop", "contender", "p50, µs", "p99, µs", "messages/s of the other session")
        yield from table(head, rows)


def scale_tables(results: Results) -> Iterator[str]:
    sizes = results.named("scenario", (f"scale_{size}" for size in scale.SIZES))
    for metric, title in scale.METRICS.items():
        if not sizes:
            return
        yield f"## Scale: {title}"
        yield ""
        rows = []
        for loop in results.named("loop", LOOPS):
            for contender in results.named("contender", NAMES):
                cells = [
                    cell(results.summary(size, loop, contender, metric)).replace("**", "")
                    for size in sizes
                ]
                if any(cells):
                    rows.append((loop, contender, *cells))
        head = [f"{size.removeprefix('scale_')} sessions" for size in sizes]
        yield from table(("loop", "contender", *head), rows)


def _client(results: Results, contender: str, loop: str) -> str:
    where = results.about["languages"].get(contender) or f"Python, {LOOPS[loop]}"
    return f"{contender} ({where})"


def world_clients(results: Results) -> list[tuple[str, str]]:
    """Contenders with their loops: ours, others of Python, those of other languages."""
    sides = {(record.contender, record.loop) for record in results.records}
    languages = results.about["languages"]
    return sorted(
        sides, key=lambda side: (side[0] in languages, not side[0].startswith("ours"), side)
    )


def _is_memory(scenario: str) -> bool:
    return SCENARIOS[scenario].kind == "memory"


def world_rate(results: Results, scenario: str, loop: str, contender: str) -> Summary | None:
    """Thousands of units for each second of CPU time."""
    cost = results.summary(scenario, loop, contender, "cpu_us")
    if cost is None:
        return None
    return Summary(1e3 / cost.median, 1e3 / cost.high, 1e3 / cost.low, cost.count)


def world_tables(results: Results) -> Iterator[str]:
    memory = [name for name in results.named("scenario", SCENARIOS) if _is_memory(name)]
    costs = [name for name in results.named("scenario", SCENARIOS) if not _is_memory(name)]
    for title, columns, metric in (
        ("Thousands a second of CPU time (memory: KiB a session)", [*costs, *memory], ""),
        ("Wall time, µs a unit", costs, "wall_us"),
        ("Peak memory, KiB", [*costs, *memory], "peak_kib"),
    ):
        yield f"### {title}"
        yield ""
        rows = []
        for contender, loop in world_clients(results):
            cells = []
            for name in columns:
                if metric or _is_memory(name):
                    measured = results.summary(name, loop, contender, metric or "kib")
                else:
                    measured = world_rate(results, name, loop, contender)
                cells.append(cell(measured, results.failed(name, loop, contender)))
            rows.append((_client(results, contender, loop), *cells))
        yield from table(("client", *columns), rows)


def errors(results: Results) -> Iterator[str]:
    failed = [record for record in results.records if record.error]
    if failed:
        yield "## Failed runs"
        yield ""
        for record in failed:
            place = f"{record.scenario}, {record.loop}, {record.contender}, round {record.round}"
            yield f"* {place}: {record.error}"
        yield ""


def heading(results: Results) -> Iterator[str]:
    yield "# Benchmark results"
    yield ""
    yield from conditions(results)


def world_heading(results: Results) -> Iterator[str]:
    yield "## Clients of other languages"
    yield ""
    yield from conditions(results)


def conditions(results: Results) -> Iterator[str]:
    about = results.about
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield (
        f"{about['date']}; Python {about['python']}, {about['system']}, {about['cpus']} CPUs; "
        f"{versions}. Medians [lowest–highest] over the rounds; {about['seconds']} seconds in all."
    )
    yield ""


def world(results: Results) -> str:
    parts = (world_heading, world_tables, errors)
    return "\n".join(line for part in parts for line in part(results))


def markdown(results: Results) -> str:
    parts = (
        heading,
        goal_table,
        ratio_tables,
        latency_tables,
        scale_tables,
        import_table,
        cost_tables,
        errors,
    )
    return "\n".join(line for part in parts for line in part(results))
