"""A thousand clients lose the same server at the same moment: when do they come back?

    python -m tests.reconnect.stampede docs/assets/stampede.svg

draws it, with and without jitter, and prints the table of the documentation. That needs matplotlib
(`pip install -e '.[bench]'`).
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

from ktor_client import Backoff, ConnectError, HttpClient, RetryPolicy, install
from ktor_client.engines import MockEngine
from ktor_client.plugins import WebSockets
from ktor_client.testing import MockPeerSession, accept

CLIENTS = 1000
AWAY = 1.0
"""Seconds that the server needs to start again."""
WIDTH = 0.1
"""Seconds that are counted together."""


async def attempts_after_a_restart(
    *, clients: int, away: float, seed: int, policy: RetryPolicy | None = None
) -> list[float]:
    """Return the time of each attempt since the server was lost, until all are back."""
    random.seed(seed)
    engine, sessions = MockEngine(), set[MockPeerSession]()
    times: list[float] = []
    lost_at: float | None = None

    async def serve(session: MockPeerSession) -> None:
        sessions.add(session)
        await session.send("hello")
        await session.wait_closed()

    def decide(request: object) -> Any:
        if lost_at is not None:
            times.append(engine.clock.time() - lost_at)
            if times[-1] < away:
                return ConnectError("the server is away")
        return accept(serve)

    engine.on_handshake("/feed", decide)
    plugin = install(WebSockets, ping_interval=None)
    async with engine, AsyncExitStack() as stack:
        feeds = []
        for _ in range(clients):
            client = await stack.enter_async_context(HttpClient(engine, plugin))
            statement = client.web_socket_reconnecting("ws://test/feed", policy=policy)
            feeds.append(await stack.enter_async_context(statement))
        for feed in feeds:
            await feed.opened()
            await feed.receive_text()
        await engine.clock.sleep(20)
        lost_at = engine.clock.time()
        for session in sessions:
            session.drop()
        await engine.clock.sleep(away)
        for feed in feeds:
            await feed.opened()
    return times


def per_bin(times: Sequence[float], width: float, *, until: float) -> list[int]:
    """Count the times in each bin."""
    bins = [0] * round(until / width)
    for at in times:
        if at < until:
            bins[min(int(at / width), len(bins) - 1)] += 1
    return bins


def percentile(values: Sequence[int], part: int) -> float:
    """Return the value that so many per cent do not exceed."""
    return statistics.quantiles(values, n=100, method="inclusive")[part - 1]


def course(backoff: Backoff, width: float, *, until: float, clients: int) -> list[float]:
    """Return how many attempts each bin would have if nobody knew of anybody: by arithmetic."""
    drawn, chance = 30_000, random.Random(0)
    bins = [0.0] * round(until / width)
    for _ in range(drawn):
        at, number = backoff.delay(0, random=chance.random), 1
        while at < until:
            bins[min(int(at / width), len(bins) - 1)] += clients / drawn
            at, number = at + backoff.delay(number, random=chance.random), number + 1
    return bins


@dataclass
class Outage:
    """What an outage of `away` seconds has brought, in attempts per 100 ms."""

    away: float
    mean: float
    p99: float
    off_course: float
    """The bin that is the most above what chance alone would have brought it, as a factor."""
    on_return: int
    """The most once the server is back."""


async def outage(away: float, backoff: Backoff, *, clients: int = CLIENTS, seed: int = 1) -> Outage:
    """Measure one."""
    times = await attempts_after_a_restart(
        clients=clients, away=away, seed=seed, policy=RetryPolicy(backoff)
    )
    during = per_bin(times, WIDTH, until=away)
    by_chance = course(backoff, WIDTH, until=away, clients=clients)
    later = [at - away for at in times if at >= away]
    return Outage(
        away,
        statistics.mean(during),
        percentile(during, 99),
        max(came / due for came, due in zip(during, by_chance, strict=True)),
        max(per_bin(later, WIDTH, until=backoff.longest)),
    )


def draw(path: str) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "stampede", "font.size": 9, "axes.axisbelow": True})
    figure = Figure(figsize=(7, 3.4))
    both = figure.subplots(2, 1, sharex=True)
    shown = 4.0
    kinds = [
        ("full jitter (the default)", Backoff(), "#2b5fc2"),
        ("without jitter", Backoff(jitter="none"), "#b06a5a"),
    ]
    for axes, (name, backoff, colour) in zip(both, kinds, strict=True):
        policy = RetryPolicy(backoff)
        made = attempts_after_a_restart(clients=CLIENTS, away=AWAY, seed=1, policy=policy)
        bins = per_bin(asyncio.run(made), WIDTH, until=shown)
        axes.bar([at * WIDTH for at in range(len(bins))], bins, WIDTH, align="edge", color=colour)
        axes.axvline(AWAY, color="#666666", linewidth=0.8, linestyle="--")
        axes.set_title(name, loc="left", fontsize=9)
        axes.set_ylabel("attempts")
        axes.spines[["top", "right"]].set_visible(False)
    both[-1].set_xlabel("seconds since the server was lost; it is back at the dashed line")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


def table() -> None:
    """Print what the documentation says."""
    print("| `first` | away, s | mean | p99 | p99 / mean | most on return |")
    print("| --- | --- | --- | --- | --- | --- |")
    for first in (0.25, 1.0):
        for away in (1.0, 2.0, 10.0):
            one = asyncio.run(outage(away, Backoff(first=first)))
            print(
                f"| {first:g} | {away:g} | {one.mean:.0f} | {one.p99:.0f} | "
                f"{one.p99 / one.mean:.1f} | {one.on_return} |"
            )


if __name__ == "__main__":
    table()
    draw(sys.argv[1])
