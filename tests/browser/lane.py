"""What the browser lane needs beyond Python, where it is found, and how it is fetched once."""

import os
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NODE = HERE / "node"
PYODIDE = NODE / "node_modules" / "pyodide"
CACHE = HERE / "cache"

MICROPIP = "micropip==0.11.1"

FETCH_SECONDS = 120.0


class LaneAbsentError(Exception):
    """Something is not on this machine; the message is the one line that says so."""


def lane_is_required() -> bool:
    return os.environ.get("KTOR_CLIENT_REQUIRE_LANES") == "1"


@cache
def absence() -> str | None:
    """Make everything ready; the line that says why that cannot be."""
    try:
        chromium()
        _fetch_pyodide()
    except LaneAbsentError as absent:
        return f"browser lane did not run: {absent}"
    return None


def chromium() -> str:
    """The browser's executable; nothing is downloaded."""
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise LaneAbsentError("chromium is not on the PATH (apt-get install chromium)")


def wheels() -> list[Path]:
    """Our wheel, newly built, and micropip's. Raises `LaneAbsentError` where pip cannot."""
    built = CACHE / "built"
    shutil.rmtree(built, ignore_errors=True)
    _pip("wheel", "--no-deps", "--wheel-dir", str(built), str(ROOT))
    if not list(CACHE.glob("micropip-*.whl")):
        for_pyodide = ("--only-binary=:all:", "--python-version=3.14")
        _pip("download", "--no-deps", *for_pyodide, "--dest", str(CACHE), MICROPIP)
    return [*built.glob("ktor_client-*.whl"), *CACHE.glob("micropip-*.whl")]


def _pip(*arguments: str) -> None:
    _run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], ROOT, "pip")


def _fetch_pyodide() -> None:
    stamp = NODE / "node_modules" / ".package-lock.json"
    lock = NODE / "package-lock.json"
    if stamp.exists() and stamp.stat().st_mtime_ns > lock.stat().st_mtime_ns:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise LaneAbsentError("npm, which fetches Pyodide, is not on the PATH")
    quick = ("--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund")
    _run([npm, "ci", *quick], NODE, "npm")


def _run(command: list[str], folder: Path, name: str) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=FETCH_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        last = "".join(done.stdout.strip().splitlines()[-1:])
        raise LaneAbsentError(f"{name} cannot get what is needed: {last}")
