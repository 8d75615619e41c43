"""Import time: CPU time of a fresh interpreter that has imported asyncio already, for an import or
for all that it takes to have a client.
"""

from __future__ import annotations

import os
import subprocess
import sys

from benchmarks.scenarios import Values

SCENARIO = "import"
LIMIT = 60.0

STATEMENTS = {
    "ktor_client": "import ktor_client",
    "ktor_client, a client": "import ktor_client; ktor_client.HttpClient()",
    "ktor_client, names": (
        "from ktor_client import HttpClient, install; from ktor_client.plugins import WebSockets"
    ),
    "ktor_client, aiohttp engine": (
        "import ktor_client; from ktor_client.engines import AiohttpEngine"
    ),
    "ktor_client, httpx engine": "import ktor_client; from ktor_client.engines import HttpxEngine",
    "aiohttp": "import aiohttp",
    "httpx-ws": "import httpx_ws",
    "websockets": "from websockets.asyncio.client import connect",
    "picows": "import picows",
}


def run(name: str) -> Values:
    """Raises `CalledProcessError` where the module is not installed."""
    program = (
        "import asyncio, sys, time\n"
        "modules, start = len(sys.modules), time.process_time()\n"
        f"{STATEMENTS[name]}\n"
        "print((time.process_time() - start) * 1000, len(sys.modules) - modules)\n"
    )
    # Packages are installed with their bytecode; the first run makes that of a source tree.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": ""}
    output = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=True,
        env=environment,
    ).stdout
    milliseconds, modules = output.split()
    return {"cpu_ms": float(milliseconds), "modules": float(modules)}
