"""Write docs/reference/benchmarks.md from results.json and world.json in docs/assets/benchmarks.

python tools/benchmark_page.py FOLDER     take results and plots from FOLDER, write the page
python tools/benchmark_page.py --check    say whether the page is current; status 1 if not
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.report import markdown, world  # noqa: E402  # the script runs from anywhere
from benchmarks.stats import Results  # noqa: E402

ASSETS = ROOT / "docs" / "assets" / "benchmarks"
PAGE = ROOT / "docs" / "reference" / "benchmarks.md"

INTRODUCTION = """\
<!-- Written by tools/benchmark_page.py; do not edit. -->
"""


def page() -> str:
    here = markdown(Results.load(ASSETS / "results.json"))
    return f"{INTRODUCTION}\n{here}\n{world(Results.load(ASSETS / 'world.json'))}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.check:
        if PAGE.read_text() == page():
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not what {Path(__file__).name} writes")
        return 1
    if options.folder is not None:
        ASSETS.mkdir(parents=True, exist_ok=True)
        for plot in options.folder.glob("*.svg"):
            shutil.copy(plot, ASSETS)
        for results in options.folder.glob("*.json"):
            text = json.dumps(json.loads(results.read_text()), separators=(",", ":"))
            (ASSETS / results.name).write_text(f"{text}\n")
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
