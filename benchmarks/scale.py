"""What a session costs when there are many: memory, connecting, round trips, from 10 to 5,000."""

from __future__ import annotations

import asyncio
import resource
import time

from benchmarks.contenders import AnyContender
from benchmarks.scenarios import (
    MESSAGE_SIZE,
    Values,
    close_sessions,
    cpu_seconds,
    open_sessions,
    resident_kib,
    web_socket_url,
)
from benchmarks.server import Answer, masked_frame_size

SIZES = (10, 50, 250, 1000, 2500, 5000)
METRICS = {
    "kib": "memory, KiB a session",
    "connect_cpu_us": "connect, µs of CPU time",
    "round_trip_cpu_us": "round trip with all at once, µs of CPU time",
    "connects_per_s": "connects a second, one after another",
}

ROUND_TRIPS = 5
"""Per session, all sessions at the same time."""

SPARE_FILES = 100


def open_file_limit() -> int:
    """Raise the soft limit of open files to the hard one; answer how many sessions that allows."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard - SPARE_FILES


async def round_trips_of_all(
    contender: AnyContender, sessions: list[object], rounds: int
) -> Values:
    units = len(sessions) * rounds
    wall, cpu = time.perf_counter(), cpu_seconds()
    async with asyncio.TaskGroup() as group:
        for session in sessions:
            group.create_task(contender.round_trips(session, "x" * MESSAGE_SIZE, rounds))
    return {
        "round_trip_cpu_us": (cpu_seconds() - cpu) * 1e6 / units,
        "round_trip_wall_us": (time.perf_counter() - wall) * 1e6 / units,
    }


async def run(size: int, contender: AnyContender, port: int) -> Values:
    url = web_socket_url(port, Answer(masked_frame_size(MESSAGE_SIZE), 1, MESSAGE_SIZE))
    await close_sessions(contender, await open_sessions(contender, url, 20))
    memory = resident_kib()
    wall, cpu = time.perf_counter(), cpu_seconds()
    sessions = await open_sessions(contender, url, size)
    values = {
        "connect_cpu_us": (cpu_seconds() - cpu) * 1e6 / size,
        "connects_per_s": size / (time.perf_counter() - wall),
        "kib": (resident_kib() - memory) / size,
    }
    await round_trips_of_all(contender, sessions, 1)
    values |= await round_trips_of_all(contender, sessions, max(ROUND_TRIPS, 500 // size))
    await close_sessions(contender, sessions)
    return values
