"""A thousand clients lose the same server at the same moment: when do they come back?

    python -m tests.reconnect.stampede docs/assets/stampede.svg

draws it, with and without jitter. That needs matplotlib (`pip install -e '.[bench]'`).
"""

from __future__ import annotations

import asyncio
import random
import statistics
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from ktor_client import Backoff, ConnectError, HttpClient, RetryPolicy, install
from ktor_client.engines import MockEngine
from ktor_client.plugins import WebSockets
from ktor_client.testing import MockPeerSession, accept

CLIENTS = 1000
AWAY = 1.0
"""Seconds that the server needs to start again."""


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


def main(path: str) -> None:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    mpl.rcParams.update({"svg.hashsalt": "stampede", "font.size": 9, "axes.axisbelow": True})
    figure = Figure(figsize=(7, 3.4))
    both = figure.subplots(2, 1, sharex=True)
    shown, width = 4.0, 0.1
    policies = [
        ("full jitter (the default)", None, "#2b5fc2"),
        ("without jitter", RetryPolicy(Backoff(jitter="none")), "#b06a5a"),
    ]
    for axes, (name, policy, colour) in zip(both, policies, strict=True):
        made = attempts_after_a_restart(clients=CLIENTS, away=AWAY, seed=1, policy=policy)
        bins = per_bin(asyncio.run(made), width, until=shown)
        axes.bar([at * width for at in range(len(bins))], bins, width, align="edge", color=colour)
        axes.axvline(AWAY, color="#666666", linewidth=0.8, linestyle="--")
        axes.set_title(name, loc="left", fontsize=9)
        axes.set_ylabel("attempts")
        axes.spines[["top", "right"]].set_visible(False)
        away = bins[: round(AWAY / width)]
        print(
            f"{name}: while the server was away, p99 {percentile(away, 99):.0f} attempts in "
            f"100 ms, mean {statistics.mean(away):.0f}"
        )
    both[-1].set_xlabel("seconds since the server was lost; it is back at the dashed line")
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1])
