"""The stub file says what the compiled module has: checked by mypy's stubtest."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def test_the_stubs_fit(core_folder: Path, tmp_path: Path) -> None:
    pytest.importorskip("mypy.stubtest", reason="mypy is not installed (make test installs it)")
    folder = str(core_folder)
    done = subprocess.run(
        [sys.executable, "-m", "mypy.stubtest", "ktor_client_speedups"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": folder, "MYPYPATH": folder, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no issues found in 2 modules" in done.stdout
