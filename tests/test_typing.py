"""Types are behaviour: right uses pass both type checkers, each wrong one is refused by both."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
GOOD = ROOT / "tests" / "typing" / "good.py"
BAD = ROOT / "tests" / "typing" / "bad.py"


def run(*command: str) -> str:
    """Run a checker from the root, with this interpreter, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return done.stdout


def mypy_errors(path: Path) -> dict[int, str]:
    """Return mypy's complaints by line."""
    output = run("mypy", "--strict", "--no-error-summary", "--hide-error-context", str(path))
    pattern = re.compile(rf"^[^:]*{path.name}:(\d+): error: (.*)$", re.MULTILINE)
    return {int(line): text for line, text in pattern.findall(output)}


def pyright_errors(path: Path) -> dict[int, str]:
    """Return pyright's complaints by line."""
    # A project of its own: the main one leaves bad.py out.
    with tempfile.TemporaryDirectory() as folder:
        project = {
            "include": [os.path.relpath(path, folder)],
            "extraPaths": [str(ROOT)],
            "typeCheckingMode": "strict",
            "pythonVersion": "3.11",
        }
        config = Path(folder) / "pyrightconfig.json"
        config.write_text(json.dumps(project))
        python = ("--pythonpath", sys.executable)
        report = json.loads(run("pyright", "--outputjson", *python, "--project", str(config)))
    return {
        item["range"]["start"]["line"] + 1: item["message"]
        for item in report["generalDiagnostics"]
        if item["severity"] == "error"
    }


CHECKERS: list[Callable[[Path], dict[int, str]]] = [mypy_errors, pyright_errors]


@pytest.mark.parametrize("check", CHECKERS)
def test_right_uses_pass(check: Callable[[Path], dict[int, str]]) -> None:
    assert check(GOOD) == {}


@pytest.mark.parametrize("check", CHECKERS)
def test_each_wrong_use_is_refused_and_nothing_else(
    check: Callable[[Path], dict[int, str]],
) -> None:
    lines = BAD.read_text().splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if line.endswith("# wrong")}
    assert set(check(BAD)) == wrong


def test_mypy_helps_with_misspelt_options() -> None:
    complaints = "\n".join(mypy_errors(BAD).values())
    assert 'did you mean "ping_interval"?' in complaints
    assert 'did you mean "limit"?' in complaints
