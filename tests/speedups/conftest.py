"""The compiled core, built by the machine's C compiler where it is not installed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from ktor_client import _twin
from ktor_client.frames import BinaryFrame, TextFrame
from tests.speedups.build import build, compiler

ROOT = Path(__file__).parent.parent.parent


@pytest.fixture(scope="session")
def core_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the package `ktor_client_speedups`, for `PYTHONPATH`."""
    if _twin._core is not None:
        return Path(_twin._core.__file__).parent.parent
    if compiler() is None:
        line = "compiled lane did not run: there is no C compiler"
        if os.environ.get("KTOR_CLIENT_REQUIRE_LANES") == "1":
            pytest.fail(line, pytrace=False)
        pytest.skip(line)
    folder = tmp_path_factory.mktemp("speedups")
    build(folder)
    return folder


@pytest.fixture(scope="session")
def core(core_folder: Path) -> Any:
    """The compiled functions; in a pure process no class is changed."""
    if _twin._core is not None:
        return _twin._core
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(core_folder)
        core = import_module("ktor_client_speedups")
    core.adopt(TextFrame)
    core.adopt(BinaryFrame)
    return core


@pytest.fixture
def run_compiled(core_folder: Path) -> Callable[..., str]:
    """Run a program on the compiled twin, in a process of its own; return what it prints."""

    def run(program: str, *arguments: str) -> str:
        # What measures coverage does not bear failing allocations: it crashes.
        outer = {key: value for key, value in os.environ.items() if "COVERAGE" not in key}
        paths = [str(core_folder), str(ROOT), os.environ.get("PYTHONPATH", "")]
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", "-c", program, *arguments],
            env=outer | {"KTOR_CLIENT_PURE": "0", "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return run
