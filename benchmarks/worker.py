"""One client process: one contender, one scenario, one loop; prints what it measured as JSON."""

from __future__ import annotations

import argparse
import asyncio
import json

from benchmarks import latency, scale, scenarios
from benchmarks.contenders import load
from benchmarks.scenarios import SCENARIOS, Values

LOOPS = ("default", "uvloop")


async def measure(contender_name: str, name: str, port: int, budget: float) -> Values:
    scenario = SCENARIOS.get(name)
    contender = load(contender_name)(
        deflate=scenario is not None and scenario.deflate,
        keepalive=scenario.keepalive if scenario is not None else None,
        tls=scenarios.unverified() if scenario is not None and scenario.tls else None,
    )
    await contender.start()
    if scenario is not None:
        values = await scenarios.run(scenario, contender, port, budget)
    elif name in latency.NEIGHBOURS:
        values = await latency.run(latency.NEIGHBOURS[name], contender, port)
    else:
        values = await scale.run(int(name.removeprefix("scale_")), contender, port)
    await contender.stop()
    return values


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender")
    parser.add_argument("scenario")
    parser.add_argument("--loop", choices=LOOPS, default="default")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--budget", type=float, default=0.25, help="seconds of CPU time")
    options = parser.parse_args()
    scale.open_file_limit()
    factory = None
    if options.loop == "uvloop":
        import uvloop

        factory = uvloop.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:
        values = runner.run(
            measure(options.contender, options.scenario, options.port, options.budget)
        )
    print(json.dumps(values | {"peak_kib": scenarios.peak_kib()}))


if __name__ == "__main__":
    main()
