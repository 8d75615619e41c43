"""`ktor-client engines`."""

from __future__ import annotations

import argparse
from importlib.metadata import version

import pytest

from ktor_client.cli import engines
from ktor_client.engine import HttpClientEngine, registry
from ktor_client.engine.capabilities import ALL_CAPABILITIES
from ktor_client.engine.registry import BUILT_IN
from ktor_client.engines import AiohttpEngine
from tests.cli.command import python, run


async def test_both_tables() -> None:
    done = await run("engines")
    assert (done.status, done.err) == (0, "")
    upper, lower, core = (table.splitlines() for table in done.out.split("\n\n"))
    assert [line.partition(":")[0] for line in core] == ["core"]
    rows, name = dict[str, str](), ""
    for line in upper[1:]:
        if not line.startswith(" "):
            name = line.split()[0]
            rows[name] = ""
        rows[name] += f"{line.strip()} "  # a long one is broken into lines
    assert [row.split()[:2] for row in rows.values()] == [
        [name, entry.class_name] for name, entry in BUILT_IN.items()
    ]
    assert f"aiohttp {version('aiohttp')}" in rows["aiohttp"]
    assert f"httpx {version('httpx')}, httpx-ws {version('httpx-ws')}" in rows["httpx"]
    assert "not yet run on Apple hardware; runs on macOS and iOS only" in rows["darwin"]
    assert "runs in a browser only" in rows["browser"]
    assert lower[0].split() == ["capability", *BUILT_IN]
    width = lower[0].index("cio")
    meanings: list[str] = []
    for line in lower[1:]:
        if cells := line[width:].split():
            capability = ALL_CAPABILITIES[len(meanings)]
            meanings.append(line[:width].strip())
            assert cells == [
                "yes" if capability in entry.capabilities else "-" for entry in BUILT_IN.values()
            ]
        else:
            meanings[-1] += f" {line.strip()}"
    assert meanings == [capability.meaning for capability in ALL_CAPABILITIES]
    assert max(map(len, done.out.splitlines())) <= 80


async def test_what_is_not_installed() -> None:
    done = await python(
        "import sys\nsys.modules['aiohttp'] = None\n"
        "from ktor_client.cli import main\nsys.exit(main(['engines']))"
    )
    assert done.status == 0
    assert "aiohttp not installed; try: pip install aiohttp" in " ".join(done.out.split())


async def test_engines_of_third_parties(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken() -> HttpClientEngine:
        raise LookupError("not\ntoday")

    monkeypatch.setitem(registry._registered, "theirs", AiohttpEngine)
    monkeypatch.setitem(registry._registered, "broken", broken)
    assert await engines.run(argparse.Namespace()) == 0
    lines = capsys.readouterr().out.splitlines()
    theirs = next(line for line in lines if line.startswith("theirs"))
    assert theirs.split() == ["theirs", "AiohttpEngine", "from", AiohttpEngine.__module__]
    assert "cannot be made: LookupError: not today" in next(
        line for line in lines if line.startswith("broken")
    )
    head = next(line for line in lines if line.startswith("capability"))
    assert head.split() == ["capability", *BUILT_IN, "theirs"]
