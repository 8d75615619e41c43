"""`python -m tests.fuzz`: fuzz the codec for some seconds, or replay one input.

With `--atheris`, coverage guides the mutations, where that package is installed.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from importlib import import_module
from typing import Any

from tests.fuzz.mutation import Failure, Fuzzer
from tests.fuzz.target import run


def with_atheris(seconds: int) -> None:
    """Hand over to libFuzzer. It ends the process itself."""
    atheris: Any = import_module("atheris")
    atheris.instrument_all()
    atheris.Setup(["fuzz", f"-max_total_time={seconds}"], run)
    atheris.Fuzz()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, help="default: another one each time")
    parser.add_argument("--replay", metavar="HEX", help="run this one input")
    parser.add_argument("--atheris", action="store_true", help="be guided by coverage")
    options = parser.parse_args()
    if options.replay is not None:
        print(run(bytes.fromhex(options.replay)))
        return 0
    if options.atheris:
        with_atheris(options.seconds)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}")
    end = time.monotonic() + options.seconds
    try:
        fuzzer = Fuzzer(seed)
        while time.monotonic() < end:
            for _ in range(100):
                fuzzer.step()
    except Failure as failure:
        print(f"{failure.__cause__!r}\n{failure}")
        return 1
    print(f"{fuzzer.runs} inputs, {len(fuzzer.traces)} outcomes, nothing broken")
    return 0


if __name__ == "__main__":
    sys.exit(main())
