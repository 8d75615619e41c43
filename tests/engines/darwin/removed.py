"""Take the double's switches away one by one: `python -m tests.engines.darwin.removed`.

The tests of a switch must fail without it; else they say nothing about it.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests.engines.darwin.double import the_double


def fails_without(switch: str) -> bool:
    """Run the tests of a switch on a double that has it not."""
    options = ["-q", "-x", "-p", "no:cacheprovider", "-k", f"test_an_order_by_itself[{switch}]"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options, "tests/engines/darwin/test_orders.py"],
        env=os.environ | {"KTOR_CLIENT_DOUBLE_WITHOUT": switch},
        capture_output=True,
        check=False,
    )
    return done.returncode == 1


def main() -> int:
    untested = 0
    for switch in the_double().switches:
        found = fails_without(switch)
        untested += not found
        print(f"{switch}: {'tested' if found else 'NOT TESTED'}", flush=True)
    return untested


if __name__ == "__main__":
    sys.exit(main())
