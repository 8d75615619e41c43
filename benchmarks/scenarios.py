"""The scenarios: what is sent, by how many sessions, what is one unit, and the loop that runs it.

A scenario is run in chunks by one client process. The chunks before `budget / 4` seconds of CPU
time warm up, the chunks after it are measured, until they have cost `budget` seconds of CPU time.
"""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import ssl
import subprocess
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from benchmarks.contenders import AnyContender, Message, WrongMessageError
from benchmarks.server import BODY, Answer, masked_frame_size

Kind = Literal["round_trips", "receive", "send", "connect", "get", "post", "download", "memory"]
Chunk = Callable[[], Awaitable[None]]
Values = dict[str, float]
"""What a run measured: metric to value per unit."""

WALL_LIMIT = 8.0
"""Seconds of wall time after which a run ends, even if its CPU budget is not spent."""

IDLE_SESSIONS = 1000
KEEPALIVE = 20.0
MESSAGE_SIZE = 32


@dataclass(frozen=True)
class Scenario:
    name: str
    kind: Kind
    size: int = MESSAGE_SIZE
    count: int = 1
    """Units of one chunk (of each session)."""
    sessions: int = 1
    deflate: bool = False
    tls: bool = False
    keepalive: float | None = None
    unit: str = "message"

    @property
    def binary(self) -> bool:
        """Large messages are binary, small ones text, as they mostly are in the wild."""
        return self.size >= 65536

    @property
    def message(self) -> Message:
        return b"x" * self.size if self.binary else "x" * self.size

    @property
    def metric(self) -> str:
        return "kib" if self.kind == "memory" else "cpu_us"

    @property
    def answer(self) -> Answer:
        match self.kind:
            case "receive":
                return Answer(0, self.count, self.size, self.binary, self.deflate)
            case "send":
                return Answer(masked_frame_size(self.size) * self.count, 1, 4)
            case _:
                return Answer(masked_frame_size(self.size), 1, self.size, self.binary)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("pingpong", "round_trips", count=500, unit="round trip"),
        Scenario("flood32", "receive", count=10_000),
        Scenario("flood1k", "receive", 1024, 5_000),
        Scenario("flood64k", "receive", 65536, 200),
        Scenario("send32", "send", count=10_000),
        Scenario("send1k", "send", 1024, 5_000),
        Scenario("send64k", "send", 65536, 100),
        Scenario("echo1m", "round_trips", 1024 * 1024, 10, unit="round trip"),
        Scenario("conn100", "round_trips", count=10, sessions=100, unit="round trip"),
        Scenario("connect", "connect", count=20, unit="connect and close"),
        Scenario("flood_deflate1k", "receive", 1024, 2_000, deflate=True),
        Scenario("flood_tls32", "receive", count=10_000, tls=True),
        Scenario("flood_tls1k", "receive", 1024, 5_000, tls=True),
        Scenario("connect_tls", "connect", count=10, tls=True, unit="connect and close"),
        Scenario("get", "get", count=100, unit="request"),
        Scenario("get50", "get", count=4, sessions=50, unit="request"),
        Scenario("get_tls", "get", count=100, tls=True, unit="request"),
        Scenario("post1m", "post", 1024 * 1024, 10, unit="request"),
        Scenario("download100m", "download", 100 * 1024 * 1024, unit="download"),
        Scenario("memory", "memory", sessions=IDLE_SESSIONS, unit="session"),
        Scenario(
            "memory_keepalive",
            "memory",
            sessions=IDLE_SESSIONS,
            keepalive=KEEPALIVE,
            unit="session",
        ),
    )
}


def cpu_seconds() -> float:
    """CPU time of this process so far, user and system, all threads."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def unverified() -> ssl.SSLContext:
    """A context for the server, whose certificate is of this run: only an opening checks it."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def web_socket_url(port: int, answer: Answer, *, tls: bool = False) -> str:
    return f"{'wss' if tls else 'ws'}://127.0.0.1:{port}/?{answer.query()}"


async def open_sessions(contender: AnyContender, url: str, count: int) -> list[Any]:
    return [await contender.open(url) for _ in range(count)]


async def close_sessions(contender: AnyContender, sessions: list[Any]) -> None:
    for start in range(0, len(sessions), 100):
        batch = sessions[start : start + 100]
        await asyncio.gather(*(contender.close(session) for session in batch))


@asynccontextmanager
async def opened(contender: AnyContender, url: str, count: int) -> AsyncGenerator[list[Any]]:
    sessions = await open_sessions(contender, url, count)
    yield sessions
    await close_sessions(contender, sessions)


def check(length: int, expected: int) -> None:
    if length != expected:
        raise WrongMessageError(f"the last message has length {length}, expected {expected}")


async def measure_chunks(chunk: Chunk, units: int, budget: float) -> Values:
    start = cpu_seconds()
    await chunk()
    while cpu_seconds() - start < budget / 4:
        await chunk()
    gc.collect()
    chunks = 0
    wall_start = time.perf_counter()
    start = cpu_seconds()
    while True:
        await chunk()
        chunks += 1
        cpu = cpu_seconds() - start
        wall = time.perf_counter() - wall_start
        if cpu >= budget or wall >= WALL_LIMIT:
            break
    per_unit = 1e6 / (chunks * units)
    return {"cpu_us": cpu * per_unit, "wall_us": wall * per_unit}


def peak_kib() -> float:
    """The most memory that this process has had in RAM."""
    status = Path("/proc/self/status")
    if status.exists():  # what getrusage says includes the process that forked this one
        return float(status.read_text().partition("VmHWM:")[2].split()[0])
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def resident_kib() -> float:
    """Memory that this process has in RAM, garbage collected."""
    gc.collect()
    status = Path("/proc/self/statm")
    if status.exists():
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1024
    return float(subprocess.check_output(["ps", "-o", "rss=", "-p", str(os.getpid())]))


async def measure_memory(contender: AnyContender, url: str, count: int) -> Values:
    async with opened(contender, url, 20):
        pass
    before = resident_kib()
    async with opened(contender, url, count):
        return {"kib": (resident_kib() - before) / count}


async def run(scenario: Scenario, contender: AnyContender, port: int, budget: float) -> Values:
    """Run one scenario with one started contender."""
    url = web_socket_url(port, scenario.answer, tls=scenario.tls)
    message, count, size = scenario.message, scenario.count, scenario.size

    if scenario.kind == "memory":
        return await measure_memory(contender, url, scenario.sessions)

    if scenario.kind == "connect":

        async def connects() -> None:
            for _ in range(count):
                await contender.close(await contender.open(url))

        return await measure_chunks(connects, count, budget)

    if scenario.kind in ("get", "post", "download"):
        http_url = f"{'https' if scenario.tls else 'http'}://127.0.0.1:{port}/"

        async def gets() -> None:
            check(await contender.get(http_url, count), len(BODY))

        async def gets_of_all() -> None:
            async with asyncio.TaskGroup() as group:
                for _ in range(scenario.sessions):
                    group.create_task(gets())

        async def posts() -> None:
            check(await contender.post(http_url, bytes(size), count), len(BODY))

        async def downloads() -> None:
            check(await contender.download(f"{http_url}{size}"), size)

        if scenario.kind == "get":
            call: Chunk = gets if scenario.sessions == 1 else gets_of_all
        else:
            call = posts if scenario.kind == "post" else downloads
        return await measure_chunks(call, count * scenario.sessions, budget)

    async with opened(contender, url, scenario.sessions) as sessions:
        session = sessions[0]

        async def receives() -> None:
            await contender.send(session, "go", 1)
            check(await contender.receive(session, count), size)

        async def sends() -> None:
            await contender.send(session, message, count)
            check(await contender.receive(session, 1), 4)

        async def round_trips() -> None:
            check(await contender.round_trips(session, message, count), size)

        async def round_trips_of_all() -> None:
            async with asyncio.TaskGroup() as group:
                for each in sessions:
                    group.create_task(contender.round_trips(each, message, count))

        if scenario.kind == "receive":
            chunk: Chunk = receives
        elif scenario.kind == "send":
            chunk = sends
        else:
            chunk = round_trips if scenario.sessions == 1 else round_trips_of_all
        return await measure_chunks(chunk, count * scenario.sessions, budget)
