"""The Autobahn test suite, whose server sends what a client must bear: 517 cases for each engine.

It needs `wstest`, which runs on Python 2.7 alone (`pip install autobahntestsuite`). From the shell:

    python -m tests.autobahn --wstest /path/to/wstest --engine cio --loop uvloop
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import uvloop

from ktor_client import ConnectionClosedError, HttpClient, install
from ktor_client.plugins import WebSocketDeflate, WebSockets

GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
LONGEST = 64 * 1024 * 1024


@asynccontextmanager
async def fuzzing_server(wstest: str, cases: list[str]) -> AsyncGenerator[tuple[str, Path]]:
    """Run the suite's server; yield its URL, and the folder of its reports."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"ws://127.0.0.1:{free.getsockname()[1]}"
    with tempfile.TemporaryDirectory() as folder:
        spec = Path(folder) / "spec.json"
        spec.write_text(json.dumps({"url": url, "outdir": folder, "cases": cases}))
        process = await asyncio.create_subprocess_exec(
            *(wstest, "-m", "fuzzingserver", "-s", str(spec), "--webport", "0"),
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        try:
            while b"Ok, will run" not in (line := await process.stdout.readline()):
                if not line:
                    raise SystemExit(f"{wstest} ended with {await process.wait()}")
            draining = asyncio.create_task(process.stdout.read())
            yield url, Path(folder)
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
        await draining


async def run_cases(engine: str, agent: str, url: str) -> None:
    """Echo what comes, case by case."""
    plugin = install(WebSockets, extensions=[WebSocketDeflate()], max_frame_size=LONGEST)
    async with HttpClient(engine, plugin) as client:
        async with client.web_socket(f"{url}/getCaseCount") as session:
            count = int(await session.receive_text())
        for case in range(1, count + 1):
            with suppress(
                ConnectionClosedError
            ):  # most cases break the protocol: the server judges
                async with client.web_socket(f"{url}/runCase?case={case}&agent={agent}") as session:
                    async for message in session:
                        await session.send(message)
            if case % 50 == 0:
                print(f"{agent}: {case} of {count}", file=sys.stderr, flush=True)
        async with client.web_socket(f"{url}/updateReports?agent={agent}") as session:
            async for _ in session:
                pass


def judged(report: dict[str, Any]) -> list[str]:
    """Return what went wrong, a line for each case."""
    return [
        f"  {case}: {one['behavior']}, at the close {one['behaviorClose']}"
        for case, one in report.items()
        if not GOOD.issuperset((one["behavior"], one["behaviorClose"]))
    ]


async def run(engine: str, loop: str, wstest: str, cases: list[str]) -> bool:
    """Run the cases on one engine; return whether all are as they should be."""
    agent = f"{engine}-{loop}"
    async with fuzzing_server(wstest, cases) as (url, folder):
        await run_cases(engine, agent, url)
        report = json.loads((folder / "index.json").read_text())[agent]
    told = Counter(one["behavior"] for one in report.values())
    print(f"{agent}: {len(report)} cases:", *(f"{told[one]} {one}" for one in sorted(told)))
    wrong = judged(report)
    print(*wrong, sep="\n", end="\n" if wrong else "", flush=True)
    return not wrong


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.autobahn")
    parser.add_argument("--wstest", default=shutil.which("wstest"), metavar="PATH")
    parser.add_argument("--engine", action="append", choices=["aiohttp", "httpx", "cio"])
    parser.add_argument("--loop", action="append", choices=list(LOOPS))
    parser.add_argument("--case", action="append", help="such as 6.*; default: all")
    options = parser.parse_args()
    if options.wstest is None:
        parser.error("wstest is not on the PATH: pip install autobahntestsuite, in a Python 2.7")
    good = True
    for engine in options.engine or ["cio", "aiohttp", "httpx"]:
        for loop in options.loop or list(LOOPS):
            with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
                cases = options.case or ["*"]
                good &= runner.run(run(engine, loop, options.wstest, cases))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
