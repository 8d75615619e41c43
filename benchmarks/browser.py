"""The browser engine beside plain asynchronous JavaScript, in one page of a real Chromium.

`python -m benchmarks.browser [--rounds 5]`. Both sides await each message; runs
alternate, and the median of each side's rates is compared. Needs what the browser lane of the tests
needs. Goals: 0.6 of JavaScript's round trips, 0.8 of its floods.
"""

import argparse
from dataclasses import dataclass
from statistics import median
from typing import Any

from tests.browser.harness import Harness
from tests.browser.lane import absence

PREPARE = """
import time

from ktor_client import HttpClient, install
from ktor_client.plugins import WebSockets

bench_client = HttpClient(None, install(WebSockets))


async def round_trips(url, data, count):
    async with bench_client.web_socket(url) as session:
        start = time.perf_counter()
        for _ in range(count):
            await session.send(data)
            await session.incoming.receive()
        return count / (time.perf_counter() - start)


async def flood(url, count):
    async with bench_client.web_socket(url) as session:
        start = time.perf_counter()
        await session.send("go")
        for _ in range(count):
            await session.incoming.receive()
        return count / (time.perf_counter() - start)
"""


@dataclass(frozen=True)
class Scenario:
    name: str
    kind: str
    size: int
    binary: bool
    count: int
    goal: float


SCENARIOS = (
    Scenario("round trip, text 32 B", "round_trips", 32, False, 1000, 0.6),
    Scenario("round trip, binary 32 B", "round_trips", 32, True, 1000, 0.6),
    Scenario("round trip, binary 64 KiB", "round_trips", 65536, True, 200, 0.6),
    Scenario("flood, text 32 B", "flood", 32, False, 10_000, 0.8),
    Scenario("flood, binary 32 B", "flood", 32, True, 10_000, 0.8),
    Scenario("flood, binary 64 KiB", "flood", 65536, True, 500, 0.8),
)


def _javascript(scenario: Scenario, url: str) -> str:
    if scenario.kind == "flood":
        call = f"flood({url!r}, {scenario.count})"
    else:
        made = (
            f"new Uint8Array({scenario.size})"
            if scenario.binary
            else f"'a'.repeat({scenario.size})"
        )
        call = f"roundTrips({url!r}, {made}, {scenario.count})"
    return f"async () => (await import('/page/baseline.js')).{call}"


def _python(scenario: Scenario, url: str) -> str:
    if scenario.kind == "flood":
        return f"await flood({url!r}, {scenario.count})"
    made = f"bytes({scenario.size})" if scenario.binary else f"'a' * {scenario.size}"
    return f"await round_trips({url!r}, {made}, {scenario.count})"


def measure(harness: Harness, rounds: int) -> list[tuple[Scenario, float, float]]:
    """Return each scenario with the median rates of JavaScript and of Python."""
    harness.python(PREPARE)
    origin = harness.base.replace("http", "ws", 1)
    measured = []
    for scenario in SCENARIOS:
        url = f"{origin}/ws/echo"
        if scenario.kind == "flood":
            url = f"{origin}/ws/burst?go&n={scenario.count}&size={scenario.size}"
            url += "&binary" if scenario.binary else ""
        rates: dict[str, list[float]] = {"js": [], "py": []}
        for _ in range(rounds):
            found: Any = harness.call(harness.page.evaluate(_javascript(scenario, url)))
            rates["js"].append(float(found))
            rates["py"].append(float(harness.python(_python(scenario, url))))
        measured.append((scenario, median(rates["js"]), median(rates["py"])))
    return measured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.browser")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    line = absence()
    if line is not None:
        raise SystemExit(line)
    harness = Harness()
    harness.start()
    try:
        print(f"{'':28}{'JavaScript/s':>14}{'Python/s':>12}{'ratio':>8}{'goal':>6}")
        for scenario, js, py in measure(harness, arguments.rounds):
            print(f"{scenario.name:28}{js:14.0f}{py:12.0f}{py / js:8.2f}{scenario.goal:6.1f}")
    finally:
        harness.close()


if __name__ == "__main__":
    main()
