"""Write docs/reference/conformance.md: each rule of the battery, and where it is tested.

python tools/conformance_table.py           write the page
python tools/conformance_table.py --check   say whether it is current; status 1 if not
"""

from __future__ import annotations

import argparse
import ast
import sys
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "reference" / "conformance.md"
HOSTILE = ROOT / "tests" / "hostile"

TITLES = {"http": "HTTP"}

INTRODUCTION = """\
<!-- Written by tools/conformance_table.py; do not edit. -->

# Conformance

Every engine does the same, or says beforehand that it cannot. Each rule below is a check of the
battery in `ktor_client.testing.conformance`, run against a server that keeps the rule or breaks it
on purpose. Run it for an engine of your own:

```console
$ ktor-client conform my_package:MyEngine
```

`tests/test_conformance.py` runs it on each engine with sockets, on both event loops;
`tests/engines/mock` on MockEngine, also with bytes that come late and in pieces;
`tests/engines/asgi` on TestEngine what an ASGI app has a part in; `tests/browser` runs in a
browser's tab and worker what a browser can do at all. A check that needs a capability is skipped,
by name, on engines without it.

A rule comes from an RFC, from Ktor (a test of Ktor's, or a part of its API), or from this package.
The names in the last column are checks; the file of a group is
`ktor_client/testing/conformance/GROUP.py`.
"""

HOSTILE_INTRODUCTION = """\
## Hostile servers

The battery's server shares code with the client. These tests do not: scripted servers write bytes
of their own and judge what comes back, on aiohttp and httpx, on both event loops.
"""


def page() -> str:
    """Return the page as it should be."""
    from ktor_client.engine.registry import BUILT_IN
    from ktor_client.testing.conformance import CHECKS

    browser = BUILT_IN["browser"].capabilities
    parts = [INTRODUCTION]
    for room in dict.fromkeys(check.room for check in CHECKS):
        parts.append(f"## {TITLES.get(room, room.capitalize())}\n")
        rows = ["| rule | source | needs | in browsers | check |", "|---|---|---|---|---|"]
        for check in CHECKS:
            if check.room == room:
                needs = [c.name for c in check.needs if c.name != "WebSocketCapability"]
                shown = ", ".join(name.removesuffix("Capability") for name in needs)
                here = "no" if check.missing(browser) else "yes"
                rows.append(
                    f"| {_cell(check.statement)} | {_cell(check.source)} | {shown} | {here} "
                    f"| {_name(check.name)} |"
                )
        parts.append("\n".join(rows) + "\n")
    parts.append(HOSTILE_INTRODUCTION)
    rows = ["| what | where |", "|---|---|"]
    for path in sorted(HOSTILE.glob("test_*.py")):
        title, names = _tests(path)
        rows.append(f"| **{_cell(title)}** | `{path.relative_to(ROOT).as_posix()}` |")
        rows += [f"| {_sentence(name)} | {_name(name)} |" for name in names]
    parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


@cache
def _tests(path: Path) -> tuple[str, list[str]]:
    """Return the first line of a module's docstring, and the names of its tests."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    title = (ast.get_docstring(module) or path.stem).splitlines()[0]
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    names = [node.name for node in module.body if isinstance(node, functions)]
    return title, [name for name in names if name.startswith("test_")]


def _name(name: str) -> str:
    """Return a long name that may be broken where it has underscores."""
    return f"<code>{name.replace('_', '_<wbr>')}</code>"


def _sentence(name: str) -> str:
    words = name.removeprefix("test_").replace("_", " ")
    return words[0].upper() + words[1:]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> int:
    """Write the page, or check it; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    expected = page()
    if parser.parse_args().check:
        if PAGE.exists() and PAGE.read_text(encoding="utf-8") == expected:
            return 0
        print(f"{PAGE.relative_to(ROOT)} is not current: python tools/conformance_table.py")
        return 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(expected, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
