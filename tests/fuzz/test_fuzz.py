"""A bounded run of the fuzzer, and proof that it would find something."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ktor_client.protocol import rules
from tests.fuzz import target
from tests.fuzz.mutation import Failure, Fuzzer


@pytest.fixture(autouse=True)
def no_stray_tasks() -> None:
    """Nothing here has an event loop."""


def test_a_bounded_run() -> None:
    fuzzer = Fuzzer(seed=1)
    for _ in range(2000):
        fuzzer.step()
    assert len(fuzzer.traces) > 150


@pytest.mark.exhaustive
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(10))
def test_longer_runs(seed: int) -> None:
    fuzzer = Fuzzer(seed)
    for _ in range(20_000):
        fuzzer.step()


@pytest.mark.parametrize("fault", ["rsv", "close", "raise"])
def test_a_fault_is_found(fault: str, monkeypatch: pytest.MonkeyPatch) -> None:
    if fault == "rsv":
        monkeypatch.setattr(rules, "RSV_MASK", 0)
    elif fault == "close":
        monkeypatch.setattr(rules, "may_be_sent", lambda code: True)
    else:
        monkeypatch.setattr(rules, "_OPCODES", None)
    with pytest.raises(Failure, match=r"python -m tests\.fuzz --replay [0-9a-f]+") as caught:
        fuzzer = Fuzzer(seed=2)
        for _ in range(5000):
            fuzzer.step()
    cause = caught.value.__cause__
    assert cause is not None
    with pytest.raises(type(cause)):
        target.run(caught.value.data)


def test_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--seconds", "0", "--seed", "7"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("seed 7\n")
    assert "nothing broken" in done.stdout
    replayed = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--replay", "00058300"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "unknown opcode" in replayed.stdout


def test_answers_beside_h11() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--answers", "300", "--seed", "7"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert "300 answers, " in done.stdout
    assert "each explained" in done.stdout
