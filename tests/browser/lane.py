"""What the browser lane needs beyond Python, where it is found, and how it is fetched once."""

import importlib.util
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
NODE = HERE / "node"
PYODIDE = NODE / "node_modules" / "pyodide"
CACHE = HERE / "cache"

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
        if importlib.util.find_spec("playwright") is None:
            raise LaneAbsentError("the package playwright is not installed (make browser does it)")
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


def _fetch_pyodide() -> None:
    stamp = NODE / "node_modules" / ".package-lock.json"
    lock = NODE / "package-lock.json"
    if stamp.exists() and stamp.stat().st_mtime_ns > lock.stat().st_mtime_ns:
        return
    npm = shutil.which("npm")
    if npm is None:
        raise LaneAbsentError("npm, which fetches Pyodide, is not on the PATH")
    done = subprocess.run(
        [npm, "ci", "--prefer-offline", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=NODE,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=FETCH_SECONDS,
        check=False,
    )
    if done.returncode != 0:
        raise LaneAbsentError(f"npm cannot fetch Pyodide: {done.stdout.strip().splitlines()[-1:]}")
