"""Engines as they are named on the command line."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from ktor_client.cli.engine_choice import find_engine, versions
from ktor_client.cli.failure import CommandError
from ktor_client.engine.registry import BUILT_IN, EngineEntry
from ktor_client.engines import MockEngine


def test_a_module_in_the_working_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The console script's own folder is first on the path, not the one where the user is."""
    name = "module_of_the_working_folder"
    (tmp_path / f"{name}.py").write_text(
        "class Door:\n    from ktor_client.engines import MockEngine\nnothing = 5\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, name, raising=False)
    assert find_engine(f"{name}:Door.MockEngine") is MockEngine
    with pytest.raises(CommandError, match="is not an engine class or factory"):
        find_engine(f"{name}:nothing")
    with pytest.raises(CommandError, match=f"cannot load engine '{name}:absent'"):
        find_engine(f"{name}:absent")


def test_a_library_that_does_not_say_its_version(monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EngineEntry("copied", "m", "M", frozenset(), libraries=("aiohttp", "no_such_library"))
    monkeypatch.setitem(BUILT_IN, "copied", entry)
    assert versions("copied").startswith("aiohttp ")
    assert "no" not in versions("copied")
