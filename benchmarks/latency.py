"""Latency of round trips at a fixed rate, alone and beside another session of the same client.

The schedule does not wait for slow replies: a round trip that could not start in time, because the
one before it had not come back, counts from the moment when it was due (no coordinated omission).
Else it counts from its `send`, so that the timer's own lateness does not count. Beside an unpaced
flood every client is busy all the time and a schedule means nothing: there each counts from `send`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from benchmarks.contenders import AnyContender
from benchmarks.scenarios import Values, check, opened, web_socket_url
from benchmarks.server import Answer, masked_frame_size

RATE = 250.0
"""Round trips per second."""

SAMPLES = 500
WARM_UP = 50
LIMIT = 3.0
"""Seconds after which no further round trip starts."""

SIZE = 32
FLOOD_CHUNK = 20_000


@dataclass(frozen=True)
class Neighbour:
    """What the other session receives meanwhile: `burst` messages a millisecond, 0: unpaced."""

    name: str
    description: str
    burst: int | None


NEIGHBOURS = {
    neighbour.name: neighbour
    for neighbour in (
        Neighbour("latency_quiet", "alone", None),
        Neighbour("latency_busy", "another session receives 100,000 messages a second", 100),
        Neighbour("latency_flood", "another session receives as fast as it can", 0),
    )
}


def percentile(ordered: list[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


async def time_round_trips(contender: AnyContender, url: str, *, scheduled: bool) -> list[float]:
    async with opened(contender, url, 1) as (session,):
        message = "x" * SIZE
        check(await contender.round_trips(session, message, WARM_UP), SIZE)
        seconds = []
        start = time.perf_counter()
        for number in range(SAMPLES):
            due = start + number / RATE
            wait = due - time.perf_counter()
            if wait > 0:
                await asyncio.sleep(wait)
            if wait > 0 or not scheduled:
                due = time.perf_counter()
            await contender.round_trips(session, message, 1)
            seconds.append(time.perf_counter() - due)
            if time.perf_counter() - start > LIMIT:
                break
    return sorted(seconds)


async def run(neighbour: Neighbour, contender: AnyContender, port: int) -> Values:
    url = web_socket_url(port, Answer(masked_frame_size(SIZE), 1, SIZE))
    received = 0
    flooded = 0.0
    if neighbour.burst is None:
        ordered = await time_round_trips(contender, url, scheduled=True)
    else:
        chunk = FLOOD_CHUNK if not neighbour.burst else neighbour.burst * 100
        flood = web_socket_url(port, Answer(0, chunk, SIZE, burst=neighbour.burst))
        enough = asyncio.Event()

        async def be_flooded() -> None:
            nonlocal received, flooded
            async with opened(contender, flood, 1) as (session,):
                start = time.perf_counter()
                while not enough.is_set():
                    await contender.send(session, "go", 1)
                    check(await contender.receive(session, chunk), SIZE)
                    received += chunk
                flooded = time.perf_counter() - start

        async with asyncio.TaskGroup() as group:
            group.create_task(be_flooded())
            scheduled = neighbour.burst > 0
            ordered = await time_round_trips(contender, url, scheduled=scheduled)
            enough.set()
    values = {
        "p50_us": percentile(ordered, 0.50) * 1e6,
        "p99_us": percentile(ordered, 0.99) * 1e6,
        "round_trips": float(len(ordered)),
    }
    if flooded:
        values["neighbour_per_s"] = received / flooded
    return values
