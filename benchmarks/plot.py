"""The plots for the documentation, as SVG. The only module that needs matplotlib."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import LogLocator, NullLocator

from benchmarks import latency, scale
from benchmarks.contenders import NAMES
from benchmarks.goals import BASES, DEFAULT_BASE, goal
from benchmarks.report import LOOPS, world_clients, world_rate
from benchmarks.scenarios import SCENARIOS
from benchmarks.stats import Results

COLOURS = {
    "aiohttp": "#7f7f7f",
    "aiohttp-for": "#c7c7c7",
    "websockets": "#e0b13a",
    "httpx-ws": "#b06a5a",
    "picows": "#6a8f5a",
    "ours-aiohttp": "#2b5fc2",
    "ours-httpx": "#7a4fc4",
    "ours-cio": "#1f9e77",
    "ours-cio-compiled": "#0b5c43",
    "ours-cio-eager": "#67b79a",
}

mpl.rcParams.update({"svg.hashsalt": "benchmarks", "font.size": 9, "axes.axisbelow": True})


def _bare(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
    return path


def _ratio_bars(axes: Axes, results: Results, loop: str, base: str, names: list[str]) -> None:
    scenarios = results.named("scenario", SCENARIOS)
    width = 0.8 / len(names)
    for place, name in enumerate(names):
        for position, scenario in enumerate(scenarios):
            ratio = results.ratio(scenario, loop, name, base, SCENARIOS[scenario].metric)
            if ratio is None:
                continue
            middle = position - 0.4 + width * (place + 0.5)
            axes.bar(middle, ratio.median - 1, width, bottom=1, color=COLOURS[name])
            axes.plot([middle] * 2, [ratio.low, ratio.high], color="black", linewidth=0.6)
            floor = goal(name, base, scenario, loop)
            if floor is not None:
                half = width / 2
                axes.plot([middle - half, middle + half], [floor] * 2, color="#d01010", linewidth=1)
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
    axes.yaxis.set_minor_locator(NullLocator())
    axes.axhline(1, color="black", linewidth=0.8)
    axes.set_xticks(range(len(scenarios)), scenarios, rotation=30, ha="right")
    axes.set_title(f"Times cheaper than {base} (CPU time of the client), {LOOPS[loop]}", loc="left")
    axes.set_ylabel("more is better")
    handles: list[Artist] = [Patch(color=COLOURS[name], label=name) for name in names]
    handles.append(Line2D([], [], color="#d01010", label="goal"))
    axes.legend(handles=handles, ncols=len(handles), frameon=False, fontsize=8)
    _bare(axes)


def ratios(results: Results, base: str, path: Path) -> Path:
    loops = results.named("loop", LOOPS)
    ran = {record.contender for record in results.records if record.scenario in SCENARIOS}
    names = [
        name
        for name in NAMES
        if name in ran and name != base and BASES.get(name, DEFAULT_BASE) == base
    ]
    figure = Figure(figsize=(11, 4 * len(loops)), layout="constrained")
    for place, axes in enumerate(figure.subplots(len(loops), 1, squeeze=False)[:, 0]):
        _ratio_bars(axes, results, loops[place], base, names)
    return _save(figure, path)


def scale_curves(results: Results, path: Path) -> Path:
    loops = results.named("loop", LOOPS)
    metrics = list(scale.METRICS.items())
    figure = Figure(figsize=(4 * len(metrics), 3.2 * len(loops)), layout="constrained")
    grid = figure.subplots(len(loops), len(metrics), squeeze=False)
    for row, loop in enumerate(loops):
        for column, (metric, title) in enumerate(metrics):
            axes = grid[row][column]
            for name in results.named("contender", NAMES):
                points = [
                    (size, summary.median)
                    for size in scale.SIZES
                    if (summary := results.summary(f"scale_{size}", loop, name, metric))
                ]
                if points:
                    sizes, values = zip(*points, strict=True)
                    axes.plot(
                        sizes, values, marker="o", markersize=3, color=COLOURS[name], label=name
                    )
            axes.set_xscale("log")
            axes.set_ylim(bottom=0)
            axes.set_xlabel("sessions")
            axes.set_title(f"{title}\n{LOOPS[loop]}", loc="left", fontsize=8)
            _bare(axes)
    grid[0][0].legend(frameon=False, fontsize=8)
    return _save(figure, path)


def latency_bars(results: Results, path: Path) -> Path:
    loops = results.named("loop", LOOPS)
    neighbours = results.named("scenario", latency.NEIGHBOURS)
    figure = Figure(figsize=(11, 3.2 * len(loops)), layout="constrained")
    for row, axes in enumerate(figure.subplots(len(loops), 1, squeeze=False)[:, 0]):
        loop = loops[row]
        names = [
            name
            for name in results.named("contender", NAMES)
            if any(results.summary(each, loop, name, "p50_us") for each in neighbours)
        ]
        width = 0.8 / max(1, len(names))
        for position, neighbour in enumerate(neighbours):
            for place, name in enumerate(names):
                middle = position - 0.4 + width * (place + 0.5)
                for metric, alpha in (("p99_us", 0.4), ("p50_us", 1.0)):
                    summary = results.summary(neighbour, loop, name, metric)
                    if summary is not None:
                        colour = COLOURS[name]
                        axes.bar(middle, summary.median, width * 0.9, color=colour, alpha=alpha)
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:,.0f} µs")
        labels = [latency.NEIGHBOURS[name].description for name in neighbours]
        axes.set_xticks(range(len(labels)), labels)
        axes.set_title(f"Round trips: p50 (solid) and p99 (pale), {LOOPS[loop]}", loc="left")
        handles = [Patch(color=COLOURS[name], label=name) for name in names]
        axes.legend(handles=handles, ncols=len(handles), frameon=False, fontsize=8)
        _bare(axes)
    return _save(figure, path)


def world_bars(results: Results, path: Path) -> Path:
    """Units a second of CPU time, one panel a scenario, one bar a client."""
    scenarios = [
        name for name in results.named("scenario", SCENARIOS) if SCENARIOS[name].kind != "memory"
    ]
    clients = world_clients(results)
    places = range(len(clients), 0, -1)
    height = max(1, -(-len(scenarios) // 4))
    figure = Figure(figsize=(12, 0.9 + 2.9 * height), layout="constrained")
    rows = figure.subplots(height, 4, squeeze=False, sharey=True)
    for axes, scenario in zip(rows.flat, scenarios, strict=False):
        for place, (contender, loop) in zip(places, clients, strict=True):
            measured = world_rate(results, scenario, loop, contender)
            if measured is not None:
                axes.barh(place, measured.median, color=COLOURS.get(contender, "#b9c3cf"))
                axes.plot([measured.low, measured.high], [place] * 2, color="black", linewidth=0.6)
        axes.set_title(f"{scenario}, thousands", loc="left")
        axes.set_yticks(places, [" ".join(client) for client in clients], fontsize=7)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    for axes in rows.flat[len(scenarios) :]:
        axes.set_axis_off()
    figure.suptitle("Units a second of the client's CPU time; more is better", x=0, ha="left")
    return _save(figure, path)


def save_all(results: Results, folder: Path) -> list[Path]:
    """Draw what the results have numbers for; answer the files."""
    paths = []
    if results.named("scenario", SCENARIOS):
        contenders = results.named("contender", NAMES)
        for engine, base in BASES.items():
            if engine in contenders and base in contenders:
                paths.append(ratios(results, base, folder / f"ratios-{base}.svg"))
    if results.named("scenario", latency.NEIGHBOURS):
        paths.append(latency_bars(results, folder / "latency.svg"))
    if results.named("scenario", (f"scale_{size}" for size in scale.SIZES)):
        paths.append(scale_curves(results, folder / "scale.svg"))
    return paths
