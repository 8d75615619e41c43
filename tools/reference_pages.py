"""Write the pages of docs/reference/ that code knows best: errors, answers, commands and others.

python tools/reference_pages.py           write them
python tools/reference_pages.py --check   say which are not current; status 1 if one is not
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
PAGES = ROOT / "docs" / "reference"

HEAD = "<!-- Written by tools/reference_pages.py; do not edit. -->\n"

CAPABILITIES = """\
# Capabilities

What an engine can do is known before anything is sent. An option or a call that needs more raises
`UnsupportedCapabilityError`, which names the engine, the option, and the engines that can.
`client.engine.capabilities` is the set for the engine at hand,
`client.is_supported(WebSocketCapability)` asks for one, and `ktor-client engines` prints this table
with the versions of what is installed.
"""

AFTER_CAPABILITIES = """\
`HttpxEngine` without httpx-ws does plain HTTP only: everything about WebSockets is missing then.
`MockEngine(capabilities=...)` has what you say. What a browser does in place of a missing
capability is in [Run in a browser](../how-to/browser.md#what-a-browser-decides-by-itself).
"""

ERRORS = """\
# Errors

Everything this library raises on its own account is a `KtorClientError`. The builtin in parentheses
is what you would already catch; a foreign exception that caused one is its `__cause__`. Value
objects such as `Frame` and `CloseReason` raise a plain `ValueError`, wrong options a `TypeError`.
"""

RETRIES = """\
# What is worth another attempt

`RetryPolicy` asks its `decide` first; what that leaves open, this table decides. A session that
ended goes by its close code, an answer that refuses by its status (also one that made
`refresh_tokens` raise), everything else by the error: the first row that fits. What no row names is
not tried again.
"""

ANSWERS = """\
# What is accepted in an answer

An answer of HTTP/1.1 that is odd but means one thing is accepted, or repaired where the standard
says how. What could mean two things is refused, since a proxy on the way may have understood the
other one. The suite sends each example below to every engine with a socket, whole and in pieces of
all sizes. A refusal is a `ConnectError` that says why; its connection is not used again. Where a
library below an engine is laxer or stricter than this table, the engine makes up for it. With a
session or client that you made yourself, its library reads the answers by its own rules. In a
browser the browser decides.

The last column says what h11, the parser below httpx, makes of the example where that differs. The
two are compared on answers changed at random: status, fields, body, trailer, what stands behind it,
and whether the connection is kept. Where they differ, one of these rows must say why; limits are
each parser's own. `make fuzz ARGS='--answers 1000000'` compares a million.
"""

MORE_ABOUT_ANSWERS = """\
A handshake's answer is read by the same rules, and 101 is then an answer. So is a proxy's answer to
CONNECT. Over TLS a body that ends with its connection needs the server's closing alert: anybody on
the way can end a connection, and half of a body is not given out for the whole (RFC 9112 9.8).
[Conformance](conformance.md) lists what the battery checks above them, and the hostile servers.
"""

COMMAND_LINE = """\
# Command line

`ktor-client` comes with the package; `python -m ktor_client` is the same. Errors are one line on
stderr. Its status is 0, or 1 for a failure, 2 for wrong usage, 130 after Ctrl-C (0 for `echo` and
`browser-demo`, which serve until then), 141 when nobody reads its output any more.
"""


def capabilities() -> str:
    """Return the table of what each built-in engine can do."""
    from ktor_client.engine.capabilities import ALL_CAPABILITIES
    from ktor_client.engine.registry import BUILT_IN

    names = [f"`{entry.name}`" for entry in BUILT_IN.values()]
    rows = [
        _row("capability", "what it is", *names),
        _row("---", "---", *(":-:" for _ in names)),
    ]
    for one in ALL_CAPABILITIES:
        able = ["yes" if one in entry.capabilities else "–" for entry in BUILT_IN.values()]
        rows.append(_row(f"`{one.name}`", one.meaning, *able))
    return "\n".join([HEAD, CAPABILITIES, *rows, "", AFTER_CAPABILITIES])


def errors() -> str:
    """Return the error tree, and when each is raised."""
    import ktor_client.errors as module
    from ktor_client.errors import KtorClientError

    classes: list[type[Exception]] = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, KtorClientError)
    ]
    parts = [HEAD, ERRORS, "```text"]

    def add(cls: type[Exception], lead: str, mark: str) -> None:
        builtin = [base.__name__ for base in cls.__bases__ if base.__module__ == "builtins"]
        shown = f" ({builtin[0]})" if builtin and builtin[0] != "Exception" else ""
        parts.append(f"{lead}{mark}{cls.__name__}{shown}")
        below = [one for one in classes if cls in one.__bases__]
        inner = lead + {"": "", "├── ": "│   ", "└── ": "    "}[mark]
        for one in below:
            add(one, inner, "└── " if one is below[-1] else "├── ")

    add(KtorClientError, "", "")
    parts += ["```", "", _row("error", "when"), _row("---", "---")]
    for cls in classes:
        link = f"[`{cls.__name__}`](#ktor_client.{cls.__name__})"
        parts.append(_row(link, (cls.__doc__ or "").splitlines()[0]))
    return "\n".join([*parts, "", *_documented("errors")])


def topic(title: str, *rooms: str, after: str = "") -> Callable[[], str]:
    """Return the writer of a page that documents the public names of these rooms."""

    def write() -> str:
        names = [line for room in rooms for line in _documented(room)]
        return "\n".join([HEAD, f"# {title}\n", *names, *([after] if after else [])])

    return write


def _documented(room: str) -> list[str]:
    """Return what makes mkdocstrings document a room's names that `ktor_client` offers."""
    import ktor_client

    own: list[str] = import_module(f"ktor_client.{room}").__all__
    return [f"::: ktor_client.{name}\n" for name in ktor_client.__all__ if name in own]


def retries() -> str:
    """Return the table of what is tried again."""
    from ktor_client.retry.table import CODES, ERRORS, STATUSES, NumberRow

    parts = [HEAD, RETRIES]

    def add(title: str, rows: list[tuple[str, bool, str]]) -> None:
        parts.extend(
            [f"## {title}\n", _row(title.split()[-1], "again", "why"), "| --- | --- | --- |"]
        )
        parts.extend(_row(f"`{what}`", "yes" if again else "no", why) for what, again, why in rows)
        parts.append("")

    def numbers(rows: tuple[NumberRow, ...]) -> list[tuple[str, bool, str]]:
        return [
            (f"{row.first}" if row.first == row.last else f"{row.first} to {row.last}", *row[2:])
            for row in rows
        ]

    add("By close code", numbers(CODES))
    add("By status", numbers(STATUSES))
    add(
        "By error",
        [
            (row.kind.__name__, row.again, row.words)
            if row.cause is None
            else (f"{row.kind.__name__} from {row.cause.__name__}", row.again, row.words)
            for row in ERRORS
        ],
    )
    return "\n".join([*parts, *_documented("retry")])


def answers() -> str:
    """Return the table of what of an answer is accepted, repaired or refused, and the limits."""
    from ktor_client.http1 import rules

    parts = [HEAD, ANSWERS]
    for outcome in dict.fromkeys(rule.outcome for rule in rules.RULES):
        parts += [f"## {outcome.capitalize()}\n", _row("what", "by", "for example", "h11")]
        parts.append("| --- | --- | --- | --- |")
        for rule in rules.RULES:
            if rule.outcome == outcome:
                example = f"`{_shown(rule.answer)}`"
                parts.append(_row(rule.what, rule.section, example, rule.by_h11 or ""))
        parts.append("")
    limits = (
        (f"{rules.MAX_HEAD // 1024} KiB", "a head, from the status line to the blank line"),
        (f"{rules.MAX_FIELDS}", "fields of a head, or of a trailer"),
        (f"{rules.MAX_INTERIM}", "interim answers (1xx) before the one that counts"),
        (f"{rules.MAX_CHUNK_LINE // 1024} KiB", "the line before a chunk"),
        (f"{rules.MAX_TRAILER // 1024} KiB", "the fields behind the last chunk"),
    )
    parts += ["## Limits\n", _row("at most", "of"), "| --- | --- |"]
    parts += [_row(*limit) for limit in limits]
    return "\n".join([*parts, "", MORE_ABOUT_ANSWERS])


def _shown(answer: bytes) -> str:
    """Return an example as Python would write it; what repeats itself for long is left out."""
    text = repr(answer)[2:-1]
    return text if len(text) <= 120 else f"{text[:60]}...{text[-40:]}"


def command_line() -> str:
    """Return each command with its arguments."""
    from ktor_client.cli.command_line import _COMMANDS

    commands = argparse.ArgumentParser(prog="ktor-client").add_subparsers()
    for command in _COMMANDS:
        command.add_to(commands)
    parts = [HEAD, COMMAND_LINE]
    parsers: dict[str, argparse.ArgumentParser] = dict(commands.choices)
    for name, parser in parsers.items():
        parts.append(f"## ktor-client {name}\n\n{parser.description}\n")
        actions = [action for action in parser._actions if action.dest != "help"]
        if actions:
            rows = [_row("argument", "meaning"), _row("---", "---")]
            rows += [_argument(action) for action in actions]
            parts.append("\n".join(rows) + "\n")
    return "\n".join(parts)


def _argument(action: Any) -> str:
    value = action.metavar or action.dest.upper()
    words = action.option_strings or [value]
    takes = action.option_strings and action.nargs != 0
    shown = ", ".join(f"`{word} {value}`" if takes else f"`{word}`" for word in words)
    return _row(shown, (action.help or "") % {**vars(action)})


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


KINDS_OF_FRAMES = """\
## Kinds of frames

`Frame.Text` and the others are subclasses of `Frame`; `isinstance` and `match` narrow by them.
""" + "".join(
    f"""
::: ktor_client.frames.frame.{kind}Frame
    options:
      heading: Frame.{kind}
      toc_label: Frame.{kind}
      heading_level: 3
      inherited_members: false
"""
    for kind in ("Text", "Binary", "Close", "Ping", "Pong")
)

WRITERS: dict[str, Callable[[], str]] = {
    "client.md": topic("The client", "client", "config", "plugin"),
    "session.md": topic("Sessions", "session"),
    "frames.md": topic("Frames and close reasons", "frames", after=KINDS_OF_FRAMES),
    "channels.md": topic("Channels", "channels"),
    "http.md": topic("Requests and responses", "http", "engine.settings"),
    "feeds.md": topic("Sessions that come back", "reconnect"),
    "capabilities.md": capabilities,
    "errors.md": errors,
    "cli.md": command_line,
    "retries.md": retries,
    "answers.md": answers,
}


def stale() -> list[str]:
    """Return the names of pages that are not what they should be."""
    return [
        name
        for name, write in WRITERS.items()
        if not (PAGES / name).exists() or (PAGES / name).read_text(encoding="utf-8") != write()
    ]


def main() -> int:
    """Write the pages, or check them; return the exit status."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing")
    if parser.parse_args().check:
        for name in (found := stale()):
            print(f"docs/reference/{name} is not current: python tools/reference_pages.py")
        return 1 if found else 0
    PAGES.mkdir(parents=True, exist_ok=True)
    for name, write in WRITERS.items():
        (PAGES / name).write_text(write(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))
    sys.exit(main())
