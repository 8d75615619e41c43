"""`python -m tests.fuzz`: fuzz the codec for some seconds, or replay one input.

With `--atheris`, coverage guides the mutations, where that package is installed. With `--answers`,
answers of HTTP/1.1 are changed at random and read by our parser and by h11 beside it.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from importlib import import_module
from typing import Any

from tests.fuzz.mutation import Failure, Fuzzer
from tests.fuzz.target import run
from tests.http1.oracle import Unexplained, compare

BATCH = 10_000


def with_atheris(seconds: int) -> None:
    """Hand over to libFuzzer. It ends the process itself."""
    atheris: Any = import_module("atheris")
    atheris.instrument_all()
    atheris.Setup(["fuzz", f"-max_total_time={seconds}"], run)
    atheris.Fuzz()


def beside_h11(seed: int, count: int) -> int:
    """Compare `count` answers in batches of a seed each; say what explained the differences."""
    found: Counter[str] = Counter()
    try:
        for at in range(0, count, BATCH):
            found += compare(seed + at // BATCH, min(BATCH, count - at))
    except Unexplained as difference:
        print(difference)
        return 1
    for rule, times in found.most_common():
        print(f"{times:8}  {rule}")
    print(f"{count} answers, {found.total()} read otherwise than by h11, each explained")
    return 0


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, help="default: another one each time")
    parser.add_argument("--replay", metavar="HEX", help="run this one input")
    parser.add_argument(
        "--answers", type=int, metavar="COUNT", help="compare that many answers with h11 instead"
    )
    parser.add_argument("--atheris", action="store_true", help="be guided by coverage")
    options = parser.parse_args()
    if options.replay is not None:
        print(run(bytes.fromhex(options.replay)))
        return 0
    if options.atheris:
        with_atheris(options.seconds)
    seed = random.randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    if options.answers is not None:
        return beside_h11(seed, options.answers)
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
