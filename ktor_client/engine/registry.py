"""Which engines there are: the built-in ones by a literal table, others by entry point.

The table works where a folder was unpacked without metadata, as Pyodide does. Nothing here imports
an engine before it is asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from ktor_client.engine.capabilities import (
    ALL_CAPABILITIES,
    Capability,
    ProxyCapability,
    SocketTimeoutCapability,
    TlsOptionsCapability,
    UnixSocketCapability,
    WebSocketCapability,
)
from ktor_client.engine.contract import HttpClientEngine
from ktor_client.errors import EngineUnavailableError

__all__ = ["EngineEntry", "EngineFactory", "default_engine", "engine_class", "engines", "register"]

EngineFactory: TypeAlias = Callable[..., HttpClientEngine]

ENTRY_POINT_GROUP = "ktor_client.engines"

_EVERYTHING = frozenset(ALL_CAPABILITIES)
_IN_MEMORY = _EVERYTHING - {
    ProxyCapability,
    TlsOptionsCapability,
    UnixSocketCapability,
}


class EngineEntry:
    """One registered engine: where it lives, what it needs, what it can do when it is there."""

    __slots__ = ("capabilities", "class_name", "libraries", "module", "name", "note")

    def __init__(
        self,
        name: str,
        module: str,
        class_name: str,
        capabilities: frozenset[Capability],
        *,
        libraries: tuple[str, ...] = (),
        note: str = "",
    ) -> None:
        self.name = name
        self.module = module
        self.class_name = class_name
        self.capabilities = capabilities
        self.libraries = libraries
        self.note = note

    @property
    def remedy(self) -> str:
        """What to type where a library is missing."""
        return f"pip install {' '.join(distributions(self.libraries))}"

    def missing(self) -> list[str]:
        """Return the libraries that the engine needs and that are not installed."""
        from importlib.util import find_spec

        return [library for library in self.libraries if find_spec(library) is None]

    def load(self) -> type[HttpClientEngine]:
        """Import the engine.

        Raises:
            EngineUnavailableError: a library is missing or does not go with us; the message says
                what to install.
        """
        from importlib import import_module

        try:
            module = import_module(self.module)
        except ImportError as error:
            culprit = (error.name or "").partition(".")[0]
            if culprit == __name__.partition(".")[0]:
                raise  # a defect of ours, which installing something does not mend
            is_missing = isinstance(error, ModuleNotFoundError) and error.name in self.libraries
            cause = None if is_missing else error  # what is merely not installed has no story
            raise EngineUnavailableError(self._reason(error, culprit)) from cause
        engine: type[HttpClientEngine] = getattr(module, self.class_name)
        return engine

    def _reason(self, error: ImportError, culprit: str) -> str:
        needed = " and ".join(distributions(self.libraries))
        if not self.libraries:
            return f"{self.class_name} needs another platform ({error})"
        if culprit not in self.libraries:
            return f"{self.class_name} needs {needed}, which cannot be imported: {error}"
        if isinstance(error, ModuleNotFoundError):
            return f"{self.class_name} needs {needed}; try: {self.remedy} ({error})"
        return (
            f"{self.class_name} does not go with the {culprit} that is installed; "
            f"try: {self.remedy.replace('install', 'install -U')} ({error})"
        )


def distributions(libraries: Iterable[str]) -> list[str]:
    """Return what packages are called that bring these modules: `httpx_ws` is in `httpx-ws`."""
    return [library.replace("_", "-") for library in libraries]


BUILT_IN: dict[str, EngineEntry] = {
    entry.name: entry
    for entry in (
        EngineEntry(
            "cio",
            "ktor_client.engines._cio",
            "CioEngine",
            _EVERYTHING,
            note="like Ktor's CIO: asyncio alone",
        ),
        EngineEntry(
            "aiohttp",
            "ktor_client.engines._aiohttp",
            "AiohttpEngine",
            _EVERYTHING,
            libraries=("aiohttp",),
        ),
        EngineEntry(
            "httpx",
            "ktor_client.engines._httpx",
            "HttpxEngine",
            _EVERYTHING,
            libraries=("httpx", "httpx_ws"),
            note="like Ktor's OkHttp",
        ),
        EngineEntry(
            "darwin",
            "ktor_client.engines._darwin",
            "DarwinEngine",
            _EVERYTHING - {ProxyCapability, UnixSocketCapability},
            note="like Ktor's Darwin: Apple's network stack, not yet run on Apple hardware",
        ),
        EngineEntry(
            "browser",
            "ktor_client.engines._browser",
            "BrowserEngine",
            frozenset({SocketTimeoutCapability, WebSocketCapability}),
            note="like Ktor's Js",
        ),
        EngineEntry(
            "mock",
            "ktor_client.engines._mock",
            "MockEngine",
            _IN_MEMORY,
            note="for tests: scripted peers",
        ),
        EngineEntry(
            "test",
            "ktor_client.engines._asgi",
            "TestEngine",
            _IN_MEMORY,
            note="for tests: an ASGI app in process",
        ),
    )
}
_NETWORK_ENGINES = ("cio", "aiohttp", "httpx", "darwin", "browser")

_registered: dict[str, EngineFactory] = {}


def register(name: str, factory: EngineFactory) -> None:
    """Make `HttpClient(name)` work for your own engine in this process.

    Packages that bring an engine declare an entry point in group `ktor_client.engines` instead.

    Raises:
        ValueError: the name is a built-in engine's.
    """
    if name in BUILT_IN:
        raise ValueError(f"{name!r} is a built-in engine")
    _registered[name] = factory


def engines() -> list[str]:
    """Return the names that `HttpClient("name")` knows, installed or not."""
    return [*BUILT_IN, *_registered, *(p.name for p in _entry_points() if p.name not in BUILT_IN)]


def engine_class(name: str) -> EngineFactory:
    """Return the engine registered under `name`, which may be a built-in engine's class name.

    Raises:
        EngineUnavailableError: no engine has that name, or its library is not installed.
    """
    if name in BUILT_IN:
        return BUILT_IN[name].load()
    if name in _registered:
        return _registered[name]
    for point in _entry_points():
        if point.name == name:
            factory: EngineFactory = point.load()
            return factory
    for entry in BUILT_IN.values():
        if name.lower() in (entry.name, entry.class_name.lower()):
            return entry.load()
    from difflib import get_close_matches

    from ktor_client.mistakes.imports import ENGINES

    meant = {wrong.lower(): engine for wrong, engine in ENGINES.items()}.get(name.lower())
    known = engines()
    close = [
        entry.name for entry in BUILT_IN.values() if meant in (entry.class_name, entry.name.upper())
    ] or get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else f"; there are: {', '.join(known)}"
    raise EngineUnavailableError(f"there is no engine {name!r}{hint}")


def default_engine() -> EngineFactory:
    """Return the default engine: `BrowserEngine` under Emscripten, else `CioEngine`."""
    return BUILT_IN["browser" if sys.platform == "emscripten" else "cio"].load()


def engines_with(capability: Capability) -> str:
    """Return the built-in network engines that have a capability, for error messages."""
    names = [name for name in _NETWORK_ENGINES if capability in BUILT_IN[name].capabilities]
    return ", ".join(names) or "none"


def _entry_points() -> list[Any]:
    from importlib.metadata import entry_points

    return sorted(entry_points(group=ENTRY_POINT_GROUP), key=lambda point: str(point.name))
