"""Engines as a user names them on the command line, and what is installed of them."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ktor_client.cli.failure import CommandError
from ktor_client.engine.registry import (
    BUILT_IN,
    EngineEntry,
    EngineFactory,
    distributions,
    engine_class,
    engines,
)

__all__ = ["FOR_TESTS", "absence", "find_engine", "network_engines", "versions"]

FOR_TESTS = ("mock", "test")


def find_engine(spec: str) -> EngineFactory:
    """Return the engine registered under a name, or the one that `package.module:Name` says.

    Raises:
        EngineUnavailableError: no such name, or its library is not installed.
        CommandError: no such module, or nothing of that name in it.
    """
    module_name, colon, name = spec.partition(":")
    if not colon:
        return engine_class(spec)
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())  # as `python -m` does
    try:
        found: Any = import_module(module_name)
        for part in name.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise CommandError(f"cannot load engine {spec!r}: {error}") from error
    factory: EngineFactory = found
    if not callable(factory):
        raise CommandError(f"{spec!r} is not an engine class or factory")
    return factory


def network_engines() -> list[str]:
    """Return the names of all engines but those for tests."""
    return [name for name in engines() if name not in FOR_TESTS]


def absence(entry: EngineEntry) -> str | None:
    """Return why a built-in engine cannot run here, or None."""
    if entry.name == "browser" and sys.platform != "emscripten":
        return "runs in a browser only, under Pyodide"
    if entry.name == "darwin" and sys.platform not in ("darwin", "ios"):
        return "runs on macOS and iOS only"
    missing = " and ".join(distributions(entry.missing()))
    if not missing:
        return None
    return f"{missing} not installed; try: {entry.remedy}"


def versions(name: str) -> str:
    """Return the libraries of an engine with their versions, such as "httpx 0.28.1"."""
    entry = BUILT_IN.get(name)
    found: list[str] = []
    for distribution in distributions(entry.libraries) if entry is not None else ():
        try:
            found.append(f"{distribution} {version(distribution)}")
        except PackageNotFoundError:
            continue
    return ", ".join(found)
