"""The lanes: how each foreign server is made ready, started, and surely ended."""

import importlib.util
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ktor_client.plugins import WebSocketDeflate

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NODE = HERE / "node"
KTOR = HERE / "ktor"

BUILD_SECONDS = 600.0
START_SECONDS = 60.0
END_SECONDS = 10.0


class LaneAbsentError(Exception):
    """What a lane needs is not on this machine; the message is the one line that says so."""


@dataclass(frozen=True)
class Lane:
    """One foreign server: what the lane needs, and the command that serves."""

    name: str
    command: Callable[[], Sequence[str | Path]]
    """Makes everything ready; raises `LaneAbsentError` where something is missing."""
    tells_close: bool = True
    """Whether the server tells its application the client's close code and reason."""
    pings: bool = True
    """Whether the server's application can ping."""
    deflates_empty: bool = True
    """Whether the server can compress an empty message that follows another one."""
    cannot_deflate: frozenset[str] = frozenset()
    """Ways to negotiate deflate, of those in `DEFLATE`, that the server gets wrong."""
    known_noise: str = "\0"
    """Text of the lines that the server writes to standard error through no fault of ours."""

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Server:
    """A running server."""

    lane: Lane
    port: int

    def http(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def ws(self, path: str) -> str:
        return f"ws://127.0.0.1:{self.port}{path}"


def _python(module: str, *needs: str) -> Callable[[], list[str | Path]]:
    def command() -> list[str | Path]:
        for package in needs:
            if importlib.util.find_spec(package) is None:
                raise LaneAbsentError(f"the package {package} is not installed")
        return [sys.executable, "-m", f"tests.interop.servers.{module}"]

    return command


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise LaneAbsentError(f"{name} is not on the PATH")
    return found


def build(command: Sequence[str], folder: Path, offline_sign: str) -> None:
    """Run a build step; `offline_sign` in its output means that packages cannot be had."""
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=BUILD_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        if offline_sign in done.stdout:
            raise LaneAbsentError(f"{Path(command[0]).name} cannot download its packages")
        raise RuntimeError(f"{command} failed in {folder}:\n{done.stdout}")


def is_newer(product: Path, *sources: Path) -> bool:
    return product.exists() and all(
        product.stat().st_mtime_ns > source.stat().st_mtime_ns for source in sources
    )


def _node() -> list[str | Path]:
    node = tool("node")
    if not is_newer(NODE / "node_modules" / ".package-lock.json", NODE / "package-lock.json"):
        build([tool("npm"), "ci", "--prefer-offline", "--ignore-scripts"], NODE, "npm error")
    return [node, NODE / "server.js"]


def _ktor() -> list[str | Path]:
    java = tool("java")
    maven = tool("mvn")
    class_path = KTOR / "target" / "classpath.txt"
    if not is_newer(class_path, KTOR / "pom.xml", KTOR / "src" / "Server.kt"):
        class_path.unlink(missing_ok=True)
        build([maven, "--batch-mode", "--quiet", "compile"], KTOR, "ResolutionException")
    jars = f"{KTOR / 'target' / 'classes'}{os.pathsep}{class_path.read_text().strip()}"
    quick_start = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto")
    return [java, *quick_start, "-cp", jars, "ServerKt"]


DEFLATE: Mapping[str, tuple[WebSocketDeflate, ...]] = {
    "plain": (),
    "deflate": (WebSocketDeflate(),),
    "server-no-context": (WebSocketDeflate(server_no_context_takeover=True),),
    "client-no-context": (WebSocketDeflate(client_no_context_takeover=True),),
    "small-windows": (WebSocketDeflate(server_max_window_bits=9, client_max_window_bits=9),),
}
"""The ways in which the tests negotiate permessage-deflate."""

LANES = (
    Lane("websockets", _python("serve_websockets", "websockets")),
    Lane("aiohttp", _python("serve_aiohttp", "aiohttp")),
    Lane(
        "uvicorn",
        _python("serve_uvicorn", "uvicorn", "starlette", "websockets"),
        pings=False,
        # uvicorn 0.54 says so after every denial response.
        known_noise="ASGI callable returned without completing handshake.",
    ),
    Lane(
        "hypercorn",
        _python("serve_hypercorn", "hypercorn", "starlette"),
        pings=False,
        tells_close=False,  # hypercorn 0.18 says 1006, whatever came
    ),
    Lane(
        "tornado",
        _python("serve_tornado", "tornado"),
        # Tornado 6.6 does as asked, and leaves the word for it out of its answer.
        cannot_deflate=frozenset({"server-no-context"}),
        known_noise="403 GET /refuse",
    ),
    Lane("node", _node),
    Lane(
        "ktor",
        _ktor,
        # Ktor 3.6.1 fails there ("byteCount: -5 < 0"), unless it forgets its context each time.
        deflates_empty=False,
        # It refuses such an offer with 500 instead of ignoring it.
        cannot_deflate=frozenset({"small-windows"}),
    ),
)

PINGING_LANES = tuple(lane for lane in LANES if lane.pings)
TELLING_LANES = tuple(lane for lane in LANES if lane.tells_close)


@contextmanager
def running(lane: Lane) -> Generator[Server]:
    """Start the lane's server; end it on leaving, and show what it complained about.

    The server ends when its standard input does, so it cannot outlive this process. It is killed
    when that takes longer than `END_SECONDS`. Raises `AssertionError` when it wrote to standard
    error: a server that complains has seen something odd from our side.
    """
    command = lane.command()
    environment = {name: v for name, v in os.environ.items() if not name.startswith("COVERAGE_")}
    with tempfile.TemporaryFile("w+") as complaints:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=complaints,
            text=True,
        )
        try:
            port = _port(process)
            if port is not None:
                yield Server(lane, port)
        finally:
            _end(process)
        complaints.seek(0)
        complaint = "".join(line for line in complaints if lane.known_noise not in line)
        if port is None:
            raise RuntimeError(f"the {lane} server did not start:\n{complaint}")
        assert complaint == "", f"the {lane} server complained:\n{complaint}"


def _port(process: subprocess.Popen[str]) -> int | None:
    """The port that the server prints, or None if it ends or is silent for too long."""
    assert process.stdout is not None
    lines: queue.Queue[str] = queue.Queue()
    threading.Thread(target=lambda out=process.stdout: lines.put(out.readline())).start()
    try:
        line = lines.get(timeout=START_SECONDS)
    except queue.Empty:
        return None
    word, _, number = line.partition(" ")
    return int(number) if word == "PORT" else None


def _end(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        process.stdout.close()
