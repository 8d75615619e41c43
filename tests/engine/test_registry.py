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
    AiohttpEngine,
    HttpxEngine,
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
    assert isinstance(HttpClient().engine, AiohttpEngine)


@pytest.mark.usefixtures("nothing_installed", "other_package")
def test_another_packages_engine_is_the_default_where_there_is_no_other() -> None:
    assert type(HttpClient().engine).__name__ == "OtherEngine"


@pytest.mark.usefixtures("nothing_installed")
def test_no_engine_at_all() -> None:
    with pytest.raises(EngineUnavailableError, match=r"try: pip install 'ktor-client\[aiohttp\]'"):
        HttpClient()


def test_httpx_is_the_default_without_aiohttp(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiohttp", None)
    assert default_engine() is HttpxEngine


def test_dir_shows_the_engines_that_can_be_had(monkeypatch: pytest.MonkeyPatch) -> None:
    assert {"AiohttpEngine", "HttpxEngine", "MockEngine", "engines"} <= set(dir(door))
    monkeypatch.setitem(sys.modules, "httpx_ws", None)
    assert "HttpxEngine" not in dir(door)
    assert "AiohttpEngine" in dir(door)
    with pytest.raises(AttributeError, match="no attribute 'CioEngine'"):
        _ = door.CioEngine  # pyright: ignore


def test_capabilities_are_constants() -> None:
    assert repr(WebSocketCapability) == "WebSocketCapability"
    with pytest.raises(AttributeError, match="WebSocketCapability is a constant"):
        WebSocketCapability.name = "other"
    assert pickle.loads(pickle.dumps(WebSocketCapability)) is WebSocketCapability
    assert copy.deepcopy({WebSocketCapability}) == {WebSocketCapability}
