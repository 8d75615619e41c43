"""Engines by name: built in, registered, of other packages, not installed."""

from __future__ import annotations

import copy
import pickle
import sys
from pathlib import Path

import pytest

from ktor_client import EngineUnavailableError, HttpClient, WebSocketCapability
from ktor_client import engines as door
from ktor_client.engine import registry
from ktor_client.engines import (
    CIO,
    AiohttpEngine,
    CioEngine,
    MockEngine,
    default_engine,
    engine_class,
    engines,
    register,
)

LIBRARIES = ("aiohttp", "httpx", "httpx_ws")


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide the libraries of the engines that have sockets."""
    for library in LIBRARIES:
        monkeypatch.setitem(sys.modules, library, None)


@pytest.fixture
def other_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Install a package that brings an engine."""
    (tmp_path / "other_package.py").write_text(
        "from ktor_client.engines import MockEngine\nclass OtherEngine(MockEngine): pass\n"
    )
    about = tmp_path / "other_package-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: other-package\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(
        "[ktor_client.engines]\nother = other_package:OtherEngine\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "other_package", raising=False)


def test_an_engine_of_ones_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_registered", {})
    with pytest.raises(EngineUnavailableError):
        engine_class("mine")
    register("mine", MockEngine)
    assert "mine" in engines()
    assert engine_class("mine") is MockEngine
    assert isinstance(HttpClient("mine").engine, MockEngine)
    with pytest.raises(ValueError, match="'aiohttp' is a built-in engine"):
        register("aiohttp", MockEngine)
    assert engine_class("aiohttp") is AiohttpEngine


@pytest.mark.usefixtures("other_package")
def test_an_engine_of_another_package() -> None:
    assert engines()[-1] == "other"
    assert type(HttpClient("other").engine).__name__ == "OtherEngine"
    with pytest.raises(EngineUnavailableError, match="'othr'; did you mean 'other'"):
        engine_class("othr")
    assert isinstance(HttpClient().engine, CioEngine)


def test_the_default_needs_no_library(nothing_installed: None) -> None:
    assert default_engine() is CioEngine
    assert CIO is CioEngine


BROKEN = {
    "import no_such_library": r"needs lib-a and json, which cannot be imported: No module named",
    "import lib_a": r"needs lib-a and json; try: pip install lib-a json \(No module",
    "from json import nothing": r"the json that is installed; try: pip install -U lib-a json",
}


@pytest.mark.parametrize("code", BROKEN)
def test_why_an_engine_cannot_be_imported(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: str
) -> None:
    (tmp_path / "broken_engine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    entry = registry.EngineEntry(
        "x", "broken_engine", "XEngine", frozenset(), libraries=("lib_a", "json")
    )
    with pytest.raises(EngineUnavailableError, match=f"XEngine .*{BROKEN[code]}") as caught:
        entry.load()
    is_told = code == "import lib_a"  # what is merely not installed has no story
    assert isinstance(caught.value.__cause__, ImportError) is not is_told
    assert caught.value.__suppress_context__


def test_a_defect_of_ours_is_not_taken_for_a_missing_library(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "broken_engine.py").write_text("from ktor_client import nothing")
    monkeypatch.syspath_prepend(tmp_path)
    entry = registry.EngineEntry("x", "broken_engine", "X", frozenset(), libraries=("lib_a",))
    with pytest.raises(ImportError, match="cannot import name 'nothing'") as caught:
        entry.load()
    assert not isinstance(caught.value, EngineUnavailableError)


def test_an_engine_for_another_platform(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_engine.py").write_text("import js_of_another_platform")
    monkeypatch.syspath_prepend(tmp_path)
    entry = registry.EngineEntry("x", "broken_engine", "XEngine", frozenset())
    with pytest.raises(EngineUnavailableError, match=r"XEngine needs another platform \(No modul"):
        entry.load()


def test_dir_shows_the_engines_that_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"AiohttpEngine", "HttpxEngine", "MockEngine", "engines"} <= set(dir(door))
    monkeypatch.setitem(sys.modules, "httpx_ws", None)
    assert "HttpxEngine" not in dir(door)
    assert "AiohttpEngine" in dir(door)
    with pytest.raises(AttributeError, match="no attribute 'JavaEngine'"):
        _ = door.JavaEngine  # pyright: ignore


def test_capabilities_are_constants() -> None:
    assert repr(WebSocketCapability) == "WebSocketCapability"
    with pytest.raises(AttributeError, match="WebSocketCapability is a constant"):
        WebSocketCapability.name = "other"
    assert pickle.loads(pickle.dumps(WebSocketCapability)) is WebSocketCapability
    assert copy.deepcopy({WebSocketCapability}) == {WebSocketCapability}
